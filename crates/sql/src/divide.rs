//! Columns that divide the result of a query as they divide the rows of a table.
//!
//! Where a column of the result is a column of the table handed through unchanged, and everything on the way that puts rows
//! together does so among rows of one value of it (GROUP BY it, PARTITION BY it), each part of the result is made of one part of
//! the table. A part of the table that changed then needs that part of the result anew, and no other.

use std::sync::Arc;

use datafusion::catalog::TableProvider;
use datafusion::common::{Column, ScalarValue};
use datafusion::dataframe::DataFrame;
use datafusion::logical_expr::expr::WindowFunction;
use datafusion::logical_expr::logical_plan::{Join, Window};
use datafusion::logical_expr::{Distinct, Expr, LogicalPlan, lit};
use datafusion::prelude::{SessionContext, ident};
use stage::{Result, TableName};

use crate::classify;
use crate::growth::steady;
use crate::refusal::Refusal;
use crate::scope::{SUB_QUERY, flows, join_complaint, needs_other_rows, reads};

/// A column of the result that divides it, and the column of the table that it comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Divider {
    /// The column of the result.
    pub result: String,
    /// The column of the table.
    pub table: String,
}

/// The columns that divide the result by rows of `table`.
///
/// # Errors
/// Why there are none, as the end of a sentence that begins with "because".
pub fn dividers(plan: &LogicalPlan, table: &TableName) -> std::result::Result<Vec<Divider>, Refusal> {
    steady(plan)?;
    if needs_other_rows(plan, table).contains(&SUB_QUERY) {
        return Err(Refusal::needs(SUB_QUERY, format!("the query has {SUB_QUERY}")));
    }
    // Floating-point numbers have two zeros, and bounds leave out what is no number.
    let fields = plan.schema().fields().iter().enumerate().filter(|(_, field)| !field.data_type().is_floating());
    let dividers = fields.filter_map(|(place, field)| {
        let column = column_below(plan, table, place)?;
        Some(Divider { result: field.name().clone(), table: column })
    });
    let dividers: Vec<Divider> = dividers.collect();
    match dividers.is_empty() {
        true => Err(Refusal::new("not_divided", format!("no column of the result divides it as it divides {table}"))),
        false => Ok(dividers),
    }
}

/// The rows of a table whose `column` holds one of `values`, null among them, or those whose column holds none of them.
///
/// # Errors
/// When the table does not have the column.
pub fn rows_with(
    session: &SessionContext,
    table: Arc<dyn TableProvider>,
    column: &str,
    values: &[ScalarValue],
    is_inside: bool,
) -> Result<Arc<dyn TableProvider>> {
    let rows = session.read_table(table).and_then(|rows| {
        let named = values.iter().filter(|value| !value.is_null()).cloned().map(lit).collect();
        let inside = ident(column).in_list(named, false);
        let (is_null, has_null) = (ident(column).is_null(), values.iter().any(ScalarValue::is_null));
        rows.filter(match (is_inside, has_null) {
            (true, true) => inside.or(is_null),
            (true, false) => inside,
            (false, true) => inside.is_not_true().and(is_null.is_not_true()),
            (false, false) => inside.is_not_true(),
        })
    });
    rows.map(DataFrame::into_view).map_err(classify)
}

/// The plan of all rows of a table and after them those of another plan with the same columns.
///
/// # Errors
/// [`stage::Kind::Bug`] when the columns differ.
pub fn appended(session: &SessionContext, table: Arc<dyn TableProvider>, more: LogicalPlan) -> Result<LogicalPlan> {
    let both = || {
        let schema = table.schema();
        let columns = more.schema().columns().into_iter().zip(schema.fields());
        let typed = columns.map(|(column, field)| {
            datafusion::logical_expr::cast(Expr::Column(column), field.data_type().clone()).alias(field.name())
        });
        let typed: Vec<Expr> = typed.collect();
        let more = DataFrame::new(session.state(), more).select(typed)?;
        session.read_table(table)?.union(more).map(DataFrame::into_unoptimized_plan)
    };
    both().map_err(classify)
}

/// The distinct values of a column of a table; `None` when they are more than `most`.
///
/// # Errors
/// When the table cannot be read.
pub async fn distinct_values(
    session: &SessionContext,
    table: Arc<dyn TableProvider>,
    column: &str,
    most: usize,
) -> Result<Option<Vec<ScalarValue>>> {
    let rows = session
        .read_table(table)
        .and_then(|rows| rows.select(vec![ident(column)])?.distinct()?.limit(0, Some(most + 1)));
    let batches = rows.map_err(classify)?.collect().await.map_err(classify)?;
    let mut values = Vec::new();
    for batch in &batches {
        for row in 0..batch.num_rows() {
            values.push(ScalarValue::try_from_array(batch.column(0), row).map_err(classify)?);
        }
    }
    Ok((values.len() <= most).then_some(values))
}

/// The column of the table that stands unchanged at a place of the plan's result, if the result falls apart by it.
fn column_below(plan: &LogicalPlan, table: &TableName, place: usize) -> Option<String> {
    match plan {
        LogicalPlan::TableScan(scan) => reads(scan, table).then(|| scan.projected_schema.field(place).name().clone()),
        LogicalPlan::Projection(projection) => column_of(projection.expr.get(place)?, &projection.input, table),
        LogicalPlan::Aggregate(aggregate) => column_of(aggregate.group_expr.get(place)?, &aggregate.input, table),
        LogicalPlan::Window(window) => through_window(window, table, place),
        LogicalPlan::Join(join) => through_join(plan, join, table, place),
        LogicalPlan::Union(union) => {
            let mut columns = union.inputs.iter().map(|input| column_below(input, table, place));
            let first = columns.next()??;
            columns.all(|column| column.as_ref() == Some(&first)).then_some(first)
        }
        LogicalPlan::SubqueryAlias(alias) => column_below(&alias.input, table, place),
        LogicalPlan::Filter(filter) => column_below(&filter.input, table, place),
        LogicalPlan::Distinct(Distinct::All(input)) => column_below(input, table, place),
        LogicalPlan::Sort(sort) if sort.fetch.is_none() => column_below(&sort.input, table, place),
        _ => None,
    }
}

fn column_of(expression: &Expr, input: &LogicalPlan, table: &TableName) -> Option<String> {
    let Expr::Column(column) = expression.clone().unalias() else { return None };
    column_below(input, table, input.schema().maybe_index_of_column(&column)?)
}

fn through_window(window: &Window, table: &TableName, place: usize) -> Option<String> {
    let is_of_input = place < window.input.schema().fields().len();
    let column = Expr::Column(Column::from(window.schema.qualified_field(place)));
    let is_partitioned = |expression: &Expr| match expression.clone().unalias() {
        Expr::WindowFunction(function) => {
            let WindowFunction { params, .. } = *function;
            params.partition_by.contains(&column)
        }
        _ => false,
    };
    let divides = is_of_input && window.window_expr.iter().all(is_partitioned);
    divides.then(|| column_below(&window.input, table, place)).flatten()
}

fn through_join(plan: &LogicalPlan, join: &Join, table: &TableName, place: usize) -> Option<String> {
    let (left, right) = (flows(&join.left, table), flows(&join.right, table));
    if left == right || join_complaint(join, table).is_some() {
        return None;
    }
    let side = if left { &join.left } else { &join.right };
    let column = Column::from(plan.schema().qualified_field(place));
    column_below(side, table, side.schema().maybe_index_of_column(&column)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;

    async fn divided(sql: &str) -> Vec<(String, String)> {
        let plan = testing::planned(sql).await.unwrap();
        let found = dividers(&plan, &testing::name("shop.bronze.events")).unwrap_or_default();
        found.into_iter().map(|divider| (divider.result, divider.table)).collect()
    }

    #[tokio::test]
    async fn a_column_divides_when_rows_are_put_together_within_its_values() {
        let same = |name: &str| vec![(name.to_owned(), name.to_owned())];
        for sql in [
            "SELECT user_key, MEDIAN(amount) AS m FROM bronze.events GROUP BY user_key",
            "SELECT user_key, ROW_NUMBER() OVER (PARTITION BY user_key ORDER BY id) AS n FROM bronze.events",
            "SELECT user_key FROM (SELECT user_key, SUM(amount) OVER (PARTITION BY user_key, id) AS s FROM bronze.events) t
                WHERE s > 1",
            "SELECT DISTINCT e.user_key FROM bronze.events e JOIN silver.users u ON u.user_key = e.user_key",
            "SELECT user_key, COUNT(*) AS n FROM (SELECT user_key, id FROM bronze.events GROUP BY user_key, id) t
                GROUP BY user_key HAVING COUNT(*) > 1",
        ] {
            assert_eq!(divided(sql).await, same("user_key"), "{sql}");
        }
        assert_eq!(
            divided("SELECT id AS number, amount + 1 AS more FROM bronze.events").await,
            [("number".to_owned(), "id".to_owned())]
        );
    }

    #[tokio::test]
    async fn what_sees_other_parts_is_not_divided() {
        for sql in [
            "SELECT user_key, RANK() OVER (ORDER BY amount) AS place FROM bronze.events",
            "SELECT user_key, SUM(amount) OVER (PARTITION BY id) AS s FROM bronze.events",
            "SELECT MAX(user_key) AS user_key FROM bronze.events",
            "SELECT user_key FROM bronze.events ORDER BY user_key LIMIT 3",
            "SELECT e.user_key FROM bronze.events e JOIN bronze.events o ON e.id = o.amount",
            "SELECT u.user_key FROM silver.users u LEFT JOIN bronze.events e ON u.user_key = e.user_key",
            "SELECT user_key FROM bronze.events WHERE amount > (SELECT AVG(amount) FROM bronze.events)",
            "SELECT user_key FROM bronze.events UNION ALL SELECT user_key FROM silver.users",
            "SELECT user_key, now() AS at FROM bronze.events",
        ] {
            assert_eq!(divided(sql).await, [], "{sql}");
        }
    }
}
