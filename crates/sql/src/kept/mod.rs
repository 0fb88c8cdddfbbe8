//! Aggregates of a query whose groups are kept, so that the next run goes on from them.
//!
//! A query is taken apart at its aggregates: below each is what makes its rows, above all of them what is made from groups.
//! The groups of an aggregate are kept as rows of their own ([`Kept::made`]), in a form that more rows can be added to:
//! sums and counts for a mean, a set for a distinct count. What stands above is cheap and always computed anew, from
//! finished groups in the place of the aggregates ([`Parted::above`]), so it may be anything. Aggregates of aggregates are
//! kept one by one, the inner ones first.
//!
//! Three ways lead to the groups of today: those of the rows that came are added and those of the rows that went taken out
//! ([`Kept::shifted`]), the groups that rows came to or left are made anew ([`Kept::among`], [`Kept::untouched`]), or all are.

mod aggregate;
mod fingerprint;
mod mean;
mod numbering;

mod sets;
mod touched;

use std::sync::Arc;

use datafusion::catalog::TableProvider;
use datafusion::common::tree_node::TreeNode as _;
use datafusion::dataframe::DataFrame;
use datafusion::error::Result as PlanResult;
use datafusion::functions_aggregate::expr_fn::{count, sum};
use datafusion::logical_expr::logical_plan::Aggregate;
use datafusion::logical_expr::{Distinct, Expr, LogicalPlan, LogicalPlanBuilder, cast, lit};
use datafusion::prelude::{SessionContext, ident};
use stage::{Result, TableName};

use self::aggregate::{KeptAggregate, ROWS, column_at, columns_in, group_column};
use crate::classify;
use crate::growth::{single_branch, steady};
use crate::refusal::Refusal;
use crate::scope::{any_sub_query, flows, needs_other_rows, reads_outside};

pub use numbering::Numbering;
pub use touched::Keys;

/// A query taken apart at its aggregates.
#[derive(Debug, Clone)]
pub struct Parted {
    plan: LogicalPlan,
    /// The aggregates, those further inside first.
    kept: Vec<Kept>,
}

/// An aggregate whose groups are kept.
#[derive(Debug, Clone)]
pub struct Kept {
    /// What makes its rows, with the inner aggregates as they are in the query.
    input: LogicalPlan,
    groups: Vec<Expr>,
    parts: Vec<KeptAggregate>,
    /// The columns it results in, groups first.
    schema: datafusion::common::DFSchemaRef,
    /// Where in the list the aggregates inside of it begin; they end before itself.
    inner_from: usize,
}

/// The kept groups of an aggregate, in the columns [`Kept::made`] gives them.
pub type Groups = Arc<dyn TableProvider>;

impl Parted {
    /// Takes a plan that was not optimised apart. A query without aggregates has nothing to keep.
    ///
    /// # Errors
    /// Why nothing can be kept, as the end of a sentence that begins with "because".
    pub fn new(plan: &LogicalPlan) -> std::result::Result<Parted, Refusal> {
        steady(plan)?;
        let mut kept = Vec::new();
        collect(plan, &mut kept);
        match kept.is_empty() {
            true => Err(Refusal::new("no_groups", "the query has no groups to keep")),
            false => Ok(Parted { plan: plan.clone(), kept }),
        }
    }

    /// The aggregates, those further inside first.
    pub fn kept(&self) -> &[Kept] {
        &self.kept
    }

    /// The aggregates directly inside the one at `place`, and not further.
    pub fn inside(&self, place: usize) -> Vec<usize> {
        let mut inside = Vec::new();
        let mut next = place;
        while let Some(outer) = next.checked_sub(1).filter(|outer| *outer >= self.kept[place].inner_from) {
            inside.push(outer);
            next = self.kept[outer].inner_from;
        }
        inside
    }

    /// The aggregate at `place` with finished groups in the place of those inside of it. `groups` are those of all before it.
    ///
    /// # Errors
    /// [`stage::Kind::Bug`] when the groups are not those of the plan.
    pub fn over(&self, session: &SessionContext, place: usize, groups: &[Groups]) -> Result<Kept> {
        let kept = &self.kept[place];
        let mut finished = self.finished(session, groups, kept.inner_from);
        let input = replaced(&kept.input, &mut finished).map_err(classify)?;
        Ok(Kept { input, inner_from: place, ..kept.clone() })
    }

    /// What stands above the aggregates, over their finished groups: the result of the query.
    ///
    /// # Errors
    /// [`stage::Kind::Bug`] when the groups are not those of the plan.
    pub fn above(&self, session: &SessionContext, groups: &[Groups]) -> Result<LogicalPlan> {
        replaced(&self.plan, &mut self.finished(session, groups, 0)).map_err(classify)
    }

    /// Whether something above the aggregates reads rows of `table`.
    pub fn reads_above(&self, table: &TableName) -> bool {
        reads_outside(&self.plan, table, &|node| is_kept(node))
    }

    /// Hands out the finished groups in the order of the aggregates.
    fn finished<'a>(
        &'a self,
        session: &'a SessionContext,
        groups: &'a [Groups],
        from: usize,
    ) -> impl FnMut(bool) -> PlanResult<Option<LogicalPlan>> + 'a {
        let mut next = from;
        move |is_wanted| {
            let place = next;
            next += 1;
            match is_wanted {
                true => self.kept[place].finished(session, &groups[place]).map(Some),
                false => Ok(None),
            }
        }
    }
}

impl Kept {
    /// Whether rows of `table` come directly into the aggregate, not by another one.
    pub fn reads(&self, table: &TableName) -> bool {
        reads_outside(&self.input, table, &|node| is_kept(node))
    }

    /// Whether rows of `table` are taken one by one, so that some of them alone can be taken.
    ///
    /// # Errors
    /// Why not, as the end of a sentence that begins with "because".
    pub fn takes_rows_of(&self, table: &TableName) -> std::result::Result<(), Refusal> {
        if !flows(&self.input, table) {
            return Err(Refusal::new("no_rows", format!("no rows of {table} come out of the query")));
        }
        if let Some(need) = needs_other_rows(&self.input, table).first() {
            return Err(Refusal::needs(need, format!("the query has {need} below its groups")));
        }
        single_branch(&self.input, table)
    }

    /// Whether what is kept can be added to.
    ///
    /// # Errors
    /// Why not, as the end of a sentence that begins with "because".
    pub fn can_grow(&self) -> std::result::Result<(), Refusal> {
        self.parts.iter().find_map(KeptAggregate::refusal).map_or(Ok(()), |refusal| Err(refusal.clone()))
    }

    /// Whether there is a group for each value of something, and not one of all rows.
    pub fn has_groups(&self) -> bool {
        !self.groups.is_empty()
    }

    /// Whether values are numbered for it.
    pub fn has_sets(&self) -> bool {
        self.parts.iter().any(KeptAggregate::is_set)
    }

    /// What is kept, made from all rows that come in.
    ///
    /// # Errors
    /// [`stage::Kind::Bug`] when the plan does not hold together.
    pub fn made(&self, numbering: &Numbering) -> Result<LogicalPlan> {
        self.made_of(self.input.clone(), self.groups.clone(), numbering).map_err(classify)
    }

    /// Whether rows can be taken out of what is kept.
    pub fn can_shrink(&self) -> bool {
        self.parts.iter().all(KeptAggregate::can_shrink)
    }

    /// What is kept, with what the rows that came make added, and what those that went make taken out. Its columns are those
    /// of `kept`.
    ///
    /// # Errors
    /// [`stage::Kind::Bug`] when the plan does not hold together.
    pub fn shifted(
        &self,
        session: &SessionContext,
        kept: Groups,
        came: Option<LogicalPlan>,
        went: Option<LogicalPlan>,
    ) -> Result<LogicalPlan> {
        let shifted = || {
            let schema = kept.schema();
            let takes_out = went.is_some();
            let mut all = session.read_table(kept)?;
            for (rows, sign) in came.map(|rows| (rows, 1)).into_iter().chain(went.map(|rows| (rows, -1))) {
                let columns = rows.schema().columns().into_iter().zip(schema.fields());
                let typed = columns.enumerate().map(|(place, (column, field))| {
                    let is_group = place < self.groups.len();
                    // Stored numbers have signs, those of the query may have none.
                    let value = cast(Expr::Column(column), field.data_type().clone());
                    let value = if sign < 0 && !is_group { Expr::Negative(Box::new(value)) } else { value };
                    value.alias(field.name())
                });
                let typed: Vec<Expr> = typed.collect();
                all = all.union(DataFrame::new(session.state(), rows).select(typed)?)?;
            }
            let groups = (0..self.groups.len()).map(|place| ident(group_column(place))).collect();
            let rows = sum(ident(ROWS)).alias(ROWS);
            let merged = self.parts.iter().flat_map(KeptAggregate::merged).chain([rows]).collect();
            let merged = all.aggregate(groups, merged)?;
            // A group without rows is none, but all rows together are one even when there are none.
            let left = if takes_out && self.has_groups() { merged.filter(ident(ROWS).gt(lit(0_i64)))? } else { merged };
            PlanResult::Ok(left.into_unoptimized_plan())
        };
        shifted().map_err(classify)
    }

    fn made_of(&self, input: LogicalPlan, groups: Vec<Expr>, numbering: &Numbering) -> PlanResult<LogicalPlan> {
        let rows = count(lit(1_i64)).alias(ROWS);
        let made: Vec<Expr> = self.parts.iter().flat_map(|part| part.made(numbering)).chain([rows]).collect();
        let groups: Vec<Expr> =
            groups.into_iter().enumerate().map(|(place, group)| group.alias(group_column(place))).collect();
        Aggregate::try_new(Arc::new(input), groups, made).map(LogicalPlan::Aggregate)
    }

    /// The groups as the aggregate results in them: the same columns under the same names.
    fn finished(&self, session: &SessionContext, kept: &Groups) -> PlanResult<LogicalPlan> {
        let groups = self.groups.len();
        let columns = (0..self.schema.fields().len()).map(|place| {
            let (qualifier, field) = self.schema.qualified_field(place);
            let value = match place.checked_sub(groups) {
                None => cast(ident(group_column(place)), field.data_type().clone()),
                Some(part) => self.parts[part].value(field.data_type()),
            };
            value.alias_qualified(qualifier.cloned(), field.name())
        });
        let rows = session.read_table(kept.clone())?.into_unoptimized_plan();
        LogicalPlanBuilder::from(rows).project(columns.collect::<Vec<_>>())?.build()
    }
}

/// Whether the groups of a node are kept.
fn is_kept(plan: &LogicalPlan) -> bool {
    Kept::of(plan, 0).is_some()
}

impl Kept {
    fn of(plan: &LogicalPlan, inner_from: usize) -> Option<Kept> {
        // What a sub-query in an aggregate reads changes groups to which no row came.
        if plan.expressions().iter().any(|expression| any_sub_query(expression, &|_| true)) {
            return None;
        }
        match plan {
            LogicalPlan::Aggregate(aggregate) => {
                let is_plain = !aggregate.group_expr.iter().any(|group| matches!(group, Expr::GroupingSet(_)));
                let input = aggregate.input.as_ref();
                let parts = aggregate.aggr_expr.iter().enumerate();
                let parts: Option<Vec<KeptAggregate>> =
                    parts.map(|(place, expression)| KeptAggregate::of(expression, place, input.schema())).collect();
                let parts = parts.filter(|_| is_plain && !refers_outside(plan))?;
                let groups = aggregate.group_expr.iter().map(|group| group.clone().unalias()).collect();
                Some(Kept { input: input.clone(), groups, parts, schema: aggregate.schema.clone(), inner_from })
            }
            // DISTINCT is groups without aggregates.
            LogicalPlan::Distinct(Distinct::All(input)) if !refers_outside(plan) => {
                let groups = input.schema().columns().into_iter().map(Expr::Column).collect();
                let (input, schema) = (input.as_ref().clone(), input.schema().clone());
                Some(Kept { input, groups, parts: Vec::new(), schema, inner_from })
            }
            _ => None,
        }
    }
}

/// Whether the plan belongs to a sub-query that depends on the rows around it.
fn refers_outside(plan: &LogicalPlan) -> bool {
    plan.exists(|node| Ok(node.expressions().iter().any(Expr::contains_outer))).unwrap_or(true)
}

/// Whether the walk looks into the inputs of a node.
fn is_walked(plan: &LogicalPlan) -> bool {
    !matches!(plan, LogicalPlan::RecursiveQuery(_) | LogicalPlan::Subquery(_) | LogicalPlan::Extension(_))
}

/// Collects the kept aggregates, those further inside first. [`replaced`] walks the same way.
fn collect(plan: &LogicalPlan, kept: &mut Vec<Kept>) {
    let inner_from = kept.len();
    if is_walked(plan) {
        plan.inputs().into_iter().for_each(|input| collect(input, kept));
    }
    kept.extend(Kept::of(plan, inner_from));
}

/// The plan with what `finished` gives in the place of its outermost kept aggregates. It is told of the others too, so that
/// it can count.
fn replaced(
    plan: &LogicalPlan,
    finished: &mut impl FnMut(bool) -> PlanResult<Option<LogicalPlan>>,
) -> PlanResult<LogicalPlan> {
    if is_kept(plan) {
        plan.inputs().into_iter().try_for_each(|input| pass_over(input, finished))?;
        if let Some(groups) = finished(true)? {
            return Ok(groups);
        }
    }
    if !is_walked(plan) || plan.inputs().is_empty() {
        return Ok(plan.clone());
    }
    let inputs = plan.inputs().into_iter().map(|input| replaced(input, finished)).collect::<PlanResult<Vec<_>>>()?;
    plan.with_new_exprs(plan.expressions(), inputs)
}

fn pass_over(plan: &LogicalPlan, finished: &mut impl FnMut(bool) -> PlanResult<Option<LogicalPlan>>) -> PlanResult<()> {
    if is_walked(plan) {
        plan.inputs().into_iter().try_for_each(|input| pass_over(input, finished))?;
    }
    if is_kept(plan) {
        finished(false)?;
    }
    Ok(())
}
