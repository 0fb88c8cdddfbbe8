//! A table whose rows pass through a step on their way: what is declared instead of written runs inside the query.
//!
//! The step sees only the columns that the query needs, batch by batch and in every partition, so nothing is collected.

use std::fmt;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{DataFusionError, Result};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::{Expr, TableType};
use datafusion::physical_expr::{EquivalenceProperties, PhysicalExpr};
use datafusion::physical_plan::execution_plan::{Boundedness, EmissionType};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, Partitioning, PlanProperties};
use futures::StreamExt as _;

/// What is done to each batch.
pub type RowFunction = Arc<dyn Fn(RecordBatch) -> stage::Result<RecordBatch> + Send + Sync>;

/// A step that maps batches of some columns to batches of others. It may leave rows out.
pub trait RowStep: Send + Sync {
    /// The columns that come out when all are wanted.
    fn output(&self) -> SchemaRef;

    /// For the wanted output columns: the input columns it reads, and the function from those (in this order) to the
    /// wanted ones (in the given order).
    fn narrowed(&self, wanted: &[&str]) -> (Vec<String>, RowFunction);
}

/// The table `inner` behind `step`.
pub fn stepped(inner: Arc<dyn TableProvider>, step: Arc<dyn RowStep>) -> Arc<dyn TableProvider> {
    Arc::new(SteppedTable { inner, step })
}

struct SteppedTable {
    inner: Arc<dyn TableProvider>,
    step: Arc<dyn RowStep>,
}

impl fmt::Debug for SteppedTable {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("SteppedTable").field("inner", &self.inner).finish_non_exhaustive()
    }
}

#[async_trait]
impl TableProvider for SteppedTable {
    fn schema(&self) -> SchemaRef {
        self.step.output()
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        _filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let all = self.step.output();
        let output = match projection {
            Some(indices) => Arc::new(all.project(indices)?),
            None => all,
        };
        let wanted: Vec<&str> = output.fields().iter().map(|field| field.name().as_str()).collect();
        let (reads, function) = self.step.narrowed(&wanted);
        let inner = self.inner.schema();
        let indices = reads.iter().map(|name| inner.index_of(name)).collect::<Result<Vec<usize>, _>>()?;
        // A step may leave rows out, so a limit of the query is not one of the scan.
        let _ = limit;
        let input = self.inner.scan(state, Some(&indices), &[], None).await?;
        Ok(Arc::new(StepExec::new(input, output, function)))
    }
}

struct StepExec {
    input: Arc<dyn ExecutionPlan>,
    output: SchemaRef,
    function: RowFunction,
    properties: Arc<PlanProperties>,
}

impl StepExec {
    fn new(input: Arc<dyn ExecutionPlan>, output: SchemaRef, function: RowFunction) -> StepExec {
        let partitions = input.properties().partitioning.partition_count();
        let properties = PlanProperties::new(
            EquivalenceProperties::new(output.clone()),
            Partitioning::UnknownPartitioning(partitions),
            EmissionType::Incremental,
            Boundedness::Bounded,
        );
        StepExec { input, output, function, properties: Arc::new(properties) }
    }
}

impl fmt::Debug for StepExec {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("StepExec")
    }
}

impl DisplayAs for StepExec {
    fn fmt_as(&self, _format: DisplayFormatType, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("StepExec")
    }
}

impl ExecutionPlan for StepExec {
    fn name(&self) -> &'static str {
        "StepExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn maintains_input_order(&self) -> Vec<bool> {
        // Rows stay in their order, but what comes out is not what goes in: a sort must not move below the step.
        vec![false]
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.input]
    }

    fn apply_expressions(
        &self,
        _visit: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn with_new_children(self: Arc<Self>, children: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        match <[Arc<dyn ExecutionPlan>; 1]>::try_from(children) {
            Ok([input]) => Ok(Arc::new(StepExec::new(input, self.output.clone(), self.function.clone()))),
            Err(_) => Err(DataFusionError::Internal("a row step has one input".to_owned())),
        }
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let function = self.function.clone();
        let rows = self
            .input
            .execute(partition, context)?
            .map(move |batch| function(batch?).map_err(|error| DataFusionError::External(Box::new(error))));
        Ok(Box::pin(RecordBatchStreamAdapter::new(self.output.clone(), rows)))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use arrow::array::{AsArray as _, Int64Array};
    use arrow::datatypes::{DataType, Field, Int64Type, Schema};
    use datafusion::datasource::MemTable;

    use super::*;
    use crate::testing;

    /// Each number as what is missing to ten.
    struct Turned;

    impl RowStep for Turned {
        fn output(&self) -> SchemaRef {
            Arc::new(Schema::new(vec![Field::new("n", DataType::Int64, true)]))
        }

        fn narrowed(&self, _wanted: &[&str]) -> (Vec<String>, RowFunction) {
            let output = self.output();
            let function = move |rows: RecordBatch| {
                let turned: Int64Array =
                    rows.column(0).as_primitive::<Int64Type>().iter().map(|n| n.map(|n| 10 - n)).collect();
                Ok(RecordBatch::try_new(output.clone(), vec![Arc::new(turned)]).unwrap())
            };
            (vec!["id".to_owned()], Arc::new(function))
        }
    }

    #[tokio::test]
    async fn rows_are_put_in_order_after_the_step_and_not_before() {
        let ids = |ids: Vec<i64>| {
            let schema = Arc::new(Schema::new(vec![Field::new("id", DataType::Int64, true)]));
            vec![RecordBatch::try_new(schema, vec![Arc::new(Int64Array::from(ids))]).unwrap()]
        };
        let parts = vec![ids(vec![3, 1]), ids(vec![4, 2])];
        let table = MemTable::try_new(parts[0][0].schema(), parts).unwrap();
        let turned = stepped(Arc::new(table), Arc::new(Turned));
        let session = testing::engine().session("shop");
        let tables = BTreeMap::from([(testing::name("shop.bronze.events"), turned)]);
        let plan = crate::plan(&session, "shop", "SELECT n FROM bronze.events ORDER BY n", &tables).await.unwrap();
        let rows = crate::collect(&session, plan).await.unwrap();
        let found: Vec<i64> =
            rows.iter().flat_map(|rows| rows.column(0).as_primitive::<Int64Type>().values().to_vec()).collect();
        assert_eq!(found, [6, 7, 8, 9]);
    }
}
