//! The SQL of a check. Names of tables and columns are quoted; only what users write as SQL stands there as it is.

use stage::TableName;

use super::rule::Rule;

/// A query and how its result is to be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Statement {
    /// Every row of the result fails the check.
    Failing(String),
    /// The result is one row with one number, which may be null.
    Number(String),
}

impl Statement {
    pub(crate) fn text(&self) -> &str {
        match self {
            Statement::Failing(text) | Statement::Number(text) => text,
        }
    }
}

/// The SQL of a rule over `table`; `None` for rules that ask no rows. Names in it that cannot be tables were refused before.
pub(crate) fn statement(rule: &Rule<'_>, table: &TableName) -> Option<Statement> {
    let of = quoted_table(table);
    Some(match rule {
        Rule::Unique(columns) => {
            let columns = list(columns);
            let filled = all(columns.iter().map(|column| format!("{column} IS NOT NULL")));
            let columns = columns.join(", ");
            Statement::Failing(format!(
                "SELECT {columns} FROM {of} WHERE {filled} GROUP BY {columns} HAVING COUNT(*) > 1"
            ))
        }
        Rule::PrimaryKey(columns) => {
            let columns = list(columns);
            let null = columns.iter().map(|column| format!("{column} IS NULL")).collect::<Vec<_>>().join(" OR ");
            let columns = columns.join(", ");
            Statement::Failing(format!("SELECT {columns} FROM {of} GROUP BY {columns} HAVING COUNT(*) > 1 OR {null}"))
        }
        Rule::ForeignKey(spec) => {
            let (columns, keys) =
                (list(&spec.columns), list(if spec.keys.is_empty() { &spec.columns } else { &spec.keys }));
            let other = quoted_table(&TableName::in_pipeline(table.pipeline(), &spec.table).ok()?);
            let filled = all(columns.iter().map(|column| format!("own.{column} IS NOT NULL")));
            let equal = all(columns.iter().zip(&keys).map(|(column, key)| format!("own.{column} = other.{key}")));
            let columns: Vec<String> = columns.iter().map(|column| format!("own.{column}")).collect();
            Statement::Failing(format!(
                "SELECT DISTINCT {} FROM {of} AS own LEFT ANTI JOIN {other} AS other ON {equal} WHERE {filled}",
                columns.join(", ")
            ))
        }
        Rule::RowCount(spec) => {
            let other = TableName::in_pipeline(table.pipeline(), spec.equal_to.as_ref()?).ok()?;
            Statement::Number(format!("SELECT CAST(COUNT(*) AS DOUBLE) FROM {}", quoted_table(&other)))
        }
        // As seconds, because a number is what every scalar rule compares.
        Rule::Freshness(spec) => Statement::Number(format!(
            "SELECT CAST(date_part('epoch', CAST(MAX({}) AS TIMESTAMP)) AS DOUBLE) FROM {of}",
            quoted(&spec.column)
        )),
        Rule::Completeness(spec) => {
            let column = quoted(&spec.column);
            Statement::Number(format!("SELECT CAST(COUNT({column}) AS DOUBLE) FROM {of}"))
        }
        // A comment at the end of the expression must not take the rest with it.
        Rule::Aggregate(spec) => Statement::Number(format!("SELECT CAST(({}\n) AS DOUBLE) FROM {of}", spec.expression)),
        Rule::Sql(text) => Statement::Failing((*text).to_owned()),
        Rule::Schema(_) | Rule::Distribution(_) | Rule::Volume(_) => return None,
    })
}

/// How many rows a table has.
pub(crate) fn row_count(table: &TableName) -> String {
    format!("SELECT CAST(COUNT(*) AS DOUBLE) FROM {}", quoted_table(table))
}

fn list(columns: &[String]) -> Vec<String> {
    columns.iter().map(|column| quoted(column)).collect()
}

fn all(conditions: impl Iterator<Item = String>) -> String {
    conditions.collect::<Vec<_>>().join(" AND ")
}

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

fn quoted_table(name: &TableName) -> String {
    format!("{}.{}.{}", quoted(name.pipeline()), quoted(name.layer().name()), quoted(name.table()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_quoted_whatever_is_in_them() {
        let table: TableName = "shop.silver.orders".parse().unwrap();
        let columns = vec!["a\"; DROP".to_owned(), "b".to_owned()];
        let Some(Statement::Failing(text)) = statement(&Rule::Unique(&columns), &table) else { panic!() };
        assert_eq!(
            text,
            "SELECT \"a\"\"; DROP\", \"b\" FROM \"shop\".\"silver\".\"orders\" WHERE \"a\"\"; DROP\" IS NOT NULL AND \
             \"b\" IS NOT NULL GROUP BY \"a\"\"; DROP\", \"b\" HAVING COUNT(*) > 1"
        );
    }
}
