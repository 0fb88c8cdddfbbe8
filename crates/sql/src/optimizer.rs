//! The optimizers' rules: one of the library's is left out, one is added.

use std::sync::Arc;

use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode};
use datafusion::error::Result;
use datafusion::optimizer::optimizer::{Optimizer, OptimizerRule};
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_optimizer::optimizer::PhysicalOptimizer;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::aggregates::{AggregateExec, AggregateMode};

use crate::functions::count::is_counted_here;

/// The rule that turns one DISTINCT aggregate into two groupings. The second groups by every text, which costs several
/// times what our own distinct count does; and it sums partial sums, so that a decimal comes out with more digits than the
/// query promises.
const LEFT_OUT: &str = "single_distinct_aggregation_to_group_by";

/// The rules for logical plans.
pub(crate) fn rules() -> Vec<Arc<dyn OptimizerRule + Send + Sync>> {
    Optimizer::new().rules.into_iter().filter(|rule| rule.name() != LEFT_OUT).collect()
}

/// The rules for physical plans. Ours comes first, so that the library still brings rows to where they are needed.
pub(crate) fn physical_rules() -> Vec<Arc<dyn PhysicalOptimizerRule + Send + Sync>> {
    let mut rules: Vec<Arc<dyn PhysicalOptimizerRule + Send + Sync>> = vec![Arc::new(DistinctAtOnce)];
    rules.extend(PhysicalOptimizer::new().rules);
    rules
}

/// Counts distinct texts in one step, on rows that are brought together by group. Counting them in each partition first
/// would keep every text twice.
#[derive(Debug)]
struct DistinctAtOnce;

impl PhysicalOptimizerRule for DistinctAtOnce {
    fn name(&self) -> &str {
        "distinct_at_once"
    }

    fn schema_check(&self) -> bool {
        true
    }

    fn optimize(&self, plan: Arc<dyn ExecutionPlan>, _config: &ConfigOptions) -> Result<Arc<dyn ExecutionPlan>> {
        plan.transform_up(|node| match at_once(&node)? {
            Some(replacement) => Ok(Transformed::yes(replacement)),
            None => Ok(Transformed::no(node)),
        })
        .data()
    }
}

fn at_once(node: &Arc<dyn ExecutionPlan>) -> Result<Option<Arc<dyn ExecutionPlan>>> {
    let Some(last) = node.downcast_ref::<AggregateExec>() else { return Ok(None) };
    let Some(first) = last.input().downcast_ref::<AggregateExec>() else { return Ok(None) };
    let is_in_two_steps = *last.mode() == AggregateMode::FinalPartitioned && *first.mode() == AggregateMode::Partial;
    if !is_in_two_steps || !counts_distinct_texts(first)? {
        return Ok(None);
    }
    let single = AggregateExec::try_new(
        AggregateMode::SinglePartitioned,
        first.group_expr().clone(),
        first.aggr_expr().to_vec(),
        first.filter_expr().to_vec(),
        Arc::clone(first.input()),
        first.input_schema(),
    )?;
    Ok(Some(Arc::new(single)))
}

fn counts_distinct_texts(aggregate: &AggregateExec) -> Result<bool> {
    for function in aggregate.aggr_expr() {
        let expressions = function.expressions();
        let is_distinct_count = function.fun().name() == "count" && function.is_distinct();
        if let (true, [counted]) = (is_distinct_count, expressions.as_slice())
            && is_counted_here(&counted.data_type(&aggregate.input_schema())?)
        {
            return Ok(true);
        }
    }
    Ok(false)
}
