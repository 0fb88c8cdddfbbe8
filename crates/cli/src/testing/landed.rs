//! Rows as files that land: in the format of the source that they stand for.

use ::stage::{Error, Result};
use bronze::spec::SourceSpec;
use frame::spec::{CsvSpec, Format};
use serde_json::{Map, Value, json};

/// How a source's rows are written where they are given as text. What is no text is given as JSON.
pub(super) fn format_of(source: &SourceSpec) -> (Format, CsvSpec) {
    match source {
        SourceSpec::Files(files) => match files.format {
            Format::Parquet | Format::Avro => (Format::Ndjson, CsvSpec::default()),
            format => (format, files.csv.clone()),
        },
        SourceSpec::Kafka(_) | SourceSpec::Kinesis(_) => (Format::Ndjson, CsvSpec::default()),
    }
}

/// What the name of such a file ends in.
pub(super) fn ending(format: Format) -> &'static str {
    match format {
        Format::Csv => "csv",
        Format::Json => "json",
        _ => "ndjson",
    }
}

/// A file that holds these rows.
pub(super) fn file_of(rows: &[Map<String, Value>], format: Format, csv: &CsvSpec) -> Result<String> {
    if rows.is_empty() {
        return Ok(String::new());
    }
    match format {
        Format::Json => Ok(json!(rows).to_string()),
        Format::Csv => csv_of(rows, csv),
        _ => Ok(rows.iter().map(|row| format!("{}\n", Value::Object(row.clone()))).collect()),
    }
}

fn csv_of(rows: &[Map<String, Value>], spec: &CsvSpec) -> Result<String> {
    let failed = |error: csv::Error| Error::config("rows do not form CSV").with_source(error);
    let byte = |text: &str, otherwise: u8| text.bytes().next().unwrap_or(otherwise);
    let mut header: Vec<&String> = Vec::new();
    for name in rows.iter().flat_map(Map::keys) {
        if !header.contains(&name) {
            header.push(name);
        }
    }
    let mut writer = csv::WriterBuilder::new()
        .delimiter(byte(&spec.delimiter, b','))
        .quote(byte(&spec.quote, b'"'))
        .from_writer(Vec::new());
    if spec.header {
        writer.write_record(&header).map_err(failed)?;
    }
    for row in rows {
        let fields = header.iter().map(|name| match row.get(*name) {
            None | Some(Value::Null) => String::new(),
            Some(Value::String(text)) => text.clone(),
            Some(other) => other.to_string(),
        });
        writer.write_record(fields.collect::<Vec<_>>()).map_err(failed)?;
    }
    let bytes =
        writer.into_inner().map_err(|error| Error::bug("could not write CSV").with_source(error.into_error()))?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}
