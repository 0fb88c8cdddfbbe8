//! What a SQL text is and which tables it names, without asking any of them.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    Ident, ObjectName, ObjectNamePart, Query, SetExpr, Spanned, Statement, TableFactor, Visit, VisitMut, Visitor,
    VisitorMut,
};
use datafusion::sql::sqlparser::dialect::GenericDialect;
use datafusion::sql::sqlparser::parser::Parser;
use datafusion::sql::sqlparser::tokenizer::{Location, Token};
use stage::{Layer, TableName};

use crate::problem::{SqlProblem, of_parser};

/// How deep a query may be nested; the parser recurses.
const NESTING: usize = 64;

/// The tables a SELECT reads, by full name. `layer.table` is of `pipeline`; names of WITH parts are left out.
///
/// # Errors
/// A text that is not exactly one SELECT, and a name that cannot be a table, at its place.
pub fn references(sql: &str, pipeline: &str) -> Result<BTreeSet<TableName>, SqlProblem> {
    Ok(Select::parse(sql, pipeline)?.tables.into_keys().collect())
}

/// A text that says the same for texts that differ in white space, comments and a final `;` only.
///
/// # Errors
/// A text that does not parse.
pub fn fingerprint(sql: &str) -> Result<String, SqlProblem> {
    Ok(parse(sql)?.to_string())
}

/// One parsed SELECT and the tables it names.
pub(crate) struct Select {
    query: Box<Query>,
    /// Every table with the place where it is named first.
    pub(crate) tables: BTreeMap<TableName, Location>,
    pipeline: String,
}

impl Select {
    pub(crate) fn parse(sql: &str, pipeline: &str) -> Result<Self, SqlProblem> {
        let query = parse(sql)?;
        let mut tables = BTreeMap::new();
        let mut walk = Walk::new(|name: &ObjectName| {
            let table = table_name(name, pipeline)?;
            tables.entry(table).or_insert(name.span().start);
            Ok(())
        });
        match query.visit(&mut walk) {
            ControlFlow::Break(problem) => Err(problem),
            ControlFlow::Continue(()) => Ok(Select { query, tables, pipeline: pipeline.to_owned() }),
        }
    }

    /// The query, to put values in.
    pub(crate) fn query_mut(&mut self) -> &mut Query {
        &mut self.query
    }

    /// The statement with every table under its full name, so that the plan says which pipeline it reads.
    pub(crate) fn into_statement(mut self) -> Statement {
        let _ = VisitMut::visit(&mut self.query, &mut Qualify { pipeline: &self.pipeline });
        Statement::Query(self.query)
    }
}

/// Parses exactly one SELECT.
fn parse(sql: &str) -> Result<Box<Query>, SqlProblem> {
    let dialect = GenericDialect {};
    let fresh = Parser::new(&dialect).with_recursion_limit(NESTING);
    let mut parser = fresh.try_with_sql(sql).map_err(|error| of_parser(sql, &error))?;
    while parser.consume_token(&Token::SemiColon) {}
    let begin = parser.peek_token();
    if begin.token == Token::EOF {
        return Err(SqlProblem::new(1, 1, "expected a SELECT, found nothing"));
    }
    let statement = parser.parse_statement().map_err(|error| of_parser(sql, &error))?;
    let query = match statement {
        Statement::Query(query) if is_reading(&query.body) => query,
        _ => {
            let found = begin.token.to_string().to_uppercase();
            let message = match found.as_str() {
                "WITH" | "SELECT" | "(" => "only a SELECT that reads is allowed here".to_owned(),
                _ => format!("only a SELECT is allowed here, found {found}"),
            };
            return Err(SqlProblem::at(begin.span.start, message));
        }
    };
    while parser.consume_token(&Token::SemiColon) {}
    let rest = parser.peek_token();
    match rest.token {
        Token::EOF => Ok(query),
        token => Err(SqlProblem::at(rest.span.start, format!("expected the end of the one SELECT, found {token}"))),
    }
}

/// Whether the body is SELECTs and nothing that writes.
fn is_reading(body: &SetExpr) -> bool {
    match body {
        SetExpr::Select(select) => select.into.is_none(),
        SetExpr::Query(query) => is_reading(&query.body),
        SetExpr::SetOperation { left, right, .. } => is_reading(left) && is_reading(right),
        SetExpr::Values(_) => true,
        _ => false,
    }
}

fn table_name(name: &ObjectName, pipeline: &str) -> Result<TableName, SqlProblem> {
    let problem = |message: String| SqlProblem::at(name.span().start, message);
    let parts: Vec<&str> = name.0.iter().filter_map(|part| part.as_ident()).map(|part| part.value.as_str()).collect();
    let (pipeline, layer, table) = match parts.as_slice() {
        [table] => {
            return Err(problem(format!("`{table}` is not a table; write `layer.table`, such as `silver.{table}`")));
        }
        [layer, table] => (pipeline, *layer, *table),
        [pipeline, layer, table] => (*pipeline, *layer, *table),
        _ => return Err(problem(format!("`{name}` is not a table; write `layer.table` or `pipeline.layer.table`"))),
    };
    let parsed: Layer = layer.parse().map_err(|error: stage::Error| {
        let layers = [Layer::Bronze, Layer::Silver, Layer::Gold, Layer::Quarantine, Layer::System].map(Layer::name);
        problem(error.message().to_owned()).with_nearest(layer, layers)
    })?;
    TableName::new(pipeline, parsed, table).map_err(|error| problem(error.message().to_owned()))
}

/// Visits the tables of a query: relations that are neither WITH parts in scope nor table functions.
struct Walk<F> {
    visit: F,
    in_scope: Vec<String>,
    functions: BTreeSet<Location>,
}

impl<F: FnMut(&ObjectName) -> Result<(), SqlProblem>> Walk<F> {
    fn new(visit: F) -> Self {
        Walk { visit, in_scope: Vec::new(), functions: BTreeSet::new() }
    }
}

impl<F: FnMut(&ObjectName) -> Result<(), SqlProblem>> Visitor for Walk<F> {
    type Break = SqlProblem;

    fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<SqlProblem> {
        let Some(with) = &query.with else {
            return ControlFlow::Continue(());
        };
        for part in &with.cte_tables {
            // The name of a part is not in scope in the part itself, unless the WITH is recursive.
            if !with.recursive {
                part.visit(self)?;
            }
            self.in_scope.push(part.alias.name.value.clone());
        }
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, query: &Query) -> ControlFlow<SqlProblem> {
        let parts = query.with.as_ref().map_or(0, |with| with.cte_tables.len());
        self.in_scope.truncate(self.in_scope.len().saturating_sub(parts));
        ControlFlow::Continue(())
    }

    fn pre_visit_table_factor(&mut self, factor: &TableFactor) -> ControlFlow<SqlProblem> {
        if let TableFactor::Table { name, args: Some(_), .. } = factor {
            self.functions.insert(name.span().start);
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_relation(&mut self, name: &ObjectName) -> ControlFlow<SqlProblem> {
        let is_part = match name.0.as_slice() {
            [ObjectNamePart::Identifier(only)] => self.in_scope.contains(&only.value),
            _ => false,
        };
        if is_part || self.functions.contains(&name.span().start) {
            return ControlFlow::Continue(());
        }
        match (self.visit)(name) {
            Ok(()) => ControlFlow::Continue(()),
            Err(problem) => ControlFlow::Break(problem),
        }
    }
}

/// Puts the pipeline before every name of two parts.
struct Qualify<'a> {
    pipeline: &'a str,
}

impl VisitorMut for Qualify<'_> {
    type Break = ();

    fn pre_visit_relation(&mut self, name: &mut ObjectName) -> ControlFlow<()> {
        if let [ObjectNamePart::Identifier(layer), _] = name.0.as_slice() {
            let catalog = Ident { value: self.pipeline.to_owned(), quote_style: None, span: layer.span };
            name.0.insert(0, ObjectNamePart::Identifier(catalog));
        }
        ControlFlow::Continue(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(sql: &str) -> Vec<String> {
        references(sql, "shop").unwrap().iter().map(ToString::to_string).collect()
    }

    fn problem(sql: &str) -> (usize, usize, String) {
        let problem = references(sql, "shop").unwrap_err();
        (problem.line, problem.column, problem.message)
    }

    #[test]
    fn tables_are_found_wherever_they_stand() {
        let sql = "WITH recent AS (SELECT * FROM silver.events)
            SELECT r.*, (SELECT max(x) FROM gold.totals) FROM recent r
            JOIN other.silver.users u ON u.id = r.id
            WHERE r.id IN (SELECT id FROM bronze.ids UNION ALL SELECT id FROM bronze.more);";
        let expected =
            ["other.silver.users", "shop.bronze.ids", "shop.bronze.more", "shop.silver.events", "shop.gold.totals"];
        assert_eq!(names(sql), expected);
    }

    #[test]
    fn a_with_part_hides_nothing_outside_its_query() {
        assert_eq!(
            names("WITH RECURSIVE n AS (SELECT 1 AS i UNION ALL SELECT i + 1 FROM n WHERE i < 3) SELECT * FROM n"),
            [""; 0]
        );
        let (line, column, message) = problem("SELECT * FROM (WITH t AS (SELECT 1) SELECT * FROM t) a, t");
        assert_eq!((line, column), (1, 57));
        assert_eq!(message, "`t` is not a table; write `layer.table`, such as `silver.t`");
    }

    #[test]
    fn a_table_function_is_not_a_table() {
        assert_eq!(names("SELECT * FROM generate_series(1, 3) AS s"), [""; 0]);
    }

    #[test]
    fn a_name_in_no_layer_is_refused_at_its_place() {
        let (line, column, message) = problem("SELECT *\nFROM slver.events");
        assert_eq!((line, column), (2, 6));
        assert!(message.ends_with("nearest is `silver`"), "{message}");
        assert!(problem("SELECT * FROM a.b.c.d").2.contains("pipeline.layer.table"));
    }

    #[test]
    fn only_one_select_is_allowed() {
        assert_eq!(
            problem("\n  DROP TABLE silver.events"),
            (2, 3, "only a SELECT is allowed here, found DROP".to_owned())
        );
        assert!(problem("INSERT INTO silver.a SELECT 1").2.contains("INSERT"));
        assert_eq!(problem("SELECT 1; SELECT 2").1, 11);
        assert_eq!(problem("  -- nothing\n").2, "expected a SELECT, found nothing");
        assert!(problem("SELECT 1 INTO silver.x").2.contains("only a SELECT that reads"));
        assert!(problem("WITH x AS (SELECT 1) DELETE FROM silver.events").2.contains("only a SELECT"));
    }

    #[test]
    fn a_syntax_error_has_its_place() {
        let found = problem("SELECT a,\n FROM silver.events WHERE");
        assert_eq!(found, (2, 25, "expected an expression, found the end of the text".to_owned()));
        let found = problem("SELECT a FROM silver.events\nWHERE GROUP BY a");
        assert_eq!(found, (2, 13, "expected the end of the one SELECT, found BY".to_owned()));
        let found = problem("SELECT 'open FROM silver.events");
        assert_eq!((found.0, found.1), (1, 8), "{}", found.2);
    }

    #[test]
    fn nesting_without_end_is_refused() {
        let sql = format!("SELECT {}1{}", "(".repeat(5000), ")".repeat(5000));
        assert_eq!(problem(&sql).2, "the query is nested too deeply");
    }

    #[test]
    fn a_fingerprint_ignores_layout_and_comments() {
        let plain = fingerprint("SELECT a, b FROM silver.events WHERE a > 1").unwrap();
        let laid_out = fingerprint("select a, -- the first\n  b\nFROM silver.events /* all */ WHERE a>1;").unwrap();
        assert_eq!(plain, laid_out);
        assert_ne!(plain, fingerprint("SELECT a, b FROM silver.events WHERE a > 2").unwrap());
    }
}
