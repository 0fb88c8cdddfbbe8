//! Dates and times written as text.
//!
//! ISO text goes through a parser of ours over Arrow's, which knows every row's form on its own and is several times
//! faster than a `strftime` format: event times are the one cast that every row of a large table has. Text in another
//! format goes through Polars, which compiles the format once and remembers repeated texts.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, PrimitiveBuilder, StringViewArray};
use arrow::array::{AsArray, Date32Array, StringViewBuilder, TimestampMicrosecondArray};
use arrow::compute::kernels::cast_utils::{Parser, string_to_datetime};
use arrow::datatypes::{DataType, Date32Type, TimestampMicrosecondType};
use chrono::format::{Item, StrftimeItems};
use chrono::{DateTime, NaiveDate, Utc};
use polars::prelude::{IntoSeries, NamedFrom, StringChunked, StringMethods, TimeUnit};
use stage::{Error, Result};

use crate::bridge;

/// Why a `strftime` format cannot be used, if it cannot.
pub(super) fn format_problem(format: &str) -> Option<String> {
    let broken = StrftimeItems::new(format).any(|item| matches!(item, Item::Error));
    broken.then(|| format!("`{format}` is not a time format; write it in strftime letters such as `%d/%m/%Y %H:%M`"))
}

/// ISO text as microseconds since 1970 in UTC; what is no time becomes null.
pub(super) fn timestamps(text: &StringViewArray) -> TimestampMicrosecondArray {
    let mut times = PrimitiveBuilder::<TimestampMicrosecondType>::with_capacity(text.len());
    for value in text {
        times.append_option(value.and_then(timestamp));
    }
    times.finish()
}

/// ISO text as dates; a time of day is cut off, after the conversion to UTC.
pub(super) fn dates(text: &StringViewArray) -> Date32Array {
    let mut dates = PrimitiveBuilder::<Date32Type>::with_capacity(text.len());
    for value in text {
        dates.append_option(value.and_then(|value| {
            let value = value.trim();
            Date32Type::parse(value).or_else(|| {
                let day = timestamp(value)?.div_euclid(86_400_000_000);
                i32::try_from(day).ok()
            })
        }));
    }
    dates.finish()
}

/// Text in a format as microseconds since 1970, in UTC when the format has an offset.
///
/// # Errors
/// [`stage::Kind::Data`] when Polars cannot use the format.
pub(super) fn timestamps_in_format(text: &ArrayRef, format: &str) -> Result<ArrayRef> {
    if has_offset(format) {
        // Polars is built without time zones, so offsets are read by chrono, which Polars would use as well.
        let parse = |value: &str| Some(DateTime::parse_from_str(value, format).ok()?.timestamp_micros());
        let times: TimestampMicrosecondArray =
            text.as_string_view().iter().map(|value| value.and_then(parse)).collect();
        return Ok(Arc::new(times));
    }
    let series = bridge::to_series("text", text)?;
    let failed = |error| Error::data(format!("could not read times in the format `{format}`")).with_source(error);
    let text = series.str().map_err(|error| failed(Box::new(error)))?;
    let raise = StringChunked::new("ambiguous".into(), ["raise"]);
    let parsed = text
        .as_datetime(Some(format), TimeUnit::Microseconds, true, false, None, &raise)
        .map_err(|error| failed(Box::new(error)))?;
    bridge::to_array(&parsed.into_series())
}

/// Text in a format as dates.
///
/// # Errors
/// [`stage::Kind::Data`] when Polars cannot use the format.
pub(super) fn dates_in_format(text: &ArrayRef, format: &str) -> Result<ArrayRef> {
    let series = bridge::to_series("text", text)?;
    let failed = |error| Error::data(format!("could not read dates in the format `{format}`")).with_source(error);
    let text = series.str().map_err(|error| failed(Box::new(error)))?;
    let parsed = text.as_date(Some(format), true).map_err(|error| failed(Box::new(error)))?;
    bridge::to_array(&parsed.into_series())
}

/// Dates or timestamps written in a format, in UTC.
pub(super) fn written(times: &ArrayRef, format: &str) -> ArrayRef {
    let mut texts = StringViewBuilder::with_capacity(times.len());
    let mut text = String::new();
    for row in 0..times.len() {
        let moment = if times.is_null(row) { None } else { moment(times, row) };
        text.clear();
        // A format that cannot be written for this kind of value gives null, which counts as a lost value.
        let written = moment.is_some_and(|moment| {
            std::fmt::Write::write_fmt(&mut text, format_args!("{}", moment.format(format))).is_ok()
        });
        texts.append_option(written.then_some(text.as_str()));
    }
    Arc::new(texts.finish())
}

fn moment(times: &ArrayRef, row: usize) -> Option<DateTime<Utc>> {
    match times.data_type() {
        DataType::Date32 => {
            let days = i64::from(times.as_primitive::<Date32Type>().value(row));
            DateTime::from_timestamp(days * 86_400, 0)
        }
        _ => DateTime::from_timestamp_micros(times.as_primitive::<TimestampMicrosecondType>().value(row)),
    }
}

fn has_offset(format: &str) -> bool {
    ["%z", "%:z", "%::z", "%#z", "%+", "%Z"].iter().any(|letter| format.contains(letter))
}

/// One ISO time in microseconds since 1970.
fn timestamp(text: &str) -> Option<i64> {
    usual_timestamp(text.as_bytes()).or_else(|| {
        let text = text.trim();
        let parsed = string_to_datetime(&Utc, text).or_else(|error| match text.len() {
            // `2010-12-01 08:26`, without seconds, is common in exports.
            16 => string_to_datetime(&Utc, &format!("{text}:00")),
            _ => Err(error),
        });
        parsed.ok().map(|time| time.timestamp_micros())
    })
}

/// The forms that nearly every text has: `2024-01-31T09:26:56`, with `T` or a space, with up to six digits of a
/// fraction, with nothing or `Z` or an offset of zero at the end. `None` means: ask the complete parser.
fn usual_timestamp(text: &[u8]) -> Option<i64> {
    if text.len() < 19 || text[4] != b'-' || text[7] != b'-' || text[13] != b':' || text[16] != b':' {
        return None;
    }
    if !matches!(text[10], b'T' | b' ') {
        return None;
    }
    let year = number(&text[0..4])?;
    let date = NaiveDate::from_ymd_opt(i32::try_from(year).ok()?, number(&text[5..7])?, number(&text[8..10])?)?;
    let (hour, minute, second) = (number(&text[11..13])?, number(&text[14..16])?, number(&text[17..19])?);
    if hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let mut rest = &text[19..];
    let mut fraction = 0;
    if let Some(after) = rest.strip_prefix(b".") {
        let digits = after.iter().take_while(|byte| byte.is_ascii_digit()).count();
        if digits == 0 || digits > 6 {
            return None;
        }
        fraction = number(&after[..digits])? * 10_u32.pow(6 - u32::try_from(digits).ok()?);
        rest = &after[digits..];
    }
    if !matches!(rest, b"" | b"Z" | b"+00:00") {
        return None;
    }
    let days = i64::from(date.to_epoch_days());
    let seconds = ((days * 24 + i64::from(hour)) * 60 + i64::from(minute)) * 60 + i64::from(second);
    Some(seconds * 1_000_000 + i64::from(fraction))
}

fn number(digits: &[u8]) -> Option<u32> {
    let mut value = 0;
    for digit in digits {
        if !digit.is_ascii_digit() {
            return None;
        }
        value = value * 10 + u32::from(digit - b'0');
    }
    Some(value)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn micros(text: &str) -> Option<i64> {
        DateTime::parse_from_rfc3339(text).ok().map(|time| time.timestamp_micros())
    }

    #[test]
    fn iso_times_are_read_with_and_without_zone() {
        let expected = micros("2010-12-01T08:26:00Z");
        for text in [
            "2010-12-01T08:26:00Z",
            "2010-12-01 08:26:00",
            " 2010-12-01T08:26:00.000 ",
            "2010-12-01T10:26:00+02:00",
            "2010-12-01 10:26:00 +02",
            "2010-12-01 08:26",
            "2010-12-01T08:26:00.000000000Z",
        ] {
            assert_eq!(timestamp(text), expected, "{text}");
        }
        assert_eq!(timestamp("2010-12-01"), micros("2010-12-01T00:00:00Z"));
        assert_eq!(timestamp("1969-12-31T23:59:59.999999+00:00"), Some(-1));
    }

    #[test]
    fn what_is_no_time_is_null() {
        for text in ["not-a-time", "", "2010-13-01T00:00:00", "2010-12-01T25:00:00Z", "2010-12-01T08:26:00X", "20"] {
            assert_eq!(timestamp(text), None, "{text}");
        }
    }

    #[test]
    fn an_offset_in_a_format_is_taken_to_utc() {
        let text: ArrayRef =
            Arc::new(StringViewArray::from(vec![Some("01/02/2024 10:30 +0200"), Some("nonsense"), None]));
        let times = timestamps_in_format(&text, "%d/%m/%Y %H:%M %z").unwrap();
        let times = times.as_primitive::<TimestampMicrosecondType>();
        assert_eq!(Some(times.value(0)), micros("2024-02-01T08:30:00Z"));
        assert_eq!(times.null_count(), 2);
    }

    #[test]
    fn formats_are_read_and_written() {
        let text: ArrayRef = Arc::new(StringViewArray::from(vec![Some("01/02/2024 10:30"), None]));
        let times = timestamps_in_format(&text, "%d/%m/%Y %H:%M").unwrap();
        assert_eq!(written(&times, "%d/%m/%Y %H:%M").as_ref(), text.as_ref());
        let text: ArrayRef = Arc::new(StringViewArray::from(vec![Some("1.2.2024"), Some("30.2.2024")]));
        let dates = dates_in_format(&text, "%d.%m.%Y").unwrap();
        assert_eq!(dates.null_count(), 1);
        assert_eq!(written(&dates, "%Y").as_string_view().value(0), "2024");
    }

    #[test]
    fn a_broken_format_is_told() {
        assert!(format_problem("%d/%m/%Y").is_none());
        assert!(format_problem("%Q").is_some());
    }

    proptest! {
        #[test]
        fn the_quick_way_agrees_with_the_complete_parser(
            seconds in -62_000_000_000_i64..250_000_000_000, micros in 0_u32..1_000_000, digits in 0_usize..7,
            zone in prop::sample::select(vec!["", "Z", "+00:00", "+05:30"]),
        ) {
            let time = DateTime::from_timestamp(seconds, micros * 1000).unwrap();
            let fraction = format!(".{micros:06}");
            let fraction = if digits == 0 { "" } else { &fraction[..=digits] };
            let text = format!("{}{fraction}{zone}", time.format("%Y-%m-%dT%H:%M:%S"));
            let complete = string_to_datetime(&Utc, &text).ok().map(|time| time.timestamp_micros());
            prop_assert_eq!(timestamp(&text), complete);
        }

        #[test]
        fn no_text_makes_it_panic(text in ".{0,40}") {
            let _ = timestamp(&text);
        }
    }
}
