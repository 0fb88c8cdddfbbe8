//! Casts between the types of specs, and the rule that none loses a value in silence: what cannot be represented becomes
//! null, and the caller compares the nulls before and after.
//!
//! Numbers are not cast by Polars: its text-to-decimal cast rounds, and its float-to-integer cast cuts. Everything here
//! is Arrow's kernel where that one is exact, and a checked loop where it is not.

use std::sync::Arc;

use arrow::array::types::Decimal128Type;
use arrow::array::{
    Array, ArrayRef, ArrowPrimitiveType, AsArray, BooleanBuilder, Decimal128Builder, PrimitiveBuilder, StringViewArray,
};
use arrow::compute::kernels::cmp::neq;
use arrow::compute::{CastOptions, cast_with_options, nullif};
use arrow::datatypes::{DataType, Float32Type, Float64Type, Int32Type, Int64Type, TimeUnit, TimestampMicrosecondType};
use stage::{Error, Result};

use super::exact::Exact;
use super::time;
use crate::types::type_name;

/// A cast that was found possible.
#[derive(Debug, Clone)]
pub(super) struct Cast {
    from: DataType,
    to: DataType,
    way: Way,
}

#[derive(Debug, Clone)]
enum Way {
    /// Text, read by the parser of the type.
    Read,
    /// Text, read in a `strftime` format.
    ReadFormat(String),
    /// Dates or timestamps, written in a `strftime` format.
    WriteFormat(String),
    /// Seconds since 1970.
    Seconds,
    /// Arrow's kernel, for which every value either fits or becomes null.
    Kernel,
    /// Arrow's kernel and back again; what comes back changed is taken for lost.
    Checked,
    /// A float by its shortest text, so that 0.1 is 0.1 in a decimal.
    ThroughText,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Group {
    Text,
    Integer,
    Float,
    Decimal,
    Boolean,
    Date,
    Timestamp,
    Binary,
    Nested,
    Other,
}

impl Cast {
    /// The cast from one type to another, with the format of text, or what is wrong with it.
    pub(super) fn new(from: &DataType, to: &DataType, format: Option<&str>) -> Result<Cast, String> {
        let way = match format {
            Some(format) => formatted_way(from, to, format)?,
            None => plain_way(from, to)?,
        };
        Ok(Cast { from: from.clone(), to: to.clone(), way })
    }

    /// The values in the new type; what does not fit is null.
    ///
    /// # Errors
    /// [`stage::Kind::Bug`] when a kernel refuses what `new` allowed.
    pub(super) fn apply(&self, array: &ArrayRef) -> Result<ArrayRef> {
        if self.from == self.to {
            return Ok(array.clone());
        }
        // Zones are taken off before and put on after: all times are UTC, and Arrow knows no zone names by itself.
        let array = without_zone(array);
        let target = naive(&self.to);
        let cast = match &self.way {
            Way::Read => read(&kernel(&array, &DataType::Utf8View)?, &target)?,
            Way::ReadFormat(format) => {
                let text = trimmed(kernel(&array, &DataType::Utf8View)?.as_string_view());
                match target {
                    DataType::Date32 => time::dates_in_format(&text, format)?,
                    _ => time::timestamps_in_format(&text, format)?,
                }
            }
            Way::WriteFormat(format) => time::written(&array, format),
            Way::Seconds => {
                let seconds = read_numbers::<Int64Type>(kernel(&array, &DataType::Utf8View)?.as_string_view(), integer);
                kernel(&kernel(&seconds, &DataType::Timestamp(TimeUnit::Second, None))?, &target)?
            }
            Way::Kernel => kernel(&array, &target)?,
            Way::Checked => {
                let cast = kernel(&array, &target)?;
                let back = kernel(&cast, array.data_type())?;
                nullif(&cast, &neq(&back, &array).map_err(refused)?).map_err(refused)?
            }
            Way::ThroughText => read(&kernel(&array, &DataType::Utf8View)?, &target)?,
        };
        if cast.data_type() == &self.to { Ok(cast) } else { kernel_with_zone(&cast, &self.to) }
    }
}

fn plain_way(from: &DataType, to: &DataType) -> Result<Way, String> {
    use Group::{Binary, Boolean, Date, Decimal, Float, Integer, Nested, Text, Timestamp};
    let impossible = |advice: &str| Err(format!("{} cannot be cast to {}{advice}", type_name(from), type_name(to)));
    if from == to {
        return Ok(Way::Kernel);
    }
    match (group(from), group(to)) {
        (Nested, _) => impossible("; flatten a struct first, and unnest a list in SQL"),
        (_, Nested) => impossible(""),
        (Text, Integer | Float | Decimal | Boolean | Date | Timestamp) => Ok(Way::Read),
        (Text | Binary, Text | Binary) => Ok(Way::Kernel),
        // The kernel would write the zone by its name; `Z` is what RFC 3339 says.
        (Timestamp, Text) if is_zoned(from) => Ok(Way::WriteFormat("%Y-%m-%dT%H:%M:%S%.fZ".to_owned())),
        (Integer | Float | Decimal | Boolean | Date | Timestamp, Text) => Ok(Way::Kernel),
        (Integer, Integer | Float | Decimal) | (Float, Float) | (Decimal, Float) => Ok(Way::Kernel),
        (Float, Integer) | (Decimal, Integer | Decimal) | (Integer, Boolean) => Ok(Way::Checked),
        (Float, Decimal) => Ok(Way::ThroughText),
        (Boolean, Integer) | (Date | Timestamp, Timestamp | Date) => Ok(Way::Kernel),
        (Integer, Date | Timestamp) => {
            impossible("; give the format `%s` for seconds since 1970, or use to_timestamp_millis in SQL")
        }
        _ => impossible(""),
    }
}

fn formatted_way(from: &DataType, to: &DataType, format: &str) -> Result<Way, String> {
    use Group::{Date, Integer, Text, Timestamp};
    if let Some(problem) = time::format_problem(format) {
        return Err(problem);
    }
    match (group(from), group(to)) {
        (Integer | Text, Timestamp) if format == "%s" => Ok(Way::Seconds),
        (Text, Date | Timestamp) => Ok(Way::ReadFormat(format.to_owned())),
        (Date | Timestamp, Text) => Ok(Way::WriteFormat(format.to_owned())),
        _ => Err(format!(
            "a format goes with casts from string to date or timestamp and back, not from {} to {}",
            type_name(from),
            type_name(to)
        )),
    }
}

fn is_zoned(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Timestamp(_, Some(_)))
}

fn group(data_type: &DataType) -> Group {
    match data_type {
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => Group::Text,
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView => Group::Binary,
        DataType::Decimal128(..) => Group::Decimal,
        DataType::Boolean => Group::Boolean,
        DataType::Date32 => Group::Date,
        DataType::Timestamp(..) => Group::Timestamp,
        DataType::Struct(_) | DataType::List(_) | DataType::LargeList(_) | DataType::Map(..) => Group::Nested,
        other if other.is_integer() => Group::Integer,
        other if other.is_floating() => Group::Float,
        _ => Group::Other,
    }
}

/// Text read as the (zoneless) type; what it is not is null.
fn read(text: &ArrayRef, to: &DataType) -> Result<ArrayRef> {
    let text = text.as_string_view();
    Ok(match to {
        DataType::Int32 => read_numbers::<Int32Type>(text, |value| i32::try_from(integer(value)?).ok()),
        DataType::Int64 => read_numbers::<Int64Type>(text, integer),
        DataType::Float32 => read_numbers::<Float32Type>(text, |value| {
            float(value).map(|wide| wide as f32).filter(|narrow| narrow.is_finite() || !float_overflowed(value))
        }),
        DataType::Float64 => read_numbers::<Float64Type>(text, float),
        DataType::Decimal128(precision, scale) => read_decimals(text, *precision, *scale)?,
        DataType::Boolean => read_booleans(text),
        DataType::Date32 => Arc::new(time::dates(text)),
        DataType::Timestamp(TimeUnit::Microsecond, None) => Arc::new(time::timestamps(text)),
        other => return Err(Error::bug(format!("there is no reader of text for {other}"))),
    })
}

fn read_numbers<T: ArrowPrimitiveType>(text: &StringViewArray, parse: impl Fn(&str) -> Option<T::Native>) -> ArrayRef {
    let mut numbers = PrimitiveBuilder::<T>::with_capacity(text.len());
    for value in text {
        numbers.append_option(value.and_then(&parse));
    }
    Arc::new(numbers.finish())
}

fn read_decimals(text: &StringViewArray, precision: u8, scale: i8) -> Result<ArrayRef> {
    let limit = 10_i128.checked_pow(u32::from(precision)).unwrap_or(i128::MAX);
    let mut decimals = Decimal128Builder::with_capacity(text.len());
    for value in text {
        let exact = value.and_then(Exact::parse).and_then(|number| number.at_scale(i32::from(scale)));
        decimals.append_option(exact.filter(|digits| digits.unsigned_abs() < limit.unsigned_abs()));
    }
    let decimals = decimals.finish().with_precision_and_scale(precision, scale).map_err(refused)?;
    debug_assert_eq!(decimals.data_type(), &DataType::Decimal128(precision, scale));
    Ok(Arc::new(decimals) as Arc<arrow::array::PrimitiveArray<Decimal128Type>>)
}

fn read_booleans(text: &StringViewArray) -> ArrayRef {
    const TRUE: [&str; 5] = ["true", "t", "yes", "y", "1"];
    const FALSE: [&str; 5] = ["false", "f", "no", "n", "0"];
    let mut booleans = BooleanBuilder::with_capacity(text.len());
    for value in text {
        let is_any = |words: [&str; 5]| {
            value.is_some_and(|value| words.iter().any(|word| value.trim().eq_ignore_ascii_case(word)))
        };
        booleans.append_option(if is_any(TRUE) {
            Some(true)
        } else if is_any(FALSE) {
            Some(false)
        } else {
            None
        });
    }
    Arc::new(booleans.finish())
}

/// A whole number, also one written as a float without a fraction such as `17850.0`.
fn integer(text: &str) -> Option<i64> {
    text.parse().ok().or_else(|| i64::try_from(Exact::parse(text)?.at_scale(0)?).ok())
}

fn float(text: &str) -> Option<f64> {
    let number = text.trim().parse::<f64>().ok()?;
    (number.is_finite() || !float_overflowed(text)).then_some(number)
}

/// Whether an infinite result comes from digits, and not from a text that says infinity.
fn float_overflowed(text: &str) -> bool {
    text.bytes().any(|byte| byte.is_ascii_digit())
}

fn trimmed(text: &StringViewArray) -> ArrayRef {
    let unchanged = text.iter().flatten().all(|value| value.trim().len() == value.len());
    if unchanged {
        return Arc::new(text.clone());
    }
    Arc::new(text.iter().map(|value| value.map(str::trim)).collect::<StringViewArray>())
}

fn naive(data_type: &DataType) -> DataType {
    match data_type {
        DataType::Timestamp(unit, _) => DataType::Timestamp(*unit, None),
        other => other.clone(),
    }
}

fn without_zone(array: &ArrayRef) -> ArrayRef {
    match array.data_type() {
        DataType::Timestamp(TimeUnit::Microsecond, Some(_)) => {
            Arc::new(array.as_primitive::<TimestampMicrosecondType>().clone().with_timezone_opt(None::<Arc<str>>))
        }
        _ => array.clone(),
    }
}

fn kernel_with_zone(array: &ArrayRef, to: &DataType) -> Result<ArrayRef> {
    match (array.data_type(), to) {
        (DataType::Timestamp(TimeUnit::Microsecond, _), DataType::Timestamp(TimeUnit::Microsecond, zone)) => {
            Ok(Arc::new(array.as_primitive::<TimestampMicrosecondType>().clone().with_timezone_opt(zone.clone())))
        }
        _ => kernel(array, to),
    }
}

fn kernel(array: &ArrayRef, to: &DataType) -> Result<ArrayRef> {
    if array.data_type() == to {
        return Ok(array.clone());
    }
    cast_with_options(array, to, &CastOptions::default()).map_err(refused)
}

fn refused(error: arrow::error::ArrowError) -> Error {
    Error::bug("a cast that was checked could not be done").with_source(error)
}

#[cfg(test)]
mod tests {
    use arrow::array::{
        BinaryArray, BooleanArray, Date32Array, Decimal128Array, Float64Array, Int64Array, TimestampMicrosecondArray,
    };
    use arrow::datatypes::Date32Type;

    use super::*;

    fn utc() -> DataType {
        DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()))
    }

    fn cast(array: impl Array + 'static, to: &DataType) -> ArrayRef {
        let array: ArrayRef = Arc::new(array);
        let cast = Cast::new(array.data_type(), to, None).unwrap().apply(&array).unwrap();
        assert_eq!(cast.data_type(), to);
        cast
    }

    fn texts(values: &[&str]) -> StringViewArray {
        values.iter().map(|value| Some(*value)).collect()
    }

    #[test]
    fn whole_floats_become_integers_and_others_are_lost() {
        let text = texts(&["17850.0", " 12 ", "1.5", "abc", "9223372036854775807", "9223372036854775808"]);
        let expected = Int64Array::from(vec![Some(17850), Some(12), None, None, Some(i64::MAX), None]);
        assert_eq!(cast(text, &DataType::Int64).as_primitive::<Int64Type>(), &expected);
        let floats = Float64Array::from(vec![17850.0, 1.5, f64::NAN, 1e300]);
        assert_eq!(
            cast(floats, &DataType::Int64).as_primitive::<Int64Type>(),
            &Int64Array::from(vec![Some(17850), None, None, None])
        );
    }

    #[test]
    fn integers_that_do_not_fit_are_lost() {
        let longs = Int64Array::from(vec![1, i64::from(i32::MAX) + 1]);
        assert_eq!(cast(longs, &DataType::Int32).null_count(), 1);
        assert_eq!(cast(texts(&["1", "2147483648"]), &DataType::Int32).null_count(), 1);
        assert_eq!(cast(Int64Array::from(vec![0, 1, 2]), &DataType::Boolean).null_count(), 1);
    }

    #[test]
    fn decimals_are_exact_or_lost() {
        let to = DataType::Decimal128(10, 2);
        let cast_text = cast(texts(&["12.30", "12.345", "0.1", "100000000", "99999999.99"]), &to);
        let expected = Decimal128Array::from(vec![Some(1230), None, Some(10), None, Some(9_999_999_999)])
            .with_precision_and_scale(10, 2)
            .unwrap();
        assert_eq!(cast_text.as_primitive::<Decimal128Type>(), &expected);
        let floats = cast(Float64Array::from(vec![0.1, 0.125, 1e21]), &to);
        assert_eq!(floats.as_primitive::<Decimal128Type>().iter().collect::<Vec<_>>(), [Some(10), None, None]);
        let longs = cast(Int64Array::from(vec![5, i64::MAX]), &to);
        assert_eq!(longs.as_primitive::<Decimal128Type>().iter().collect::<Vec<_>>(), [Some(500), None]);
        let fine = Decimal128Array::from(vec![1230, 1234]).with_precision_and_scale(10, 3).unwrap();
        let coarse = cast(fine, &to);
        assert_eq!(coarse.as_primitive::<Decimal128Type>().iter().collect::<Vec<_>>(), [Some(123), None]);
        let whole = Decimal128Array::from(vec![1200, 1230]).with_precision_and_scale(10, 2).unwrap();
        assert_eq!(cast(whole, &DataType::Int64).as_primitive::<Int64Type>(), &Int64Array::from(vec![Some(12), None]));
    }

    #[test]
    fn booleans_are_read_in_the_usual_words() {
        let read = cast(texts(&["true", "No", " 1 ", "maybe"]), &DataType::Boolean);
        assert_eq!(read.as_boolean(), &BooleanArray::from(vec![Some(true), Some(false), Some(true), None]));
    }

    #[test]
    fn times_are_cast_in_utc() {
        let times = cast(texts(&["2024-01-31T23:30:00-02:00", "2024-01-31", "not-a-time"]), &utc());
        assert_eq!(times.null_count(), 1);
        let dates = cast(times.as_primitive::<TimestampMicrosecondType>().clone(), &DataType::Date32);
        assert_eq!(dates.as_primitive::<Date32Type>().value(0) - dates.as_primitive::<Date32Type>().value(1), 1);
        let back = cast(dates.as_primitive::<Date32Type>().clone(), &utc());
        let text = cast(back.as_primitive::<TimestampMicrosecondType>().clone(), &DataType::Utf8View);
        assert_eq!(text.as_string_view().value(0), "2024-02-01T00:00:00Z");
        assert_eq!(cast(texts(&["2024-02-01", "x"]), &DataType::Date32).null_count(), 1);
        assert_eq!(cast(Date32Array::from(vec![0]), &DataType::Utf8View).as_string_view().value(0), "1970-01-01");
    }

    #[test]
    fn seconds_since_1970_are_a_format() {
        let seconds: ArrayRef = Arc::new(Int64Array::from(vec![Some(1), None, Some(i64::MAX)]));
        let times = Cast::new(&DataType::Int64, &utc(), Some("%s")).unwrap().apply(&seconds).unwrap();
        assert_eq!(times.data_type(), &utc());
        let expected = TimestampMicrosecondArray::from(vec![Some(1_000_000), None, None]).with_timezone("UTC");
        assert_eq!(times.as_primitive::<TimestampMicrosecondType>(), &expected);
    }

    #[test]
    fn bytes_that_are_no_text_are_lost() {
        let bytes = BinaryArray::from(vec![b"ok".as_slice(), b"\xff"]);
        assert_eq!(cast(bytes, &DataType::Utf8View).null_count(), 1);
    }

    #[test]
    fn floats_are_read_but_never_overflow_in_silence() {
        let read = cast(texts(&[" 1.5 ", "1e999", "inf"]), &DataType::Float64);
        assert_eq!(read.as_primitive::<Float64Type>(), &Float64Array::from(vec![Some(1.5), None, Some(f64::INFINITY)]));
        assert_eq!(cast(texts(&["1.5", "1e300"]), &DataType::Float32).null_count(), 1);
    }

    #[test]
    fn impossible_casts_are_told() {
        assert!(Cast::new(&DataType::Boolean, &DataType::Date32, None).is_err());
        assert!(Cast::new(&DataType::Int64, &utc(), None).unwrap_err().contains("%s"));
        assert!(Cast::new(&DataType::Struct(Default::default()), &DataType::Utf8View, None).is_err());
        assert!(Cast::new(&DataType::Utf8View, &DataType::Int64, Some("%d")).is_err());
    }
}
