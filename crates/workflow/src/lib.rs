//! Order, retries, time limits and run history. Knows only [`stage::Stage`]: nothing of files, Delta or frames.
//!
//! # From a file to a run
//! A `workflows/*.json` is read by [`spec::parse`], proven by [`check()`] to be a [`Workflow`] and run by [`run`]. The
//! caller brings a [`Workshop`], which builds the stages of a task, a [`History`], and a function that is told every
//! [`Event`]. A command for a single table is a workflow of one task, [`Workflow::single`].
//!
//! # Order
//! A task starts when all it depends on have succeeded. Tasks that do not wait for each other run at the same time, at
//! most `max_parallel_tasks` of them (4 when it is left out); a task that waits for its next attempt does not count. The
//! stages of a task come in waves: the waves run one after another, the stages of a wave at the same time, each advanced
//! until it says that it is idle. A stage that fails lets the others of its wave finish, and keeps the next wave from starting.
//! With full refresh a stage is told so for its first advance only, over all attempts of its task.
//!
//! # Attempts
//! What follows an error is decided by its kind, never by its text:
//!
//! | An attempt ended by | is followed by another |
//! |---|---|
//! | an error that may pass by itself ([`stage::Kind::is_transient`]) | while `max_retries` allows it |
//! | running out of time (`timeout_seconds`) | while `max_retries` allows it, with `retry_on_timeout` only |
//! | any other error, a panic included (it becomes [`stage::Kind::Bug`]) | never |
//! | the end of the whole run, by a signal or by the workflow's own `timeout_seconds` | never |
//!
//! `max_retries` is 0 when it is left out, and -1 is forever. Attempts are counted from 0. The next one starts no sooner
//! than `min_retry_interval_millis` after the **start** of the failed one, plus a delay that doubles from half a second up
//! to [`LONGEST_DELAY`] and is jittered. `timeout_seconds` limits each attempt, not all of them together.
//!
//! A source outside of the lake that fails [`MOST_FAILURES`] times in a row, over all tasks and runs that share the
//! workshop's [`Breakers`], is left alone for a while; attempts that need it fail at once and come back afterwards.
//!
//! # Stopping
//! A signal or the end of the time sets the cancellation in the [`stage::Context`], whose `deadline` says when the time
//! ends. Running stages are told, waited for (at most [`PATIENCE`], or [`STOPPING_TIME`] while they commit; then dropped,
//! which is safe because only a commit makes work visible) and recorded; nothing new starts. Work that was finished in
//! spite of it counts as a success.
//!
//! # How things end
//! | [`ResultState`] | a task | a run |
//! |---|---|---|
//! | `SUCCESS` | all stages became idle | all selected tasks succeeded |
//! | `SUCCESS_WITH_FAILURES` | | all leaf tasks succeeded, another task did not |
//! | `FAILED` | its last attempt ended with an error | a leaf task did not succeed because a task failed |
//! | `TIMEDOUT` | its last attempt ran out of time | the same for running out of time, or the run itself did |
//! | `CANCELED` | it was stopped, or had not started yet | it was stopped from outside |
//! | `EXCLUDED` | it was not selected; taken as done | |
//! | `UPSTREAM_FAILED`, `UPSTREAM_CANCELED` | one it depends on failed or ran out of time, or was cancelled | |
//! | `INTERRUPTED` | | its process died; found out when the history is next read |
//!
//! Leaf tasks are the selected tasks after which no other selected one comes. [`RunOutcome::exit_code`] makes a number of it.
//!
//! # Without an end
//! [`stream::Stream`] keeps the same stages open and brings each table forward whenever there is something new.
//!
//! # By itself
//! [`schedule`] says when a run is due: by the clock, after an interval, or when files or commits have come. A
//! [`scheduler::Scheduler`] starts those runs, one after another or queued, and goes on where a killed one stopped.

pub mod action;
mod attempt;
mod backoff;
mod board;
mod breaker;
mod cause;
mod check;
pub mod condition;
mod dag;
mod definition;
pub mod drawing;
mod event;
mod for_each;
pub mod history;
pub mod log;
mod nearest;
mod nested;
mod outcome;
pub mod pictures;
pub mod reference;
pub mod rehearsal;
mod request;
mod run_if;
mod runner;
pub mod schedule;
pub mod scheduler;
mod selection;
pub mod shell;
pub mod spec;
mod state;
pub mod stream;
mod task;
#[cfg(test)]
mod tests;
mod waves;

pub use attempt::{PATIENCE, STOPPING_TIME};
pub use backoff::LONGEST_DELAY;
pub use breaker::{Breakers, FIRST_REST, LONGEST_REST, MOST_FAILURES};
pub use cause::{Cause, CauseKind};
pub use check::{check, check_jobs};
pub use dag::Dag;
pub use definition::{
    Body, DEFAULT_CONCURRENT_RUNS, DEFAULT_PARALLEL_TASKS, HealthRule, Notifications, Occasion, Recipients, Referring,
    RetryPolicy, TableSelection, Task, Work, Workflow,
};
pub use event::{Event, in_vain};
pub use history::History;
pub use outcome::{RunOutcome, TaskOutcome};
pub use request::{Again, Request};
pub use run_if::RunIf;
pub use runner::{Built, Surroundings, Workshop, run, run_again};
pub use selection::Selection;
pub use state::ResultState;
