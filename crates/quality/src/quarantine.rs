//! Quarantine tables: rows that failed, as JSON, with the reasons and where they came from, so that they can be read by
//! anyone and replayed. All quarantine tables have one schema, whatever table they stand beside.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, Int64Array, Int64Builder, ListBuilder, RecordBatch, StringViewArray, StringViewBuilder,
    TimestampMicrosecondArray, UInt64Array,
};
use arrow::compute::{cast, take_record_batch};
use arrow::datatypes::{DataType, Field, Int64Type, Schema, SchemaRef, TimeUnit};
use arrow::error::ArrowError;
use arrow::json::WriterBuilder;
use arrow::json::writer::LineDelimited;
use chrono::{DateTime, Utc};
use lake::replay;
use stage::columns::{BATCH, POSITION, SOURCE};
use stage::{Error, Result};

use crate::Violation;

/// The columns of a row that say where it came from; they stand in columns of their own here, and not in the JSON.
const ORIGIN: [&str; 3] = [SOURCE, POSITION, BATCH];

/// What is the same for all rows that are put aside together.
#[derive(Debug, Clone)]
pub struct Origin<'a> {
    /// The run.
    pub run: &'a str,
    /// When the rows are put aside.
    pub at: DateTime<Utc>,
    /// The number of the batch, for rows that do not have a `_batch` of their own.
    pub batch: Option<i64>,
}

/// Text that did not become a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unread<'a> {
    /// The text as it was found.
    pub raw: &'a str,
    /// Why it is no row.
    pub reason: &'a str,
    /// The file or partition it was found in.
    pub source: &'a str,
    /// Its line or offset there.
    pub position: i64,
}

/// The schema of every quarantine table.
pub fn schema() -> SchemaRef {
    let refused = vec![
        Field::new("row", DataType::Utf8View, true),
        Field::new("reasons", DataType::List(Arc::new(element())), true),
        Field::new("source", DataType::Utf8View, true),
        Field::new("position", DataType::Int64, true),
        Field::new("batch", DataType::Int64, true),
        Field::new("run", DataType::Utf8View, true),
        Field::new("quarantined_at", DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())), true),
    ];
    Arc::new(Schema::new(refused.into_iter().chain(replay::fields()).collect::<Vec<_>>()))
}

/// The violating rows of a batch, in the schema of quarantine tables. Each row is a JSON object with its nulls written
/// and its times in RFC 3339; its origin is taken from `_source`, `_position` and `_batch` when the batch has them.
///
/// # Errors
/// [`stage::Kind::Bug`] when a column has a type that no table can have.
pub fn rows(batch: &RecordBatch, violations: &[Violation], origin: &Origin) -> Result<RecordBatch> {
    let indices: UInt64Array = violations.iter().map(|violation| violation.row as u64).collect();
    let failed = take_record_batch(batch, &indices).map_err(unwritable)?;
    let json = as_json(&failed)?;
    let source = match failed.column_by_name(SOURCE) {
        Some(source) => cast(source, &DataType::Utf8View).map_err(unwritable)?,
        None => Arc::new(StringViewArray::from(vec![None::<&str>; failed.num_rows()])),
    };
    let number = |name: &str, otherwise: Option<i64>| -> Result<Int64Array> {
        match failed.column_by_name(name) {
            Some(column) => Ok(cast(column, &DataType::Int64).map_err(unwritable)?.as_primitive::<Int64Type>().clone()),
            None => Ok(Int64Array::from(vec![otherwise; failed.num_rows()])),
        }
    };
    let reasons = violations.iter().map(|violation| violation.rules.iter().map(String::as_str));
    assemble(json, reasons, source, number(POSITION, None)?, number(BATCH, origin.batch)?, origin)
}

/// Text that did not become rows, in the schema of quarantine tables. The reason is `parse: ` and why.
///
/// # Errors
/// [`stage::Kind::Bug`] when the columns do not fit the schema, which no input can bring about.
pub fn unread(texts: &[Unread], origin: &Origin) -> Result<RecordBatch> {
    let mut raw = StringViewBuilder::with_capacity(texts.len());
    let mut sources = StringViewBuilder::with_capacity(texts.len());
    let mut positions = Int64Builder::with_capacity(texts.len());
    let mut reasons = Vec::with_capacity(texts.len());
    for text in texts {
        raw.append_value(text.raw);
        sources.append_value(text.source);
        positions.append_value(text.position);
        reasons.push(format!("parse: {}", text.reason.strip_prefix("parse: ").unwrap_or(text.reason)));
    }
    let reasons = reasons.iter().map(|reason| [reason.as_str()]);
    let batch = Int64Array::from(vec![origin.batch; texts.len()]);
    assemble(raw.finish(), reasons, Arc::new(sources.finish()), positions.finish(), batch, origin)
}

/// Rows of a quarantine table with other reasons, and without what they held: only what they are known by stays.
///
/// # Errors
/// [`stage::Kind::Bug`] when there are not as many reasons as rows.
pub(crate) fn with_reasons(rows: &RecordBatch, reasons: &[&Vec<String>]) -> Result<RecordBatch> {
    let mut lists = ListBuilder::new(StringViewBuilder::new()).with_field(element());
    for names in reasons {
        names.iter().for_each(|name| lists.values().append_value(name));
        lists.append(true);
    }
    let lists: ArrayRef = Arc::new(lists.finish());
    let columns =
        rows.schema_ref().fields().iter().zip(rows.columns()).map(|(field, column)| match field.name().as_str() {
            "row" => Arc::new(StringViewArray::from(vec![None::<&str>; rows.num_rows()])) as ArrayRef,
            "reasons" => lists.clone(),
            _ => column.clone(),
        });
    RecordBatch::try_new(rows.schema(), columns.collect()).map_err(unwritable)
}

fn assemble<'a, R: IntoIterator<Item = &'a str>>(
    row: StringViewArray,
    reasons: impl Iterator<Item = R>,
    source: ArrayRef,
    position: Int64Array,
    batch: Int64Array,
    origin: &Origin,
) -> Result<RecordBatch> {
    let count = row.len();
    let mut lists = ListBuilder::new(StringViewBuilder::new()).with_field(element());
    for names in reasons {
        names.into_iter().for_each(|name| lists.values().append_value(name));
        lists.append(true);
    }
    let run = StringViewArray::from(vec![Some(origin.run); count]);
    let at = TimestampMicrosecondArray::from(vec![origin.at.timestamp_micros(); count]).with_timezone("UTC");
    let columns: Vec<ArrayRef> = vec![
        Arc::new(row),
        Arc::new(lists.finish()),
        source,
        Arc::new(position),
        Arc::new(batch),
        Arc::new(run),
        Arc::new(at),
        Arc::new(StringViewArray::from(vec![Some(replay::QUARANTINED); count])),
        Arc::new(replay::no_replays(count)?),
    ];
    RecordBatch::try_new(schema(), columns).map_err(unwritable)
}

/// Each row as a JSON object, without the columns of its origin.
fn as_json(rows: &RecordBatch) -> Result<StringViewArray> {
    let fields = rows.schema_ref().fields();
    let written: Vec<usize> =
        (0..fields.len()).filter(|&index| !ORIGIN.contains(&fields[index].name().as_str())).collect();
    if written.is_empty() {
        return Ok(StringViewArray::from(vec![Some("{}"); rows.num_rows()]));
    }
    let rows = rows.project(&written).map_err(unwritable)?;
    let mut writer = WriterBuilder::new().with_explicit_nulls(true).build::<_, LineDelimited>(Vec::new());
    writer.write(&rows).map_err(unwritable)?;
    writer.finish().map_err(unwritable)?;
    let text = String::from_utf8(writer.into_inner())
        .map_err(|error| Error::bug("rows were written as JSON that is no text").with_source(error))?;
    Ok(text.lines().map(Some).collect())
}

fn element() -> Field {
    Field::new("element", DataType::Utf8View, true)
}

fn unwritable(error: ArrowError) -> Error {
    Error::bug("could not put rows into quarantine").with_source(error)
}

#[cfg(test)]
mod tests {
    use arrow::array::{BooleanArray, Decimal128Array, StructArray};
    use serde_json::{Value, json};

    use super::*;

    fn origin() -> Origin<'static> {
        Origin { run: "run-1", at: DateTime::from_timestamp_micros(1_000_000).unwrap(), batch: Some(9) }
    }

    fn batch() -> RecordBatch {
        let text: ArrayRef = Arc::new(StringViewArray::from(vec![Some("a"), Some("line\nbreak \"quoted\""), None]));
        let inner = StructArray::from(vec![(
            Arc::new(Field::new("flag", DataType::Boolean, true)),
            Arc::new(BooleanArray::from(vec![Some(true), None, Some(false)])) as ArrayRef,
        )]);
        let times = TimestampMicrosecondArray::from(vec![Some(0), Some(1_706_688_000_123_456), None]);
        let price = Decimal128Array::from(vec![1230, -1, 0]).with_precision_and_scale(10, 2).unwrap();
        RecordBatch::try_from_iter_with_nullable(vec![
            ("text", text, true),
            ("inner", Arc::new(inner) as ArrayRef, true),
            ("at", Arc::new(times.clone().with_timezone("UTC")) as ArrayRef, true),
            ("local", Arc::new(times) as ArrayRef, true),
            ("price", Arc::new(price) as ArrayRef, true),
            ("_source", Arc::new(StringViewArray::from(vec!["f1", "f2", "f3"])) as ArrayRef, true),
            ("_position", Arc::new(Int64Array::from(vec![1, 2, 3])) as ArrayRef, true),
        ])
        .unwrap()
    }

    fn violation(row: usize, rules: &[&str]) -> Violation {
        Violation { row, rules: rules.iter().map(|rule| (*rule).to_owned()).collect() }
    }

    #[test]
    fn a_row_is_kept_whole_with_its_reasons_and_origin() {
        let rows = rows(&batch(), &[violation(1, &["a", "b"]), violation(2, &["c"])], &origin()).unwrap();
        assert_eq!(rows.schema(), schema());
        let json: Value = serde_json::from_str(rows.column(0).as_string_view().value(0)).unwrap();
        assert_eq!(
            json,
            json!({
                "text": "line\nbreak \"quoted\"", "inner": { "flag": null }, "at": "2024-01-31T08:00:00.123456Z",
                "local": "2024-01-31T08:00:00.123456", "price": -0.01,
            })
        );
        let json: Value = serde_json::from_str(rows.column(0).as_string_view().value(1)).unwrap();
        assert_eq!((&json["text"], &json["at"]), (&Value::Null, &Value::Null));
        let reasons = rows.column(1).as_list::<i32>().value(0);
        assert_eq!(reasons.as_string_view(), &StringViewArray::from(vec!["a", "b"]));
        assert_eq!(rows.column(2).as_string_view(), &StringViewArray::from(vec!["f2", "f3"]));
        assert_eq!(rows.column(3).as_primitive::<Int64Type>(), &Int64Array::from(vec![2, 3]));
        assert_eq!(rows.column(4).as_primitive::<Int64Type>(), &Int64Array::from(vec![9, 9]));
        assert_eq!(rows.column(5).as_string_view().value(1), "run-1");
    }

    #[test]
    fn rows_without_origin_have_none() {
        let rows = rows(&batch().project(&[0]).unwrap(), &[violation(0, &["a"])], &origin()).unwrap();
        assert_eq!((rows.column(2).null_count(), rows.column(3).null_count()), (1, 1));
        assert_eq!(rows.column(0).as_string_view().value(0), r#"{"text":"a"}"#);
    }

    #[test]
    fn no_violations_make_an_empty_batch() {
        assert_eq!(rows(&batch(), &[], &origin()).unwrap().num_rows(), 0);
        assert_eq!(unread(&[], &origin()).unwrap().num_rows(), 0);
    }

    #[test]
    fn text_that_did_not_parse_is_kept_as_it_was() {
        let text = Unread { raw: "{broken", reason: "expected a key", source: "f1", position: 7 };
        let rows = unread(&[text], &origin()).unwrap();
        assert_eq!(rows.column(0).as_string_view().value(0), "{broken");
        assert_eq!(rows.column(1).as_list::<i32>().value(0).as_string_view().value(0), "parse: expected a key");
        assert_eq!(rows.column(3).as_primitive::<Int64Type>().value(0), 7);
    }
}
