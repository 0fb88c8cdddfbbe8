//! What one table has and another has not.

use std::sync::Arc;

use datafusion::catalog::TableProvider;
use datafusion::error::Result as PlanResult;
use datafusion::functions_aggregate::expr_fn::sum;
use datafusion::prelude::{SessionContext, ident, lit};
use stage::Result;

use crate::classify;

/// Counts a row of the one as 1 and a row of the other as -1.
const WEIGHT: &str = "_weight";

/// The rows that `table` has more often than `other`, each once. Both have the same columns; nulls equal each other. Rows
/// are grouped, which spills beyond the memory.
///
/// # Errors
/// When the tables differ in their columns, or have some whose values cannot be grouped.
pub fn difference(
    session: &SessionContext,
    table: Arc<dyn TableProvider>,
    other: Arc<dyn TableProvider>,
) -> Result<Arc<dyn TableProvider>> {
    planned(session, table, other).map_err(classify)
}

fn planned(
    session: &SessionContext,
    table: Arc<dyn TableProvider>,
    other: Arc<dyn TableProvider>,
) -> PlanResult<Arc<dyn TableProvider>> {
    let columns: Vec<_> = table.schema().fields().iter().map(|field| ident(field.name())).collect();
    let weighted = |table: Arc<dyn TableProvider>, weight: i64| {
        let rows = session.read_table(table)?;
        rows.select(columns.iter().cloned().chain([lit(weight).alias(WEIGHT)]).collect::<Vec<_>>())
    };
    let all = weighted(table, 1)?.union(weighted(other, -1)?)?;
    let counted = all.aggregate(columns.clone(), vec![sum(ident(WEIGHT)).alias(WEIGHT)])?;
    Ok(counted.filter(ident(WEIGHT).gt(lit(0_i64)))?.select(columns)?.into_view())
}

#[cfg(test)]
mod tests {
    use arrow::array::{AsArray as _, Int64Array, RecordBatch};
    use arrow::datatypes::{DataType, Field, Int64Type, Schema};
    use datafusion::datasource::MemTable;

    use super::*;
    use crate::testing;

    fn table(values: Vec<Option<i64>>) -> Arc<dyn TableProvider> {
        let schema = Arc::new(Schema::new(vec![Field::new("n", DataType::Int64, true)]));
        let rows = RecordBatch::try_new(schema.clone(), vec![Arc::new(Int64Array::from(values))]).unwrap();
        Arc::new(MemTable::try_new(schema, vec![vec![rows]]).unwrap())
    }

    #[tokio::test]
    async fn rows_cancel_one_by_one() {
        let session = testing::engine().session("shop");
        let one = table(vec![Some(1), Some(1), None, Some(2), Some(3)]);
        let other = table(vec![Some(1), None, Some(3), Some(4)]);
        let rows = session.read_table(difference(&session, one, other).unwrap()).unwrap().collect().await.unwrap();
        let mut found: Vec<Option<i64>> = rows
            .iter()
            .flat_map(|rows| rows.column(0).as_primitive::<Int64Type>().iter().collect::<Vec<_>>())
            .collect();
        found.sort();
        assert_eq!(found, [Some(1), Some(2)]);
    }
}
