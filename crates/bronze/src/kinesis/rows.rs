//! Decoded rows with every column of the table.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, Int64Array, RecordBatch, StringViewArray, StringViewBuilder, TimestampMicrosecondArray, UInt32Array,
};
use arrow::compute::take;
use arrow::datatypes::{FieldRef, Schema, SchemaRef};
use chrono::{DateTime, Utc};
use frame::decode::RESCUED_DATA;
use stage::{Error, Result};

use super::columns::{is_of_record, table_schema};
use super::piece::Piece;
use crate::columns::is_system;
use crate::messages::payload::indices;
use crate::messages::values::{NO_TIME, Texts};

/// The data columns of an existing table.
pub(crate) fn data_columns(table: &Schema) -> SchemaRef {
    let is_data = |field: &&FieldRef| !is_system(field.name()) && !is_of_record(field.name());
    Arc::new(Schema::new(table.fields().iter().filter(is_data).cloned().collect::<Vec<_>>()))
}

/// What is the same for all rows of a batch.
#[derive(Debug, Clone)]
pub(crate) struct Columns {
    pub(crate) batch: i64,
    pub(crate) now: DateTime<Utc>,
}

impl Columns {
    /// The decoded rows of a piece with every column of the table. `decoded` ends with indices and what was rescued.
    pub(crate) fn complete(&self, decoded: &RecordBatch, piece: &Piece) -> Result<RecordBatch> {
        let rows = decoded.num_rows();
        let chosen = match rows == piece.shards.len() {
            true => None,
            false => Some(indices(decoded)?.into_iter().map(|index| index as u32).collect::<UInt32Array>()),
        };
        let pick = |array: ArrayRef| match &chosen {
            Some(chosen) => take(&array, chosen, None).map_err(unfit),
            None => Ok(array),
        };
        let schema = decoded.schema();
        let data: Vec<usize> =
            (0..schema.fields().len()).filter(|index| !is_system(schema.field(*index).name())).collect();
        let mut arrays: Vec<ArrayRef> = data.iter().map(|index| decoded.column(*index).clone()).collect();
        arrays.push(pick(texts(&piece.messages.keys))?);
        arrays.push(pick(texts(&piece.sequence_numbers))?);
        arrays.push(pick(times(&piece.messages.timestamps))?);
        arrays.push(pick(sources(piece)?)?);
        arrays.push(pick(Arc::new(Int64Array::from(piece.messages.offsets.clone())))?);
        let ingested = TimestampMicrosecondArray::from_value(self.now.timestamp_micros(), rows).with_timezone("UTC");
        arrays.push(Arc::new(ingested));
        arrays.push(Arc::new(Int64Array::from_value(self.batch, rows)));
        let rescued = decoded.column_by_name(RESCUED_DATA).cloned();
        arrays.push(rescued.ok_or_else(|| Error::bug("decoded rows do not say what was rescued"))?);
        let data_fields: Vec<FieldRef> = data.iter().map(|index| schema.fields()[*index].clone()).collect();
        RecordBatch::try_new(table_schema(&Schema::new(data_fields)), arrays).map_err(unfit)
    }
}

/// The shard of each row. Taking copies the view only, so all rows share the bytes of the names.
fn sources(piece: &Piece) -> Result<ArrayRef> {
    let names = StringViewArray::from_iter_values(piece.names.iter());
    take(&names, &UInt32Array::from(piece.shards.clone()), None).map_err(unfit)
}

fn texts(texts: &Texts) -> ArrayRef {
    let count = texts.present.len();
    let mut array = StringViewBuilder::with_capacity(count);
    for index in 0..count {
        array.append_option(texts.get(index).and_then(|text| std::str::from_utf8(text).ok()));
    }
    Arc::new(array.finish())
}

fn times(times: &[i64]) -> ArrayRef {
    let array: TimestampMicrosecondArray = times.iter().map(|time| (*time != NO_TIME).then_some(*time)).collect();
    Arc::new(array.with_timezone("UTC"))
}

fn unfit(error: arrow::error::ArrowError) -> Error {
    Error::bug("could not add the columns of records").with_source(error)
}
