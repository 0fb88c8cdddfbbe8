//! The groups that some rows belong to, made anew, while the others stay as they are.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, RecordBatch};
use arrow::datatypes::SchemaRef;
use datafusion::catalog::TableProvider;
use datafusion::common::{Column, NullEquality, ScalarValue};
use datafusion::dataframe::DataFrame;
use datafusion::datasource::MemTable;
use datafusion::error::Result as PlanResult;
use datafusion::logical_expr::logical_plan::{Aggregate, Projection};
use datafusion::logical_expr::{
    AggregateUDF, Expr, ExprSchemable as _, JoinType, LogicalPlan, LogicalPlanBuilder, cast, lit,
};
use datafusion::prelude::{SessionContext, ident};
use stage::Result;

use super::fingerprint::FingerprintOf;
use super::{Groups, Kept, KeptAggregate, Numbering, column_at, columns_in, group_column};
use crate::classify;

/// So many values of a column are named one by one, so that files and partitions without them are not read.
const NAMED_VALUES: usize = 200;

const FINGERPRINT: &str = "fingerprint";

/// Groups of an aggregate, by their values.
#[derive(Debug, Clone)]
pub struct Keys {
    schema: SchemaRef,
    batches: Vec<RecordBatch>,
}

impl Keys {
    /// The groups in batches of one schema: the columns of [`Kept::keys`], in the types that groups are kept in.
    pub fn new(schema: SchemaRef, batches: Vec<RecordBatch>) -> Keys {
        Keys { schema, batches }
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.batches.iter().map(RecordBatch::num_rows).sum()
    }

    fn table(&self) -> PlanResult<Arc<dyn TableProvider>> {
        Ok(Arc::new(MemTable::try_new(self.schema.clone(), vec![self.batches.clone()])?))
    }

    /// The values of a column when they are few, and whether null is among them.
    fn few(&self, place: usize) -> PlanResult<Option<(Vec<Expr>, bool)>> {
        let mut values: Vec<ScalarValue> = Vec::new();
        let mut has_null = false;
        for batch in &self.batches {
            let column: &ArrayRef = batch.column(place);
            has_null |= column.null_count() > 0;
            for row in (0..column.len()).filter(|row| column.is_valid(*row)) {
                let value = ScalarValue::try_from_array(column, row)?;
                if !values.contains(&value) {
                    values.push(value);
                }
                if values.len() > NAMED_VALUES {
                    return Ok(None);
                }
            }
        }
        Ok(Some((values.into_iter().map(lit).collect(), has_null)))
    }
}

impl Kept {
    /// The groups that rows came to or left, each once: `self` is over the rows that came, `went` over those that went. A group
    /// is not among them when the same rows came and went, as far as the aggregate looks at them.
    ///
    /// # Errors
    /// [`stage::Kind::Bug`] when the plan does not hold together.
    pub fn keys(&self, session: &SessionContext, went: Option<&Kept>) -> Result<LogicalPlan> {
        let Some(went) = went else { return self.all_keys().map_err(classify) };
        let keys = || {
            let (came, went) = (self.signed(1)?, went.signed(-1)?);
            let both = DataFrame::new(session.state(), came).union(DataFrame::new(session.state(), went))?;
            let groups: Vec<Expr> = (0..self.groups.len()).map(|place| ident(group_column(place))).collect();
            let columns = both.schema().columns().into_iter().skip(self.groups.len()).map(Expr::Column).collect();
            let fingerprint = AggregateUDF::from(FingerprintOf::new()).call(columns).alias(FINGERPRINT);
            let differs = ident(FINGERPRINT).not_eq(lit(ScalarValue::Decimal128(Some(0), 38, 0)));
            let differing = both.aggregate(groups.clone(), vec![fingerprint])?.filter(differs)?.select(groups)?;
            PlanResult::Ok(differing.into_unoptimized_plan())
        };
        keys().map_err(classify)
    }

    fn all_keys(&self) -> PlanResult<LogicalPlan> {
        let groups = self.groups.iter().enumerate().map(|(place, group)| group.clone().alias(group_column(place)));
        let keys = Aggregate::try_new(Arc::new(self.input.clone()), groups.collect(), Vec::new());
        keys.map(LogicalPlan::Aggregate)
    }

    /// The groups of each row, a sign, and all columns that the aggregate looks at.
    fn signed(&self, sign: i64) -> PlanResult<LogicalPlan> {
        let groups = self.groups.iter().enumerate().map(|(place, group)| group.clone().alias(group_column(place)));
        let mut columns: Vec<Expr> = groups.chain([lit(sign).alias("sign")]).collect();
        let mut read: Vec<Expr> = self.parts.iter().flat_map(KeptAggregate::reads).collect();
        read.extend(self.groups.iter().flat_map(columns_in));
        // The columns that expressions name come in no order of their own.
        read.sort_by_key(ToString::to_string);
        read.dedup();
        columns.extend(read.into_iter().enumerate().map(|(place, column)| column.alias(format!("read_{place}"))));
        Projection::try_new(columns, Arc::new(self.input.clone())).map(LogicalPlan::Projection)
    }

    /// What is kept of the groups among `keys`, made from all their rows.
    ///
    /// # Errors
    /// [`stage::Kind::Bug`] when the plan does not hold together.
    pub fn among(&self, session: &SessionContext, keys: &Keys, numbering: &Numbering) -> Result<LogicalPlan> {
        let made = || {
            let mut input = LogicalPlanBuilder::from(self.input.clone());
            for (place, group) in self.groups.iter().enumerate() {
                // Only a column's own values name rows exactly: casts may be turned around, and there are two zeros.
                let of = group.get_type(self.input.schema())?;
                let is_plain = matches!(group, Expr::Column(_)) && !of.is_floating();
                let is_exact = is_plain && of == *keys.schema.field(place).data_type();
                if let Some((values, has_null)) = keys.few(place)?.filter(|_| is_exact) {
                    let named = group.clone().in_list(values, false);
                    input = input.filter(if has_null { named.or(group.clone().is_null()) } else { named })?;
                }
            }
            let (input, groups) = self.with_group_columns(input.build()?, keys)?;
            let limited = joined(session, input, &groups, keys, JoinType::LeftSemi)?;
            self.made_of(limited, groups.into_iter().map(Expr::Column).collect(), numbering)
        };
        made().map_err(classify)
    }

    /// What is kept of the groups that are not among `keys`.
    ///
    /// # Errors
    /// [`stage::Kind::Bug`] when the plan does not hold together.
    pub fn untouched(&self, session: &SessionContext, kept: Groups, keys: &Keys) -> Result<LogicalPlan> {
        let rest = || {
            let rows = session.read_table(kept)?.into_unoptimized_plan();
            let groups: Vec<Column> = (0..self.groups.len()).map(|place| column_at(rows.schema(), place)).collect();
            joined(session, rows, &groups, keys, JoinType::LeftAnti)
        };
        rest().map_err(classify)
    }

    /// The input with a column of its own for each group, in the types of the keys.
    fn with_group_columns(&self, input: LogicalPlan, keys: &Keys) -> PlanResult<(LogicalPlan, Vec<Column>)> {
        let mut columns: Vec<Expr> = input.schema().columns().into_iter().map(Expr::Column).collect();
        let mut groups = Vec::new();
        for (place, group) in self.groups.iter().enumerate() {
            let name = format!("__{}", group_column(place));
            columns.push(cast(group.clone(), keys.schema.field(place).data_type().clone()).alias(&name));
            groups.push(Column::new_unqualified(name));
        }
        Ok((LogicalPlan::Projection(Projection::try_new(columns, Arc::new(input))?), groups))
    }
}

/// The rows of the plan that have a group among the keys, or have none.
fn joined(
    session: &SessionContext,
    rows: LogicalPlan,
    groups: &[Column],
    keys: &Keys,
    join_type: JoinType,
) -> PlanResult<LogicalPlan> {
    let named: Vec<Expr> = keys
        .schema
        .fields()
        .iter()
        .enumerate()
        .map(|(place, field)| ident(field.name()).alias(key_column(place)))
        .collect();
    let keys = session.read_table(keys.table()?)?.select(named)?.into_unoptimized_plan();
    let wanted: Vec<Column> = (0..groups.len()).map(|place| Column::new_unqualified(key_column(place))).collect();
    LogicalPlanBuilder::from(rows)
        .join_detailed(keys, join_type, (groups.to_vec(), wanted), None, NullEquality::NullEqualsNull)?
        .build()
}

fn key_column(place: usize) -> String {
    format!("__key_{place}")
}
