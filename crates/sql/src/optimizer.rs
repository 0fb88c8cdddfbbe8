//! The optimizer's rules, without one of them.

use std::sync::Arc;

use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::error::Result;
use datafusion::logical_expr::{Expr, ExprSchemable, LogicalPlan};
use datafusion::optimizer::optimizer::{Optimizer, OptimizerRule};

use crate::functions::count::is_counted_here;

/// The rule that turns one DISTINCT aggregate into two groupings. The second groups by every text, which costs several
/// times what our own distinct count does; and it sums partial sums, so that a decimal comes out with more digits than the
/// query promises.
const LEFT_OUT: &str = "single_distinct_aggregation_to_group_by";

/// The rules of every session.
pub(crate) fn rules() -> Vec<Arc<dyn OptimizerRule + Send + Sync>> {
    Optimizer::new().rules.into_iter().filter(|rule| rule.name() != LEFT_OUT).collect()
}

/// Whether the plan counts distinct texts. Counting them in each partition first would keep every text twice, so such a
/// plan brings the rows of a group together at once.
pub(crate) fn counts_distinct_texts(plan: &LogicalPlan) -> Result<bool> {
    let mut found = false;
    plan.apply_with_subqueries(|node| {
        if let LogicalPlan::Aggregate(aggregate) = node {
            for expression in &aggregate.aggr_expr {
                found |= is_distinct_text(expression, aggregate.input.schema())?;
            }
        }
        Ok(if found { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
    })?;
    Ok(found)
}

fn is_distinct_text(expression: &Expr, schema: &datafusion::common::DFSchema) -> Result<bool> {
    let mut found = false;
    expression.apply(|part| {
        if let Expr::AggregateFunction(function) = part
            && function.func.name() == "count"
            && function.params.distinct
            && let [counted] = function.params.args.as_slice()
        {
            found |= is_counted_here(&counted.get_type(schema)?);
        }
        Ok(TreeNodeRecursion::Continue)
    })?;
    Ok(found)
}
