//! Rows of formats that carry types of their own, brought to the table's schema.
//!
//! Columns are matched by name. A conversion that loses nothing is used as it is; where a value would change it is a
//! misfit, found by converting back and comparing.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, ListArray, RecordBatch, StructArray, new_null_array};
use arrow::buffer::Buffer;
use arrow::compute::filter_record_batch;
use arrow::compute::kernels::cmp::not_distinct;
use arrow::datatypes::{DataType, Field, FieldRef, Fields};
use stage::Result;

use crate::decode::building::assemble;
use crate::decode::canonical::{as_text, canonical, cast, columns, defect};
use crate::decode::careful::{Fate, judge};
use crate::decode::columns::{Column, Data};
use crate::decode::json_of::json_of;
use crate::decode::rows::{Note, Why, push_text};
use crate::decode::{Decoded, Decoder, Reject};
use crate::spec::NewColumns;
use crate::types;

/// Brings one batch to the schema.
pub(crate) fn decode(decoder: &Decoder, batch: &RecordBatch, first: i64) -> Result<Decoded> {
    let evolution = decoder.options.evolution;
    let source = canonical(&StructArray::from(batch.clone()))?;
    let schema = match evolution.new_columns {
        NewColumns::Add => decoder.schema.add(&columns(source.fields())),
        _ => decoder.schema.current(),
    };
    let ignore_unknown = evolution.new_columns == NewColumns::Ignore;
    let mut fitting = Fitting { ignore_unknown, notes: Vec::new() };
    let rows: Vec<usize> = (0..batch.num_rows()).collect();
    let data = fitting.structs(&source, schema.fields(), &rows, "")?;
    let positions: Vec<i64> = (0..batch.num_rows() as i64).map(|row| first + row).collect();
    let mut rescued = Column::new(&DataType::Utf8View)?;
    let (mut rejects, mut keep) = (Vec::new(), Vec::with_capacity(batch.num_rows()));
    fitting.notes.sort_by_key(|(row, _)| *row);
    let mut notes = fitting.notes.into_iter().peekable();
    for (row, position) in positions.iter().enumerate() {
        let mut of_row = Vec::new();
        while let Some((_, note)) = notes.next_if(|(other, _)| *other == row) {
            of_row.push(note);
        }
        let fate = if of_row.is_empty() { Fate::Keep(None) } else { judge(&of_row, evolution, *position)? };
        keep.push(matches!(fate, Fate::Keep(_)));
        match (fate, &mut rescued.data) {
            (Fate::Keep(Some(text)), Data::String(strings)) => {
                strings.push_own(&text);
                rescued.nulls.append_non_null();
            }
            (Fate::Reject(reason), _) => {
                rejects.push(Reject { position: *position, raw: json_of(&source, row), reason });
                rescued.push_null();
            }
            _ => rescued.push_null(),
        }
    }
    let rescued = rescued.finish(&Buffer::from_vec(Vec::<u8>::new()))?;
    let mut rows = assemble(&data, positions, rescued)?;
    if !rejects.is_empty() {
        rows = filter_record_batch(&rows, &BooleanArray::from(keep)).map_err(defect)?;
    }
    Ok(Decoded { rows, rejects, bytes: batch.get_array_memory_size() as u64 })
}

/// The row of a value that is masked by a null around it, so that nobody misses it.
const NO_ROW: usize = usize::MAX;

struct Fitting {
    ignore_unknown: bool,
    /// What did not fit, by row of the batch.
    notes: Vec<(usize, Note)>,
}

impl Fitting {
    /// `source` with the fields of the schema. `rows` tells which row of the batch each of its values belongs to.
    fn structs(&mut self, source: &StructArray, wanted: &Fields, rows: &[usize], path: &str) -> Result<StructArray> {
        let mut arrays = Vec::with_capacity(wanted.len());
        let of_values: Vec<usize> =
            rows.iter().enumerate().map(|(index, row)| if source.is_valid(index) { *row } else { NO_ROW }).collect();
        for field in wanted {
            arrays.push(match source.column_by_name(field.name()) {
                Some(array) => self.fit(array, field.data_type(), &of_values, &below(path, field.name()))?,
                None => new_null_array(field.data_type(), source.len()),
            });
        }
        for (field, array) in source.fields().iter().zip(source.columns()) {
            if !self.ignore_unknown && !wanted.iter().any(|known| known.name() == field.name()) {
                self.note_all(Why::Unknown, array, &of_values, &below(path, field.name()));
            }
        }
        let fields: Fields = wanted
            .iter()
            .zip(&arrays)
            .map(|(field, array)| Field::new(field.name(), array.data_type().clone(), true))
            .collect();
        StructArray::try_new_with_length(fields, arrays, source.nulls().cloned(), source.len()).map_err(defect)
    }

    fn fit(&mut self, array: &ArrayRef, wanted: &DataType, rows: &[usize], path: &str) -> Result<ArrayRef> {
        match (array.data_type(), wanted) {
            (DataType::Struct(_), DataType::Struct(fields)) => {
                Ok(Arc::new(self.structs(array.as_struct(), fields, rows, path)?))
            }
            (DataType::List(_), DataType::List(element)) => self.lists(array.as_list(), element, rows, path),
            (have, wanted) if have == wanted => Ok(Arc::clone(array)),
            (DataType::Null, wanted) => Ok(new_null_array(wanted, array.len())),
            (DataType::Utf8View, _) if !wanted.is_nested() => self.texts(array, wanted, rows, path),
            (_, DataType::Utf8View) => as_text(array),
            (have, wanted) if same_family(have, wanted) => self.exact(array, wanted, rows, path),
            _ => {
                self.note_all(Why::Misfit, array, rows, path);
                Ok(new_null_array(wanted, array.len()))
            }
        }
    }

    fn lists(&mut self, lists: &ListArray, element: &FieldRef, rows: &[usize], path: &str) -> Result<ArrayRef> {
        let mut of_elements = vec![NO_ROW; lists.values().len()];
        for (index, row) in rows.iter().enumerate().filter(|(index, _)| lists.is_valid(*index)) {
            let (start, end) = (lists.value_offsets()[index] as usize, lists.value_offsets()[index + 1] as usize);
            of_elements[start..end].fill(*row);
        }
        let values = self.fit(lists.values(), element.data_type(), &of_elements, path)?;
        let field = Field::new(types::ELEMENT, values.data_type().clone(), true);
        let array = ListArray::try_new(field.into(), lists.offsets().clone(), values, lists.nulls().cloned());
        Ok(Arc::new(array.map_err(defect)?))
    }

    /// Texts are read as those of CSV.
    fn texts(&mut self, array: &ArrayRef, wanted: &DataType, rows: &[usize], path: &str) -> Result<ArrayRef> {
        let texts = array.as_string_view();
        let mut column = Column::new(wanted)?;
        for (index, text) in texts.iter().enumerate() {
            let Some(text) = text else {
                column.push_null();
                continue;
            };
            if !push_text(&mut column, text) {
                column.push_null();
                self.note(Why::Misfit, array, index, rows, path);
            }
        }
        column.finish(&Buffer::from_vec(Vec::<u8>::new()))
    }

    /// A cast of which every value that changed is a misfit.
    fn exact(&mut self, array: &ArrayRef, wanted: &DataType, rows: &[usize], path: &str) -> Result<ArrayRef> {
        let there = cast(array, wanted)?;
        let back = cast(&there, array.data_type())?;
        let same = not_distinct(&back, array).map_err(defect)?;
        if same.true_count() == array.len() {
            return Ok(there);
        }
        for index in (0..array.len()).filter(|index| !same.value(*index) && array.is_valid(*index)) {
            self.note(Why::Misfit, array, index, rows, path);
        }
        arrow::compute::nullif(&there, &arrow::compute::not(&same).map_err(defect)?).map_err(defect)
    }

    fn note_all(&mut self, why: Why, array: &ArrayRef, rows: &[usize], path: &str) {
        for index in (0..array.len()).filter(|index| array.is_valid(*index)) {
            self.note(why, array, index, rows, path);
        }
    }

    fn note(&mut self, why: Why, array: &ArrayRef, index: usize, rows: &[usize], path: &str) {
        if rows[index] == NO_ROW {
            return;
        }
        let note = Note { why, path: path.to_owned(), value: json_of(array.as_ref(), index) };
        self.notes.push((rows[index], note));
    }
}

/// Whether a cast between the two keeps what a value means.
fn same_family(a: &DataType, b: &DataType) -> bool {
    let time = |data_type: &DataType| matches!(data_type, DataType::Date32 | DataType::Timestamp(_, _));
    (a.is_numeric() && b.is_numeric()) || (time(a) && time(b))
}

fn below(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") }
}

#[cfg(test)]
mod tests {
    use arrow::array::{Float64Array, Int32Array, Int64Array, StringArray, TimestampNanosecondArray, UInt64Array};

    use super::*;
    use crate::decode::tests::{json, options, schema};
    use crate::spec::{Format, Mismatch};

    fn decoded(spec: &str, new_columns: NewColumns, mismatch: Mismatch, columns: Vec<(&str, ArrayRef)>) -> Decoded {
        let decoder = Decoder::new(options(Format::Parquet, new_columns, mismatch), schema(spec));
        decode(&decoder, &RecordBatch::try_from_iter(columns).unwrap(), 1).unwrap()
    }

    fn lines(decoded: &Decoded) -> Vec<String> {
        json(&decoded.rows).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn casts_that_lose_nothing_are_used_and_others_rescued() {
        let found = decoded(
            r#"{"a":"int","b":"double","d":"date","t":"string"}"#,
            NewColumns::Add,
            Mismatch::Rescue,
            vec![
                ("t", Arc::new(Int32Array::from(vec![1, 2]))),
                ("a", Arc::new(Int64Array::from(vec![Some(5), Some(1 << 40)]))),
                ("b", Arc::new(Int64Array::from(vec![None, Some((1 << 53) + 1)]))),
                ("d", Arc::new(StringArray::from(vec!["1970-01-02", "soon"]))),
            ],
        );
        assert_eq!(
            lines(&found),
            [
                r#"{"a":5,"d":"1970-01-02","t":"1","_position":1}"#.to_owned(),
                concat!(
                    r#"{"t":"2","_position":2,"_rescued_data":"#,
                    r#""{\"a\":1099511627776,\"b\":9007199254740993,\"d\":\"soon\"}"}"#
                )
                .to_owned()
            ]
        );
    }

    #[test]
    fn new_columns_come_with_types_a_table_can_have() {
        let found = decoded(
            "{}",
            NewColumns::Add,
            Mismatch::Rescue,
            vec![
                ("u", Arc::new(UInt64Array::from(vec![u64::MAX]))),
                ("t", Arc::new(TimestampNanosecondArray::from(vec![1_000]).with_timezone("+02:00"))),
                ("s", Arc::new(StringArray::from(vec!["x"]))),
            ],
        );
        let types: Vec<String> =
            found.rows.schema().fields().iter().map(|field| types::type_name(field.data_type())).collect();
        assert_eq!(types, ["decimal(20,0)", "timestamp", "string", "long", "string"]);
        assert_eq!(found.rows.column(1).data_type(), &types::timestamp());
    }

    #[test]
    fn nested_fields_follow_the_rules_of_columns() {
        let inner = StructArray::try_new(
            vec![Field::new("p", DataType::Float64, true), Field::new("q", DataType::Int64, true)].into(),
            vec![
                Arc::new(Float64Array::from(vec![1.5, 2.0, 9.5])),
                Arc::new(Int64Array::from(vec![None, Some(7), None])),
            ],
            Some(vec![true, true, false].into()),
        )
        .unwrap();
        let found =
            decoded(r#"{"s":{"p":"long"}}"#, NewColumns::Rescue, Mismatch::Rescue, vec![("s", Arc::new(inner))]);
        assert_eq!(
            lines(&found),
            [
                r#"{"s":{},"_position":1,"_rescued_data":"{\"s.p\":1.5}"}"#,
                r#"{"s":{"p":2},"_position":2,"_rescued_data":"{\"s.q\":7}"}"#,
                r#"{"_position":3}"#
            ]
        );
    }

    #[test]
    fn rows_that_do_not_fit_go_to_quarantine_whole() {
        let found = decoded(
            r#"{"a":"int"}"#,
            NewColumns::Ignore,
            Mismatch::Quarantine,
            vec![("a", Arc::new(Float64Array::from(vec![1.5, 2.0]))), ("z", Arc::new(Int64Array::from(vec![1, 2])))],
        );
        assert_eq!(lines(&found), [r#"{"a":2,"_position":2}"#]);
        assert_eq!((found.rejects[0].position, found.rejects[0].raw.as_str()), (1, r#"{"a":1.5,"z":1}"#));
    }
}
