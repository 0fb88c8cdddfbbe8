//! Where a column of a query's result comes from.

use datafusion::common::Column;
use datafusion::logical_expr::{Expr, LogicalPlan};
use stage::TableName;

use crate::scope::reads;

/// Whether the column `name` of the result is the column of that name of the table `from`, row by row and unchanged. What
/// cannot be followed is taken for something else.
pub fn passes_unchanged(plan: &LogicalPlan, from: &TableName, name: &str) -> bool {
    let place = plan.schema().fields().iter().position(|field| field.name() == name);
    place.is_some_and(|place| Origin { from, name }.stands_behind(plan, place))
}

struct Origin<'a> {
    from: &'a TableName,
    name: &'a str,
}

impl Origin<'_> {
    /// Whether the column at `place` of the plan's result is the one that is looked for.
    fn stands_behind(&self, plan: &LogicalPlan, place: usize) -> bool {
        match plan {
            LogicalPlan::TableScan(scan) => {
                reads(scan, self.from) && scan.projected_schema.field(place).name() == self.name
            }
            LogicalPlan::Projection(projection) => {
                let expression = projection.expr.get(place).map(|expression| expression.clone().unalias());
                matches!(expression, Some(Expr::Column(column)) if self.is_of(&projection.input, &column))
            }
            LogicalPlan::SubqueryAlias(alias) => self.stands_behind(&alias.input, place),
            LogicalPlan::Union(union) => union.inputs.iter().all(|input| self.stands_behind(input, place)),
            LogicalPlan::Filter(_) | LogicalPlan::Sort(_) | LogicalPlan::Repartition(_) | LogicalPlan::Join(_) => {
                let column = Column::from(plan.schema().qualified_field(place));
                let having = plan.inputs().into_iter().filter(|input| input.schema().has_column(&column));
                let mut having = having.peekable();
                having.peek().is_some() && having.all(|input| self.is_of(input, &column))
            }
            _ => false,
        }
    }

    fn is_of(&self, plan: &LogicalPlan, column: &Column) -> bool {
        plan.schema().maybe_index_of_column(column).is_some_and(|place| self.stands_behind(plan, place))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;

    async fn passes(sql: &str) -> bool {
        let plan = testing::planned(sql).await.unwrap();
        passes_unchanged(&plan, &testing::name("shop.bronze.events"), "amount")
    }

    #[tokio::test]
    async fn a_column_is_followed_through_whatever_hands_it_on() {
        for sql in [
            "SELECT * FROM bronze.events",
            "SELECT e.amount, id AS number FROM bronze.events AS e WHERE id > 1 ORDER BY id",
            "WITH e AS (SELECT amount, id FROM bronze.events) SELECT x.amount FROM (SELECT * FROM e) x",
            "SELECT u.country, e.amount FROM bronze.events e LEFT JOIN silver.users u USING (user_key)",
            "SELECT amount FROM bronze.events WHERE id = 1 UNION ALL SELECT amount FROM bronze.events WHERE id = 2",
            "SELECT cost AS amount FROM (SELECT amount AS cost FROM bronze.events) e",
        ] {
            assert!(passes(sql).await, "{sql}");
        }
    }

    #[tokio::test]
    async fn a_column_that_was_made_or_is_of_another_table_is_another_one() {
        for sql in [
            "SELECT amount * 1 AS amount FROM bronze.events",
            "SELECT id AS amount FROM bronze.events",
            "SELECT id FROM bronze.events",
            "SELECT i.amount FROM bronze.events e JOIN silver.Invoices i ON e.user_key = i.InvoiceNo",
            "SELECT amount FROM bronze.events UNION ALL SELECT amount FROM silver.Invoices",
            "SELECT max(amount) AS amount FROM bronze.events",
        ] {
            assert!(!passes(sql).await, "{sql}");
        }
    }
}
