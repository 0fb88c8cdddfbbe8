//! `:name` in a SQL text: a value that is given with the query.
//!
//! The value takes the place of the parameter in the parsed statement, as a text literal. It is never part of a text that
//! is parsed, so nothing in it can be read as SQL.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{Expr, Spanned, Value, VisitMut, VisitorMut};

use crate::problem::SqlProblem;
use crate::references::Select;

/// What begins a parameter.
const SIGN: char = ':';

/// What is wrong with the parameters of one SELECT, when values of these names are given.
///
/// # Errors
/// A text that is not exactly one SELECT; the first parameter without a value, at its place.
pub fn check_parameters(sql: &str, pipeline: &str, parameters: &BTreeMap<String, String>) -> Result<(), SqlProblem> {
    bind(&mut Select::parse(sql, pipeline)?, parameters)
}

/// Puts the values in. Those that the query does not name are left out.
pub(crate) fn bind(select: &mut Select, parameters: &BTreeMap<String, String>) -> Result<(), SqlProblem> {
    match VisitMut::visit(select.query_mut(), &mut Bind { parameters }) {
        ControlFlow::Break(problem) => Err(problem),
        ControlFlow::Continue(()) => Ok(()),
    }
}

struct Bind<'a> {
    parameters: &'a BTreeMap<String, String>,
}

impl VisitorMut for Bind<'_> {
    type Break = SqlProblem;

    fn pre_visit_expr(&mut self, expression: &mut Expr) -> ControlFlow<SqlProblem> {
        let place = expression.span().start;
        let Expr::Value(found) = expression else { return ControlFlow::Continue(()) };
        let Value::Placeholder(written) = &found.value else { return ControlFlow::Continue(()) };
        let Some(name) = written.strip_prefix(SIGN) else {
            return ControlFlow::Break(SqlProblem::at(place, format!("`{written}` is no parameter; write `:name`")));
        };
        let Some(value) = self.parameters.get(name) else {
            let message = format!("the parameter `{name}` has no value");
            let known = self.parameters.keys().map(String::as_str);
            return ControlFlow::Break(SqlProblem::at(place, message).with_nearest(name, known));
        };
        found.value = Value::SingleQuotedString(value.clone());
        ControlFlow::Continue(())
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::{Array, RecordBatch, StringArray};

    use super::*;
    use crate::testing;

    fn given(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    async fn rows(sql: &str, parameters: &[(&str, &str)]) -> Vec<RecordBatch> {
        let session = testing::engine().session("shop");
        let plan = crate::plan_with(&session, "shop", sql, &given(parameters), &testing::tables()).await.unwrap();
        crate::collect(&session, plan).await.unwrap()
    }

    #[tokio::test]
    async fn a_value_is_a_text_whatever_stands_in_it() {
        let hostile = "x' OR '1'='1'; --\\";
        let found = rows("SELECT CAST(:value AS VARCHAR) AS value", &[("value", hostile), ("unused", "1")]).await;
        let column = arrow::compute::cast(found[0].column(0), &arrow::datatypes::DataType::Utf8).unwrap();
        assert_eq!(column.as_any().downcast_ref::<StringArray>().unwrap().value(0), hostile);
        let none = rows("SELECT id FROM bronze.events WHERE user_key = :user", &[("user", "' OR 1=1 --")]).await;
        assert_eq!(none.iter().map(RecordBatch::num_rows).sum::<usize>(), 0);
    }

    #[tokio::test]
    async fn the_query_casts_where_it_needs_another_type() {
        let sql =
            "WITH a AS (SELECT CAST(:n AS BIGINT) + 1 AS n) SELECT n FROM a WHERE n > (SELECT CAST(:n AS BIGINT))";
        assert_eq!(rows(sql, &[("n", "41")]).await.iter().map(RecordBatch::num_rows).sum::<usize>(), 1);
    }

    #[test]
    fn a_parameter_without_a_value_is_found_at_its_place() {
        let sql = "SELECT id FROM bronze.events\nWHERE day = :dy";
        let found = check_parameters(sql, "shop", &given(&[("day", "x")])).unwrap_err();
        assert_eq!((found.line, found.column), (2, 13));
        assert_eq!(found.message, "the parameter `dy` has no value; nearest is `day`");
        assert_eq!(check_parameters(sql, "shop", &given(&[("dy", "x")])), Ok(()));
        assert!(check_parameters("SELECT $1 AS a", "shop", &given(&[])).is_err());
    }
}
