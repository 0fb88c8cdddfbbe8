//! Carries columns of one table through a query that does not mention them, so that every row that comes out can be
//! traced to the row it came from.

use std::sync::Arc;

use arrow::datatypes::DataType;
use datafusion::common::{Column, DFSchema, ExprSchema, ScalarValue};
use datafusion::error::Result as PlanResult;
use datafusion::logical_expr::logical_plan::{Join, Projection, SubqueryAlias, Union};
use datafusion::logical_expr::{Expr, JoinType, LogicalPlan, lit};
use stage::{Error, Result, TableName};

use crate::scope::{flows, reads};
use crate::text;

/// Adds columns of the table `from` to the output, under their name behind `prefix`.
///
/// A column is left out when the output has one of that name already, or when the table has no such column. Where rows
/// are put together (aggregates, DISTINCT) a row has no single origin, and the plan is returned as it was. When the
/// table is joined with itself, the columns are those of its left side.
///
/// # Errors
/// [`stage::Kind::Bug`] when the rewritten plan does not hold together.
pub fn carry_columns(plan: LogicalPlan, from: &TableName, columns: &[&str], prefix: &str) -> Result<LogicalPlan> {
    let missing: Vec<String> = columns
        .iter()
        .filter(|column| !plan.schema().has_column_with_unqualified_name(&format!("{prefix}{column}")))
        .map(|column| (*column).to_owned())
        .collect();
    if missing.is_empty() {
        return Ok(plan);
    }
    let carry = Carry { from, columns: missing };
    let rewritten = carry.output(&plan, prefix).map_err(|error| {
        Error::bug(format!("could not carry columns of {from} through the query: {}", text::plain(&error.to_string())))
    })?;
    Ok(rewritten.unwrap_or(plan))
}

struct Carry<'a> {
    from: &'a TableName,
    columns: Vec<String>,
}

/// A plan that carries, with the carried columns as its schema names them: those of the table that it has, by their
/// index among the wanted ones.
struct Carrying {
    plan: LogicalPlan,
    carried: Vec<(usize, Column)>,
}

impl Carry<'_> {
    fn output(&self, plan: &LogicalPlan, prefix: &str) -> PlanResult<Option<LogicalPlan>> {
        let Some(carrying) = self.rewrite(plan)? else {
            return Ok(None);
        };
        let mut output = same_columns(plan.schema());
        for (index, column) in carrying.carried {
            output.push(Expr::Column(column).alias(format!("{prefix}{}", self.columns[index])));
        }
        Projection::try_new(output, Arc::new(carrying.plan)).map(|top| Some(LogicalPlan::Projection(top)))
    }

    /// The plan with the columns carried to its output; `None` when no single row of the table stands behind a row.
    fn rewrite(&self, plan: &LogicalPlan) -> PlanResult<Option<Carrying>> {
        match plan {
            LogicalPlan::TableScan(scan) if reads(scan, self.from) => {
                let fields = self.columns.iter().enumerate().filter_map(|(index, name)| {
                    let column = Column::new(Some(scan.table_name.clone()), name);
                    scan.projected_schema.has_column(&column).then_some((index, column))
                });
                Ok(Some(Carrying { plan: plan.clone(), carried: fields.collect() }))
            }
            LogicalPlan::Projection(projection) => self.through_projection(projection),
            LogicalPlan::SubqueryAlias(alias) => self.through_alias(alias),
            LogicalPlan::Join(join) => self.through_join(plan, join),
            LogicalPlan::Union(union) => self.through_union(union),
            LogicalPlan::Filter(_)
            | LogicalPlan::Sort(_)
            | LogicalPlan::Limit(_)
            | LogicalPlan::Window(_)
            | LogicalPlan::Repartition(_)
            | LogicalPlan::Unnest(_) => self.through_single(plan),
            _ => Ok(None),
        }
    }

    /// Nodes that hand on whatever columns they get.
    fn through_single(&self, plan: &LogicalPlan) -> PlanResult<Option<Carrying>> {
        let inputs = plan.inputs();
        let [input] = inputs.as_slice() else {
            return Ok(None);
        };
        let Some(carrying) = self.rewrite(input)? else {
            return Ok(None);
        };
        let plan = plan.with_new_exprs(plan.expressions(), vec![carrying.plan])?;
        Ok(Some(Carrying { plan, carried: carrying.carried }))
    }

    fn through_projection(&self, projection: &Projection) -> PlanResult<Option<Carrying>> {
        let Some(carrying) = self.rewrite(&projection.input)? else {
            return Ok(None);
        };
        let mut output = projection.expr.clone();
        let mut carried = Vec::new();
        for (index, column) in carrying.carried {
            output.push(Expr::Column(column).alias(under_way(index)));
            carried.push((index, Column::new_unqualified(under_way(index))));
        }
        let plan = LogicalPlan::Projection(Projection::try_new(output, Arc::new(carrying.plan))?);
        Ok(Some(Carrying { plan, carried }))
    }

    fn through_alias(&self, alias: &SubqueryAlias) -> PlanResult<Option<Carrying>> {
        let Some(carrying) = self.rewrite(&alias.input)? else {
            return Ok(None);
        };
        let inner = Arc::clone(carrying.plan.schema());
        let renamed = SubqueryAlias::try_new(Arc::new(carrying.plan), alias.alias.clone())?;
        // An alias keeps the places of columns but may rename those of equal names.
        let mut carried = Vec::new();
        for (index, column) in carrying.carried {
            let place = inner.index_of_column(&column)?;
            carried.push((index, Column::from(renamed.schema.qualified_field(place))));
        }
        Ok(Some(Carrying { plan: LogicalPlan::SubqueryAlias(renamed), carried }))
    }

    fn through_join(&self, plan: &LogicalPlan, join: &Join) -> PlanResult<Option<Carrying>> {
        let (left_comes_out, right_comes_out) = match join.join_type {
            JoinType::LeftSemi | JoinType::LeftAnti | JoinType::LeftMark => (true, false),
            JoinType::RightSemi | JoinType::RightAnti | JoinType::RightMark => (false, true),
            _ => (true, true),
        };
        let left = if left_comes_out { self.rewrite(&join.left)? } else { None };
        let (inputs, carried) = match left {
            Some(left) => (vec![left.plan, join.right.as_ref().clone()], left.carried),
            None if right_comes_out => match self.rewrite(&join.right)? {
                Some(right) => (vec![join.left.as_ref().clone(), right.plan], right.carried),
                None => return Ok(None),
            },
            None => return Ok(None),
        };
        let plan = plan.with_new_exprs(plan.expressions(), inputs)?;
        Ok(Some(Carrying { plan, carried }))
    }

    /// Every branch gets every column in the same place; a branch without the table has nulls there.
    fn through_union(&self, union: &Union) -> PlanResult<Option<Carrying>> {
        if !union.inputs.iter().any(|input| flows(input, self.from)) {
            return Ok(None);
        }
        let mut branches = Vec::new();
        for input in &union.inputs {
            branches.push((input, self.rewrite(input)?));
        }
        let types = self.types(branches.iter().filter_map(|(_, carrying)| carrying.as_ref()))?;
        let mut inputs = Vec::new();
        for (input, carrying) in branches {
            let mut output = same_columns(input.schema());
            let (plan, found) = match carrying {
                Some(carrying) => (carrying.plan, carrying.carried),
                None => (input.as_ref().clone(), Vec::new()),
            };
            for (index, data_type) in &types {
                let known = found.iter().find(|(place, _)| place == index);
                let value = match known {
                    Some((_, column)) => Expr::Column(column.clone()),
                    None => lit(ScalarValue::try_from(data_type)?),
                };
                output.push(value.alias(under_way(*index)));
            }
            inputs.push(Arc::new(LogicalPlan::Projection(Projection::try_new(output, Arc::new(plan))?)));
        }
        let carried = types.iter().map(|(index, _)| (*index, Column::new_unqualified(under_way(*index)))).collect();
        let plan = LogicalPlan::Union(Union::try_new_with_loose_types(inputs)?);
        Ok(Some(Carrying { plan, carried }))
    }

    fn types<'b>(&self, branches: impl Iterator<Item = &'b Carrying>) -> PlanResult<Vec<(usize, DataType)>> {
        let mut types: Vec<(usize, DataType)> = Vec::new();
        for branch in branches {
            for (index, column) in &branch.carried {
                if !types.iter().any(|(known, _)| known == index) {
                    types.push((*index, branch.plan.schema().field_from_column(column)?.data_type().clone()));
                }
            }
        }
        Ok(types)
    }
}

/// Every column of a schema, as it is.
fn same_columns(schema: &DFSchema) -> Vec<Expr> {
    schema.iter().map(|field| Expr::Column(Column::from(field))).collect()
}

/// The name of a carried column inside the query, where a column of its own name may stand already.
fn under_way(index: usize) -> String {
    format!("__carried_{index}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;
    use arrow::util::pretty::pretty_format_batches;

    const ORIGIN: [&str; 2] = ["_source", "_position"];

    /// The rows with their origin, one line each, sorted.
    async fn carried(sql: &str, prefix: &str) -> Vec<String> {
        let session = testing::engine().session("shop");
        let plan = crate::plan(&session, "shop", sql, &testing::tables()).await.unwrap();
        let plan = carry_columns(plan, &testing::name("shop.bronze.events"), &ORIGIN, prefix).unwrap();
        let rows = crate::collect(&session, plan).await.unwrap();
        let table = pretty_format_batches(&rows).unwrap().to_string();
        let cells =
            |line: &str| line.split('|').map(str::trim).filter(|cell| !cell.is_empty()).collect::<Vec<_>>().join(" ");
        let mut lines: Vec<String> = table.lines().filter(|line| line.starts_with('|')).map(cells).collect();
        lines[1..].sort();
        lines
    }

    #[tokio::test]
    async fn through_a_projection_with_aliases_and_a_filter() {
        let lines =
            carried("SELECT id AS number, amount * 2 AS twice FROM bronze.events AS e WHERE e.amount > 10", "").await;
        assert_eq!(lines, ["number twice _source _position", "2 40 f1 2", "3 60 f2 1"]);
    }

    #[tokio::test]
    async fn through_joins_on_either_side() {
        let expected = ["id country o_source o_position", "1 DE f1 1", "2 FR f1 2"];
        let left = "SELECT e.id, u.country FROM bronze.events e JOIN silver.users u ON e.user_key = u.user_key";
        assert_eq!(carried(left, "o").await, expected);
        let right = "SELECT e.id, u.country FROM silver.users u JOIN bronze.events e USING (user_key)";
        assert_eq!(carried(right, "o").await, expected);
        let outer = "SELECT e.id, u.country FROM bronze.events e LEFT JOIN silver.users u USING (user_key)";
        assert_eq!(carried(outer, "o").await[3], "3 f2 1");
    }

    #[tokio::test]
    async fn through_with_parts_and_queries_in_from() {
        let sql = "WITH e AS (SELECT id AS n, amount FROM bronze.events WHERE id < 3)
            SELECT x.n FROM (SELECT n, amount FROM e WHERE amount > 0) x ORDER BY x.n DESC";
        assert_eq!(carried(sql, "").await, ["n _source _position", "1 f1 1", "2 f1 2"]);
    }

    #[tokio::test]
    async fn through_union_all_with_a_branch_of_another_table() {
        let sql = "SELECT id, user_key FROM bronze.events WHERE id = 1
            UNION ALL SELECT amount, upper(user_key) FROM bronze.events WHERE id = 3
            UNION ALL SELECT 0, country FROM silver.users WHERE country = 'FR'";
        assert_eq!(carried(sql, "").await, ["id user_key _source _position", "0 FR", "1 a f1 1", "30 C f2 1"]);
    }

    #[tokio::test]
    async fn a_column_of_that_name_in_the_output_stays() {
        let lines = carried("SELECT id, 'mine' AS _source FROM bronze.events WHERE id = 1", "").await;
        assert_eq!(lines, ["id _source _position", "1 mine 1"]);
        let lines = carried("SELECT * FROM (SELECT id, 'x' AS _source FROM bronze.events) e WHERE id = 1", "o").await;
        assert_eq!(lines, ["id _source o_source o_position", "1 x f1 1"]);
    }

    #[tokio::test]
    async fn through_filters_with_sub_queries_and_windows() {
        let sql = "SELECT id FROM bronze.events e WHERE user_key IN (SELECT user_key FROM silver.users) AND
            EXISTS (SELECT 1 FROM silver.users u WHERE u.user_key = e.user_key AND u.country = 'FR')";
        assert_eq!(carried(sql, "").await, ["id _source _position", "2 f1 2"]);
        let window = "SELECT id, row_number() OVER (ORDER BY id DESC) AS n FROM bronze.events";
        assert_eq!(carried(window, "").await[1], "1 3 f1 1");
    }

    #[tokio::test]
    async fn an_aggregate_has_no_origin() {
        let lines = carried("SELECT count(*) AS n FROM bronze.events", "").await;
        assert_eq!(lines, ["n", "3"]);
    }
}
