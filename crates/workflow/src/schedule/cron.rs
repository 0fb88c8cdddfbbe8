//! A Quartz cron expression in a time zone, and the instants at which it fires.

use std::fmt;

use chrono::{DateTime, NaiveDateTime, TimeDelta, Utc};

use super::pattern::Pattern;
use super::recurrence::Recurrence;
use super::unix;
use super::zone::Zone;

/// A checked Quartz expression (`second minute hour day-of-month month day-of-week [year]`) and the zone of its clock.
///
/// See [the module](super) for the grammar and for what happens when the clock is set forward or back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cron {
    expression: String,
    timezone_id: String,
    pattern: Pattern,
    zone: Zone,
}

impl Cron {
    /// From an expression and a Java time zone id, such as `0 30 4 ? * MON-FRI` and `Europe/Berlin`.
    ///
    /// # Errors
    /// With a message for its writer when a field cannot be read, the zone is unknown, the expression never fires, or
    /// it fires more often than every ten seconds.
    pub fn new(expression: &str, timezone_id: &str) -> Result<Cron, String> {
        let capitals = expression.to_uppercase();
        let fields: Vec<&str> = capitals.split_ascii_whitespace().collect();
        let pattern = match fields[..] {
            [second, minute, hour, day, month, weekday] => {
                Pattern::parse([second, minute, hour, day, month, weekday], "*")
            }
            [second, minute, hour, day, month, weekday, year] => {
                Pattern::parse([second, minute, hour, day, month, weekday], year)
            }
            [minute, hour, day, month, weekday] => Err(unix::explain([minute, hour, day, month, weekday])),
            _ => Err(format!(
                "found {} fields, expected 6 or 7: second minute hour day-of-month month day-of-week [year], \
                 as in `0 30 4 * * ?`",
                fields.len()
            )),
        };
        let pattern = pattern.map_err(|message| format!("cron expression `{expression}`: {message}"))?;
        let zone = Zone::parse(timezone_id)?;
        Ok(Cron { expression: expression.to_owned(), timezone_id: timezone_id.to_owned(), pattern, zone })
    }

    /// The expression as it was written.
    pub fn expression(&self) -> &str {
        &self.expression
    }

    /// The time zone as it was written.
    pub fn timezone_id(&self) -> &str {
        &self.timezone_id
    }

    /// What a clock in its time zone shows at that instant.
    pub fn reading(&self, instant: DateTime<Utc>) -> NaiveDateTime {
        self.zone.reading(instant)
    }

    /// The first time later than `now`; none when all its years are over.
    pub fn next_after(&self, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        if self.pattern.allows_every_hour() { self.next_on_the_clock(now) } else { self.next_of_a_day(now) }
    }

    /// Every time later than the one and no later than the other instant, the earliest first.
    pub fn between(&self, after: DateTime<Utc>, until: DateTime<Utc>) -> impl Iterator<Item = DateTime<Utc>> + '_ {
        std::iter::successors(self.next_after(after), |time| self.next_after(*time))
            .take_while(move |time| *time <= until)
    }

    /// For expressions that allow every hour: the next instant at which the clock shows a reading of the pattern.
    fn next_on_the_clock(&self, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let (mut from, mut reading) = (now, self.zone.reading(now));
        // Readings that come again when the clock is set back are less than a day away, so only a change within a day
        // can bring an earlier one than what follows on the clock as it goes now.
        if let Some(change) = self.zone.changes(now, now + TimeDelta::days(1)).first().copied() {
            let last_before = change - TimeDelta::seconds(1);
            if self.pattern.count(reading, self.zone.reading(last_before)) == 0 {
                from = last_before;
                reading = self.zone.reading(change) - TimeDelta::seconds(1);
            }
        }
        loop {
            reading = self.pattern.next_after(reading)?;
            let instants = self.zone.instants(reading);
            if let Some(instant) = instants.earliest().into_iter().chain(instants.latest()).find(|time| *time > from) {
                return Some(instant);
            }
        }
    }

    /// For expressions of fixed times of day: each reading of the pattern once, as soon as the clock has come that far.
    fn next_of_a_day(&self, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let mut reading = self.zone.reading(now);
        loop {
            reading = self.pattern.next_after(reading)?;
            let instant = self.zone.first_instant(reading);
            if instant > now {
                return Some(instant);
            }
        }
    }

    /// [`Recurrence::count`] of [`Self::next_on_the_clock`]: the readings of each stretch between two changes of the
    /// clock.
    fn count_on_the_clock(&self, after: DateTime<Utc>, until: DateTime<Utc>) -> u64 {
        let second = TimeDelta::seconds(1);
        let mut count = 0;
        let mut reading = self.zone.reading(after);
        for change in self.zone.changes(after, until) {
            count += self.pattern.count(reading, self.zone.reading(change - second));
            reading = self.zone.reading(change) - second;
        }
        count + self.pattern.count(reading, self.zone.reading(until))
    }

    /// [`Recurrence::count`] of [`Self::next_of_a_day`]: the clock counts only where it is later than it ever was, and
    /// all readings that it skips in one go count once.
    fn count_of_a_day(&self, after: DateTime<Utc>, until: DateTime<Utc>) -> u64 {
        let second = TimeDelta::seconds(1);
        let day_before = after - TimeDelta::days(1);
        let before_changes =
            self.zone.changes(day_before, after).into_iter().map(|change| self.zone.reading(change - second));
        let mut latest = before_changes.fold(self.zone.reading(after), Ord::max);
        let mut count = 0;
        for change in self.zone.changes(after, until) {
            let before = self.zone.reading(change - second).max(latest);
            let behind = self.zone.reading(change).max(before);
            count += self.pattern.count(latest, before) + self.pattern.count(before, behind).min(1);
            latest = behind;
        }
        count + self.pattern.count(latest, self.zone.reading(until).max(latest))
    }
}

impl Recurrence for Cron {
    fn next_after(&self, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        Cron::next_after(self, now)
    }

    fn count(&self, after: DateTime<Utc>, until: DateTime<Utc>) -> u64 {
        if until <= after {
            return 0;
        }
        if self.pattern.allows_every_hour() {
            self.count_on_the_clock(after, until)
        } else {
            self.count_of_a_day(after, until)
        }
    }
}

impl fmt::Display for Cron {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} {}", self.expression, self.timezone_id)
    }
}
