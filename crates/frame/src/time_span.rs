//! Time spans as users write them: a whole number and its unit, such as `200ms`, `5s`, `1m`, `1h` or `7d`.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

/// Units and their milliseconds, the longest first.
const UNITS: [(&str, u64); 5] = [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];

/// A time span in a spec.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(try_from = "String", into = "String")]
pub struct TimeSpan {
    milliseconds: u64,
}

impl TimeSpan {
    /// That many milliseconds.
    pub const fn milliseconds(milliseconds: u64) -> TimeSpan {
        TimeSpan { milliseconds }
    }

    /// The span as a duration.
    pub fn duration(self) -> Duration {
        Duration::from_millis(self.milliseconds)
    }
}

impl FromStr for TimeSpan {
    type Err = String;

    fn from_str(text: &str) -> Result<TimeSpan, String> {
        let parse = || {
            let (number, unit) = text.trim().split_at_checked(text.trim().find(|one: char| !one.is_ascii_digit())?)?;
            let (_, milliseconds) = UNITS.into_iter().find(|(name, _)| *name == unit.trim())?;
            number.parse::<u64>().ok()?.checked_mul(milliseconds).map(TimeSpan::milliseconds)
        };
        parse().ok_or_else(|| format!("`{text}` is not a time span; write it as `200ms`, `5s`, `1m` or `1h`"))
    }
}

impl TryFrom<String> for TimeSpan {
    type Error = String;

    fn try_from(text: String) -> Result<TimeSpan, String> {
        text.parse()
    }
}

impl From<TimeSpan> for String {
    fn from(span: TimeSpan) -> String {
        span.to_string()
    }
}

impl fmt::Display for TimeSpan {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let whole = |(_, milliseconds): &(&str, u64)| self.milliseconds.is_multiple_of(*milliseconds);
        let (unit, milliseconds) = UNITS.into_iter().filter(|_| self.milliseconds > 0).find(whole).unwrap_or(("ms", 1));
        write!(formatter, "{}{unit}", self.milliseconds / milliseconds)
    }
}

impl JsonSchema for TimeSpan {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "TimeSpan".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "pattern": "^[0-9]+ *(ms|s|m|h|d)$" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_is_a_number_and_a_unit() {
        for (text, milliseconds) in [("200ms", 200), ("5s", 5_000), ("2 m", 120_000), ("7d", 604_800_000), ("0s", 0)] {
            assert_eq!(text.parse(), Ok(TimeSpan::milliseconds(milliseconds)), "{text}");
        }
        for text in ["", "5", "s", "-1s", "1.5s", "5 days", "99999999999999999999s", "18446744073709551615h"] {
            assert!(text.parse::<TimeSpan>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_span_is_written_in_its_longest_whole_unit() {
        let written =
            [0, 200, 1_000, 90_000, 120_000, 7_200_000, 172_800_000].map(|one| TimeSpan::milliseconds(one).to_string());
        assert_eq!(written, ["0ms", "200ms", "1s", "90s", "2m", "2h", "2d"]);
    }
}
