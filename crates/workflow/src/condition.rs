//! The comparison of a condition task, by the rules of Jobs JSON: equality compares texts, order compares numbers.
//!
//! | Operator | compares | `12.0` and `12` |
//! |---|---|---|
//! | `EQUAL_TO`, `NOT_EQUAL` | texts, character by character | are not equal |
//! | `GREATER_THAN`, `GREATER_THAN_OR_EQUAL`, `LESS_THAN`, `LESS_THAN_OR_EQUAL` | numbers | are equal |
//!
//! Numbers are compared digit by digit, never as floating point: keys and amounts beyond 2^53 keep their order.

use std::cmp::Ordering;
use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use stage::{Error, Result};

/// The longest part of an operand that a message repeats, in characters.
const LONGEST_QUOTE: usize = 80;

/// How a condition task compares its operands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Operator {
    /// Both texts are the same.
    EqualTo,
    /// The texts differ.
    NotEqual,
    /// The left number is greater.
    GreaterThan,
    /// The left number is greater, or both are equal.
    GreaterThanOrEqual,
    /// The left number is less.
    LessThan,
    /// The left number is less, or both are equal.
    LessThanOrEqual,
}

impl Operator {
    /// Every operator.
    pub const ALL: [Operator; 6] = [
        Operator::EqualTo,
        Operator::NotEqual,
        Operator::GreaterThan,
        Operator::GreaterThanOrEqual,
        Operator::LessThan,
        Operator::LessThanOrEqual,
    ];

    /// The name in Jobs JSON, such as `GREATER_THAN`.
    pub fn name(self) -> &'static str {
        match self {
            Operator::EqualTo => "EQUAL_TO",
            Operator::NotEqual => "NOT_EQUAL",
            Operator::GreaterThan => "GREATER_THAN",
            Operator::GreaterThanOrEqual => "GREATER_THAN_OR_EQUAL",
            Operator::LessThan => "LESS_THAN",
            Operator::LessThanOrEqual => "LESS_THAN_OR_EQUAL",
        }
    }

    /// Whether its operands must be numbers.
    pub fn compares_numbers(self) -> bool {
        !matches!(self, Operator::EqualTo | Operator::NotEqual)
    }
}

impl fmt::Display for Operator {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(self.name())
    }
}

/// Whether `left operator right` is true. White space around a number does not matter; in a compared text it does.
///
/// # Errors
/// [`stage::Kind::Config`] when numbers are compared and an operand is none.
pub fn holds(operator: Operator, left: &str, right: &str) -> Result<bool> {
    let order = || Ok::<_, Error>(number(operator, "left", left)?.cmp(&number(operator, "right", right)?));
    match operator {
        Operator::EqualTo => Ok(left == right),
        Operator::NotEqual => Ok(left != right),
        Operator::GreaterThan => Ok(order()?.is_gt()),
        Operator::GreaterThanOrEqual => Ok(order()?.is_ge()),
        Operator::LessThan => Ok(order()?.is_lt()),
        Operator::LessThanOrEqual => Ok(order()?.is_le()),
    }
}

/// An operand as a number.
fn number(operator: Operator, side: &str, text: &str) -> Result<Decimal> {
    Decimal::parse(text.trim()).ok_or_else(|| {
        let shown = shortened(text);
        Error::config(format!("{operator} compares numbers, and its {side} operand `{shown}` is none"))
    })
}

/// The beginning of a long text.
fn shortened(text: &str) -> String {
    match text.char_indices().nth(LONGEST_QUOTE) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text.to_owned(),
    }
}

/// An exact decimal number: ± 0.`digits` × 10^`exponent`. `digits` neither begin nor end with a zero, so that each
/// number is written in one way only; those of zero are empty, with no sign and the exponent 0.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Decimal {
    negative: bool,
    exponent: i64,
    digits: String,
}

impl Decimal {
    /// Reads a number as JSON writes it, and also `+1`, `007`, `.5` and `1.`. `None` for any other text, such as `NaN`,
    /// and for a power of ten of more than 32 bits.
    fn parse(text: &str) -> Option<Decimal> {
        let (negative, unsigned) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text.strip_prefix('+').unwrap_or(text)),
        };
        let (mantissa, power) = match unsigned.split_once(['e', 'E']) {
            Some((mantissa, power)) => (mantissa, power.parse::<i32>().ok()?),
            None => (unsigned, 0),
        };
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let written = format!("{whole}{fraction}");
        if written.is_empty() || !written.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        let significant = written.trim_start_matches('0');
        let leading_zeros = written.len() - significant.len();
        let digits = significant.trim_end_matches('0');
        if digits.is_empty() {
            return Some(Decimal { negative: false, exponent: 0, digits: String::new() });
        }
        let point = i64::try_from(whole.len()).ok()? - i64::try_from(leading_zeros).ok()?;
        Some(Decimal { negative, exponent: point + i64::from(power), digits: digits.to_owned() })
    }

    /// -1, 0 or 1.
    fn sign(&self) -> i8 {
        match (self.digits.is_empty(), self.negative) {
            (true, _) => 0,
            (false, true) => -1,
            (false, false) => 1,
        }
    }
}

impl Ord for Decimal {
    fn cmp(&self, other: &Self) -> Ordering {
        let by_size = || self.exponent.cmp(&other.exponent).then_with(|| self.digits.cmp(&other.digits));
        self.sign().cmp(&other.sign()).then_with(|| if self.negative { by_size().reverse() } else { by_size() })
    }
}

impl PartialOrd for Decimal {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use stage::Kind;

    use super::*;

    /// Asserts what each of the four numeric operators says about operands in that order.
    fn check_order(left: &str, right: &str, expected: Ordering) {
        let said = |operator| holds(operator, left, right).unwrap();
        assert_eq!(said(Operator::GreaterThan), expected.is_gt(), "{left} > {right}");
        assert_eq!(said(Operator::GreaterThanOrEqual), expected.is_ge(), "{left} >= {right}");
        assert_eq!(said(Operator::LessThan), expected.is_lt(), "{left} < {right}");
        assert_eq!(said(Operator::LessThanOrEqual), expected.is_le(), "{left} <= {right}");
    }

    #[test]
    fn equality_compares_texts() {
        for (left, right, equal) in [
            ("12", "12", true),
            ("12.0", "12", false),
            ("true", "true", true),
            ("true", "True", false),
            ("", "", true),
            ("a", "a ", false),
        ] {
            assert_eq!(holds(Operator::EqualTo, left, right).unwrap(), equal, "{left} == {right}");
            assert_eq!(holds(Operator::NotEqual, left, right).unwrap(), !equal, "{left} != {right}");
        }
    }

    #[test]
    fn order_compares_numbers() {
        for (left, right, expected) in [
            ("12.0", "12", Ordering::Equal),
            ("9", "10", Ordering::Less),
            ("-9", "-10", Ordering::Greater),
            ("-1", "0", Ordering::Less),
            ("-0.0", "0", Ordering::Equal),
            ("0.1", "0.09", Ordering::Greater),
            ("-0.1", "-0.09", Ordering::Less),
            ("1e3", "1000", Ordering::Equal),
            ("1.5E-2", "0.015", Ordering::Equal),
            ("007", "7", Ordering::Equal),
            ("+.5", "0.5", Ordering::Equal),
            ("1.", "1", Ordering::Equal),
            (" 3\n", "3", Ordering::Equal),
            ("9007199254740993", "9007199254740992", Ordering::Greater),
            ("0.1000000000000000055511151231257827", "0.1", Ordering::Greater),
            ("1e2147483647", "99999999999999999999", Ordering::Greater),
        ] {
            check_order(left, right, expected);
            check_order(right, left, expected.reverse());
        }
    }

    #[test]
    fn an_operand_that_is_no_number_is_named() {
        for text in
            ["", "abc", "1,000", "0x10", "NaN", "inf", "1e", "1e+-2", "--1", ".", "1.2.3", "1e99999999999", "１"]
        {
            let error = holds(Operator::LessThan, "1", text).unwrap_err();
            assert_eq!(error.kind(), Kind::Config);
            let expected = format!("LESS_THAN compares numbers, and its right operand `{text}` is none");
            assert_eq!(error.message(), expected);
        }
        assert!(holds(Operator::LessThan, "true", "1").unwrap_err().message().contains("left operand `true`"));
        let long = holds(Operator::LessThan, &"é".repeat(50_000), "1").unwrap_err();
        assert!(long.message().len() < 300);
    }

    #[test]
    fn names_are_those_of_the_format() {
        for operator in Operator::ALL {
            let written = serde_json::to_value(operator).unwrap();
            assert_eq!(written, operator.name());
            assert_eq!(serde_json::from_value::<Operator>(written).unwrap(), operator);
        }
        let schema = serde_json::to_string(&schemars::schema_for!(Operator)).unwrap();
        assert!(Operator::ALL.iter().all(|operator| schema.contains(operator.name())));
    }

    proptest! {
        #[test]
        fn integers_are_ordered_as_integers_are(left: i128, right: i128) {
            check_order(&left.to_string(), &right.to_string(), left.cmp(&right));
        }

        #[test]
        fn moving_the_point_changes_nothing(left: i64, right: i64, places in -40i32..40) {
            let (moved_left, moved_right) = (format!("{left}e{places}"), format!("{right}e{places}"));
            check_order(&moved_left, &moved_right, left.cmp(&right));
        }

        #[test]
        fn floats_are_ordered_as_they_are_written(left in -1e9f64..1e9, right in -1e9f64..1e9) {
            check_order(&left.to_string(), &right.to_string(), left.partial_cmp(&right).unwrap());
        }

        #[test]
        fn any_text_is_compared_or_refused(left: String, right: String) {
            prop_assert_eq!(holds(Operator::EqualTo, &left, &right).unwrap(), left == right);
            if let Ok(greater) = holds(Operator::GreaterThan, &left, &right) {
                prop_assert_eq!(holds(Operator::LessThanOrEqual, &left, &right).unwrap(), !greater);
            }
        }
    }
}
