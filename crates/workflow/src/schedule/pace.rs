//! How a trigger holds back after its last start and while changes are still coming.

use chrono::{DateTime, TimeDelta, Utc};

/// The least seconds of both waits; that of Databricks.
const LEAST_SECONDS: i64 = 60;

/// The most: a year.
const MOST_SECONDS: i64 = 366 * 86_400;

/// The waits of a trigger; none of no length.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Pace {
    between_triggers: TimeDelta,
    after_last_change: TimeDelta,
}

impl Pace {
    /// From `min_time_between_triggers_seconds` and `wait_after_last_change_seconds`, each of which can be left out.
    ///
    /// # Errors
    /// With a message for its writer when one is less than 60, or more than a year.
    pub fn new(
        min_time_between_triggers_seconds: Option<i64>,
        wait_after_last_change_seconds: Option<i64>,
    ) -> Result<Pace, String> {
        Ok(Pace {
            between_triggers: wait("min_time_between_triggers_seconds", min_time_between_triggers_seconds)?,
            after_last_change: wait("wait_after_last_change_seconds", wait_after_last_change_seconds)?,
        })
    }

    /// The earliest time to fire, given when it last fired and when the last change was seen.
    pub(super) fn ready_at(&self, last_fired: Option<DateTime<Utc>>, last_change: DateTime<Utc>) -> DateTime<Utc> {
        let quiet = last_change + self.after_last_change;
        last_fired.map_or(quiet, |fired| quiet.max(fired + self.between_triggers))
    }
}

/// A time that was taken note of, but no later than now: a clock that was ahead must not hold back until that comes.
pub(super) fn no_later(time: &mut Option<DateTime<Utc>>, now: DateTime<Utc>) {
    *time = time.map(|time| time.min(now));
}

fn wait(name: &str, seconds: Option<i64>) -> Result<TimeDelta, String> {
    match seconds {
        None => Ok(TimeDelta::zero()),
        Some(seconds) if (LEAST_SECONDS..=MOST_SECONDS).contains(&seconds) => Ok(TimeDelta::seconds(seconds)),
        Some(seconds) => {
            Err(format!("{name}: found {seconds}, expected {LEAST_SECONDS} to {MOST_SECONDS}, or nothing"))
        }
    }
}
