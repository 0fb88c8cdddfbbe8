//! The same rows in every format make the same table.

use std::io::Write as _;
use std::sync::Arc;

use arrow::array::{ArrayRef, Float64Array, Int64Array, RecordBatch, StringArray};
use parquet::arrow::ArrowWriter;

use crate::place::Place;
use crate::project::Project;

const NOTES: [Option<&str>; 4] =
    [Some("plain"), Some("two\nlines; and \"quotes\""), None, Some("größer als zwölf Zeichen")];
const SCORES: [Option<f64>; 4] = [Some(0.5), Some(-1.25), Some(3.0), None];

const NDJSON: &str = concat!(
    "{\"id\":1,\"note\":\"plain\",\"score\":0.5}\n",
    "{\"id\":2,\"note\":\"two\\nlines; and \\\"quotes\\\"\",\"score\":-1.25}\n",
    "{\"score\":3.0,\"id\":3,\"note\":null}\n",
    "{\"id\":4,\"note\":\"gr\\u00f6\\u00dfer als zwölf Zeichen\"}"
);
const CSV: &str =
    "id;note;score\r\n1;plain;0.5\r\n2;'two\nlines; and \"quotes\"';-1.25\r\n3;;3.0\r\n4;größer als zwölf Zeichen;\r\n";

fn batch() -> RecordBatch {
    RecordBatch::try_from_iter_with_nullable([
        ("id", Arc::new(Int64Array::from_iter_values(1..=4)) as ArrayRef, true),
        ("note", Arc::new(StringArray::from(NOTES.to_vec())) as ArrayRef, true),
        ("score", Arc::new(Float64Array::from(SCORES.to_vec())) as ArrayRef, true),
    ])
    .unwrap()
}

fn parquet() -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut writer = ArrowWriter::try_new(&mut bytes, batch().schema(), None).unwrap();
    writer.write(&batch()).unwrap();
    writer.close().unwrap();
    bytes
}

fn avro() -> Vec<u8> {
    let mut writer = arrow_avro::writer::AvroWriter::new(Vec::new(), batch().schema().as_ref().clone()).unwrap();
    writer.write(&batch()).unwrap();
    writer.finish().unwrap();
    writer.into_inner()
}

fn json_array() -> String {
    format!("[{}]", NDJSON.replace("}\n{", "},{"))
}

fn pretty_json() -> String {
    NDJSON.replace("{\"", "{\n  \"").replace(",\"", ",\n  \"").replace('}', "\n}\n")
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut writer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    writer.write_all(bytes).unwrap();
    writer.finish().unwrap()
}

/// The rows that this file makes.
fn rows(place: Place, format: &str, more: &str, file: &str, bytes: &[u8]) -> String {
    let project = Project::new(place).with(
        "pipelines/p/bronze/t.toml",
        &format!(
            "[source.files]\npath = \"${{var.landing}}/in\"\nformat = \"{format}\"\n{more}\n\
             [schema]\nid = \"long\"\nnote = \"string\"\nscore = \"double\"\n"
        ),
    );
    project.land(&format!("in/{file}"), bytes);
    project.succeed(&["bronze", "p.bronze.t"]);
    let sources = project.query("SELECT DISTINCT _source FROM p.bronze.t");
    assert_eq!(sources.len(), 1);
    assert!(sources[0]["_source"].as_str().unwrap().ends_with(file), "{sources:?}");
    project.lines("SELECT id, note, score, _rescued_data FROM p.bronze.t ORDER BY id")
}

fn expected() -> String {
    let row = |index: usize| {
        let mut row = serde_json::Map::from_iter([("id".to_owned(), (index + 1).into())]);
        row.extend(NOTES[index].map(|note| ("note".to_owned(), note.into())));
        row.extend(SCORES[index].map(|score| ("score".to_owned(), score.into())));
        format!("{}\n", serde_json::Value::from(row))
    };
    (0..4).map(row).collect()
}

fn check_all_formats_give_the_same_rows(place: Place) {
    let csv = "csv = { delimiter = \";\", quote = \"'\" }";
    let files: [(&str, &str, &str, Vec<u8>); 10] = [
        ("ndjson", "", "rows.ndjson", NDJSON.into()),
        ("ndjson", "", "rows.ndjson.gz", gzip(NDJSON.as_bytes())),
        ("ndjson", "", "rows.ndjson.zst", zstd::encode_all(NDJSON.as_bytes(), 3).unwrap()),
        ("json", "", "array.json", json_array().into()),
        ("json", "", "pretty.json", pretty_json().into()),
        ("json", "", "pretty.json.gz", gzip(pretty_json().as_bytes())),
        ("csv", csv, "rows.csv", CSV.into()),
        ("csv", csv, "rows.csv.zst", zstd::encode_all(CSV.as_bytes(), 3).unwrap()),
        ("parquet", "", "rows.parquet", parquet()),
        ("avro", "", "rows.avro", avro()),
    ];
    for (format, more, file, bytes) in files {
        assert_eq!(rows(place, format, more, file, &bytes), expected(), "{file}");
    }
}

#[test]
fn files_of_every_format_make_the_same_rows_in_a_folder() {
    check_all_formats_give_the_same_rows(Place::Folder);
}

#[test]
fn files_of_every_format_make_the_same_rows_on_s3() {
    check_all_formats_give_the_same_rows(Place::S3);
}
