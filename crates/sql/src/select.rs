//! Small look-ups in one table without SQL text, so that no value needs quoting.

use std::sync::Arc;

use arrow::array::RecordBatch;
use datafusion::catalog::TableProvider;
use datafusion::prelude::{ident, lit};
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
