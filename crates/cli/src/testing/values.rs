//! Values as tests write them, and when they equal those of a table.

use chrono::{DateTime, NaiveDate, NaiveDateTime};
use serde_json::{Map, Value};

/// Rows that were written as text.
pub(super) struct TextRows {
    /// Each with the line of the text that it stands on, from 1.
    pub(super) rows: Vec<(usize, Map<String, Value>)>,
    /// Whether all values are text, as in CSV.
    pub(super) is_csv: bool,
}

/// Reads rows of NDJSON, or of CSV with a header; an empty field of CSV is null.
///
/// # Errors
/// What is wrong, and in which line of the text.
pub(super) fn rows_of_text(text: &str) -> Result<TextRows, String> {
    let lines =
        text.lines().enumerate().map(|(index, line)| (index + 1, line)).filter(|(_, line)| !line.trim().is_empty());
    if text.trim_start().starts_with('{') {
        let read = |(number, line): (usize, &str)| match serde_json::from_str(line) {
            Ok(Value::Object(row)) => Ok((number, row)),
            Ok(_) => Err(format!("line {number} of the text is no JSON object")),
            Err(error) => Err(format!("line {number} of the text is no JSON: {error}")),
        };
        return Ok(TextRows { rows: lines.map(read).collect::<Result<_, _>>()?, is_csv: false });
    }
    let wrong = |error: csv::Error| format!("the text is no CSV with a header: {error}");
    let mut reader = csv::Reader::from_reader(text.trim_start_matches('\n').as_bytes());
    let skipped = text.len() - text.trim_start_matches('\n').len();
    let header = reader.headers().map_err(wrong)?.clone();
    let mut rows = Vec::new();
    for record in reader.records() {
        let record = record.map_err(wrong)?;
        let line = record.position().map_or(1, |position| position.line() as usize) + skipped;
        let value = |text: &str| if text.is_empty() { Value::Null } else { Value::from(text) };
        rows.push((line, header.iter().zip(&record).map(|(name, text)| (name.to_owned(), value(text))).collect()));
    }
    Ok(TextRows { rows, is_csv: true })
}

/// The row with a null for each `{ null = true }`, as TOML has no null.
pub(super) fn null_for_marks(row: &Map<String, Value>) -> Map<String, Value> {
    row.iter().map(|(name, value)| (name.clone(), unmarked(value))).collect()
}

fn unmarked(value: &Value) -> Value {
    match value {
        Value::Object(fields) if fields.len() == 1 && fields.get("null") == Some(&Value::Bool(true)) => Value::Null,
        Value::Object(fields) => Value::Object(null_for_marks(fields)),
        Value::Array(items) => items.iter().map(unmarked).collect(),
        other => other.clone(),
    }
}

/// Whether a value is as expected. Numbers are compared by what they are, times as moments, structs by the fields that
/// are expected. With `is_loose` a text may stand for any value.
pub(super) fn equal(expected: &Value, found: &Value, is_loose: bool) -> bool {
    match (expected, found) {
        (Value::Number(one), Value::Number(two)) => match (one.as_i64(), two.as_i64()) {
            (Some(one), Some(two)) => one == two,
            _ => one.as_f64() == two.as_f64(),
        },
        (Value::String(one), Value::String(two)) => {
            one == two || moment(one).is_some_and(|one| moment(two) == Some(one))
        }
        (Value::String(one), other) if is_loose => match other {
            Value::Number(two) => one.parse::<f64>().ok() == two.as_f64(),
            Value::Bool(two) => one.parse::<bool>().ok() == Some(*two),
            Value::Null => false,
            other => serde_json::from_str::<Value>(one).is_ok_and(|one| equal(&one, other, false)),
        },
        (Value::Array(one), Value::Array(two)) => {
            one.len() == two.len() && one.iter().zip(two).all(|(one, two)| equal(one, two, is_loose))
        }
        (Value::Object(one), Value::Object(two)) => {
            one.iter().all(|(name, one)| equal(one, two.get(name).unwrap_or(&Value::Null), is_loose))
        }
        (one, two) => one == two,
    }
}

/// Reasons are a set, and text that did not parse may be told by the name of its rule alone.
pub(super) fn equal_reasons(expected: &Value, found: &Value) -> bool {
    let texts = |value: &Value| -> Vec<String> {
        let items = value.as_array().into_iter().flatten();
        items.filter_map(|item| item.as_str().map(str::to_owned)).collect()
    };
    let (expected, found) = (texts(expected), texts(found));
    let is = |one: &String, two: &String| one == two || one == quality::replay::rule_of(two);
    expected.len() == found.len() && expected.iter().all(|one| found.iter().any(|two| is(one, two)))
}

/// A time in one of the usual forms, in microseconds since 1970. Without a zone it is UTC.
fn moment(text: &str) -> Option<i64> {
    if text.len() < 10 || !text.as_bytes()[0].is_ascii_digit() {
        return None;
    }
    if let Ok(time) = DateTime::parse_from_rfc3339(text) {
        return Some(time.timestamp_micros());
    }
    let naive = ["%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%d %H:%M:%S%.f"];
    let naive = naive.iter().find_map(|format| NaiveDateTime::parse_from_str(text, format).ok());
    let date = || NaiveDate::parse_from_str(text, "%Y-%m-%d").ok()?.and_hms_opt(0, 0, 0);
    naive.or_else(date).map(|time| time.and_utc().timestamp_micros())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn values_are_compared_by_what_they_mean() {
        let same = [
            (json!(1), json!(1.0)),
            (json!("2024-03-01"), json!("2024-03-01T00:00:00Z")),
            (json!("2024-03-01 10:00:00"), json!("2024-03-01T10:00:00.000000")),
            (json!("2024-03-01T11:00:00+01:00"), json!("2024-03-01T10:00:00Z")),
            (json!({ "a": 1 }), json!({ "a": 1, "b": 2 })),
        ];
        same.iter().for_each(|(one, two)| assert!(equal(one, two, false), "{one} {two}"));
        let other =
            [(json!("1"), json!(1)), (json!(null), json!("")), (json!("a"), json!("b")), (json!([1]), json!([1, 2]))];
        other.iter().for_each(|(one, two)| assert!(!equal(one, two, false), "{one} {two}"));
        assert!(equal(&json!("1.50"), &json!(1.5), true) && equal(&json!("true"), &json!(true), true));
        assert!(!equal(&json!("1"), &json!(null), true) && equal(&json!(null), &json!(null), true));
    }

    #[test]
    fn text_is_ndjson_or_csv_and_rows_know_their_lines() {
        let read = rows_of_text("\n{\"a\":1}\n\n{\"a\":null}\n").unwrap();
        assert_eq!(read.rows.iter().map(|(line, _)| *line).collect::<Vec<_>>(), [2, 4]);
        let read = rows_of_text("a,b\n1,\"x,y\"\n,z\n").unwrap();
        assert!(read.is_csv);
        assert_eq!(read.rows[0], (2, json!({ "a": "1", "b": "x,y" }).as_object().unwrap().clone()));
        assert_eq!(read.rows[1].1["a"], Value::Null);
        assert!(rows_of_text("{\"a\":1}\n[]\n").is_err());
    }
}
