//! When a run is due: pure functions of the time and of what was observed. No clock, no storage, no waiting of its own.
//!
//! A [`Schedule`] has one [`Trigger`]. What a trigger has to remember lies in a state that the caller keeps between
//! calls.
//!
//! # Cron expressions
//! Those of Quartz: `second minute hour day-of-month month day-of-week [year]`, in capitals or not.
//!
//! | Written | Means |
//! |---|---|
//! | `*`, `5`, `1,15`, `MON-FRI` | every value, one, some, a range |
//! | `22-2`, `FRI-MON` | a range past the greatest value |
//! | `5/15`, `*/15`, `10-40/10` | every so many: from 5 on, from the least one on, within a range |
//! | `?` | in exactly one of the day fields: the other one decides |
//! | day of month `L`, `L-3` | the last day of the month, three days before it |
//! | day of month `15W`, `LW` | the weekday nearest to the 15th, the last weekday; never out of the month |
//! | day of week `6L`, `FRI#2`, `L` | the last Friday of the month, the second one, Saturday; 1 is SUN, 7 is SAT |
//!
//! Lists of `L` and `W` items, which Quartz leaves unclear, allow the days of each. Times of an expression are at least
//! ten seconds apart, the least that Databricks has; anything faster is refused.
//!
//! # When the clock is set
//! A clock is set forward in spring, so that it skips readings, and back in autumn, so that it shows some twice. Quartz
//! skips or repeats what falls there; Databricks says that hourly runs are left out or late. Here the hour field
//! decides:
//!
//! | The hours | Skipped readings | Readings shown twice |
//! |---|---|---|
//! | some: `4`, `1,2`, `*/2` | fire once, at the first instant after the gap, however many were skipped | fire once, the first time |
//! | all: `*`, `0-23` | do not fire: time goes on without them | fire each time |
//!
//! So a nightly run comes exactly once each day, and a run every hour or every ten minutes goes on in real time: in
//! Europe/Berlin 23 hourly runs on a day in March, 25 on one in October. Where the clock is set by half an hour
//! (Australia/Lord_Howe), runs on the hour follow the clock and are once half an hour late. Only where readings were
//! skipped can times be closer than ten seconds: `5 0 2,3 * * ?` fires at 03:00:00 and 03:00:05.
//!
//! # After a time of absence
//! [`due`] says which of the times that came meanwhile are run and which are reported as missed, by [`CatchUp`].
//!
//! # Watching
//! [`FileArrival`] and [`TableUpdate`] are told what is there now, as often as the caller looks, and answer with a
//! [`Decision`]. What was there at the first look never starts a run. [`Pace`] holds them back: for some time after
//! they last fired, and until nothing has changed for some time.

mod catch_up;
mod continuous;
mod cron;
mod days;
mod decision;
mod field;
mod file_arrival;
mod hashes;
mod pace;
mod pattern;
mod periodic;
mod recurrence;
mod table_update;
#[cfg(test)]
mod tests;
mod unix;
mod zone;

use std::fmt;

pub use catch_up::{CatchUp, Due, MOST_RUNS, Missed, ON_TIME, due};
pub use continuous::{Continuous, ContinuousState, Ending, FIRST_DELAY, LONGEST_DELAY, TaskRetryMode};
pub use cron::Cron;
pub use decision::{Cause, Decision};
pub use file_arrival::{FileArrival, FileArrivalState, FoundFile, MOST_FILES};
pub use pace::Pace;
pub use periodic::{Beats, Periodic, PeriodicUnit};
pub use recurrence::Recurrence;
pub use table_update::{MOST_TABLES, TableUpdate, TableUpdateCondition, TableUpdateState};

/// When the runs of a workflow start by themselves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Schedule {
    /// What starts them.
    pub trigger: Trigger,
    /// Nothing starts while it is paused.
    pub paused: bool,
}

/// What starts a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trigger {
    /// Readings of a clock.
    Cron(Cron),
    /// An interval.
    Periodic(Periodic),
    /// New files.
    FileArrival(FileArrival),
    /// Commits to tables.
    TableUpdate(TableUpdate),
    /// The end of the run before.
    Continuous(Continuous),
}

/// `0 0 4 * * ? Europe/Berlin`, `every 2 hours`, `files in landing`, `updates of shop.silver.orders` or `continuous`.
impl fmt::Display for Trigger {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Trigger::Cron(cron) => cron.fmt(formatter),
            Trigger::Periodic(periodic) => periodic.fmt(formatter),
            Trigger::FileArrival(files) => write!(formatter, "files in {}", files.url()),
            Trigger::TableUpdate(tables) => write!(formatter, "updates of {}", tables.table_names().join(", ")),
            Trigger::Continuous(_) => formatter.write_str("continuous"),
        }
    }
}
