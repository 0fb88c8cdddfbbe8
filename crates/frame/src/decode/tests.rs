//! What every format and rule together must hold, seen from outside.

use std::sync::Arc;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{DataType, Float64Type, Int64Type, Schema};
use proptest::prelude::*;

use super::*;
use crate::infer;
use crate::spec::{Mismatch, NewColumns, SchemaSpec};
use crate::types;

pub(crate) fn options(format: Format, new_columns: NewColumns, mismatch: Mismatch) -> DecodeOptions {
    DecodeOptions { format, csv: CsvSpec::default(), evolution: EvolutionSpec { new_columns, mismatch } }
}

pub(crate) fn schema(spec: &str) -> EvolvingSchema {
    let spec: SchemaSpec = serde_json::from_str(spec).unwrap();
    EvolvingSchema::new(Arc::new(types::schema(&spec).unwrap()))
}

pub(crate) fn bytes(text: impl Into<Vec<u8>>) -> Input {
    Input::Stream(Box::new(std::io::Cursor::new(text.into())))
}

/// Decodes a file whose rows fit into one piece.
pub(crate) fn decode_one(decoder: &Decoder, text: impl Into<Vec<u8>>) -> Result<Decoded> {
    let mut pieces = decoder.pieces(bytes(text))?;
    let decoded = decoder.decode(pieces.next().unwrap()?)?;
    assert!(pieces.next().is_none());
    Ok(decoded)
}

/// The rows as JSON, nulls left out.
pub(crate) fn json(rows: &RecordBatch) -> Vec<serde_json::Value> {
    let mut writer = arrow::json::ArrayWriter::new(Vec::new());
    writer.write(rows).unwrap();
    writer.finish().unwrap();
    serde_json::from_slice(&writer.into_inner()).unwrap()
}

fn ndjson(
    schema_spec: &str,
    new_columns: NewColumns,
    mismatch: Mismatch,
    text: &str,
) -> Result<(Vec<String>, Vec<Reject>)> {
    let decoder = Decoder::new(options(Format::Ndjson, new_columns, mismatch), schema(schema_spec));
    let decoded = decode_one(&decoder, text)?;
    Ok((json(&decoded.rows).iter().map(ToString::to_string).collect(), decoded.rejects))
}

#[test]
fn clean_lines_become_rows_with_line_numbers() {
    let text = "\u{FEFF}{\"a\":1,\"s\":{\"k\":\"a long string beyond twelve\"}}\r\n\n  \n{\"s\":{\"k\":\"\\u00e9\\n\"},\"a\":null,\"l\":[1,null,2.5]}";
    let spec = r#"{"a":"long","s":{"k":"string"},"l":["double"]}"#;
    let (rows, rejects) = ndjson(spec, NewColumns::Add, Mismatch::Rescue, text).unwrap();
    assert_eq!(
        rows,
        [
            r#"{"a":1,"s":{"k":"a long string beyond twelve"},"_position":1}"#,
            r#"{"s":{"k":"é\n"},"l":[1.0,null,2.5],"_position":4}"#
        ]
    );
    assert!(rejects.is_empty());
}

#[test]
fn lines_that_do_not_parse_are_kept_with_their_number() {
    let mut text = b"{\"a\":1}\nnot json\n[1]\n\xFF\xFE{\"a\":2}\n{\"a\":3}{\"a\":4}\n{\"a\":\n5}\nnull\n".to_vec();
    text.extend_from_slice(b"{\"a\":6,}\n{\"a\":7}");
    let decoder = Decoder::new(options(Format::Ndjson, NewColumns::Add, Mismatch::Rescue), schema(r#"{"a":"long"}"#));
    let decoded = decode_one(&decoder, text).unwrap();
    let positions = decoded.rows.column_by_name(POSITION).unwrap().as_primitive::<Int64Type>().values().to_vec();
    assert_eq!(positions, [1, 10]);
    let rejected: Vec<(i64, &str)> =
        decoded.rejects.iter().map(|reject| (reject.position, reject.raw.as_str())).collect();
    assert_eq!(
        rejected,
        [
            (2, "not json"),
            (3, "[1]"),
            (4, "\u{FFFD}\u{FFFD}{\"a\":2}"),
            (5, "{\"a\":3}{\"a\":4}"),
            (6, "{\"a\":"),
            (7, "5}"),
            (8, "null"),
            (9, "{\"a\":6,}")
        ]
    );
}

#[test]
fn new_fields_become_columns_for_all_rows_of_the_piece() {
    let text = "{\"a\":1}\n{\"a\":2,\"b\":1,\"s\":{\"x\":1}}\n{\"b\":2.5,\"s\":{\"y\":[\"t\"]},\"n\":null,\"e\":{}}\n";
    let (rows, rejects) = ndjson(r#"{"a":"long"}"#, NewColumns::Add, Mismatch::Rescue, text).unwrap();
    assert_eq!(
        rows,
        [
            r#"{"a":1,"_position":1}"#,
            r#"{"a":2,"b":1.0,"s":{"x":1},"_position":2}"#,
            r#"{"b":2.5,"s":{"y":["t"]},"_position":3,"_rescued_data":"{\"e\":{}}"}"#
        ]
    );
    assert!(rejects.is_empty());
}

#[test]
fn unknown_fields_follow_their_rule_at_every_depth() {
    let spec = r#"{"c":{"k":"string"}}"#;
    let text = "{\"c\":{\"k\":\"x\",\"plan\": [1, 2]},\"z\":true}";
    let (rows, _) = ndjson(spec, NewColumns::Rescue, Mismatch::Rescue, text).unwrap();
    assert_eq!(rows, [r#"{"c":{"k":"x"},"_position":1,"_rescued_data":"{\"c.plan\":[1,2],\"z\":true}"}"#]);
    let (rows, _) = ndjson(spec, NewColumns::Ignore, Mismatch::Rescue, text).unwrap();
    assert_eq!(rows, [r#"{"c":{"k":"x"},"_position":1}"#]);
    let error = ndjson(spec, NewColumns::Fail, Mismatch::Rescue, text).unwrap_err();
    assert!(error.message().contains("`c.plan` at position 1"), "{error}");
}

#[test]
fn values_that_do_not_fit_follow_their_rule() {
    let spec = r#"{"a":"long","d":"date","l":[{"p":"double"}],"b":"boolean"}"#;
    let text = "{\"a\":\"5\",\"d\":\"soon\",\"l\":[{\"p\":1},{\"p\":\"x\"}],\"b\":1}\n{\"a\":5.0,\"d\":\"2024-02-29\"}";
    let (rows, _) = ndjson(spec, NewColumns::Add, Mismatch::Rescue, text).unwrap();
    assert_eq!(
        rows,
        [
            "{\"l\":[{\"p\":1.0},{}],\"_position\":1,\
             \"_rescued_data\":\"{\\\"a\\\":\\\"5\\\",\\\"d\\\":\\\"soon\\\",\\\"l.1.p\\\":\\\"x\\\",\\\"b\\\":1}\"}",
            r#"{"a":5,"d":"2024-02-29","_position":2}"#
        ]
    );
    let (rows, rejects) = ndjson(spec, NewColumns::Add, Mismatch::Quarantine, text).unwrap();
    assert_eq!((rows.len(), rejects.len(), rejects[0].position), (1, 1, 1));
    assert!(rejects[0].raw.starts_with("{\"a\":\"5\"") && rejects[0].reason.contains("`a`"));
    assert!(ndjson(spec, NewColumns::Add, Mismatch::Fail, text).is_err());
}

#[test]
fn a_string_column_takes_any_value_as_its_json_text() {
    let text = "{\"a\":1.50}\n{\"a\":true}\n{\"a\":{ \"x\": [1, \"y z\"] }}\n{\"a\":\"t\"}";
    let (rows, _) = ndjson(r#"{"a":"string"}"#, NewColumns::Add, Mismatch::Rescue, text).unwrap();
    assert_eq!(
        rows,
        [
            r#"{"a":"1.50","_position":1}"#,
            r#"{"a":"true","_position":2}"#,
            r#"{"a":"{\"x\":[1,\"y z\"]}","_position":3}"#,
            r#"{"a":"t","_position":4}"#
        ]
    );
}

#[test]
fn the_last_of_repeated_fields_counts_and_the_others_are_rescued() {
    let text = r#"{"a":1,"b":2,"a":3,"a":4}"#;
    let (rows, _) = ndjson(r#"{"a":"long","b":"long"}"#, NewColumns::Add, Mismatch::Rescue, text).unwrap();
    assert_eq!(rows, [r#"{"a":4,"b":2,"_position":1,"_rescued_data":"{\"a\":[1,3]}"}"#]);
}

#[test]
fn names_of_system_columns_are_rescued() {
    let text = r#"{"_position":9,"A":1}"#;
    let (rows, _) = ndjson(r#"{"a":"long"}"#, NewColumns::Add, Mismatch::Rescue, text).unwrap();
    assert_eq!(rows, [r#"{"_position":1,"_rescued_data":"{\"_position\":9,\"A\":1}"}"#]);
}

#[test]
fn a_line_longer_than_a_piece_is_one_row() {
    let long = "x".repeat(3 * PIECE);
    let text = format!("{{\"a\":\"1\"}}\n{{\"a\":\"{long}\"}}\n{{\"a\":\"3\"}}\n");
    let decoder = Decoder::new(options(Format::Ndjson, NewColumns::Add, Mismatch::Rescue), schema(r#"{"a":"string"}"#));
    let mut found = Vec::new();
    for piece in decoder.pieces(bytes(text)).unwrap() {
        let rows = decoder.decode(piece.unwrap()).unwrap().rows;
        let strings = rows.column(0).as_string_view();
        let positions = rows.column(1).as_primitive::<Int64Type>();
        found.extend((0..rows.num_rows()).map(|row| (positions.value(row), strings.value(row).len())));
    }
    assert_eq!(found, [(1, 1), (2, 3 * PIECE), (3, 1)]);
}

#[test]
fn an_empty_file_has_no_pieces() {
    let decoder = Decoder::new(options(Format::Ndjson, NewColumns::Add, Mismatch::Rescue), schema("{}"));
    assert!(decoder.pieces(bytes("")).unwrap().next().is_none());
}

#[test]
fn a_type_decided_by_another_thread_stays() {
    let evolving = schema(r#"{"a":"long"}"#);
    let decoder = Decoder::new(options(Format::Ndjson, NewColumns::Add, Mismatch::Rescue), evolving.clone());
    decode_one(&decoder, "{\"b\":1}").unwrap();
    let later = decode_one(&decoder, "{\"a\":1,\"b\":\"text\"}").unwrap();
    assert_eq!(json(&later.rows)[0].to_string(), r#"{"a":1,"_position":1,"_rescued_data":"{\"b\":\"text\"}"}"#);
    assert_eq!(evolving.current().fields().len(), 2);
}

fn lines() -> impl Strategy<Value = Vec<String>> {
    let line = prop_oneof![
        4 => json_object().prop_map(|value| value.to_string()),
        1 => prop::sample::select(vec!["", "  ", "\t", "{", "nonsense", "[1]", "3", "{} {}", "{\"a\":1,}", "{\"a\":01}"])
            .prop_map(str::to_owned),
        1 => "[ -~é]{0,20}",
    ];
    prop::collection::vec(line, 0..30)
}

fn json_object() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(serde_json::Value::from),
        any::<i64>().prop_map(serde_json::Value::from),
        (-1000..1000_i64).prop_map(serde_json::Value::from),
        any::<f64>().prop_map(serde_json::Value::from),
        any::<String>().prop_map(serde_json::Value::from),
    ];
    let value = leaf.prop_recursive(3, 12, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(serde_json::Value::from),
            prop::collection::btree_map("[a-d]", inner, 0..3)
                .prop_map(|map| serde_json::Value::Object(map.into_iter().collect())),
        ]
    });
    prop::collection::btree_map("[a-e]", value, 0..5)
        .prop_map(|map| serde_json::Value::Object(map.into_iter().collect()))
}

proptest! {
    #[test]
    fn every_line_is_a_row_or_a_reject_at_its_number(
        lines in lines(),
        crlf in any::<bool>(),
        ends in any::<bool>(),
        quarantine in any::<bool>(),
        size in 1_usize..300,
    ) {
        let ending = if crlf { "\r\n" } else { "\n" };
        let text = lines.join(ending) + if ends { ending } else { "" };
        let mismatch = if quarantine { Mismatch::Quarantine } else { Mismatch::Rescue };
        let decoder = Decoder::new(
            options(Format::Ndjson, NewColumns::Add, mismatch),
            schema(r#"{"a":"long","b":{"a":"string"},"c":["double"]}"#),
        );
        let mut found = Vec::new();
        for piece in decoder.pieces_of(bytes(text), size).unwrap() {
            let decoded = decoder.decode(piece.unwrap()).unwrap();
            let positions = decoded.rows.column_by_name(POSITION).unwrap().as_primitive::<Int64Type>().clone();
            found.extend(positions.values().iter().copied());
            found.extend(decoded.rejects.iter().map(|reject| reject.position));
        }
        found.sort_unstable();
        let expected: Vec<i64> = lines.iter().zip(1..).filter(|(line, _)| !line.trim_ascii().is_empty()).map(|(_, at)| at).collect();
        prop_assert_eq!(found, expected);
    }

    #[test]
    fn nothing_of_a_row_is_lost(row in json_object(), other in json_object()) {
        // Whatever the schema was inferred from, each leaf of the row is in a column or in the rescued data.
        let options = options(Format::Ndjson, NewColumns::Rescue, Mismatch::Rescue);
        let inferred = infer::infer(bytes(other.to_string()), &options, 10).unwrap();
        let decoder = Decoder::new(options, EvolvingSchema::new(Arc::new(inferred)));
        let decoded = decode_one(&decoder, row.to_string()).unwrap();
        prop_assert_eq!(decoded.rows.num_rows(), 1);
        let rescued = decoded.rows.column_by_name(RESCUED_DATA).unwrap().as_string_view().clone();
        let rescued: serde_json::Value =
            if rescued.is_null(0) { serde_json::json!({}) } else { serde_json::from_str(rescued.value(0)).unwrap() };
        for (path, leaf) in leaves(&row) {
            let kept = stands_at(&decoded.rows, &path).is_some_and(|found| same(&found, &leaf))
                || (1..=path.len()).any(|steps| rescued.get(path[..steps].join(".")).is_some());
            let within_text = (1..path.len()).any(|steps| {
                stands_at(&decoded.rows, &path[..steps]).is_some_and(|found| found.is_string())
            });
            prop_assert!(kept || within_text, "{:?} = {} of {} under {:?}", path, leaf, row, decoded.rows.schema());
        }
    }

    #[test]
    fn inferred_rows_read_strictly_equal_the_json(row in json_object()) {
        let options = options(Format::Ndjson, NewColumns::Fail, Mismatch::Fail);
        let inferred = infer::infer(bytes(row.to_string()), &options, 10).unwrap();
        let decoder = Decoder::new(
            DecodeOptions { evolution: EvolutionSpec { new_columns: NewColumns::Rescue, ..options.evolution }, ..options },
            EvolvingSchema::new(Arc::new(inferred)),
        );
        // A list of mixed elements is a list of strings, so nothing can fail to fit, except longs beside doubles.
        let decoded = decode_one(&decoder, row.to_string());
        prop_assert!(decoded.is_ok() || row.to_string().contains('.') || row.to_string().contains('e'), "{}", decoded.unwrap_err());
    }
}

/// The scalar leaves of a value with their paths.
fn leaves(value: &serde_json::Value) -> Vec<(Vec<String>, serde_json::Value)> {
    let children: Vec<(String, &serde_json::Value)> = match value {
        serde_json::Value::Object(map) => map.iter().map(|(key, value)| (key.clone(), value)).collect(),
        serde_json::Value::Array(list) => {
            list.iter().enumerate().map(|(index, value)| (index.to_string(), value)).collect()
        }
        serde_json::Value::Null => return Vec::new(),
        leaf => return vec![(Vec::new(), leaf.clone())],
    };
    let mut all = Vec::new();
    for (step, child) in children {
        for (mut path, leaf) in leaves(child) {
            path.insert(0, step.clone());
            all.push((path, leaf));
        }
    }
    all
}

fn stands_at(rows: &RecordBatch, path: &[String]) -> Option<serde_json::Value> {
    let mut value = json(rows).remove(0);
    for step in path {
        value = match value {
            serde_json::Value::Object(mut map) => map.remove(step)?,
            serde_json::Value::Array(list) => list.get(step.parse::<usize>().ok()?)?.clone(),
            _ => return None,
        };
    }
    Some(value)
}

fn same(found: &serde_json::Value, leaf: &serde_json::Value) -> bool {
    let written = leaf.to_string();
    let as_text = found.as_str() == Some(written.as_str());
    // The library that reads the written number back here may miss it by its last digit.
    let is_close = |found: f64, leaf: f64| (found - leaf).abs() <= 2.0 * f64::EPSILON * leaf.abs();
    let as_number = found.as_f64().zip(leaf.as_f64()).is_some_and(|(found, leaf)| is_close(found, leaf));
    *found == *leaf || as_text || as_number
}

#[test]
fn doubles_take_whole_numbers() {
    let decoder = Decoder::new(options(Format::Ndjson, NewColumns::Add, Mismatch::Rescue), schema(r#"{"a":"double"}"#));
    let rows = decode_one(&decoder, "{\"a\":3}").unwrap().rows;
    assert_eq!(rows.column(0).as_primitive::<Float64Type>().value(0), 3.0);
    assert_eq!(rows.column(0).data_type(), &DataType::Float64);
    assert_ne!(*rows.schema(), Schema::empty());
}
