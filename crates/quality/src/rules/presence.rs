//! Rules about a value being there, and about times that have not come yet.

use arrow::array::{Array, ArrayRef, ArrowPrimitiveType, AsArray, RecordBatch};
use arrow::buffer::BooleanBuffer;
use arrow::datatypes::{DataType, Date32Type, TimestampMicrosecondType};
use chrono::{DateTime, Utc};
use stage::Result;

use super::{any_of, column, some_set};

/// The rows with a null in any of the columns; costs nothing for columns without nulls.
pub(super) fn null_rows(batch: &RecordBatch, columns: &[String]) -> Result<Option<BooleanBuffer>> {
    any_of(columns, |name| {
        let array = column(batch, name)?;
        // The logical nulls, because a column of SQL's bare NULL keeps no bits for them.
        Ok(array.logical_nulls().filter(|nulls| nulls.null_count() > 0).map(|nulls| !nulls.inner()))
    })
}

/// `not_in_future`: dates and timestamps that must not be later than now, in UTC.
#[derive(Debug, Clone)]
pub(crate) struct NotInFuture {
    /// Date or timestamp columns.
    pub(crate) columns: Vec<String>,
}

impl NotInFuture {
    /// Whether the rule can be asked of a column of this type.
    pub(crate) fn allows(data_type: &DataType) -> bool {
        matches!(data_type, DataType::Date32 | DataType::Timestamp(arrow::datatypes::TimeUnit::Microsecond, _))
    }

    pub(super) fn violations(&self, batch: &RecordBatch, now: DateTime<Utc>) -> Result<Option<BooleanBuffer>> {
        any_of(&self.columns, |name| {
            let array = column(batch, name)?;
            Ok(match array.data_type() {
                DataType::Date32 => later_than::<Date32Type>(array, now.date_naive().to_epoch_days()),
                _ => later_than::<TimestampMicrosecondType>(array, now.timestamp_micros()),
            })
        })
    }
}

fn later_than<T: ArrowPrimitiveType>(array: &ArrayRef, limit: T::Native) -> Option<BooleanBuffer>
where
    T::Native: PartialOrd,
{
    let array = array.as_primitive::<T>();
    let values = array.values();
    let later = BooleanBuffer::collect_bool(array.len(), |row| values[row] > limit);
    some_set(match array.nulls() {
        Some(valid) => &later | &!valid.inner(),
        None => later,
    })
}
