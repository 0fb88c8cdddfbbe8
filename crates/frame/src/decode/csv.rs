//! CSV: pieces of whole records, and records to rows.
//!
//! Fields are text. They find their column by the header's names and are cast strictly to its type; the empty field and the
//! texts in `nulls` are null. A record with more or fewer fields than the header is a reject with its text as it stood in
//! the file. A quoted field that never ends costs only the line it begins on.

use std::ops::Range;

use arrow::buffer::Buffer;
use csv::ByteRecord;
use stage::{Error, Result};

use crate::decode::building::Building;
use crate::decode::careful::{Fate, judge};
use crate::decode::columns::{Column, Data};
use crate::decode::csv_cut::Dialect;
use crate::decode::rows::{Note, Why, push_text};
use crate::decode::shape::{Shape, of_number};
use crate::decode::values;
use crate::decode::{Decoded, Decoder, Reject};
use crate::spec::NewColumns;

/// Records of one file with what is needed to read them.
#[derive(Debug)]
pub(crate) struct Records {
    pub(crate) bytes: Vec<u8>,
    /// The line the bytes begin on.
    pub(crate) first_line: i64,
    /// The column names, one per field.
    pub(crate) header: std::sync::Arc<[String]>,
    pub(crate) dialect: Dialect,
    /// What the cutting already had to give up.
    pub(crate) rejects: Vec<Reject>,
}

impl Records {
    /// Calls `each` with every record, its line and its place in the bytes, until it returns false.
    fn each(&self, mut each: impl FnMut(&ByteRecord, i64, Range<usize>) -> Result<bool>) -> Result<()> {
        let mut reader = self.dialect.reader(&self.bytes);
        let mut record = ByteRecord::new();
        loop {
            let before = reader.position().clone();
            let more = reader
                .read_byte_record(&mut record)
                .map_err(|why| Error::bug("a CSV record in memory could not be read").with_source(why))?;
            if !more {
                return Ok(());
            }
            let mut start = usize::try_from(before.byte()).unwrap_or(usize::MAX);
            let mut line = self.first_line + before.line() as i64 - 1;
            // The parser skips blank lines silently; the record begins behind them.
            while let Some(byte @ (b'\n' | b'\r')) = self.bytes.get(start) {
                line += i64::from(*byte == b'\n');
                start += 1;
            }
            let end = usize::try_from(reader.position().byte()).unwrap_or(usize::MAX).min(self.bytes.len());
            if !each(&record, line, start..end.max(start))? {
                return Ok(());
            }
        }
    }

    /// The value of a field; `None` when it is null.
    fn value<'a>(&self, field: &'a str) -> Option<&'a str> {
        (!field.is_empty() && !self.dialect.nulls.iter().any(|null| null == field)).then_some(field)
    }
}

/// Decodes one piece.
pub(crate) fn decode(decoder: &Decoder, mut piece: Records) -> Result<Decoded> {
    let evolution = decoder.options.evolution;
    let mut building = Building::new(&decoder.schema)?;
    building.rejects = std::mem::take(&mut piece.rejects);
    let known = |building: &Building, name: &String| building.schema.index_of(name).is_ok();
    if evolution.new_columns == NewColumns::Add && !piece.header.iter().all(|name| known(&building, name)) {
        let mut shape = Shape::Nothing;
        observe(&piece, &mut shape, usize::MAX)?;
        building.grow(decoder.schema.add(&shape.columns()))?;
    }
    let places: Vec<Option<usize>> = piece.header.iter().map(|name| building.schema.index_of(name).ok()).collect();
    piece.each(|record, line, place| {
        let raw = || String::from_utf8_lossy(piece.bytes[place.clone()].trim_ascii_end()).into_owned();
        if record.len() != piece.header.len() {
            let reason = format!("the record has {} fields, the header {}", record.len(), piece.header.len());
            building.reject(line, raw(), reason);
            return Ok(true);
        }
        let Ok(notes) = append(&mut building, &piece, record, &places) else {
            building.take_back();
            building.reject(
                line,
                raw(),
                "not valid UTF-8; the bytes that are not text are shown as \u{FFFD}".to_owned(),
            );
            return Ok(true);
        };
        match judge(&notes, evolution, line)? {
            Fate::Keep(rescued) => building.keep(line, rescued.as_deref()),
            Fate::Reject(reason) => {
                building.take_back();
                building.reject(line, raw(), reason);
            }
        }
        Ok(true)
    })?;
    let size = piece.bytes.len() as u64;
    building.finish(&Buffer::from_vec(Vec::<u8>::new()), &decoder.schema, size)
}

/// Looks at up to `rows` records; returns how many are still to be looked at.
pub(crate) fn observe(piece: &Records, seen: &mut Shape, rows: usize) -> Result<usize> {
    let mut left = rows;
    piece.each(|record, _, _| {
        if left == 0 {
            return Ok(false);
        }
        if record.len() == piece.header.len() {
            let fields = piece.header.iter().zip(record).map(|(name, field)| {
                let value = std::str::from_utf8(field).ok().and_then(|field| piece.value(field));
                (name.clone(), value.map_or(Shape::Nothing, of_text))
            });
            seen.absorb(Shape::Struct(fields.collect()));
            left -= 1;
        }
        Ok(true)
    })?;
    Ok(left)
}

/// Appends one record; fails when a field is not UTF-8.
fn append(
    building: &mut Building,
    piece: &Records,
    record: &ByteRecord,
    places: &[Option<usize>],
) -> std::result::Result<Vec<Note>, std::str::Utf8Error> {
    let row = building.root.len();
    let Data::Struct(structs) = &mut building.root.data else { return Ok(Vec::new()) };
    let mut notes = Vec::new();
    for ((name, field), place) in piece.header.iter().zip(record).zip(places) {
        let Some(value) = piece.value(std::str::from_utf8(field)?) else { continue };
        let why = match place {
            Some(index) if push_text(&mut structs.columns[*index], value) => continue,
            Some(_) => Why::Misfit,
            None => Why::Unknown,
        };
        notes.push(Note { why, path: name.clone(), value: serde_json::Value::from(value).to_string() });
    }
    structs.columns.iter_mut().filter(|column| column.len() == row).for_each(Column::push_null);
    building.root.nulls.append_non_null();
    Ok(notes)
}

/// The shape of a text: a number only when it is written as JSON writes numbers, so `007` stays text.
fn of_text(text: &str) -> Shape {
    if values::boolean(text).is_some() {
        return Shape::Boolean;
    }
    let mut scanner = crate::decode::scan::Scanner::new(text);
    let is_number = scanner.number().is_ok_and(|number| number.len() == text.len());
    if is_number { of_number(text) } else { Shape::String }
}

#[cfg(test)]
mod tests {
    use arrow::array::AsArray;
    use arrow::datatypes::Int64Type;
    use proptest::prelude::*;

    use super::*;
    use crate::decode::tests::{bytes, json, options, schema};
    use crate::decode::{Decoder, POSITION};
    use crate::spec::{CsvSpec, Format, Mismatch};

    fn decoder(spec: &str, csv: CsvSpec, new_columns: NewColumns, mismatch: Mismatch) -> Decoder {
        let mut options = options(Format::Csv, new_columns, mismatch);
        options.csv = csv;
        Decoder::new(options, schema(spec))
    }

    fn decoded(decoder: &Decoder, text: impl Into<Vec<u8>>, size: usize) -> (Vec<String>, Vec<Reject>) {
        let (mut rows, mut rejects) = (Vec::new(), Vec::new());
        for piece in decoder.pieces_of(bytes(text), size).unwrap() {
            let found = decoder.decode(piece.unwrap()).unwrap();
            rows.extend(json(&found.rows).iter().map(ToString::to_string));
            rejects.extend(found.rejects);
        }
        (rows, rejects)
    }

    #[test]
    fn records_find_their_columns_by_name() {
        let decoder = decoder(
            r#"{"id":"long","name":"string","day":"date"}"#,
            CsvSpec::default(),
            NewColumns::Add,
            Mismatch::Rescue,
        );
        let text = "\u{FEFF}name,id\r\n\"a \"\"b\"\"\r\nc\",1\r\n\r\n,2\r\n";
        for size in [1, 1000] {
            let (rows, rejects) = decoded(&decoder, text, size);
            assert_eq!(rows, [r#"{"id":1,"name":"a \"b\"\r\nc","_position":2}"#, r#"{"id":2,"_position":5}"#]);
            assert!(rejects.is_empty());
        }
    }

    #[test]
    fn values_that_do_not_fit_and_new_columns_follow_their_rules() {
        let text = "id,new,other\n1,2.5,x\nx,3,NULL\n";
        let csv = CsvSpec { nulls: vec!["NULL".to_owned()], ..CsvSpec::default() };
        let added = decoder(r#"{"id":"long"}"#, csv.clone(), NewColumns::Add, Mismatch::Rescue);
        let (rows, _) = decoded(&added, text, 1000);
        assert_eq!(
            rows,
            [
                r#"{"id":1,"new":2.5,"other":"x","_position":2}"#,
                r#"{"new":3.0,"_position":3,"_rescued_data":"{\"id\":\"x\"}"}"#
            ]
        );
        let rescued = decoder(r#"{"id":"long"}"#, csv, NewColumns::Rescue, Mismatch::Quarantine);
        let (rows, rejects) = decoded(&rescued, text, 1000);
        assert_eq!(rows, [r#"{"id":1,"_position":2,"_rescued_data":"{\"new\":\"2.5\",\"other\":\"x\"}"}"#]);
        assert_eq!((rejects.len(), rejects[0].raw.as_str(), rejects[0].position), (1, "x,3,NULL", 3));
    }

    #[test]
    fn records_of_the_wrong_length_are_rejected_with_their_text() {
        let decoder = decoder(r#"{"a":"string","b":"long"}"#, CsvSpec::default(), NewColumns::Add, Mismatch::Rescue);
        let mut text = b"a,b\n1\n\"x\ny\",2,3\nok,4\n".to_vec();
        text.extend_from_slice(b"\xFF,5\n");
        let (rows, rejects) = decoded(&decoder, text, 1000);
        assert_eq!(rows, [r#"{"a":"ok","b":4,"_position":5}"#]);
        let found: Vec<(i64, &str)> = rejects.iter().map(|reject| (reject.position, reject.raw.as_str())).collect();
        assert_eq!(found, [(2, "1"), (3, "\"x\ny\",2,3"), (6, "\u{FFFD},5")]);
    }

    #[test]
    fn a_quote_that_never_ends_costs_one_line() {
        let decoder = decoder(r#"{"a":"string","b":"long"}"#, CsvSpec::default(), NewColumns::Add, Mismatch::Rescue);
        for size in [1, 1000] {
            let (rows, rejects) = decoded(&decoder, "a,b\nx,1\n\"y,2\nz,3", size);
            assert_eq!(rows, [r#"{"a":"x","b":1,"_position":2}"#, r#"{"a":"z","b":3,"_position":4}"#]);
            assert_eq!((rejects.len(), rejects[0].raw.as_str(), rejects[0].position), (1, "\"y,2", 3));
        }
    }

    #[test]
    fn names_are_made_where_the_header_has_none() {
        let text = "a,,a\n1,2,3\n";
        let (rows, _) = decoded(&decoder("{}", CsvSpec::default(), NewColumns::Add, Mismatch::Rescue), text, 1000);
        assert_eq!(rows, [r#"{"a":1,"column_2":2,"a_2":3,"_position":2}"#]);
        let csv = CsvSpec { header: false, delimiter: ";".to_owned(), ..CsvSpec::default() };
        let (rows, _) = decoded(&decoder("{}", csv, NewColumns::Add, Mismatch::Rescue), "007;true\n1;false\n", 1000);
        assert_eq!(
            rows,
            [
                r#"{"column_1":"007","column_2":true,"_position":1}"#,
                r#"{"column_1":"1","column_2":false,"_position":2}"#
            ]
        );
    }

    #[test]
    fn a_delimiter_must_be_one_character() {
        let csv = CsvSpec { delimiter: "||".to_owned(), ..CsvSpec::default() };
        let decoder = decoder("{}", csv, NewColumns::Add, Mismatch::Rescue);
        assert_eq!(decoder.pieces(bytes("a")).err().unwrap().kind(), stage::Kind::Config);
    }

    proptest! {
        #[test]
        fn every_record_is_found_however_the_file_is_cut(
            records in prop::collection::vec(("[a-z\",\n\r]{0,6}", "[0-9]{1,3}"), 0..20),
            size in 1_usize..60,
        ) {
            let mut writer = csv::WriterBuilder::new().from_writer(Vec::new());
            writer.write_record(["a", "b"]).unwrap();
            for (text, number) in &records {
                writer.write_record([text, number]).unwrap();
            }
            let text = writer.into_inner().unwrap();
            let decoder = decoder(r#"{"a":"string","b":"string"}"#, CsvSpec::default(), NewColumns::Add, Mismatch::Rescue);
            let mut found = Vec::new();
            let mut positions = Vec::new();
            for piece in decoder.pieces_of(bytes(text), size).unwrap() {
                let decoded = decoder.decode(piece.unwrap()).unwrap();
                prop_assert!(decoded.rejects.is_empty(), "{:?}", decoded.rejects);
                let (a, b) = (decoded.rows.column(0).as_string_view(), decoded.rows.column(1).as_string_view());
                found.extend((0..a.len()).map(|row| (a.value(row).to_owned(), b.value(row).to_owned())));
                let lines = decoded.rows.column_by_name(POSITION).unwrap().as_primitive::<Int64Type>().clone();
                positions.extend(lines.values().iter().copied());
            }
            let mut line = 2;
            let expected: Vec<i64> = records.iter().map(|(text, _)| {
                let begins = line;
                line += 1 + text.matches('\n').count() as i64;
                begins
            }).collect();
            prop_assert_eq!(positions, expected);
            prop_assert_eq!(found, records);
        }
    }

    use arrow::array::Array;
}
