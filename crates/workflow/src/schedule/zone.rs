//! Time zones by their Java ids: what a clock there shows at an instant, and when it shows a given reading.

use std::str::FromStr as _;

use chrono::{DateTime, FixedOffset, MappedLocalTime, NaiveDateTime, Offset as _, TimeDelta, TimeZone as _, Utc};
use chrono_tz::{TZ_VARIANTS, Tz};

use super::field::number;
use crate::nearest;

/// The longest way from UTC that Java allows, in seconds: 18 hours.
const FURTHEST_OFFSET: u32 = 18 * 3600;

/// A region with its rules of daylight saving time, or an offset from UTC that never changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Zone {
    /// A region of the IANA time zone database.
    Region(Tz),
    /// A fixed offset.
    Fixed(FixedOffset),
}

impl Zone {
    /// A Java time zone id: a region such as `Europe/Berlin`, `UTC`, `GMT`, `UT` or `Z`, or an offset such as `+02:00`,
    /// `GMT+2` or `UTC+02:00`.
    ///
    /// # Errors
    /// When there is no such zone; with the nearest region there is.
    pub(super) fn parse(id: &str) -> Result<Zone, String> {
        let after_prefix = ["UTC", "GMT", "UT"].iter().find_map(|prefix| id.strip_prefix(prefix)).unwrap_or(id);
        if id == "Z" || after_prefix.is_empty() && !id.is_empty() {
            return Ok(Zone::Region(Tz::UTC));
        }
        if after_prefix.starts_with(['+', '-']) {
            return offset(after_prefix).map(Zone::Fixed).ok_or_else(|| {
                format!("found the time zone `{id}`, expected an offset of at most 18 hours, such as `UTC+02:00`")
            });
        }
        Tz::from_str(id).map(Zone::Region).map_err(|_| {
            let lowercase = id.to_lowercase();
            let likely = TZ_VARIANTS.iter().map(|zone| zone.name()).find(|name| name.to_lowercase() == lowercase);
            let hint = match likely {
                Some(name) => format!("; did you mean `{name}`?"),
                None => nearest::hint(id, TZ_VARIANTS.iter().map(|zone| zone.name())),
            };
            format!("found the time zone `{id}`, expected a Java time zone id, such as `Europe/Berlin` or `UTC`{hint}")
        })
    }

    /// What a clock shows at that instant.
    pub(super) fn reading(&self, instant: DateTime<Utc>) -> NaiveDateTime {
        instant.naive_utc() + self.offset_at(instant)
    }

    /// How far a clock is ahead of UTC at that instant.
    pub(super) fn offset_at(&self, instant: DateTime<Utc>) -> TimeDelta {
        let offset = match self {
            Zone::Region(region) => region.offset_from_utc_datetime(&instant.naive_utc()).fix(),
            Zone::Fixed(offset) => *offset,
        };
        TimeDelta::seconds(i64::from(offset.local_minus_utc()))
    }

    /// When a clock shows that reading: never, once or twice.
    pub(super) fn instants(&self, reading: NaiveDateTime) -> MappedLocalTime<DateTime<Utc>> {
        match self {
            Zone::Region(region) => region.from_local_datetime(&reading).map(|instant| instant.to_utc()),
            Zone::Fixed(offset) => offset.from_local_datetime(&reading).map(|instant| instant.to_utc()),
        }
    }

    /// When a clock first shows that reading or, when it skips it, what comes after the gap.
    pub(super) fn first_instant(&self, reading: NaiveDateTime) -> DateTime<Utc> {
        if let Some(instant) = self.instants(reading).earliest() {
            return instant;
        }
        // Every zone is less than a day and two hours from UTC.
        let reach = TimeDelta::hours(26);
        let (before, after) = (reading.and_utc() - reach, reading.and_utc() + reach);
        first_that(before, after, |instant| self.reading(instant) >= reading)
    }

    /// The first instant of each new offset, after the one and no later than the other instant. Two changes within a
    /// day that cancel each other are not seen; no zone has any.
    pub(super) fn changes(&self, after: DateTime<Utc>, until: DateTime<Utc>) -> Vec<DateTime<Utc>> {
        let mut changes = Vec::new();
        let mut from = after;
        while from < until && matches!(self, Zone::Region(_)) {
            let to = (from + TimeDelta::days(1)).min(until);
            let offset = self.offset_at(from);
            if self.offset_at(to) != offset {
                changes.push(first_that(from, to, |instant| self.offset_at(instant) != offset));
            }
            from = to;
        }
        changes
    }
}

/// The first second after the one instant, at the latest the other, that has what all later ones have too.
fn first_that(after: DateTime<Utc>, until: DateTime<Utc>, has: impl Fn(DateTime<Utc>) -> bool) -> DateTime<Utc> {
    let (mut without, mut with) = (after.timestamp(), until.timestamp());
    let instant = |second| DateTime::from_timestamp(second, 0).unwrap_or(until);
    while with - without > 1 {
        let middle = without + (with - without) / 2;
        if has(instant(middle)) { with = middle } else { without = middle }
    }
    instant(with)
}

/// `+h`, `+hh`, `+hmm`, `+hhmm`, `+h:mm`, `+hh:mm` or `+hh:mm:ss`, or the same with `-`.
fn offset(text: &str) -> Option<FixedOffset> {
    let (sign, digits) = match text.split_at_checked(1)? {
        ("+", digits) => (1, digits),
        ("-", digits) => (-1, digits),
        _ => return None,
    };
    let parts: Vec<&str> = match digits.split(':').collect::<Vec<_>>()[..] {
        [all] if all.len() > 2 => {
            let (hours, minutes) = all.split_at_checked(all.len() - 2)?;
            vec![hours, minutes]
        }
        [hours] => vec![hours],
        [hours, minutes] if minutes.len() == 2 => vec![hours, minutes],
        [hours, minutes, seconds] if minutes.len() == 2 && seconds.len() == 2 => vec![hours, minutes, seconds],
        _ => return None,
    };
    let mut total = 0;
    for (place, unit) in [3600, 60, 1].into_iter().enumerate() {
        let Some(part) = parts.get(place) else { break };
        let greatest = if place == 0 { 18 } else { 59 };
        total += number(part).filter(|value| *value <= greatest && part.len() <= 2)? * unit;
    }
    let total = i32::try_from(total).ok().filter(|_| total <= FURTHEST_OFFSET)?;
    FixedOffset::east_opt(sign * total)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offset_of(id: &str) -> i64 {
        Zone::parse(id).unwrap().offset_at(DateTime::from_timestamp(1_750_000_000, 0).unwrap()).num_seconds()
    }

    #[test]
    fn ids_are_read_as_java_reads_them() {
        for (id, seconds) in [
            ("UTC", 0),
            ("GMT", 0),
            ("UT", 0),
            ("Z", 0),
            ("GMT+2", 7200),
            ("UTC+02:00", 7200),
            ("GMT-0330", -12_600),
            ("+05:30", 19_800),
            ("-8", -28_800),
            ("GMT+05:45:10", 20_710),
            ("Asia/Kolkata", 19_800),
            ("Etc/GMT+2", -7200),
            ("Europe/Berlin", 7200),
            ("EST", -18_000),
            ("UTC+18", 64_800),
        ] {
            assert_eq!(offset_of(id), seconds, "{id}");
        }
    }

    #[test]
    fn an_unknown_zone_is_refused_with_the_nearest_one() {
        assert!(Zone::parse("Europe/Berln").unwrap_err().contains("did you mean `Europe/Berlin`?"));
        assert!(Zone::parse("europe/berlin").unwrap_err().contains("did you mean `Europe/Berlin`?"));
        for id in ["", "+", "GMT+", "UTC+19", "UTC+18:01", "UTC+2:5", "+1:60", "GMT+123456", "+ö", "UTC2", "+:30"] {
            assert!(Zone::parse(id).unwrap_err().contains("expected"), "{id}");
        }
    }
}
