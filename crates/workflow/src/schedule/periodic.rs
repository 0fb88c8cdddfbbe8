//! Every so many minutes, hours, days or weeks.

use std::fmt;

use chrono::{DateTime, TimeDelta, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::recurrence::Recurrence;

/// The longest interval: ten years.
const LONGEST: TimeDelta = TimeDelta::days(3650);

/// What an interval is counted in. A day is 24 hours and a week seven such days, whatever the clocks show.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum PeriodicUnit {
    /// 60 seconds.
    Minutes,
    /// 60 minutes.
    Hours,
    /// 24 hours.
    Days,
    /// Seven days.
    Weeks,
}

/// An interval between starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Periodic {
    interval: i64,
    unit: PeriodicUnit,
    length: TimeDelta,
}

impl Periodic {
    /// So many of that unit.
    ///
    /// # Errors
    /// With a message for its writer when the interval is less than 1, or longer than ten years.
    pub fn new(interval: i64, unit: PeriodicUnit) -> Result<Periodic, String> {
        let one = match unit {
            PeriodicUnit::Minutes => TimeDelta::minutes(1),
            PeriodicUnit::Hours => TimeDelta::hours(1),
            PeriodicUnit::Days => TimeDelta::days(1),
            PeriodicUnit::Weeks => TimeDelta::weeks(1),
        };
        let most = LONGEST.num_seconds() / one.num_seconds();
        match i32::try_from(interval) {
            Ok(times) if times >= 1 && interval <= most => Ok(Periodic { interval, unit, length: one * times }),
            _ => Err(format!("interval: found {interval}, expected 1 to {most} {}", unit.name())),
        }
    }

    /// The time between two starts.
    pub fn length(&self) -> TimeDelta {
        self.length
    }

    /// The times that follow an anchor, one, two, three intervals later and so on. The anchor is the last start, or
    /// when the schedule was first seen.
    pub fn since(&self, anchor: DateTime<Utc>) -> Beats {
        Beats { anchor, length: self.length }
    }
}

impl PeriodicUnit {
    fn name(self) -> &'static str {
        match self {
            PeriodicUnit::Minutes => "minutes",
            PeriodicUnit::Hours => "hours",
            PeriodicUnit::Days => "days",
            PeriodicUnit::Weeks => "weeks",
        }
    }
}

impl fmt::Display for Periodic {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "every {} {}", self.interval, self.unit.name())
    }
}

/// The times of a [`Periodic`] after an anchor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Beats {
    anchor: DateTime<Utc>,
    length: TimeDelta,
}

impl Beats {
    /// How many beats there were up to that instant.
    fn up_to(&self, instant: DateTime<Utc>) -> i64 {
        let since = (instant - self.anchor).num_milliseconds();
        (since / self.length.num_milliseconds()).max(0)
    }
}

impl Recurrence for Beats {
    fn next_after(&self, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let milliseconds = self.length.num_milliseconds().checked_mul(self.up_to(now).checked_add(1)?)?;
        self.anchor.checked_add_signed(TimeDelta::try_milliseconds(milliseconds)?)
    }

    fn count(&self, after: DateTime<Utc>, until: DateTime<Utc>) -> u64 {
        u64::try_from(self.up_to(until) - self.up_to(after)).unwrap_or(0)
    }
}
