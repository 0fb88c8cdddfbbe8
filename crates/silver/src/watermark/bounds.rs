//! Between which times the rows of a file lie, by its statistics alone.

use chrono::{DateTime, NaiveDate, NaiveDateTime, NaiveTime};
use lake::Add;
use serde_json::Value;

/// Statistics may be cut to milliseconds, which makes a greatest time too small by less than this.
const CUT_MICROS: i64 = 999;

/// The least and greatest time, in microseconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Bounds {
    pub(super) least: i64,
    pub(super) greatest: i64,
}

/// The bounds of all files together; `None` when a file does not tell its own, or no file holds a time.
pub(super) fn of_all(files: &[Add], column: &str) -> Option<Bounds> {
    let mut all: Option<Bounds> = None;
    for file in files {
        let Some(bounds) = told(file, column)? else { continue };
        let known = all.unwrap_or(bounds);
        all = Some(Bounds { least: known.least.min(bounds.least), greatest: known.greatest.max(bounds.greatest) });
    }
    all
}

/// The files without those whose rows all lie before a time. Rows without a time may stand in any file that is not known
/// to hold none.
pub(crate) fn leave_out_before(files: Vec<Add>, column: &str, micros: i64) -> Vec<Add> {
    let lies_before = |file: &Add| {
        let greatest = told(file, column).flatten().map(|bounds| bounds.greatest);
        greatest.is_some_and(|greatest| greatest < micros) && nulls(file, column) == Some(0)
    };
    files.into_iter().filter(|file| !lies_before(file)).collect()
}

/// The files that may hold times from `from` on and before `to`.
pub(crate) fn may_lie_within(files: Vec<Add>, column: &str, from: i64, to: i64) -> Vec<Add> {
    let may = |file: &Add| match told(file, column) {
        None => true,
        Some(None) => false,
        Some(Some(bounds)) => bounds.greatest >= from && bounds.least < to,
    };
    files.into_iter().filter(may).collect()
}

/// What a file tells of a column: nothing, that it holds no times, or its bounds.
fn told(file: &Add, column: &str) -> Option<Option<Bounds>> {
    if let Some(value) = file.partition_values.get(column) {
        let Some(value) = value.as_deref().filter(|value| !value.is_empty()) else { return Some(None) };
        let time = micros(value)?;
        return Some(Some(Bounds { least: time, greatest: time }));
    }
    let stats = stats(file)?;
    let bound = |side: &str| micros(stats[side][column].as_str()?);
    match (bound("minValues"), bound("maxValues")) {
        (Some(least), Some(greatest)) => Some(Some(Bounds { least, greatest: greatest.saturating_add(CUT_MICROS) })),
        _ => {
            let rows = stats["numRecords"].as_u64()?;
            (stats["nullCount"][column].as_u64() == Some(rows)).then_some(None)
        }
    }
}

fn nulls(file: &Add, column: &str) -> Option<u64> {
    match file.partition_values.get(column) {
        Some(value) => Some(u64::from(value.as_deref().is_none_or(str::is_empty))),
        None => stats(file)?["nullCount"][column].as_u64(),
    }
}

fn stats(file: &Add) -> Option<Value> {
    serde_json::from_str(file.stats.as_deref()?).ok()
}

/// A time as statistics and partition values write it: with a zone, without one, or a date.
fn micros(text: &str) -> Option<i64> {
    if let Ok(time) = DateTime::parse_from_rfc3339(text) {
        return Some(time.timestamp_micros());
    }
    let naive = ["%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%d %H:%M:%S%.f"].iter();
    let naive = naive.filter_map(|format| NaiveDateTime::parse_from_str(text, format).ok()).next();
    let day = || NaiveDate::parse_from_str(text, "%Y-%m-%d").ok().map(|day| day.and_time(NaiveTime::MIN));
    naive.or_else(day).map(|time| time.and_utc().timestamp_micros())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn file(stats: Value, partition: Value) -> Add {
        serde_json::from_value(json!({
            "path": "f", "partitionValues": partition, "size": 1, "modificationTime": 0, "dataChange": true,
            "stats": stats.to_string(),
        }))
        .unwrap()
    }

    fn of(least: &str, greatest: &str, nulls: u64) -> Add {
        let stats = json!({
            "numRecords": 3, "minValues": { "t": least }, "maxValues": { "t": greatest }, "nullCount": { "t": nulls },
        });
        file(stats, json!({}))
    }

    #[test]
    fn times_are_read_however_they_are_written() {
        let second = Some(1_000_000);
        for text in ["1970-01-01T00:00:01.000Z", "1970-01-01T00:00:01", "1970-01-01 00:00:01.000000"] {
            assert_eq!(micros(text), second, "{text}");
        }
        assert_eq!((micros("1970-01-02"), micros("soon")), (Some(86_400_000_000), None));
    }

    #[test]
    fn bounds_span_all_files_or_are_not_known() {
        let day = |day: &str| of(&format!("1970-01-0{day}"), &format!("1970-01-0{day}"), 1);
        let only_nulls = file(json!({ "numRecords": 2, "nullCount": { "t": 2 } }), json!({}));
        let bounds = of_all(&[day("2"), only_nulls.clone(), day("1")], "t").unwrap();
        assert_eq!(bounds, Bounds { least: 0, greatest: 86_400_000_000 + CUT_MICROS });
        assert_eq!(of_all(&[day("2"), file(json!({}), json!({}))], "t"), None);
        assert_eq!(of_all(&[only_nulls], "t"), None);
        let partition = file(json!({}), json!({ "t": "1970-01-02" }));
        assert_eq!(of_all(&[partition], "t").unwrap().least, 86_400_000_000);
    }

    #[test]
    fn only_files_that_lie_before_for_certain_are_left_out() {
        let left = |add: Add| leave_out_before(vec![add], "t", 10_000_000).is_empty();
        assert!(left(of("1970-01-01T00:00:01Z", "1970-01-01T00:00:09.999Z", 0)));
        assert!(!left(of("1970-01-01T00:00:01Z", "1970-01-01T00:00:09.999Z", 1)), "a row without a time may repeat");
        assert!(!left(of("1970-01-01T00:00:01Z", "1970-01-01T00:00:10.000Z", 0)));
        assert!(!left(file(json!({}), json!({}))));
    }
}
