//! Rows of several tables as one stream in the order of some columns.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::catalog::TableProvider;
use datafusion::error::Result as PlanResult;
use datafusion::logical_expr::LogicalPlan;
use datafusion::prelude::{SessionContext, ident, lit};
use stage::{Error, Result};

use crate::{Engine, RowStream, classify, flow};

/// The column that tells which table a row is of, counted from 0.
pub const TABLE_COLUMN: &str = "_table";

/// The rows of all tables, which have the same columns, by the order of `keys`, nulls first. Behind the columns of `output`
/// stands [`TABLE_COLUMN`]. What does not fit into the memory is spilled.
///
/// # Errors
/// When a table cannot be read; the stream carries later errors.
pub async fn sorted(
    engine: &Engine,
    tables: Vec<Arc<dyn TableProvider>>,
    keys: &[String],
    output: &SchemaRef,
) -> Result<RowStream> {
    let session = engine.session("sorted");
    let plan = planned(&session, tables, keys, output).map_err(classify)?;
    let number = Arc::new(Field::new(TABLE_COLUMN, DataType::Int64, true));
    let fields: Vec<_> = output.fields().iter().cloned().chain([number]).collect();
    let mut streams = flow(&session, plan, &Arc::new(Schema::new(fields))).await?;
    match (streams.pop(), streams.is_empty()) {
        (Some(stream), true) => Ok(stream),
        _ => Err(Error::bug("rows in order came as several streams")),
    }
}

fn planned(
    session: &SessionContext,
    tables: Vec<Arc<dyn TableProvider>>,
    keys: &[String],
    output: &SchemaRef,
) -> PlanResult<LogicalPlan> {
    let columns: Vec<_> = output.fields().iter().map(|field| ident(field.name())).collect();
    let numbered = tables.into_iter().enumerate().map(|(number, table)| {
        let number = lit(i64::try_from(number).unwrap_or(i64::MAX)).alias(TABLE_COLUMN);
        session.read_table(table)?.select(columns.iter().cloned().chain([number]).collect::<Vec<_>>())
    });
    let mut numbered = numbered.collect::<PlanResult<Vec<_>>>()?.into_iter();
    let first = match numbered.next() {
        Some(first) => first,
        None => session.read_empty()?,
    };
    let all = numbered.try_fold(first, |all, table| all.union(table))?;
    let order = keys.iter().map(|key| ident(key).sort(true, true)).collect();
    Ok(all.sort(order)?.into_unoptimized_plan())
}
