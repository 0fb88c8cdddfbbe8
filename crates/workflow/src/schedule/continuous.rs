//! One run after the other.

use chrono::{DateTime, TimeDelta, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The delay after the first failure; it doubles with each failure in a row.
pub const FIRST_DELAY: TimeDelta = TimeDelta::seconds(10);

/// The longest delay.
pub const LONGEST_DELAY: TimeDelta = TimeDelta::minutes(10);

/// Whether tasks of a continuous run are tried again when they fail.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum TaskRetryMode {
    /// A failed task fails the run, and the next run tries again.
    #[default]
    Never,
    /// A failed task is tried again within the run.
    OnFailure,
}

/// A run starts as soon as the one before it ended; after failures later and later.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Continuous {
    /// What the runs do with failed tasks; the schedule itself does not look at it.
    pub task_retry_mode: TaskRetryMode,
}

/// How a run ended, as far as it matters for the next one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// It did its work, or a person stopped it: the next one starts at once.
    Well,
    /// It failed.
    Failed,
}

/// What is remembered between runs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ContinuousState {
    /// How many runs in a row have failed.
    pub failures: u32,
    /// When the next run starts; at once when there was no run yet.
    pub next_start: Option<DateTime<Utc>>,
}

impl ContinuousState {
    /// Takes note of a run that ended at `now`, and says when the next one starts: at once, or after the `n`th failure
    /// in a row [`FIRST_DELAY`] times 2 to the power of `n - 1`, at most [`LONGEST_DELAY`].
    pub fn ended(&mut self, ending: Ending, now: DateTime<Utc>) -> DateTime<Utc> {
        self.failures = match ending {
            Ending::Well => 0,
            Ending::Failed => self.failures.saturating_add(1),
        };
        let start = self.latest_start(now);
        self.next_start = Some(start);
        start
    }

    /// When the next run starts at the latest, whatever the clock showed when the run before it ended.
    pub fn latest_start(&self, now: DateTime<Utc>) -> DateTime<Utc> {
        now + delay(self.failures)
    }
}

fn delay(failures: u32) -> TimeDelta {
    match failures.checked_sub(1) {
        None => TimeDelta::zero(),
        Some(doublings) => (FIRST_DELAY * (1 << doublings.min(16))).min(LONGEST_DELAY),
    }
}
