//! Small look-ups in one table without SQL text, so that no value needs quoting.

use std::sync::Arc;

use arrow::array::RecordBatch;
use datafusion::catalog::TableProvider;
use datafusion::datasource::ViewTable;
use datafusion::logical_expr::{LogicalPlan, LogicalPlanBuilder};
use datafusion::prelude::{SessionContext, ident, lit};
use stage::Result;

use crate::classify;
use crate::engine::Engine;

/// The given columns of the rows whose text columns have the given values.
///
/// # Errors
/// When the table cannot be read.
pub async fn select(
    engine: &Engine,
    table: Arc<dyn TableProvider>,
    equal: &[(&str, &str)],
    columns: &[&str],
) -> Result<Vec<RecordBatch>> {
    let mut rows = engine.session("lookup").read_table(table).map_err(classify)?;
    for (column, value) in equal {
        rows = rows.filter(ident(*column).eq(lit(*value))).map_err(classify)?;
    }
    let columns = columns.iter().map(|column| ident(*column)).collect::<Vec<_>>();
    rows.select(columns).map_err(classify)?.collect().await.map_err(classify)
}

/// The first rows of a query.
///
/// # Errors
/// [`stage::Kind::Bug`] when the plan cannot be limited.
pub fn first_rows(plan: LogicalPlan, count: usize) -> Result<LogicalPlan> {
    LogicalPlanBuilder::from(plan).limit(0, Some(count)).and_then(LogicalPlanBuilder::build).map_err(classify)
}

/// All rows of a table in the order of some columns, or in any when none is named.
///
/// # Errors
/// [`stage::Kind::Bug`] when the table does not have the columns.
pub fn ordered(session: &SessionContext, table: Arc<dyn TableProvider>, order: &[&str]) -> Result<LogicalPlan> {
    let order: Vec<_> = order.iter().map(|column| ident(*column).sort(true, true)).collect();
    let rows = session.read_table(table);
    let rows = if order.is_empty() { rows } else { rows.and_then(|rows| rows.sort(order)) };
    let rows = rows.map_err(classify)?;
    Ok(rows.into_unoptimized_plan())
}

/// A planned query as a table.
pub fn view(plan: LogicalPlan) -> Arc<dyn TableProvider> {
    Arc::new(ViewTable::new(plan, None))
}
