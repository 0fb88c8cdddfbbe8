//! What is run of the times that came while nobody was there to start them.

use chrono::{DateTime, TimeDelta, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::recurrence::Recurrence;

/// The most times that [`CatchUp::All`] runs.
pub const MOST_RUNS: usize = 100;

/// A time no longer ago than this is on time and not missed; the misfire threshold of Quartz.
pub const ON_TIME: TimeDelta = TimeDelta::seconds(60);

/// What is done about missed times.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum CatchUp {
    /// None of them is run; only a newest one that is still [`ON_TIME`] is.
    Skip,
    /// The newest one is run for all of them.
    #[default]
    Latest,
    /// Each of them is run in order, the newest [`MOST_RUNS`] at most.
    All,
}

/// What is due: every time in question is in exactly one of the two.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Due {
    /// The times to start a run for, the earliest first.
    pub run: Vec<DateTime<Utc>>,
    /// The times, all of them before those of `run`, that no run is started for.
    pub missed: Option<Missed>,
}

/// Times that were missed, too many perhaps to name each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
pub struct Missed {
    /// How many.
    pub count: u64,
    /// The earliest of them.
    pub first: DateTime<Utc>,
    /// The latest of them.
    pub last: DateTime<Utc>,
}

/// What is due at `now`, when everything up to `last_due` has been dealt with: all times later than that, up to now.
///
/// The work depends on the days since `last_due` and on what is run, not on how many times were missed. When `now` is
/// not after `last_due`, nothing is due: a clock that was set back starts nothing twice.
pub fn due(times: &impl Recurrence, last_due: DateTime<Utc>, now: DateTime<Utc>, policy: CatchUp) -> Due {
    let count = times.count(last_due, now);
    let mut newest = newest(times, last_due, now, MOST_RUNS + 1);
    let wanted = match policy {
        CatchUp::Skip => newest.last().map_or(0, |time| usize::from(now - *time <= ON_TIME)),
        CatchUp::Latest => 1,
        CatchUp::All => MOST_RUNS,
    };
    let run = newest.split_off(newest.len().saturating_sub(wanted));
    let missed = times.next_after(last_due).zip(newest.last()).map(|(first, last)| Missed {
        count: count - run.len() as u64,
        first,
        last: *last,
    });
    Due { run, missed }
}

/// The newest times later than `last_due`, up to now, `most` of them at most, the earliest first.
fn newest(times: &impl Recurrence, last_due: DateTime<Utc>, now: DateTime<Utc>, most: usize) -> Vec<DateTime<Utc>> {
    let (mut too_early, mut from) = (last_due, last_due);
    if times.count(last_due, now) > most as u64 {
        // More than `most` come after `too_early`, no more after `from`.
        from = now;
        while from - too_early > TimeDelta::seconds(1) {
            let middle = too_early + (from - too_early) / 2;
            if times.count(middle, now) > most as u64 { too_early = middle } else { from = middle }
        }
    }
    let mut newest = Vec::new();
    while let Some(time) = times.next_after(from).filter(|time| *time <= now) {
        newest.push(time);
        from = time;
    }
    newest
}
