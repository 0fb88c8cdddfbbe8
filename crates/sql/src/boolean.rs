//! One SQL boolean over the columns of a row, such as `quantity > 0 AND country <> 'XX'`.
//!
//! It is planned once, against a schema, and then evaluated on any number of batches. Columns are found by name, so a
//! batch may hold more columns than the schema did, in any order.

use std::fmt;
use std::ops::ControlFlow;
use std::sync::Arc;

use arrow::array::{Array, BooleanArray, RecordBatch};
use arrow::datatypes::{DataType, Schema, SchemaRef};
use chrono::{DateTime, Utc};
use datafusion::common::DFSchema;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::error::DataFusionError;
use datafusion::logical_expr::simplify::SimplifyContext;
use datafusion::logical_expr::{Expr, Volatility};
use datafusion::optimizer::simplify_expressions::ExprSimplifier;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::sql::sqlparser::ast::{self, Spanned, Visit, Visitor};
use datafusion::sql::sqlparser::dialect::GenericDialect;
use datafusion::sql::sqlparser::parser::Parser;
use datafusion::sql::sqlparser::tokenizer::{Location, Token};
use stage::{Error, Result};

use crate::Engine;
use crate::problem::{Known, SqlProblem, of_parser};
use crate::text;

/// A planned boolean. Cheap to clone and shared by threads.
#[derive(Clone)]
pub struct Predicate {
    text: String,
    planned: Planned,
    physical: Arc<dyn PhysicalExpr>,
    /// Whether the result depends on the time it is evaluated at (`now()` and the like), so that it is bound anew.
    moves: bool,
}

/// What binding to a time needs.
#[derive(Clone)]
struct Planned {
    engine: Engine,
    expression: Expr,
    /// Only the columns that are read, in the order of the schema it was planned against.
    columns: SchemaRef,
    schema: Arc<DFSchema>,
}

/// Plans a boolean over the columns of `schema`. Names are case-sensitive, as in every SQL text.
///
/// # Errors
/// Whatever is not one boolean expression over these columns: a syntax error, an unknown column or function, another
/// type, or anything that needs more than the row (a sub-query, an aggregate, a window).
pub fn boolean(engine: &Engine, schema: &Schema, text: &str) -> Result<Predicate, SqlProblem> {
    let parsed = parse(text)?;
    let all =
        DFSchema::try_from(schema.clone()).map_err(|error| SqlProblem::new(1, 1, text::plain(&error.to_string())))?;
    let known = Known { sql: text, pipeline: "", owner: "the columns", state: engine.state() };
    let problem = |error: DataFusionError| known.problem(&error);
    let unaliased = ast::ExprWithAlias { expr: parsed, alias: None };
    let expression = engine.state().create_logical_expr_from_sql_expr(unaliased, &all).map_err(problem)?;
    refuse_other_rows(&expression, text)?;

    let read: Vec<usize> = read_columns(&expression, schema);
    let columns = Arc::new(schema.project(&read).map_err(|error| problem(error.into()))?);
    let narrowed = Arc::new(DFSchema::try_from(Arc::clone(&columns)).map_err(problem)?);
    let planned = Planned { engine: engine.clone(), expression, columns, schema: narrowed };
    let physical = planned.bind(Utc::now()).map_err(problem)?;
    let data_type = physical.data_type(&planned.columns).map_err(problem)?;
    if data_type != DataType::Boolean {
        let found = text::plain(&data_type.to_string());
        return Err(SqlProblem::new(1, 1, format!("`{}` is not true or false but {found}", text.trim())));
    }
    let moves = has_function_of_time(&planned.expression);
    Ok(Predicate { text: text.trim().to_owned(), planned, physical, moves })
}

impl Predicate {
    /// The text it was planned from.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The columns it reads, in the order of the schema it was planned against.
    pub fn columns(&self) -> impl Iterator<Item = &str> {
        self.planned.columns.fields().iter().map(|field| field.name().as_str())
    }

    /// The value for every row of the batch, null where it is unknown; `now()` is the time of the call.
    ///
    /// # Errors
    /// [`stage::Kind::Data`] when a row cannot be evaluated (a division by zero, say), [`stage::Kind::Bug`] when the
    /// batch lacks a column or has it in another type.
    pub fn evaluate(&self, rows: &RecordBatch) -> Result<BooleanArray> {
        self.evaluate_at(rows, Utc::now())
    }

    /// The same with a given time for `now()`.
    ///
    /// # Errors
    /// As [`Predicate::evaluate`].
    pub fn evaluate_at(&self, rows: &RecordBatch, now: DateTime<Utc>) -> Result<BooleanArray> {
        let narrowed = self.narrow(rows)?;
        let outcome = if self.moves {
            self.planned.bind(now).and_then(|bound| evaluate(bound.as_ref(), &narrowed))
        } else {
            evaluate(self.physical.as_ref(), &narrowed)
        };
        outcome.map_err(|error| crate::classify(error).context(format!("could not evaluate `{}`", self.text)))
    }

    fn narrow(&self, rows: &RecordBatch) -> Result<RecordBatch> {
        let found = self.planned.columns.fields().iter().map(|field| {
            let column = rows.column_by_name(field.name()).ok_or_else(|| {
                Error::bug(format!("`{}` needs column `{}`, which the batch has not", self.text, field.name()))
            })?;
            if column.data_type() != field.data_type() {
                let (planned, found) = (field.data_type(), column.data_type());
                let name = field.name();
                return Err(Error::bug(format!("`{}` was planned for {name} {planned}, not {found}", self.text)));
            }
            Ok(Arc::clone(column))
        });
        let columns = found.collect::<Result<Vec<_>>>()?;
        let options = arrow::array::RecordBatchOptions::new().with_row_count(Some(rows.num_rows()));
        RecordBatch::try_new_with_options(Arc::clone(&self.planned.columns), columns, &options)
            .map_err(|error| Error::bug(format!("could not narrow a batch for `{}`", self.text)).with_source(error))
    }
}

impl fmt::Debug for Predicate {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("Predicate").field(&self.text).finish()
    }
}

impl Planned {
    /// The expression ready to be evaluated, with every function of time replaced by its value at `now`.
    fn bind(&self, now: DateTime<Utc>) -> datafusion::error::Result<Arc<dyn PhysicalExpr>> {
        let state = self.engine.state();
        let context = SimplifyContext::builder()
            .with_schema(Arc::clone(&self.schema))
            .with_config_options(Arc::clone(state.config_options()))
            .with_query_execution_start_time(Some(now))
            .build();
        let simplifier = ExprSimplifier::new(context);
        let coerced = simplifier.coerce(self.expression.clone(), &self.schema)?;
        state.create_physical_expr(simplifier.simplify(coerced)?, &self.schema)
    }
}

fn evaluate(physical: &dyn PhysicalExpr, rows: &RecordBatch) -> datafusion::error::Result<BooleanArray> {
    let values = physical.evaluate(rows)?.into_array(rows.num_rows())?;
    let booleans = values.as_any().downcast_ref::<BooleanArray>();
    booleans.cloned().ok_or_else(|| DataFusionError::Internal(format!("expected booleans, got {}", values.data_type())))
}

/// Parses exactly one expression, without sub-queries.
fn parse(text: &str) -> Result<ast::Expr, SqlProblem> {
    let dialect = GenericDialect {};
    let mut parser = Parser::new(&dialect).try_with_sql(text).map_err(|error| of_parser(text, &error))?;
    if parser.peek_token().token == Token::EOF {
        return Err(SqlProblem::new(1, 1, "expected a boolean expression, found nothing"));
    }
    let parsed = parser.parse_expr().map_err(|error| of_parser(text, &error))?;
    let next = parser.peek_token();
    if next.token != Token::EOF {
        let message = format!("expected the end of the expression, found `{}`", next.token);
        return Err(SqlProblem::at(next.span.start, message));
    }
    match parsed.visit(&mut FirstQuery) {
        ControlFlow::Break(location) => {
            let message = "a sub-query is not allowed here: the expression sees one row; write a silver or gold query";
            Err(SqlProblem::at(location, message))
        }
        ControlFlow::Continue(()) => Ok(parsed),
    }
}

struct FirstQuery;

impl Visitor for FirstQuery {
    type Break = Location;

    fn pre_visit_query(&mut self, query: &ast::Query) -> ControlFlow<Location> {
        ControlFlow::Break(query.span().start)
    }
}

fn refuse_other_rows(expression: &Expr, text: &str) -> Result<(), SqlProblem> {
    let mut found = None;
    // The walk itself cannot fail.
    let _ = expression.apply(|part| {
        found = match part {
            Expr::AggregateFunction(call) => Some(("an aggregate", call.func.name().to_owned())),
            Expr::WindowFunction(call) => Some(("a window function", call.fun.name().to_owned())),
            _ => return Ok(TreeNodeRecursion::Continue),
        };
        Ok(TreeNodeRecursion::Stop)
    });
    let Some((what, name)) = found else {
        return Ok(());
    };
    let (line, column) = text::find_word(text, &name).unwrap_or((1, 1));
    let message = format!("`{name}` is {what} and not allowed here: the expression sees one row");
    Err(SqlProblem::new(line, column, message))
}

fn read_columns(expression: &Expr, schema: &Schema) -> Vec<usize> {
    let used = expression.column_refs();
    let is_used = |name: &str| used.iter().any(|column| column.name() == name);
    let fields = schema.fields().iter().enumerate();
    fields.filter(|(_, field)| is_used(field.name())).map(|(index, _)| index).collect()
}

/// Whether the expression calls a function whose value is fixed within one evaluation but not between two.
fn has_function_of_time(expression: &Expr) -> bool {
    let is_stable = |part: &Expr| match part {
        Expr::ScalarFunction(call) => call.func.signature().volatility == Volatility::Stable,
        _ => false,
    };
    expression.exists(|part| Ok(is_stable(part))).unwrap_or(true)
}

#[cfg(test)]
mod tests {
    use arrow::array::{ArrayRef, Int64Array, StringViewArray, TimestampMicrosecondArray};
    use arrow::datatypes::{Field, TimeUnit};

    use super::*;
    use crate::testing;

    fn schema() -> Schema {
        Schema::new(vec![
            Field::new("quantity", DataType::Int64, true),
            Field::new("Country", DataType::Utf8View, true),
            Field::new("ts", DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())), true),
        ])
    }

    fn rows() -> RecordBatch {
        let columns: Vec<ArrayRef> = vec![
            Arc::new(Int64Array::from(vec![Some(1), Some(0), None])),
            Arc::new(StringViewArray::from(vec![Some("DE"), Some("XX"), Some("DE")])),
            Arc::new(TimestampMicrosecondArray::from(vec![0, 1_000_000, 2_000_000]).with_timezone("UTC")),
        ];
        RecordBatch::try_new(Arc::new(schema()), columns).unwrap()
    }

    fn problem(text: &str) -> SqlProblem {
        boolean(&testing::engine(), &schema(), text).unwrap_err()
    }

    #[test]
    fn every_row_gets_its_value() {
        let predicate = boolean(&testing::engine(), &schema(), "quantity > 0 AND Country <> 'XX'").unwrap();
        let values = predicate.evaluate(&rows()).unwrap();
        assert_eq!(values, BooleanArray::from(vec![Some(true), Some(false), None]));
        assert_eq!(predicate.columns().collect::<Vec<_>>(), ["quantity", "Country"]);
    }

    #[test]
    fn columns_are_found_by_name_in_a_wider_batch() {
        let predicate = boolean(&testing::engine(), &schema(), "Country = 'DE'").unwrap();
        let turned = rows().project(&[2, 1, 0]).unwrap();
        assert_eq!(predicate.evaluate(&turned).unwrap(), BooleanArray::from(vec![true, false, true]));
        let missing = rows().project(&[0]).unwrap();
        assert_eq!(predicate.evaluate(&missing).unwrap_err().kind(), stage::Kind::Bug);
    }

    #[test]
    fn an_expression_without_columns_has_a_value_per_row() {
        let predicate = boolean(&testing::engine(), &schema(), "1 < 2").unwrap();
        assert_eq!(predicate.evaluate(&rows()).unwrap().true_count(), 3);
    }

    #[test]
    fn now_is_the_time_of_the_evaluation() {
        let predicate = boolean(&testing::engine(), &schema(), "ts <= now()").unwrap();
        let at = |seconds| DateTime::from_timestamp(seconds, 0).unwrap();
        assert_eq!(predicate.evaluate_at(&rows(), at(0)).unwrap().true_count(), 1);
        assert_eq!(predicate.evaluate_at(&rows(), at(1)).unwrap().true_count(), 2);
        assert_eq!(predicate.evaluate(&rows()).unwrap().true_count(), 3);
    }

    #[test]
    fn what_is_not_a_boolean_is_refused() {
        assert_eq!(problem("quantity + 1").message, "`quantity + 1` is not true or false but long");
        assert!(problem("").message.contains("found nothing"));
        assert!(problem("NULL").message.contains("not true or false"), "{}", problem("NULL").message);
    }

    #[test]
    fn unknown_names_come_with_place_and_nearest_name() {
        let found = problem("quantity > 0\n  AND country = 'DE'");
        assert_eq!((found.line, found.column), (2, 7));
        assert_eq!(found.message, "column `country` is not in the columns; nearest is `Country`");
        let found = problem("quantity > 0 AND lowr(Country) = 'de'");
        assert_eq!((found.column, found.nearest.as_deref()), (18, Some("lower")));
    }

    #[test]
    fn what_needs_other_rows_is_refused() {
        assert!(problem("quantity > (SELECT 1)").message.contains("sub-query"));
        assert!(problem("sum(quantity) > 1").message.contains("an aggregate"));
        assert!(problem("row_number() OVER () = 1").message.contains("a window function"));
    }

    #[test]
    fn exactly_one_expression_is_expected() {
        let found = problem("quantity > 0; DROP TABLE x");
        assert_eq!((found.line, found.column), (1, 13));
        assert!(problem("quantity >").message.starts_with("expected"), "{}", problem("quantity >").message);
    }
}
