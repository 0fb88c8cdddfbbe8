//! Affected partitions: the parts of the result whose rows upstream changed are made anew, the others stay.
//!
//! A column divides the result ([`sql::dividers`]); the values it has in rows that came or went name the parts. Where the
//! table is partitioned by that column only the files of those partitions are replaced, else their rows are.

use std::sync::Arc;

use ::stage::{Error, Result, TableName};
use arrow::datatypes::{Field, SchemaRef};
use lake::{Add, Table};
use sql::{Divider, Engine, LogicalPlan, Refusal, ScalarValue, SessionContext};

use crate::inputs::{Change, Input, Inputs, rows_of};
use crate::plan::Planner;

/// More parts than this are made anew together with all others.
const MOST_PARTS: usize = 1_000;

/// Parts of the result that have to be made anew.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Affected {
    /// The table whose rows changed.
    table: TableName,
    divider: Divider,
    values: Vec<ScalarValue>,
}

/// What replaces the affected parts.
pub(crate) struct Replacement {
    pub(crate) session: SessionContext,
    pub(crate) plan: LogicalPlan,
    /// The files that go, when all others stay as they are.
    pub(crate) replaced: Option<Vec<Add>>,
}

/// The column by which the result falls apart for rows of a table: where there is a choice, one that the log tells of.
///
/// # Errors
/// Why there is none.
pub(crate) fn divider(
    plan: &LogicalPlan,
    name: &TableName,
    input: &Input,
    partition_by: &[String],
) -> std::result::Result<Divider, Refusal> {
    let dividers = sql::dividers(plan, name)?;
    let is_partition = |divider: &&Divider| is_told(input, divider);
    let is_own = |divider: &&Divider| partition_by.contains(&divider.result);
    let best = dividers.iter().find(|divider| is_partition(divider) && is_own(divider));
    let best = best.or_else(|| dividers.iter().find(is_partition)).or_else(|| dividers.iter().find(is_own));
    best.or(dividers.first()).cloned().ok_or_else(|| Refusal::new("not_divided", "no column divides the result"))
}

/// Whether the log tells the values of the column in each file, so that no file is read for them.
pub(crate) fn is_told(input: &Input, divider: &Divider) -> bool {
    input.table.partition_columns().contains(&divider.table)
}

/// The parts that rows which came to a table or left it belong to.
///
/// # Errors
/// When files cannot be read; a refusal inside says that there are too many.
pub(crate) async fn affected(
    engine: &Engine,
    name: &TableName,
    input: &Input,
    divider: Divider,
) -> Result<std::result::Result<Affected, Refusal>> {
    let Change::Rows { added, removed } = &input.change else {
        return Ok(Err(Refusal::new("nothing_new", format!("no rows came to {name} or left it"))));
    };
    let many =
        || Refusal::new("many_partitions", format!("more than {MOST_PARTS} values of `{}` changed", divider.table));
    let mut values: Vec<ScalarValue> = Vec::new();
    for files in [added, removed] {
        match values_in(engine, input, files, &divider).await? {
            Some(found) => values.extend(found),
            None => return Ok(Err(many())),
        }
    }
    values.sort_by(|one, two| one.partial_cmp(two).unwrap_or(std::cmp::Ordering::Equal));
    values.dedup();
    if values.len() > MOST_PARTS {
        return Ok(Err(many()));
    }
    Ok(Ok(Affected { table: name.clone(), divider, values }))
}

impl Affected {
    /// About how many rows the parts are made from, where the log tells which files those are in.
    ///
    /// # Errors
    /// When the files cannot be listed.
    pub(crate) async fn rows(&self, input: &Input) -> Result<u64> {
        Ok(rows_of(&of_values(&input.table, &self.divider.table, &self.values).await?))
    }
}

/// The query over what the affected parts are made from, beside the parts that stay.
///
/// # Errors
/// [`stage::Kind::Bug`] when the plan does not hold together.
pub(crate) async fn replacement(
    planner: &Planner<'_>,
    inputs: &Inputs,
    table: &Table,
    affected: &Affected,
    schema: &SchemaRef,
    partition_by: &[String],
) -> Result<Replacement> {
    let Affected { table: name, divider, values } = affected;
    let mut tables = inputs.whole().await?;
    let whole = tables.remove(name).ok_or_else(|| Error::bug(format!("{name} was not opened")))?;
    let lookup = planner.engine.session(name.pipeline());
    tables.insert(name.clone(), sql::rows_with(&lookup, whole, &divider.table, values, true)?);
    let (session, plan) = planner.plan(&tables).await?;
    if partition_by.contains(&divider.result) {
        let replaced = of_values(table, &divider.result, values).await?;
        return Ok(Replacement { session, plan, replaced: Some(replaced) });
    }
    let existing = table.scan(&table.files().await?, schema, partition_by)?;
    let stays = sql::rows_with(&session, existing, &divider.result, values, false)?;
    let plan = sql::appended(&session, stays, plan)?;
    Ok(Replacement { session, plan, replaced: None })
}

/// The values of a column in some files; `None` when they are too many.
async fn values_in(
    engine: &Engine,
    input: &Input,
    files: &[Add],
    divider: &Divider,
) -> Result<Option<Vec<ScalarValue>>> {
    let column = divider.table.as_str();
    if files.is_empty() {
        return Ok(Some(Vec::new()));
    }
    if is_told(input, divider) {
        let field = field_of(&input.table, column)?;
        return files
            .iter()
            .map(|file| input.table.partition_value(file, &field))
            .collect::<Result<Vec<_>>>()
            .map(Some);
    }
    sql::distinct_values(&engine.session("parts"), input.scan(files)?, column, MOST_PARTS).await
}

/// The files of a table that is partitioned by `column`, in which it has one of the values.
async fn of_values(table: &Table, column: &str, values: &[ScalarValue]) -> Result<Vec<Add>> {
    let field = field_of(table, column)?;
    let mut files = Vec::new();
    for file in table.files().await? {
        if values.contains(&table.partition_value(&file, &field)?) {
            files.push(file);
        }
    }
    Ok(files)
}

fn field_of(table: &Table, column: &str) -> Result<Arc<Field>> {
    let schema = table.schema();
    let field = schema.iter().flat_map(|schema| schema.fields().iter()).find(|field| field.name() == column);
    field.cloned().ok_or_else(|| Error::bug(format!("{} has no column `{column}`", table.name())))
}
