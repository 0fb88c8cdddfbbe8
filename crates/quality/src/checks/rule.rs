//! The one rule of a check, and what can be said of it without knowing the table.

use std::collections::BTreeSet;

use stage::{Problem, TableName};

use super::spec::{
    AggregateSpec, CheckSpec, ColumnsSpec, CompletenessSpec, DistributionSpec, ForeignKeySpec, FreshnessSpec,
    RowCountSpec, VolumeSpec,
};
use crate::compile::sql_message;
use crate::spec::ExpectationSpec;

/// The names of all rules, as specs write them.
const RULES: &str = "unique, primary_key, foreign_key, row_count, freshness, completeness, aggregate, schema, \
                     distribution, volume or sql";

/// The rule of a check.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Rule<'a> {
    Unique(&'a [String]),
    PrimaryKey(&'a [String]),
    ForeignKey(&'a ForeignKeySpec),
    RowCount(&'a RowCountSpec),
    Freshness(&'a FreshnessSpec),
    Completeness(&'a CompletenessSpec),
    Aggregate(&'a AggregateSpec),
    Schema(&'a ColumnsSpec),
    Distribution(&'a DistributionSpec),
    Volume(&'a VolumeSpec),
    Sql(&'a str),
}

impl Rule<'_> {
    /// The name of the rule, as specs write it.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Rule::Unique(_) => "unique",
            Rule::PrimaryKey(_) => "primary_key",
            Rule::ForeignKey(_) => "foreign_key",
            Rule::RowCount(_) => "row_count",
            Rule::Freshness(_) => "freshness",
            Rule::Completeness(_) => "completeness",
            Rule::Aggregate(_) => "aggregate",
            Rule::Schema(_) => "schema",
            Rule::Distribution(_) => "distribution",
            Rule::Volume(_) => "volume",
            Rule::Sql(_) => "sql",
        }
    }

    /// The columns of the table that the rule names, each with its place below the check.
    pub(crate) fn columns(&self) -> Vec<(String, &str)> {
        let list = |at: &str, columns: &'_ [String]| -> Vec<String> {
            (0..columns.len()).map(|index| format!("{at}/{index}")).collect()
        };
        let named = |at: &str, columns| {
            let places = list(at, columns);
            places.into_iter().zip(columns.iter().map(String::as_str)).collect()
        };
        match self {
            Rule::Unique(columns) | Rule::PrimaryKey(columns) => named(self.name(), columns),
            Rule::ForeignKey(spec) => named("foreign_key/columns", &spec.columns),
            Rule::Freshness(spec) => vec![("freshness/column".to_owned(), &spec.column)],
            Rule::Completeness(spec) => vec![("completeness/column".to_owned(), &spec.column)],
            Rule::Distribution(spec) => vec![("distribution/column".to_owned(), &spec.column)],
            Rule::RowCount(_) | Rule::Aggregate(_) | Rule::Schema(_) | Rule::Volume(_) | Rule::Sql(_) => Vec::new(),
        }
    }
}

impl CheckSpec {
    /// The rules that stand in the check.
    pub(crate) fn rules(&self) -> Vec<Rule<'_>> {
        let all = [
            self.unique.as_deref().map(Rule::Unique),
            self.primary_key.as_deref().map(Rule::PrimaryKey),
            self.foreign_key.as_ref().map(Rule::ForeignKey),
            self.row_count.as_ref().map(Rule::RowCount),
            self.freshness.as_ref().map(Rule::Freshness),
            self.completeness.as_ref().map(Rule::Completeness),
            self.aggregate.as_ref().map(Rule::Aggregate),
            self.schema.as_ref().map(Rule::Schema),
            self.distribution.as_ref().map(Rule::Distribution),
            self.volume.as_ref().map(Rule::Volume),
            self.sql.as_deref().map(Rule::Sql),
        ];
        all.into_iter().flatten().collect()
    }

    /// The other tables that the check reads, with the place where each is named.
    ///
    /// # Errors
    /// What is wrong with a name or with the SQL, at its place below the check.
    pub fn reads(&self, pipeline: &str) -> Result<Vec<(String, TableName)>, Problem> {
        let mut tables = BTreeSet::new();
        let mut named = |at: &str, written: &str| match TableName::in_pipeline(pipeline, written) {
            Ok(name) => {
                tables.insert((at.to_owned(), name));
                Ok(())
            }
            Err(error) => Err(Problem::new(at, error.message())),
        };
        if let Some(spec) = &self.foreign_key {
            named("foreign_key/table", &spec.table)?;
        }
        if let Some(table) = self.row_count.as_ref().and_then(|spec| spec.equal_to.as_ref()) {
            named("row_count/equal_to", table)?;
        }
        if let Some(text) = &self.sql {
            let found = sql::references(text, pipeline).map_err(|problem| in_sql("sql", &problem))?;
            tables.extend(found.into_iter().map(|name| ("sql".to_owned(), name)));
        }
        Ok(tables.into_iter().collect())
    }
}

/// A problem in a SQL text that stands in a spec.
pub(super) fn in_sql(at: impl Into<String>, problem: &sql::SqlProblem) -> Problem {
    Problem::new(at, sql_message(problem))
}

/// Everything that is wrong with checks whatever their table looks like. Places are relative to the file, such as
/// `check/0/row_count/min`.
pub fn check(specs: &[CheckSpec], expectations: &[ExpectationSpec]) -> Vec<Problem> {
    let mut problems = Vec::new();
    for (index, spec) in specs.iter().enumerate() {
        let mut problem = |place: &str, message: &str| {
            let at = format!("check/{index}/{place}");
            problems.push(Problem::new(at.trim_end_matches('/'), message));
        };
        let name = spec.name.trim();
        let is_taken = specs[..index].iter().any(|other| other.name == spec.name)
            || expectations.iter().any(|other| other.name == spec.name);
        if name.is_empty() {
            problem("", "a check needs a name, under which its results are told");
        } else if is_taken {
            problem("name", &format!("`{name}` is the name of another rule of the table; names are unique in a table"));
        }
        let rules = spec.rules();
        match rules.as_slice() {
            [] => problem("", &format!("there is no rule; write one of {RULES}")),
            [rule] => check_rule(rule, &mut problem),
            several => {
                let names: Vec<&str> = several.iter().map(Rule::name).collect();
                problem("", &format!("{} stand together; write one rule in each [[check]]", names.join(" and ")));
            }
        }
    }
    problems
}

fn check_rule(rule: &Rule<'_>, problem: &mut impl FnMut(&str, &str)) {
    match rule {
        Rule::Unique(columns) | Rule::PrimaryKey(columns) if columns.is_empty() => {
            problem(rule.name(), &format!("{} names no column", rule.name()));
        }
        Rule::ForeignKey(spec) if spec.columns.is_empty() => {
            problem("foreign_key/columns", "foreign_key names no column")
        }
        Rule::ForeignKey(spec) if !spec.keys.is_empty() && spec.keys.len() != spec.columns.len() => {
            problem("foreign_key/keys", "there are not as many keys as columns; write one for each");
        }
        Rule::RowCount(spec) => {
            if **spec == RowCountSpec::default() {
                problem("row_count", "row_count needs min, max, equal_to, min_of_before or max_of_before");
            }
            if spec.min.zip(spec.max).is_some_and(|(min, max)| min > max) {
                problem("row_count/min", "min is greater than max, so the check could never pass");
            }
        }
        Rule::Completeness(spec) if !(0.0..=1.0).contains(&spec.min) => {
            problem("completeness/min", "expected a share from 0 to 1");
        }
        Rule::Aggregate(spec) => {
            if spec.min.is_none() && spec.max.is_none() {
                problem("aggregate", "aggregate needs min or max");
            }
            if spec.min.zip(spec.max).is_some_and(|(min, max)| min > max) {
                problem("aggregate/min", "min is greater than max, so the check could never pass");
            }
        }
        Rule::Schema(spec) => {
            if spec.columns.is_empty() {
                problem("schema/columns", "schema names no column");
            }
            for wrong in frame::types::schema(&spec.columns).err().unwrap_or_default() {
                problem(&format!("schema/columns/{}", wrong.at), &wrong.message);
            }
        }
        Rule::Distribution(spec) if spec.max_psi.is_none() && spec.max_ks.is_none() => {
            problem("distribution", "distribution needs max_psi or max_ks");
        }
        Rule::Volume(spec) if spec.max_deviations <= 0.0 => problem("volume/max_deviations", "expected more than 0"),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn places(specs: Value) -> Vec<String> {
        let specs: Vec<CheckSpec> = serde_json::from_value(specs).unwrap();
        let expectation = ExpectationSpec { name: "taken".to_owned(), ..ExpectationSpec::default() };
        check(&specs, &[expectation]).into_iter().map(|problem| problem.at).collect()
    }

    #[test]
    fn good_checks_have_no_problems() {
        let specs = json!([
            { "name": "a", "unique": ["x"] },
            { "name": "b", "row_count": { "min": 1, "equal_to": "bronze.x" }, "severity": "warn", "when": "commit" },
            { "name": "c", "volume": {} },
        ]);
        assert!(places(specs).is_empty());
    }

    #[test]
    fn every_problem_is_told_at_its_place() {
        let specs = json!([
            { "unique": ["x"] },
            { "name": "taken", "unique": [] },
            { "name": "b" },
            { "name": "c", "unique": ["x"], "sql": "SELECT 1" },
            { "name": "d", "foreign_key": { "columns": ["a"], "table": "silver.x", "keys": ["a", "b"] } },
            { "name": "e", "row_count": {} },
            { "name": "f", "row_count": { "min": 2, "max": 1 } },
            { "name": "g", "completeness": { "column": "x", "min": 95 } },
            { "name": "h", "aggregate": { "expression": "SUM(x)" } },
            { "name": "i", "schema": { "columns": { "x": "lonk" } } },
            { "name": "j", "distribution": { "column": "x" } },
            { "name": "k", "volume": { "max_deviations": 0 } },
        ]);
        assert_eq!(
            places(specs),
            [
                "check/0",
                "check/1/name",
                "check/1/unique",
                "check/2",
                "check/3",
                "check/4/foreign_key/keys",
                "check/5/row_count",
                "check/6/row_count/min",
                "check/7/completeness/min",
                "check/8/aggregate",
                "check/9/schema/columns/x",
                "check/10/distribution",
                "check/11/volume/max_deviations",
            ]
        );
    }
}
