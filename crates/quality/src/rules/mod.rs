//! The rules themselves: each looks at the columns it names and gives one bit per row, set where the row violates it.
//!
//! All are Arrow kernels or one loop over a column, so no column has to cross to another library. A rule that needs a
//! value and finds null is violated. NaN counts as no value wherever values are compared.

mod presence;
mod text;
mod values;

use arrow::array::{Array, ArrayRef, BooleanArray, RecordBatch};
use arrow::buffer::BooleanBuffer;
use chrono::{DateTime, Utc};
use stage::{Error, Result};

pub(crate) use self::presence::NotInFuture;
pub(crate) use self::text::{Text, TextTest};
pub(crate) use self::values::{Between, Compare, Operator, Set, common_type};
use crate::compile::Predicate;

/// A rule bound to the columns of one schema.
#[derive(Clone)]
pub(crate) enum Rule {
    /// Columns that must have a value.
    NotNull(Vec<String>),
    /// Values that a column must or must not have.
    Set(Set),
    /// Bounds of a column.
    Between(Between),
    /// What texts must look like.
    Text(Text),
    /// Times that must have passed.
    NotInFuture(NotInFuture),
    /// Two columns that must relate.
    Compare(Compare),
    /// A boolean in SQL.
    Sql(Predicate),
}

impl Rule {
    /// A set bit for each row that violates the rule; `None` when no row does.
    ///
    /// # Errors
    /// [`stage::Kind::Bug`] when the batch does not have the columns the rule was checked against, and whatever SQL
    /// reports for a predicate.
    pub(crate) fn violations(&self, batch: &RecordBatch, now: DateTime<Utc>) -> Result<Option<BooleanBuffer>> {
        match self {
            Rule::NotNull(columns) => presence::null_rows(batch, columns),
            Rule::Set(set) => set.violations(batch),
            Rule::Between(between) => between.violations(batch),
            Rule::Text(text) => text.violations(batch),
            Rule::NotInFuture(times) => times.violations(batch, now),
            Rule::Compare(compare) => compare.violations(batch),
            Rule::Sql(predicate) => Ok(untrue(&predicate(batch, now)?)),
        }
    }
}

/// The rows for which a condition is false or null.
fn untrue(condition: &BooleanArray) -> Option<BooleanBuffer> {
    let untrue = match condition.nulls() {
        Some(valid) => !&(condition.values() & valid.inner()),
        None => !condition.values(),
    };
    some_set(untrue)
}

fn some_set(rows: BooleanBuffer) -> Option<BooleanBuffer> {
    (rows.count_set_bits() > 0).then_some(rows)
}

/// Violations of any of several columns.
fn any_of(
    columns: &[String],
    mut violations: impl FnMut(&str) -> Result<Option<BooleanBuffer>>,
) -> Result<Option<BooleanBuffer>> {
    let mut all: Option<BooleanBuffer> = None;
    for column in columns {
        all = match (all, violations(column)?) {
            (Some(all), Some(more)) => Some(&all | &more),
            (one, other) => one.or(other),
        };
    }
    Ok(all)
}

fn column<'a>(batch: &'a RecordBatch, name: &str) -> Result<&'a ArrayRef> {
    batch
        .column_by_name(name)
        .ok_or_else(|| Error::bug(format!("column `{name}` is gone after the expectations on it were checked")))
}

fn refused(error: arrow::error::ArrowError) -> Error {
    Error::bug("an expectation that was checked could not be computed").with_source(error)
}
