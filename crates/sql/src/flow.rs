//! Rows of a query on their way to somewhere: streams in the types that tables can hold.
//!
//! Queries make types that tables do not have, such as unsigned counts and dictionaries. Each column is cast to its
//! wanted type as the batches pass; a value that does not fit is an error, never a null.

use std::sync::Arc;

use arrow::array::{RecordBatch, RecordBatchOptions};
use arrow::compute::{CastOptions, cast_with_options};
use arrow::datatypes::SchemaRef;
use datafusion::catalog::TableProvider;
use datafusion::logical_expr::LogicalPlan;
use datafusion::prelude::{SessionContext, ident};
use futures::StreamExt as _;
use futures::stream::BoxStream;
use stage::{Error, Result};

use crate::{Engine, classify, execute};

/// Batches of one partition.
pub type RowStream = BoxStream<'static, Result<RecordBatch>>;

/// Runs the plan as one stream per partition, with the columns of `output`, which the plan's columns are cast to in order.
///
/// # Errors
/// When the plan cannot be begun; the streams carry later errors.
pub async fn flow(session: &SessionContext, plan: LogicalPlan, output: &SchemaRef) -> Result<Vec<RowStream>> {
    let streams = execute(session, plan).await?;
    let typed = streams.into_iter().map(|stream| {
        let output = output.clone();
        stream.map(move |batch| typed(&batch.map_err(classify)?, &output)).boxed()
    });
    Ok(typed.collect())
}

/// The given columns of a table as one stream per partition, with the types of `output`.
///
/// # Errors
/// When the table cannot be read.
pub async fn read(engine: &Engine, table: Arc<dyn TableProvider>, output: &SchemaRef) -> Result<Vec<RowStream>> {
    let session = engine.session("read");
    let columns: Vec<_> = output.fields().iter().map(|field| ident(field.name())).collect();
    let rows = session.read_table(table).and_then(|rows| rows.select(columns)).map_err(classify)?;
    flow(&session, rows.into_unoptimized_plan(), output).await
}

/// The table with one row of each combination of values in `columns`: the first by `order`, or any without. The table as
/// it is when `columns` is empty.
///
/// # Errors
/// When the table does not have the columns.
pub fn one_of_each(
    session: &SessionContext,
    table: Arc<dyn TableProvider>,
    columns: &[String],
    order: &[&str],
) -> Result<Arc<dyn TableProvider>> {
    if columns.is_empty() {
        return Ok(table);
    }
    let schema = table.schema();
    let keys: Vec<_> = columns.iter().map(ident).collect();
    let all: Vec<_> = schema.fields().iter().map(|field| ident(field.name())).collect();
    let mut sort: Vec<_> = keys.iter().map(|key| key.clone().sort(true, true)).collect();
    sort.extend(
        order.iter().filter(|name| schema.field_with_name(name).is_ok()).map(|name| ident(*name).sort(true, true)),
    );
    let rows = session.read_table(table).and_then(|rows| rows.distinct_on(keys, all, Some(sort))).map_err(classify)?;
    Ok(rows.into_view())
}

fn typed(batch: &RecordBatch, output: &SchemaRef) -> Result<RecordBatch> {
    let options = CastOptions { safe: false, ..CastOptions::default() };
    let columns = batch.columns().iter().zip(output.fields()).map(|(column, field)| {
        if column.data_type() == field.data_type() {
            return Ok(column.clone());
        }
        cast_with_options(column, field.data_type(), &options).map_err(|error| {
            let (name, wanted) = (field.name(), field.data_type());
            Error::data(format!("column `{name}` of the query does not fit {wanted}; cast it in the SQL"))
                .with_source(error)
        })
    });
    let columns = columns.collect::<Result<Vec<_>>>()?;
    let rows = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    RecordBatch::try_new_with_options(output.clone(), columns, &rows)
        .map_err(|error| Error::bug("the columns of a query are not those of its plan").with_source(error))
}
