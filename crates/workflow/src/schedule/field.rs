//! One field of a cron expression: the values it allows.
//!
//! All fields share one grammar: lists of values, ranges and increments. What only the day fields know (`?`, `L`, `W`,
//! `#`) is in [`super::days`].

use std::collections::BTreeSet;
use std::ops::RangeInclusive;

/// What a field may hold.
pub(super) struct Field {
    /// What the field is called in messages.
    pub(super) name: &'static str,
    /// Its least and greatest value.
    pub(super) bounds: RangeInclusive<u32>,
    /// Names that stand for the values from the least one on.
    pub(super) names: &'static [&'static str],
}

pub(super) const SECOND: Field = Field { name: "second", bounds: 0..=59, names: &[] };
pub(super) const MINUTE: Field = Field { name: "minute", bounds: 0..=59, names: &[] };
pub(super) const HOUR: Field = Field { name: "hour", bounds: 0..=23, names: &[] };
pub(super) const DAY_OF_MONTH: Field = Field { name: "day of month", bounds: 1..=31, names: &[] };
pub(super) const MONTH: Field = Field {
    name: "month",
    bounds: 1..=12,
    names: &["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"],
};
pub(super) const DAY_OF_WEEK: Field =
    Field { name: "day of week", bounds: 1..=7, names: &["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"] };
pub(super) const YEAR: Field = Field { name: "year", bounds: 1970..=2199, names: &[] };

impl Field {
    /// The values of a list such as `5`, `MON-FRI`, `22-2`, `0/15` or `1,10-40/10`, in capitals.
    ///
    /// # Errors
    /// When an item is none of those; the message names the field, the item and what can stand there.
    pub(super) fn values(&self, text: &str) -> Result<BTreeSet<u32>, String> {
        let mut values = BTreeSet::new();
        for item in text.split(',') {
            values.extend(self.item(item)?);
        }
        Ok(values)
    }

    /// One number or name within the bounds.
    pub(super) fn value(&self, text: &str) -> Option<u32> {
        if let Some(place) = self.names.iter().position(|name| *name == text) {
            return Some(self.bounds.start() + u32::try_from(place).ok()?);
        }
        number(text).filter(|value| self.bounds.contains(value))
    }

    /// The message for an item that the field cannot hold.
    pub(super) fn refuse(&self, found: &str) -> String {
        let (least, greatest) = (self.bounds.start(), self.bounds.end());
        let names = match (self.names.first(), self.names.last()) {
            (Some(first), Some(last)) => format!(" or {first} to {last}"),
            _ => String::new(),
        };
        format!("{}: found `{found}`, expected {least} to {greatest}{names}, {}", self.name, self.forms())
    }

    fn forms(&self) -> &'static str {
        match self.name {
            "day of month" => {
                "`*`, `?`, lists `1,15`, ranges `1-5`, increments `1/2`, or `L`, `L-3`, `LW`, `15W`; for every weekday \
                 write `?` here and MON-FRI as the day of week"
            }
            "day of week" => "`*`, `?`, lists `2,4`, ranges `MON-FRI`, increments `2/2`, or `L`, `6L`, `FRI#2`",
            "year" => "`*`, lists `2030,2032`, ranges `2030-2035` or increments `2030/2`",
            _ => "`*`, lists `1,5`, ranges `1-5` or increments `0/5`",
        }
    }

    fn item(&self, item: &str) -> Result<Vec<u32>, String> {
        let refuse = || self.refuse(item);
        let (base, step) = match item.split_once('/') {
            Some((base, step)) => (base, self.step(item, step)?),
            None => (item, 1),
        };
        let (from, until) = match base.split_once('-') {
            Some((from, until)) => (self.value(from).ok_or_else(refuse)?, self.value(until).ok_or_else(refuse)?),
            // Quartz takes `/5` for `*/5`.
            None if base == "*" || (base.is_empty() && item.contains('/')) => {
                (*self.bounds.start(), *self.bounds.end())
            }
            None => {
                let value = self.value(base).ok_or_else(refuse)?;
                (value, if item.contains('/') { *self.bounds.end() } else { value })
            }
        };
        self.range(from, until, step)
    }

    /// The values from one to another; past the greatest the range goes on with the least, as `22-2` does.
    fn range(&self, from: u32, until: u32, step: u32) -> Result<Vec<u32>, String> {
        let least = *self.bounds.start();
        let size = self.bounds.end() - least + 1;
        let wraps = until < from;
        if wraps && self.name == YEAR.name {
            return Err(format!("{}: found `{from}-{until}`, expected the earlier year first", self.name));
        }
        let until = if wraps { until + size } else { until };
        Ok((from..=until).step_by(step as usize).map(|value| (value - least) % size + least).collect())
    }

    fn step(&self, item: &str, step: &str) -> Result<u32, String> {
        let greatest = self.bounds.end() - self.bounds.start() + u32::from(*self.bounds.start() == 1);
        number(step)
            .filter(|step| (1..=greatest).contains(step))
            .ok_or_else(|| format!("{}: found the increment `{step}` in `{item}`, expected 1 to {greatest}", self.name))
    }
}

/// Digits only: no sign, no blank.
pub(super) fn number(text: &str) -> Option<u32> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if digits { text.parse().ok() } else { None }
}

/// Values below 64, as bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Set(u64);

impl Set {
    pub(super) fn has(self, value: u32) -> bool {
        value < 64 && self.0 & (1 << value) != 0
    }

    /// The least value that is no less than that one.
    pub(super) fn at_least(self, value: u32) -> Option<u32> {
        let above = if value < 64 { self.0 >> value << value } else { 0 };
        (above != 0).then(|| above.trailing_zeros())
    }

    pub(super) fn len(self) -> u32 {
        self.0.count_ones()
    }

    /// How many values are less than that one.
    pub(super) fn below(self, value: u32) -> u32 {
        if value < 64 { (self.0 & ((1 << value) - 1)).count_ones() } else { self.len() }
    }

    pub(super) fn union(self, other: Set) -> Set {
        Set(self.0 | other.0)
    }

    pub(super) fn iter(self) -> impl Iterator<Item = u32> {
        (0..64).filter(move |value| self.has(*value))
    }
}

impl FromIterator<u32> for Set {
    /// Values of 64 and more do not fit and are left out.
    fn from_iter<I: IntoIterator<Item = u32>>(values: I) -> Set {
        Set(values.into_iter().filter(|value| *value < 64).fold(0, |bits, value| bits | 1 << value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(field: &Field, text: &str) -> Vec<u32> {
        field.values(text).unwrap().into_iter().collect()
    }

    #[test]
    fn lists_ranges_and_increments_are_read_as_quartz_reads_them() {
        assert_eq!(values(&SECOND, "5/15"), [5, 20, 35, 50]);
        assert_eq!(values(&SECOND, "*/15"), [0, 15, 30, 45]);
        assert_eq!(values(&SECOND, "/15"), [0, 15, 30, 45]);
        assert_eq!(values(&MINUTE, "10-40/10"), [10, 20, 30, 40]);
        assert_eq!(values(&MINUTE, "0,30,7-9"), [0, 7, 8, 9, 30]);
        assert_eq!(values(&HOUR, "22-2"), [0, 1, 2, 22, 23]);
        assert_eq!(values(&HOUR, "22-4/2"), [0, 2, 4, 22]);
        assert_eq!(values(&MONTH, "NOV-FEB"), [1, 2, 11, 12]);
        assert_eq!(values(&MONTH, "7/6"), [7]);
        assert_eq!(values(&DAY_OF_WEEK, "FRI-MON"), [1, 2, 6, 7]);
        assert_eq!(values(&DAY_OF_WEEK, "MON-FRI/2"), [2, 4, 6]);
        assert_eq!(values(&DAY_OF_MONTH, "29-2"), [1, 2, 29, 30, 31]);
        assert_eq!(values(&YEAR, "2030-2032"), [2030, 2031, 2032]);
    }

    #[test]
    fn what_is_outside_of_a_field_is_refused_with_its_name_and_bounds() {
        for (field, text) in [
            (&SECOND, "60"),
            (&MINUTE, "-1"),
            (&HOUR, "24"),
            (&DAY_OF_MONTH, "0"),
            (&MONTH, "13"),
            (&MONTH, "MON"),
            (&DAY_OF_WEEK, "0"),
            (&DAY_OF_WEEK, "8"),
            (&YEAR, "1969"),
            (&SECOND, ""),
            (&SECOND, "1,"),
            (&SECOND, "1--2"),
            (&SECOND, "+1"),
            (&SECOND, "99999999999"),
            (&MINUTE, "?"),
            (&HOUR, "1-2-3"),
        ] {
            let message = field.values(text).unwrap_err();
            assert!(message.starts_with(field.name) && message.contains("expected"), "{message}");
        }
        assert!(MINUTE.values("0/60").unwrap_err().contains("increment `60`"));
        assert!(MINUTE.values("0/0").unwrap_err().contains("expected 1 to 59"));
        assert!(YEAR.values("2032-2030").unwrap_err().contains("earlier year first"));
    }
}
