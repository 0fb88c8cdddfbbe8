//! Whether a query can be answered from some rows of a table alone.
//!
//! A silver query runs over the rows that changed. That is right as long as each of them is handled by itself; a plan
//! node that puts rows of that table together would see only some of them. Nodes over other tables do not matter:
//! those are read whole.

use datafusion::common::NullEquality;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::logical_expr::logical_plan::{Join, TableScan};
use datafusion::logical_expr::{Distinct, Expr, JoinType, LogicalPlan};
use stage::TableName;

/// What in the plan needs to see rows of `from` together, in words a user knows; empty when the plan treats them one
/// by one. In the order they stand in the plan, from the top.
pub fn needs_other_rows(plan: &LogicalPlan, from: &TableName) -> Vec<&'static str> {
    let mut found = Vec::new();
    walk(plan, from, &mut found);
    found
}

/// Whether the scan is of this table.
pub(crate) fn reads(scan: &TableScan, table: &TableName) -> bool {
    let name = &scan.table_name;
    name.table() == table.table()
        && name.schema() == Some(table.layer().name())
        && name.catalog().is_none_or(|catalog| catalog == table.pipeline())
}

/// Whether rows of `from` come out of the plan; sub-queries in expressions do not hand rows on.
pub(crate) fn flows(plan: &LogicalPlan, from: &TableName) -> bool {
    match plan {
        LogicalPlan::TableScan(scan) => reads(scan, from),
        other => other.inputs().into_iter().any(|input| flows(input, from)),
    }
}

/// Whether the plan scans the table, anywhere but below a node that is `cut` off. Sub-queries in expressions count.
pub(crate) fn reads_outside(plan: &LogicalPlan, table: &TableName, cut: &dyn Fn(&LogicalPlan) -> bool) -> bool {
    if cut(plan) {
        return false;
    }
    matches!(plan, LogicalPlan::TableScan(scan) if reads(scan, table))
        || asks_itself(plan, table)
        || plan.inputs().into_iter().any(|input| reads_outside(input, table, cut))
}

/// Collects complaints; returns whether rows of `from` come out of the plan.
fn walk(plan: &LogicalPlan, from: &TableName, found: &mut Vec<&'static str>) -> bool {
    let here = complaint(plan, from);
    let position = found.len();
    let mut flowing = matches!(plan, LogicalPlan::TableScan(scan) if reads(scan, from));
    for input in plan.inputs() {
        flowing |= walk(input, from, found);
    }
    let sub_query = asks_itself(plan, from).then_some(SUB_QUERY);
    for complaint in here.filter(|_| flowing).into_iter().chain(sub_query) {
        // INTERSECT and EXCEPT plan as a DISTINCT below a join; one complaint is enough.
        if complaint == SET_OPERATION {
            found.retain(|known| *known != DISTINCT);
        }
        if !found.contains(&complaint) {
            found.insert(position.min(found.len()), complaint);
        }
    }
    flowing
}

/// What is said of a sub-query in an expression that reads the table.
pub(crate) const SUB_QUERY: &str = "a sub-query over the table itself";
const DISTINCT: &str = "DISTINCT";
const SET_OPERATION: &str = "INTERSECT or EXCEPT";

/// What the node does with the rows that flow into it.
fn complaint(plan: &LogicalPlan, from: &TableName) -> Option<&'static str> {
    match plan {
        LogicalPlan::Aggregate(_) => Some("GROUP BY or an aggregate"),
        LogicalPlan::Distinct(Distinct::All(input)) if matches!(input.as_ref(), LogicalPlan::Union(_)) => {
            Some("UNION without ALL")
        }
        LogicalPlan::Distinct(_) => Some(DISTINCT),
        LogicalPlan::Window(_) => Some("a window function"),
        LogicalPlan::Limit(_) => Some("LIMIT"),
        LogicalPlan::Sort(sort) => sort.fetch.map(|_| "LIMIT"),
        LogicalPlan::RecursiveQuery(_) => Some("WITH RECURSIVE"),
        LogicalPlan::Join(join) => join_complaint(join, from),
        _ => None,
    }
}

pub(crate) fn join_complaint(join: &Join, from: &TableName) -> Option<&'static str> {
    let (left, right) = (flows(&join.left, from), flows(&join.right, from));
    let is_set_operation = join.null_equality == NullEquality::NullEqualsNull
        && matches!(join.join_type, JoinType::LeftSemi | JoinType::LeftAnti);
    if is_set_operation {
        let keeps_one_of_each = matches!(join.left.as_ref(), LogicalPlan::Distinct(_));
        return (right || (left && keeps_one_of_each)).then_some(SET_OPERATION);
    }
    let preserved = match join.join_type {
        JoinType::Inner => (true, true),
        JoinType::Left | JoinType::LeftSemi | JoinType::LeftAnti | JoinType::LeftMark => (true, false),
        JoinType::Right | JoinType::RightSemi | JoinType::RightAnti | JoinType::RightMark => (false, true),
        JoinType::Full => (false, false),
    };
    match (left, right) {
        (true, true) => Some("a join of the table with itself"),
        (true, false) if !preserved.0 => Some("an outer join that keeps rows of the other table"),
        (false, true) if !preserved.1 => Some("an outer join that keeps rows of the other table"),
        _ => None,
    }
}

/// Whether a sub-query in an expression of the node reads the table.
fn asks_itself(plan: &LogicalPlan, from: &TableName) -> bool {
    plan.expressions().iter().any(|expression| any_sub_query(expression, &|query| mentions(query, from)))
}

/// Whether an expression has a sub-query for which `holds` is true.
pub(crate) fn any_sub_query(expression: &Expr, holds: &dyn Fn(&LogicalPlan) -> bool) -> bool {
    let mut found = false;
    // The walk itself cannot fail.
    let _ = expression.apply(|part| {
        let query = match part {
            Expr::ScalarSubquery(query) => Some(query),
            Expr::Exists(exists) => Some(&exists.subquery),
            Expr::InSubquery(inside) => Some(&inside.subquery),
            Expr::SetComparison(comparison) => Some(&comparison.subquery),
            _ => None,
        };
        found |= query.is_some_and(|query| holds(&query.subquery));
        Ok(if found { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
    });
    found
}

/// Whether the plan reads the table anywhere, sub-queries included.
fn mentions(plan: &LogicalPlan, from: &TableName) -> bool {
    flows(plan, from) || asks_itself(plan, from) || plan.inputs().into_iter().any(|input| mentions(input, from))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;

    async fn needs(sql: &str) -> Vec<&'static str> {
        needs_other_rows(&testing::planned(sql).await.unwrap(), &testing::name("shop.bronze.events"))
    }

    #[tokio::test]
    async fn row_by_row_queries_need_nothing_else() {
        for sql in [
            "SELECT id, upper(user_key) AS k FROM bronze.events WHERE amount > 10",
            "WITH e AS (SELECT * FROM bronze.events) SELECT id FROM e ORDER BY id",
            "SELECT id FROM bronze.events UNION ALL SELECT id FROM bronze.events",
            "SELECT e.id, u.country FROM bronze.events e LEFT JOIN silver.users u ON u.user_key = e.user_key",
            "SELECT e.id FROM silver.users u RIGHT JOIN bronze.events e USING (user_key)",
            "SELECT e.id FROM bronze.events e JOIN (SELECT DISTINCT user_key FROM silver.users) u USING (user_key)",
            "SELECT id FROM bronze.events WHERE user_key IN (SELECT user_key FROM silver.users GROUP BY user_key LIMIT 3)",
            "SELECT id, (SELECT count(*) FROM silver.users) AS n FROM bronze.events",
            "SELECT id FROM bronze.events e WHERE NOT EXISTS (SELECT 1 FROM silver.users u WHERE u.user_key = e.user_key)",
            "SELECT country, count(*) AS n FROM silver.users GROUP BY country",
        ] {
            assert_eq!(needs(sql).await, [""; 0], "{sql}");
        }
    }

    #[tokio::test]
    async fn what_puts_rows_together_is_named() {
        for (sql, expected) in [
            ("SELECT user_key, sum(amount) AS s FROM bronze.events GROUP BY user_key", "GROUP BY or an aggregate"),
            ("SELECT max(id) AS m FROM (SELECT id FROM bronze.events) e", "GROUP BY or an aggregate"),
            ("SELECT DISTINCT user_key FROM bronze.events", "DISTINCT"),
            ("SELECT DISTINCT ON (user_key) user_key, id FROM bronze.events ORDER BY user_key, id", "DISTINCT"),
            ("SELECT id FROM bronze.events UNION SELECT amount FROM bronze.events", "UNION without ALL"),
            ("SELECT row_number() OVER (ORDER BY id) AS n FROM bronze.events", "a window function"),
            ("SELECT id FROM bronze.events ORDER BY id LIMIT 3", "LIMIT"),
            ("SELECT user_key FROM bronze.events EXCEPT SELECT user_key FROM silver.users", "INTERSECT or EXCEPT"),
            ("SELECT user_key FROM silver.users INTERSECT SELECT user_key FROM bronze.events", "INTERSECT or EXCEPT"),
            (
                "SELECT a.id FROM bronze.events a JOIN bronze.events b ON a.id = b.amount",
                "a join of the table with itself",
            ),
            (
                "SELECT e.id, u.country FROM silver.users u LEFT JOIN bronze.events e ON u.user_key = e.user_key",
                "an outer join that keeps rows of the other table",
            ),
            (
                "SELECT e.id FROM bronze.events e FULL JOIN silver.users u ON u.user_key = e.user_key",
                "an outer join that keeps rows of the other table",
            ),
            (
                "SELECT id FROM bronze.events WHERE amount > (SELECT avg(amount) FROM bronze.events)",
                "a sub-query over the table itself",
            ),
        ] {
            assert_eq!(needs(sql).await, [expected], "{sql}");
        }
    }

    #[tokio::test]
    async fn a_table_of_another_pipeline_with_the_same_name_is_another_table() {
        let plan = testing::planned("SELECT count(*) AS n FROM bronze.events").await.unwrap();
        assert!(needs_other_rows(&plan, &testing::name("other.bronze.events")).is_empty());
    }
}
