//! The columns of a message: its key, headers, time, and where it stood.
//!
//! `_key` is text. A key that is not UTF-8 stands there as base64, and `_rescued_data` says so with `"_key":"base64"`.
//! `_headers` is a JSON object, or null where there are none.

use std::sync::Arc;

use arrow::array::{
    Array as _, ArrayRef, AsArray as _, Int64Array, RecordBatch, StringViewArray, StringViewBuilder,
    TimestampMicrosecondArray, UInt32Array, new_null_array,
};
use arrow::compute::take;
use arrow::datatypes::{DataType, Field, FieldRef, Schema, SchemaRef};
use chrono::{DateTime, Utc};
use frame::decode::RESCUED_DATA;
use frame::types::timestamp;
use stage::{Error, Result};

use super::batch::Piece;
use crate::columns::{is_system, system_fields};
use crate::messages::payload::indices;
use crate::messages::values::{NO_TIME, Texts, base64_of};

/// The key of a message.
pub(crate) const KEY: &str = "_key";
/// The headers of a message.
pub(crate) const HEADERS: &str = "_headers";
/// When the message was made, or appended, as the topic says.
pub(crate) const TIMESTAMP: &str = "_timestamp";
/// All of them, in their order behind the data.
pub(crate) const OF_MESSAGE: [&str; 3] = [KEY, HEADERS, TIMESTAMP];

/// Whether a column is one that a message brings beside its payload.
pub(crate) fn is_of_message(name: &str) -> bool {
    OF_MESSAGE.iter().any(|known| name.eq_ignore_ascii_case(known))
}

/// The whole schema of a table, for data of the given schema.
pub(crate) fn table_schema(data: &Schema) -> SchemaRef {
    let types = [DataType::Utf8View, DataType::Utf8View, timestamp()];
    let of_message = OF_MESSAGE.iter().zip(types).map(|(name, data_type)| Arc::new(Field::new(*name, data_type, true)));
    let fields: Vec<FieldRef> = data.fields().iter().cloned().chain(of_message).chain(system_fields()).collect();
    Arc::new(Schema::new(fields))
}

/// The data columns of an existing table.
pub(crate) fn data_columns(table: &Schema) -> SchemaRef {
    let is_data = |field: &&FieldRef| !is_system(field.name()) && !is_of_message(field.name());
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
        let chosen = match rows == piece.offsets.len() {
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
        let (keys, encoded) = keys(&piece.keys);
        arrays.push(pick(keys)?);
        arrays.push(pick(headers(&piece.headers))?);
        arrays.push(pick(times(&piece.timestamps))?);
        arrays.push(pick(sources(piece)?)?);
        arrays.push(pick(Arc::new(Int64Array::from(piece.offsets.clone())))?);
        let ingested = TimestampMicrosecondArray::from_value(self.now.timestamp_micros(), rows).with_timezone("UTC");
        arrays.push(Arc::new(ingested));
        arrays.push(Arc::new(Int64Array::from_value(self.batch, rows)));
        let rescued = decoded.column_by_name(RESCUED_DATA).cloned();
        let rescued = rescued.ok_or_else(|| Error::bug("decoded rows do not say what was rescued"))?;
        arrays.push(if encoded.is_empty() { rescued } else { noted(decoded, &rescued, &encoded)? });
        let data_fields: Vec<FieldRef> = data.iter().map(|index| schema.fields()[*index].clone()).collect();
        RecordBatch::try_new(table_schema(&Schema::new(data_fields)), arrays).map_err(unfit)
    }
}

/// The partition of each message. Taking copies the view only, so all rows share the bytes of the names.
fn sources(piece: &Piece) -> Result<ArrayRef> {
    let names = StringViewArray::from_iter_values(piece.known.iter().map(|partition| partition.name.as_str()));
    take(&names, &UInt32Array::from(piece.partitions.clone()), None).map_err(unfit)
}

/// The keys as text, and the messages whose key had to be encoded.
fn keys(keys: &Texts) -> (ArrayRef, Vec<usize>) {
    let count = keys.present.len();
    if !keys.present.iter().any(|present| *present) {
        return (new_null_array(&DataType::Utf8View, count), Vec::new());
    }
    let mut texts = StringViewBuilder::with_capacity(count);
    let mut encoded = Vec::new();
    for index in 0..count {
        match keys.get(index).map(|key| (key, std::str::from_utf8(key))) {
            None => texts.append_null(),
            Some((_, Ok(text))) => texts.append_value(text),
            Some((bytes, Err(_))) => {
                encoded.push(index);
                texts.append_value(base64_of(bytes));
            }
        }
    }
    (Arc::new(texts.finish()), encoded)
}

fn headers(headers: &Texts) -> ArrayRef {
    let count = headers.present.len();
    if headers.bytes.is_empty() {
        return new_null_array(&DataType::Utf8View, count);
    }
    let mut texts = StringViewBuilder::with_capacity(count);
    for index in 0..count {
        texts.append_option(headers.get(index).and_then(|header| std::str::from_utf8(header).ok()));
    }
    Arc::new(texts.finish())
}

fn times(times: &[i64]) -> ArrayRef {
    let array = if times.contains(&NO_TIME) {
        times.iter().map(|time| (*time != NO_TIME).then_some(*time)).collect::<TimestampMicrosecondArray>()
    } else {
        TimestampMicrosecondArray::from(times.to_vec())
    };
    Arc::new(array.with_timezone("UTC"))
}

/// What was rescued, with a note at the rows whose key was encoded.
fn noted(decoded: &RecordBatch, rescued: &ArrayRef, encoded: &[usize]) -> Result<ArrayRef> {
    let rescued = rescued.as_string_view();
    let mut texts = StringViewBuilder::with_capacity(rescued.len());
    for (row, index) in indices(decoded)?.into_iter().enumerate() {
        let text = rescued.is_valid(row).then(|| rescued.value(row));
        if encoded.binary_search(&index).is_err() {
            texts.append_option(text);
            continue;
        }
        // Added as text, because reading numbers could change them.
        let before = text.and_then(|text| text.strip_suffix('}')).map(|notes| format!("{notes},"));
        texts.append_value(format!("{}\"{KEY}\":\"base64\"}}", before.unwrap_or_else(|| "{".to_owned())));
    }
    Ok(Arc::new(texts.finish()))
}

fn unfit(error: arrow::error::ArrowError) -> Error {
    Error::bug("could not add the columns of messages").with_source(error)
}

#[cfg(test)]
mod tests {
    use arrow::datatypes::Int64Type;

    use super::*;
    use crate::kafka::positions::Partition;

    fn piece() -> Piece {
        let mut piece = Piece {
            offsets: vec![7, 8, 40],
            partitions: vec![1, 1, 0],
            timestamps: vec![1_000, NO_TIME, 3_000],
            known: Arc::new(vec![Partition::new("c", "t", 0), Partition::new("c", "t", 1)]),
            ..Piece::default()
        };
        for key in [Some(&b"k"[..]), None, Some(b"\xff")] {
            piece.keys.push(key);
            piece.headers.push(None);
        }
        piece
    }

    fn decoded(indices: Vec<i64>, rescued: Vec<Option<&str>>) -> RecordBatch {
        let data = indices.iter().map(|index| index * 10).collect::<Int64Array>();
        RecordBatch::try_from_iter_with_nullable([
            ("a", Arc::new(data) as ArrayRef, true),
            ("_position", Arc::new(Int64Array::from(indices)) as ArrayRef, true),
            (RESCUED_DATA, Arc::new(StringViewArray::from(rescued)) as ArrayRef, true),
        ])
        .unwrap()
    }

    fn columns() -> Columns {
        Columns { batch: 4, now: DateTime::UNIX_EPOCH }
    }

    #[test]
    fn rows_keep_what_the_message_brought() {
        let rows = columns().complete(&decoded(vec![0, 2], vec![None, Some("{\"b\":1}")]), &piece()).unwrap();
        let names: Vec<String> = rows.schema().fields().iter().map(|field| field.name().clone()).collect();
        let expected = ["a", KEY, HEADERS, TIMESTAMP, "_source", "_position", "_ingested_at", "_batch", RESCUED_DATA];
        assert_eq!(names, expected);
        let text = |name: &str, row: usize| rows.column_by_name(name).unwrap().as_string_view().value(row).to_owned();
        assert_eq!((text("_source", 0), text("_source", 1)), ("t/1".to_owned(), "t/0".to_owned()));
        assert_eq!(rows.column_by_name("_position").unwrap().as_primitive::<Int64Type>().values(), &[7, 40]);
        assert_eq!((text(KEY, 0), text(KEY, 1)), ("k".to_owned(), "/w==".to_owned()));
        assert_eq!(text(RESCUED_DATA, 1), r#"{"b":1,"_key":"base64"}"#);
    }

    #[test]
    fn what_a_message_does_not_have_is_null() {
        let rows = columns().complete(&decoded(vec![0, 1, 2], vec![None; 3]), &piece()).unwrap();
        let is_null = |name: &str, row: usize| rows.column_by_name(name).unwrap().is_null(row);
        assert!(is_null(KEY, 1) && is_null(TIMESTAMP, 1) && is_null(HEADERS, 0) && !is_null(TIMESTAMP, 0));
        assert_eq!(rows.schema(), table_schema(&Schema::new(vec![Field::new("a", DataType::Int64, true)])));
    }
}
