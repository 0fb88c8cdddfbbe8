//! The columns of a message beside its payload: its key, what its source tells of it, its time, and where it stood.
//!
//! `_key` is text. A key that is not UTF-8 stands there as base64, and `_rescued_data` says so with `"_key":"base64"`.

use std::sync::Arc;

use arrow::array::{
    Array as _, ArrayRef, AsArray as _, Int64Array, RecordBatch, StringViewArray, StringViewBuilder,
    TimestampMicrosecondArray, UInt32Array, new_null_array,
};
use arrow::compute::take;
use arrow::datatypes::{DataType, FieldRef, Schema};
use chrono::{DateTime, Utc};
use frame::decode::RESCUED_DATA;
use stage::{Error, Result};

use super::kind::{KEY, MessageKind};
use super::payload::indices;
use super::piece::Piece;
use super::values::{NO_TIME, Texts, base64_of};
use crate::columns::is_system;

/// What is added to the rows of one batch.
#[derive(Debug, Clone)]
pub(crate) struct Columns {
    pub(crate) kind: MessageKind,
    pub(crate) batch: i64,
    pub(crate) now: DateTime<Utc>,
}

impl Columns {
    /// The decoded rows of a piece with every column of the table. `decoded` ends with indices and what was rescued.
    pub(crate) fn complete(&self, decoded: &RecordBatch, piece: &Piece) -> Result<RecordBatch> {
        let rows = decoded.num_rows();
        let chosen = match rows == piece.positions.len() {
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
        arrays.push(pick(texts(&piece.details))?);
        arrays.push(pick(times(&piece.timestamps))?);
        arrays.push(pick(sources(piece)?)?);
        arrays.push(pick(Arc::new(Int64Array::from(piece.positions.clone())))?);
        let ingested = TimestampMicrosecondArray::from_value(self.now.timestamp_micros(), rows).with_timezone("UTC");
        arrays.push(Arc::new(ingested));
        arrays.push(Arc::new(Int64Array::from_value(self.batch, rows)));
        let rescued = decoded.column_by_name(RESCUED_DATA).cloned();
        let rescued = rescued.ok_or_else(|| Error::bug("decoded rows do not say what was rescued"))?;
        arrays.push(if encoded.is_empty() { rescued } else { noted(decoded, &rescued, &encoded)? });
        let data_fields: Vec<FieldRef> = data.iter().map(|index| schema.fields()[*index].clone()).collect();
        RecordBatch::try_new(self.kind.table_schema(&Schema::new(data_fields)), arrays).map_err(unfit)
    }
}

/// The part of the source of each message. Taking copies the view only, so all rows share the bytes of the names.
fn sources(piece: &Piece) -> Result<ArrayRef> {
    let names = StringViewArray::from_iter_values(piece.names.iter());
    take(&names, &UInt32Array::from(piece.parts.clone()), None).map_err(unfit)
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

fn texts(texts: &Texts) -> ArrayRef {
    let count = texts.present.len();
    if texts.bytes.is_empty() {
        return new_null_array(&DataType::Utf8View, count);
    }
    let mut array = StringViewBuilder::with_capacity(count);
    for index in 0..count {
        array.append_option(texts.get(index).and_then(|text| std::str::from_utf8(text).ok()));
    }
    Arc::new(array.finish())
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
    use arrow::datatypes::{Field, Int64Type};

    use super::*;
    use crate::kafka::KIND;
    use crate::messages::kind::TIMESTAMP;

    const HEADERS: &str = "_headers";

    fn piece() -> Piece {
        let mut piece = Piece {
            positions: vec![7, 8, 40],
            parts: vec![1, 1, 0],
            timestamps: vec![1_000, NO_TIME, 3_000],
            names: Arc::new(vec!["t/0".to_owned(), "t/1".to_owned()]),
            ..Piece::default()
        };
        for key in [Some(&b"k"[..]), None, Some(b"\xff")] {
            piece.keys.push(key);
            piece.details.push(None);
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
        Columns { kind: KIND, batch: 4, now: DateTime::UNIX_EPOCH }
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
        assert_eq!(rows.schema(), KIND.table_schema(&Schema::new(vec![Field::new("a", DataType::Int64, true)])));
    }
}
