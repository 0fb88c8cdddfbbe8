//! The optimizer's rules, with one of them made safe.

use std::sync::Arc;

use datafusion::common::tree_node::Transformed;
use datafusion::error::Result;
use datafusion::logical_expr::LogicalPlan;
use datafusion::optimizer::optimizer::{ApplyOrder, Optimizer, OptimizerConfig, OptimizerRule};

/// The rule that turns one DISTINCT aggregate into two groupings. It sums partial sums, and the sum of a decimal has more
/// digits than its input, so a query with both would promise one type and deliver another.
const CHANGES_DECIMALS: &str = "single_distinct_aggregation_to_group_by";

/// All rules of the library; the one that may change types only where it does not.
pub(crate) fn rules() -> Vec<Arc<dyn OptimizerRule + Send + Sync>> {
    let guarded = |rule: Arc<dyn OptimizerRule + Send + Sync>| -> Arc<dyn OptimizerRule + Send + Sync> {
        match rule.name() {
            CHANGES_DECIMALS => Arc::new(SameTypes(rule)),
            _ => rule,
        }
    };
    Optimizer::new().rules.into_iter().map(guarded).collect()
}

/// A rule whose result is only taken when the columns keep their types.
#[derive(Debug)]
struct SameTypes(Arc<dyn OptimizerRule + Send + Sync>);

impl OptimizerRule for SameTypes {
    fn name(&self) -> &str {
        self.0.name()
    }

    fn apply_order(&self) -> Option<ApplyOrder> {
        self.0.apply_order()
    }

    fn rewrite(&self, plan: LogicalPlan, config: &dyn OptimizerConfig) -> Result<Transformed<LogicalPlan>> {
        let rewritten = self.0.rewrite(plan.clone(), config)?;
        let types = |plan: &LogicalPlan| -> Vec<_> {
            plan.schema().fields().iter().map(|field| field.data_type().clone()).collect()
        };
        match types(&rewritten.data) == types(&plan) {
            true => Ok(rewritten),
            false => Ok(Transformed::no(plan)),
        }
    }
}
