//! How the result of a query grows when one of its tables gets more rows and nothing else changes.
//!
//! The rows a query makes of the new rows alone are enough when each row stands for itself (they are appended), or when
//! the query ends in groups whose aggregates can take in more values (old and new groups are put together once more). What
//! cannot be proven to give what the whole query would is refused, with the reason in words.

use std::sync::Arc;

use arrow::datatypes::{DataType, SchemaRef};
use datafusion::catalog::TableProvider;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::dataframe::DataFrame;
use datafusion::error::Result as PlanResult;
use datafusion::functions_aggregate::expr_fn::{max, min, sum};
use datafusion::logical_expr::logical_plan::Aggregate;
use datafusion::logical_expr::{Expr, ExprSchemable as _, LogicalPlan, Volatility, cast};
use datafusion::prelude::{SessionContext, ident};
use stage::{Result, TableName};

use crate::classify;
use crate::refusal::Refusal;
use crate::scope::{SUB_QUERY, flows, needs_other_rows};

/// How the rows that come of new rows join those that are there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Growth {
    /// They are further rows.
    Append,
    /// They are groups, and each column says how two rows of one group become one.
    Merge(Vec<Part>),
}

/// What becomes of a column when two rows of one group are put together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// It is the same in both.
    Group,
    /// The values are added; counts are too.
    Sum,
    /// The smaller stays.
    Least,
    /// The larger stays.
    Greatest,
}

/// How the result of the plan grows with the rows of `grown`.
///
/// # Errors
/// Why only the whole query gives the result, as the end of a sentence that begins with "because".
pub fn growth(plan: &LogicalPlan, grown: &TableName) -> std::result::Result<Growth, Refusal> {
    steady(plan)?;
    // A table may be named and give no rows: then every other row would come again.
    if !flows(plan, grown) {
        return Err(Refusal::new("no_rows", format!("no rows of {grown} come out of the query")));
    }
    let needs = needs_other_rows(plan, grown);
    if needs.contains(&SUB_QUERY) {
        return Err(Refusal::needs(SUB_QUERY, format!("the query has {SUB_QUERY}")));
    }
    if needs.is_empty() {
        single_branch(plan, grown)?;
        return Ok(Growth::Append);
    }
    let (aggregate, output) = top_aggregate(plan)?;
    if let Some(need) = needs_other_rows(&aggregate.input, grown).first() {
        return Err(Refusal::needs(need, format!("the query has {need} below its groups")));
    }
    single_branch(&aggregate.input, grown)?;
    parts(aggregate, &output).map(Growth::Merge)
}

/// The plan that puts the groups of `existing`, the stored result, together with those that `new` makes of the new rows.
/// Its columns are those of `schema`, in that order.
///
/// # Errors
/// [`stage::Kind::Bug`] when the two do not have the columns of `schema`.
pub fn merged(
    session: &SessionContext,
    parts: &[Part],
    existing: Arc<dyn TableProvider>,
    new: LogicalPlan,
    schema: &SchemaRef,
) -> Result<LogicalPlan> {
    put_together(session, parts, existing, new, schema).map_err(classify)
}

fn put_together(
    session: &SessionContext,
    parts: &[Part],
    existing: Arc<dyn TableProvider>,
    new: LogicalPlan,
    schema: &SchemaRef,
) -> PlanResult<LogicalPlan> {
    let old: Vec<Expr> = schema.fields().iter().map(|field| ident(field.name())).collect();
    let typed: Vec<Expr> = new
        .schema()
        .columns()
        .into_iter()
        .zip(schema.fields())
        .map(|(column, field)| cast(Expr::Column(column), field.data_type().clone()).alias(field.name()))
        .collect();
    let new = DataFrame::new(session.state(), new).select(typed)?;
    let both = session.read_table(existing)?.select(old)?.union(new)?;
    let mut groups = Vec::new();
    let mut aggregates = Vec::new();
    for (part, field) in parts.iter().zip(schema.fields()) {
        let column = ident(field.name());
        match part {
            Part::Group => groups.push(column),
            Part::Sum => aggregates.push(sum(column).alias(field.name())),
            Part::Least => aggregates.push(min(column).alias(field.name())),
            Part::Greatest => aggregates.push(max(column).alias(field.name())),
        }
    }
    let ordered: Vec<Expr> = schema.fields().iter().map(|field| ident(field.name())).collect();
    Ok(both.aggregate(groups, aggregates)?.select(ordered)?.into_unoptimized_plan())
}

/// The aggregate at the top of the plan, and for each column of the output the expression over the aggregate's columns.
fn top_aggregate(plan: &LogicalPlan) -> std::result::Result<(&Aggregate, Vec<Expr>), Refusal> {
    let columns = |plan: &LogicalPlan| plan.schema().columns().into_iter().map(Expr::Column).collect();
    match plan {
        LogicalPlan::Aggregate(aggregate) => Ok((aggregate, columns(plan))),
        LogicalPlan::Projection(projection) => match projection.input.as_ref() {
            LogicalPlan::Aggregate(aggregate) => Ok((aggregate, projection.expr.clone())),
            LogicalPlan::Filter(_) => Err(Refusal::new("having", "the query has HAVING")),
            _ => Err(Refusal::new("above_groups", "the query does more than group rows")),
        },
        LogicalPlan::Sort(_) | LogicalPlan::Limit(_) => {
            Err(Refusal::new("limit", "the query orders or limits its groups"))
        }
        _ => Err(Refusal::new("above_groups", "the query does more than group rows")),
    }
}

fn parts(aggregate: &Aggregate, output: &[Expr]) -> std::result::Result<Vec<Part>, Refusal> {
    if aggregate.group_expr.iter().any(|group| matches!(group, Expr::GroupingSet(_))) {
        return Err(Refusal::new("grouping_sets", "the query has GROUPING SETS, CUBE or ROLLUP"));
    }
    let names = aggregate.schema.columns();
    let groups = aggregate.group_expr.len();
    let mut shown = vec![false; groups];
    let mut parts = Vec::with_capacity(output.len());
    for expression in output {
        let used = expression.column_refs();
        let indices: Vec<usize> =
            names.iter().enumerate().filter(|(_, name)| used.contains(name)).map(|(at, _)| at).collect();
        let plain = plain_column(expression);
        match (
            plain.and_then(|column| names.iter().position(|name| name == column)),
            indices.iter().all(|at| *at < groups),
        ) {
            (Some(at), true) => {
                shown[at] = true;
                parts.push(Part::Group);
            }
            // What is made of groups alone is the same in all rows of a group.
            (None, true) => parts.push(Part::Group),
            (Some(at), false) => parts.push(part_of(&aggregate.aggr_expr[at - groups], aggregate)?),
            (None, false) => {
                return Err(Refusal::new("above_groups", "a column is made from aggregates, which are not stored"));
            }
        }
    }
    if shown.contains(&false) {
        return Err(Refusal::new("hidden_group", "a column the query groups by is not among its columns"));
    }
    Ok(parts)
}

fn plain_column(expression: &Expr) -> Option<&datafusion::common::Column> {
    match expression {
        Expr::Column(column) => Some(column),
        Expr::Alias(alias) => plain_column(&alias.expr),
        _ => None,
    }
}

fn part_of(expression: &Expr, aggregate: &Aggregate) -> std::result::Result<Part, Refusal> {
    let function = match expression {
        Expr::Alias(alias) => return part_of(&alias.expr, aggregate),
        Expr::AggregateFunction(function) => function,
        _ => return Err(Refusal::new("aggregate", "the query has an aggregate of an unknown form")),
    };
    let name = function.func.name();
    let part = match name {
        "min" => return Ok(Part::Least),
        "max" => return Ok(Part::Greatest),
        "count" | "sum" => Part::Sum,
        _ => return Err(Refusal::new("aggregate", format!("{name} cannot be continued from its result"))),
    };
    if function.params.distinct {
        return Err(Refusal::new("aggregate", format!("{name}(DISTINCT) cannot be continued from its result")));
    }
    let is_float = function.params.args.iter().any(|argument| {
        matches!(
            argument.get_type(aggregate.input.schema().as_ref()),
            Ok(DataType::Float16 | DataType::Float32 | DataType::Float64) | Err(_)
        )
    });
    if name == "sum" && is_float {
        return Err(Refusal::new("floating_point", "a sum of floating-point numbers depends on their order"));
    }
    Ok(part)
}

/// Refuses functions that give something else each time, wherever they stand.
pub(crate) fn steady(plan: &LogicalPlan) -> std::result::Result<(), Refusal> {
    let mut changing = None;
    // The walk itself cannot fail.
    let _ = plan.apply_with_subqueries(|node| {
        for expression in node.expressions() {
            let _ = expression.apply(|part| {
                if let Expr::ScalarFunction(call) = part
                    && call.func.signature().volatility != Volatility::Immutable
                {
                    changing = Some(call.func.name().to_owned());
                }
                Ok(TreeNodeRecursion::Continue)
            });
        }
        Ok(TreeNodeRecursion::Continue)
    });
    changing
        .map_or(Ok(()), |name| Err(Refusal::new("not_deterministic", format!("{name} gives something else each time"))))
}

/// Refuses a UNION of the grown table with others: their rows would come again with each growth.
pub(crate) fn single_branch(plan: &LogicalPlan, grown: &TableName) -> std::result::Result<(), Refusal> {
    let inputs = plan.inputs();
    let flowing: Vec<&LogicalPlan> = inputs.iter().copied().filter(|input| flows(input, grown)).collect();
    if matches!(plan, LogicalPlan::Union(_)) && flowing.len() < inputs.len() {
        return Err(Refusal::new("union", "the query has a UNION with another table"));
    }
    flowing.into_iter().try_for_each(|input| single_branch(input, grown))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;

    async fn growth_of(sql: &str) -> std::result::Result<Growth, Refusal> {
        growth(&testing::planned(sql).await.unwrap(), &testing::name("shop.bronze.events"))
    }

    #[tokio::test]
    async fn rows_that_stand_for_themselves_are_appended() {
        for sql in [
            "SELECT id, amount * 2 AS double FROM bronze.events WHERE amount > 10",
            "SELECT e.id, u.country FROM bronze.events e JOIN silver.users u ON e.user_key = u.user_key",
            "SELECT e.id, u.country FROM bronze.events e LEFT JOIN silver.users u ON e.user_key = u.user_key",
        ] {
            assert_eq!(growth_of(sql).await, Ok(Growth::Append), "{sql}");
        }
    }

    #[tokio::test]
    async fn groups_are_merged_by_what_their_aggregates_mean() {
        let sql = "SELECT MAX(id) AS last, user_key, COUNT(*) AS events, SUM(amount) AS amount, MIN(id) AS first
            FROM bronze.events GROUP BY user_key";
        let parts = vec![Part::Greatest, Part::Group, Part::Sum, Part::Sum, Part::Least];
        assert_eq!(growth_of(sql).await, Ok(Growth::Merge(parts)));
        let joined =
            "SELECT u.country, COUNT(*) AS n FROM bronze.events e JOIN silver.users u ON e.user_key = u.user_key
            GROUP BY u.country";
        assert_eq!(growth_of(joined).await, Ok(Growth::Merge(vec![Part::Group, Part::Sum])));
        assert_eq!(growth_of("SELECT COUNT(*) AS n FROM bronze.events").await, Ok(Growth::Merge(vec![Part::Sum])));
    }

    #[tokio::test]
    async fn what_cannot_be_proven_is_refused_with_the_reason() {
        let cases = [
            ("SELECT user_key, AVG(amount) AS a FROM bronze.events GROUP BY user_key", "avg cannot be continued"),
            ("SELECT COUNT(DISTINCT user_key) AS n FROM bronze.events", "count(DISTINCT) cannot be continued"),
            ("SELECT user_key, COUNT(*) AS n FROM bronze.events GROUP BY user_key HAVING COUNT(*) > 1", "HAVING"),
            ("SELECT COUNT(*) AS n FROM bronze.events GROUP BY user_key", "is not among its columns"),
            ("WITH unused AS (SELECT * FROM bronze.events) SELECT * FROM silver.users", "no rows of"),
            (
                "SELECT country, COUNT(*) AS n, (SELECT MAX(id) FROM bronze.events) AS last FROM silver.users GROUP BY country",
                "no rows of",
            ),
            (
                "SELECT user_key, COUNT(*) AS n, (SELECT MAX(id) FROM bronze.events) AS last FROM bronze.events GROUP BY user_key",
                "a sub-query over the table itself",
            ),
            (
                "SELECT user_key, SUM(amount - (SELECT MIN(amount) FROM bronze.events)) AS n FROM bronze.events GROUP BY user_key",
                "a sub-query over the table itself",
            ),
            (
                "SELECT user_key, SUM(amount) / COUNT(*) AS a FROM bronze.events GROUP BY user_key",
                "made from aggregates",
            ),
            ("SELECT SUM(CAST(amount AS DOUBLE)) AS s FROM bronze.events", "floating-point"),
            ("SELECT id, now() AS at FROM bronze.events", "now gives something else"),
            ("SELECT id FROM bronze.events ORDER BY id LIMIT 1", "orders or limits"),
            ("SELECT user_key FROM bronze.events UNION ALL SELECT user_key FROM silver.users", "UNION"),
            (
                "SELECT user_key, COUNT(*) AS n FROM (SELECT DISTINCT user_key FROM bronze.events) d GROUP BY user_key",
                "DISTINCT",
            ),
        ];
        for (sql, reason) in cases {
            let refused = growth_of(sql).await.unwrap_err();
            assert!(refused.text.contains(reason), "{sql}: {refused}");
        }
    }
}
