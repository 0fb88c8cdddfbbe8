//! The readings of a clock that a cron expression names, apart from any time zone.

use std::collections::BTreeSet;

use chrono::{Datelike, NaiveDate, NaiveDateTime, NaiveTime, TimeDelta, Timelike};

use super::days::Days;
use super::field::{HOUR, MINUTE, MONTH, SECOND, Set, YEAR};

/// The least seconds between two times of an expression; that of Databricks.
pub(super) const SHORTEST_INTERVAL: u32 = 10;

/// The six or seven fields of an expression, read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Pattern {
    seconds: Set,
    minutes: Set,
    hours: Set,
    days: Days,
    months: Set,
    years: BTreeSet<i32>,
}

impl Pattern {
    /// From the fields: second, minute, hour, day of month, month, day of week and perhaps year, in capitals.
    ///
    /// # Errors
    /// When a field cannot be read, the expression never fires or fires more often than every [`SHORTEST_INTERVAL`].
    pub(super) fn parse(fields: [&str; 6], year: &str) -> Result<Pattern, String> {
        let [second, minute, hour, day_of_month, month, day_of_week] = fields;
        let pattern = Pattern {
            seconds: SECOND.values(second)?.into_iter().collect(),
            minutes: MINUTE.values(minute)?.into_iter().collect(),
            hours: HOUR.values(hour)?.into_iter().collect(),
            days: Days::parse(day_of_month, day_of_week)?,
            months: MONTH.values(month)?.into_iter().collect(),
            years: YEAR.values(year)?.into_iter().filter_map(|year| i32::try_from(year).ok()).collect(),
        };
        if pattern.date_from(NaiveDate::MIN).is_none() {
            return Err("the expression never fires: no month that it names has such a day".to_owned());
        }
        if let Some(seconds) = pattern.shortest_interval().filter(|seconds| *seconds < SHORTEST_INTERVAL) {
            return Err(format!(
                "second: found `{second}`, with which times are {seconds} s apart; expected at least \
                 {SHORTEST_INTERVAL} s, as `0/{SHORTEST_INTERVAL}` has"
            ));
        }
        Ok(pattern)
    }

    /// Whether every hour of a day is allowed, whatever it is written as.
    pub(super) fn allows_every_hour(&self) -> bool {
        self.hours.len() == 24
    }

    /// The first reading after that one.
    pub(super) fn next_after(&self, reading: NaiveDateTime) -> Option<NaiveDateTime> {
        let from = reading.with_nanosecond(0)? + TimeDelta::seconds(1);
        if self.has_day(from.date())
            && let Some(time) = self.time_from(from.time())
        {
            return Some(from.date().and_time(time));
        }
        let date = self.date_from(from.date().succ_opt()?)?;
        Some(date.and_time(self.time_from(NaiveTime::MIN)?))
    }

    /// How many readings come after the one and no later than the other.
    pub(super) fn count(&self, after: NaiveDateTime, until: NaiveDateTime) -> u64 {
        if until <= after {
            return 0;
        }
        let a_day = u64::from(self.hours.len()) * u64::from(self.minutes.len()) * u64::from(self.seconds.len());
        let to_midnights = a_day * self.count_days(after.date(), until.date());
        to_midnights + self.count_of_day(until) - self.count_of_day(after)
    }

    /// How many allowed days there are from the one up to, but without, the other.
    fn count_days(&self, from: NaiveDate, until: NaiveDate) -> u64 {
        let mut count = 0;
        for year in self.years.range(from.year()..=until.year()) {
            for month in self.months.iter() {
                let days = self.days.of(*year, month);
                let is = |date: NaiveDate| (date.year(), date.month()) == (*year, month);
                let is_outside =
                    (*year, month) < (from.year(), from.month()) || (*year, month) > (until.year(), until.month());
                let before = if is(from) { days.below(from.day()) } else { 0 };
                let whole = if is(until) { days.below(until.day()) } else { days.len() };
                count += if is_outside { 0 } else { u64::from(whole - before) };
            }
        }
        count
    }

    /// How many readings of its day come no later than that one.
    fn count_of_day(&self, reading: NaiveDateTime) -> u64 {
        if !self.has_day(reading.date()) {
            return 0;
        }
        let (hour, minute, second) = (reading.hour(), reading.minute(), reading.second());
        let seconds = if self.minutes.has(minute) { self.seconds.below(second + 1) } else { 0 };
        let minutes = self.minutes.below(minute) * self.seconds.len() + seconds;
        let whole_hours = self.hours.below(hour) * self.minutes.len() * self.seconds.len();
        u64::from(whole_hours + if self.hours.has(hour) { minutes } else { 0 })
    }

    fn has_day(&self, date: NaiveDate) -> bool {
        let (year, month) = (date.year(), date.month());
        self.years.contains(&year) && self.months.has(month) && self.days.of(year, month).has(date.day())
    }

    /// The first allowed day no earlier than that one.
    fn date_from(&self, date: NaiveDate) -> Option<NaiveDate> {
        for year in self.years.range(date.year()..) {
            for month in self.months.iter() {
                let least = match (*year, month).cmp(&(date.year(), date.month())) {
                    std::cmp::Ordering::Less => continue,
                    std::cmp::Ordering::Equal => date.day(),
                    std::cmp::Ordering::Greater => 1,
                };
                if let Some(day) = self.days.of(*year, month).at_least(least) {
                    return NaiveDate::from_ymd_opt(*year, month, day);
                }
            }
        }
        None
    }

    /// The first allowed time of a day no earlier than that one.
    fn time_from(&self, time: NaiveTime) -> Option<NaiveTime> {
        let (hour, minute, second) = (time.hour(), time.minute(), time.second());
        let (first_minute, first_second) = (self.minutes.at_least(0)?, self.seconds.at_least(0)?);
        if self.hours.has(hour) {
            if self.minutes.has(minute)
                && let Some(second) = self.seconds.at_least(second)
            {
                return NaiveTime::from_hms_opt(hour, minute, second);
            }
            if let Some(minute) = self.minutes.at_least(minute + 1) {
                return NaiveTime::from_hms_opt(hour, minute, first_second);
            }
        }
        NaiveTime::from_hms_opt(self.hours.at_least(hour + 1)?, first_minute, first_second)
    }

    /// The least seconds between two readings, as far as it is less than a minute. Days that follow each other are
    /// taken for granted where 23:59 is followed by 00:00.
    fn shortest_interval(&self) -> Option<u32> {
        let seconds: Vec<u32> = self.seconds.iter().collect();
        let within_a_minute = seconds.windows(2).map(|pair| pair[1] - pair[0]).min();
        let follow = |set: Set, size: u32| set.iter().any(|value| set.has((value + 1) % size));
        let minutes_follow = self.minutes.iter().any(|minute| self.minutes.has(minute + 1))
            || (self.minutes.has(59) && self.minutes.has(0) && follow(self.hours, 24));
        let over_the_minute = match (seconds.first(), seconds.last()) {
            (Some(first), Some(last)) if minutes_follow => Some(60 + first - last),
            _ => None,
        };
        within_a_minute.into_iter().chain(over_the_minute).min()
    }
}
