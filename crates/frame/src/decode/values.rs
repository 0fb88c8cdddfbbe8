//! Texts to values, exactly: a text that would lose something by the conversion gives `None`.
//!
//! Both JSON and CSV come through here, so a column holds the same value whichever file it came from.

use arrow::compute::kernels::cast_utils::string_to_datetime;
use chrono::{DateTime, Datelike, NaiveDate, Utc};

/// The largest magnitude up to which every integer is a double.
const EXACT_IN_DOUBLE: f64 = 9_007_199_254_740_992.0;

/// A whole number. `5.0` and `5e2` are whole, `5.5` is not.
#[inline]
pub(crate) fn long(text: &str) -> Option<i64> {
    let (negative, digits) = match text.as_bytes() {
        [b'-', digits @ ..] => (true, digits),
        digits => (false, digits),
    };
    if digits.is_empty() || digits.len() > 18 || !digits.iter().all(u8::is_ascii_digit) {
        return long_in_other_words(text);
    }
    let value = digits.iter().fold(0_i64, |value, digit| value * 10 + i64::from(digit - b'0'));
    Some(if negative { -value } else { value })
}

fn long_in_other_words(text: &str) -> Option<i64> {
    if let Ok(value) = text.parse() {
        return Some(value);
    }
    if !text.contains(['.', 'e', 'E']) {
        return None;
    }
    let value = finite(text)?;
    // Within this magnitude the conversion is exact.
    (value.fract() == 0.0 && value.abs() <= EXACT_IN_DOUBLE).then_some(value as i64)
}

/// A whole number of 32 bits.
pub(crate) fn int(text: &str) -> Option<i32> {
    i32::try_from(long(text)?).ok()
}

/// A number as the nearest double. A number written as an integer must be exactly representable.
pub(crate) fn double(text: &str) -> Option<f64> {
    let value = finite(text)?;
    if value.abs() >= EXACT_IN_DOUBLE && is_integer_text(text) && text.parse::<i128>().ok() != Some(value as i128) {
        return None;
    }
    Some(value)
}

/// A number as the nearest float. A number written as an integer must be exactly representable.
pub(crate) fn float(text: &str) -> Option<f32> {
    let value: f32 = text.parse().ok().filter(|value: &f32| value.is_finite() && starts_as_number(text))?;
    let exact = !is_integer_text(text) || text.parse::<i128>().ok() == Some(value as i128);
    exact.then_some(value)
}

/// A decimal as its unscaled integer. Digits beyond the scale must be zeros.
pub(crate) fn decimal(text: &str, precision: u8, scale: i8) -> Option<i128> {
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent.parse::<i32>().ok()?),
        None => (text, 0),
    };
    let (negative, unsigned) = match mantissa.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, mantissa),
    };
    let (whole, fraction) = unsigned.split_once('.').unwrap_or((unsigned, ""));
    if whole.is_empty() && fraction.is_empty() {
        return None;
    }
    let mut unscaled: i128 = 0;
    for digit in whole.bytes().chain(fraction.bytes()) {
        if !digit.is_ascii_digit() {
            return None;
        }
        unscaled = unscaled.checked_mul(10)?.checked_add(i128::from(digit - b'0'))?;
    }
    let fraction_digits = i32::try_from(fraction.len()).ok()?;
    let mut shift = exponent.checked_add(i32::from(scale))?.checked_sub(fraction_digits)?;
    while shift != 0 && unscaled != 0 {
        if shift > 0 {
            unscaled = unscaled.checked_mul(10)?;
            shift -= 1;
        } else if unscaled % 10 == 0 {
            unscaled /= 10;
            shift += 1;
        } else {
            return None;
        }
    }
    let fits = unscaled.unsigned_abs() < 10_u128.checked_pow(u32::from(precision))?;
    fits.then_some(if negative { -unscaled } else { unscaled })
}

/// Days since 1970-01-01 of a date written `YYYY-MM-DD`.
pub(crate) fn date(text: &str) -> Option<i32> {
    let bytes = text.as_bytes();
    if bytes.len() != 10 || bytes[4] != b'-' || bytes[7] != b'-' {
        return None;
    }
    let number =
        |part: &str| part.bytes().all(|byte| byte.is_ascii_digit()).then(|| part.parse::<u32>().ok()).flatten();
    let year = i32::try_from(number(text.get(..4)?)?).ok()?;
    let found = NaiveDate::from_ymd_opt(year, number(text.get(5..7)?)?, number(text.get(8..)?)?)?;
    Some(found.num_days_from_ce() - NaiveDate::from_ymd_opt(1970, 1, 1)?.num_days_from_ce())
}

/// Microseconds since 1970 of an ISO 8601 text. Without a zone it is taken as UTC; finer digits are cut off.
pub(crate) fn timestamp(text: &str) -> Option<i64> {
    let found: DateTime<Utc> = string_to_datetime(&Utc, text).ok()?;
    Some(found.timestamp_micros())
}

/// Microseconds since 1970 of an ISO 8601 text without a zone.
pub(crate) fn timestamp_ntz(text: &str) -> Option<i64> {
    let time = text.get(10..)?;
    if time.bytes().any(|byte| matches!(byte, b'+' | b'-' | b'z' | b'Z')) {
        return None;
    }
    timestamp(text)
}

/// The bytes of a base64 text, standard alphabet, with its padding.
pub(crate) fn base64(text: &str) -> Option<Vec<u8>> {
    if !text.len().is_multiple_of(4) {
        return None;
    }
    let body = text.trim_end_matches('=');
    if text.len() - body.len() > 2 {
        return None;
    }
    let mut out = Vec::with_capacity(text.len() / 4 * 3);
    let (mut bits, mut count) = (0_u32, 0);
    for byte in body.bytes() {
        let six = match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return None,
        };
        bits = (bits << 6) | u32::from(six);
        count += 6;
        if count >= 8 {
            count -= 8;
            out.push((bits >> count & 0xFF) as u8);
        }
    }
    // Left-over bits that are set would be lost.
    (bits & ((1 << count) - 1) == 0).then_some(out)
}

/// The base64 text of bytes, the inverse of [`base64`].
pub(crate) fn to_base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for three in bytes.chunks(3) {
        let bits = three.iter().fold(0_u32, |bits, byte| bits << 8 | u32::from(*byte)) << (8 * (3 - three.len()));
        for index in 0..4 {
            let six = (bits >> (18 - 6 * index)) & 63;
            out.push(if index <= three.len() { char::from(ALPHABET[six as usize]) } else { '=' });
        }
    }
    out
}

/// `true` or `false`, in any case.
pub(crate) fn boolean(text: &str) -> Option<bool> {
    if text.eq_ignore_ascii_case("true") {
        Some(true)
    } else if text.eq_ignore_ascii_case("false") {
        Some(false)
    } else {
        None
    }
}

fn finite(text: &str) -> Option<f64> {
    // The standard parser also knows words such as `inf`.
    text.parse().ok().filter(|value: &f64| value.is_finite() && starts_as_number(text))
}

fn starts_as_number(text: &str) -> bool {
    text.bytes().next().is_some_and(|first| matches!(first, b'0'..=b'9' | b'-' | b'+' | b'.'))
}

fn is_integer_text(text: &str) -> bool {
    !text.contains(['.', 'e', 'E'])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn whole_numbers_in_any_notation_are_longs() {
        assert_eq!(long("9223372036854775807"), Some(i64::MAX));
        assert_eq!(long("-9223372036854775808"), Some(i64::MIN));
        assert_eq!((long("5.0"), long("1e3"), long("-0")), (Some(5), Some(1000), Some(0)));
        assert_eq!(
            (long("9223372036854775808"), long("5.5"), long("1e30"), long("x"), long("")),
            (None, None, None, None, None)
        );
        assert_eq!((int("2147483647"), int("2147483648")), (Some(i32::MAX), None));
    }

    #[test]
    fn a_long_integer_is_no_double_when_it_would_be_rounded() {
        assert_eq!(double("9007199254740993"), None);
        assert_eq!(double("9007199254740992"), Some(9_007_199_254_740_992.0));
        assert_eq!((double("0.1"), double("1e999"), double("inf"), double("NaN")), (Some(0.1), None, None, None));
        assert_eq!((float("16777217"), float("16777216"), float("0.1")), (None, Some(16_777_216.0), Some(0.1)));
    }

    #[test]
    fn decimals_are_exact_or_nothing() {
        assert_eq!(decimal("12.34", 10, 2), Some(1234));
        assert_eq!(decimal("-12.3400", 10, 2), Some(-1234));
        assert_eq!(decimal("12.345", 10, 2), None);
        assert_eq!(decimal("1.2e3", 10, 2), Some(120_000));
        assert_eq!(decimal("100000000.00", 10, 2), None);
        assert_eq!(decimal("0e99999", 10, 2), Some(0));
        assert_eq!((decimal("", 10, 2), decimal(".", 10, 2), decimal("1x", 10, 2)), (None, None, None));
    }

    #[test]
    fn times_are_read_in_iso_forms() {
        assert_eq!(date("1970-01-02"), Some(1));
        assert_eq!((date("2023-02-29"), date("2023-2-09"), date("+023-02-09")), (None, None, None));
        assert_eq!(timestamp("1970-01-01T01:00:00+01:00"), Some(0));
        assert_eq!(timestamp("1970-01-01 00:00:00.000001"), Some(1));
        assert_eq!(timestamp_ntz("1970-01-01T00:00:01"), Some(1_000_000));
        assert_eq!(timestamp_ntz("1970-01-01T00:00:01Z"), None);
        assert_eq!(timestamp("yesterday, at noon"), None);
    }

    proptest! {
        #[test]
        fn bytes_survive_base64(bytes in any::<Vec<u8>>()) {
            prop_assert_eq!(base64(&to_base64(&bytes)), Some(bytes));
        }

        #[test]
        fn every_long_is_read_from_its_own_text(value in any::<i64>()) {
            prop_assert_eq!(long(&value.to_string()), Some(value));
        }

        #[test]
        fn every_decimal_is_read_from_its_own_text(value in -10_i128.pow(30)..10_i128.pow(30)) {
            let text = format!("{}{}.{:05}", if value < 0 { "-" } else { "" }, value.abs() / 100_000, value.abs() % 100_000);
            prop_assert_eq!(decimal(&text, 38, 5), Some(value));
        }
    }
}
