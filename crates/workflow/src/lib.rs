//! Workflows: their format, what comes of each task, their runs and the history of these. Knows only [`stage::Stage`]: nothing
//! of files, Delta or frames.
//!
//! # From a file to a run
//! 1. [`spec::parse`] reads a `workflows/*.json`, which is a settings object of Databricks Jobs JSON.
//! 2. [`check()`] proves it to be a [`Workflow`], or tells everything that is wrong with it; [`check_jobs`] does the same
//!    for what is wrong between workflows.
//! 3. [`run`] runs it. The caller brings a [`Workshop`], which builds what tasks work with, a [`History`], and a function
//!    that is told every [`Event`]. A command for a single table is a workflow of one task, [`Workflow::single`].
//! 4. [`run_again`] goes on with a run: [`Again::Resume`] with what had not ended, [`Again::Repair`] with what did not
//!    succeed or with what is named.
//!
//! [`schedule`] says when a run is due, [`drawing`] draws a workflow, and [`stream::Stream`] keeps its tables up to date
//! without an end.
//!
//! # Order
//! A task has its turn when all it depends on have ended. [`RunIf`] decides then whether it runs, from how they ended:
//!
//! | `run_if` | It runs when |
//! |---|---|
//! | `ALL_SUCCESS` | all succeeded |
//! | `AT_LEAST_ONE_SUCCESS` | one succeeded |
//! | `NONE_FAILED` | none failed or was cancelled, and one succeeded |
//! | `ALL_DONE` | all have ended |
//! | `AT_LEAST_ONE_FAILED` | one failed or was cancelled |
//! | `ALL_FAILED` | all failed or were cancelled |
//!
//! Excluded tasks count as succeeded, disabled ones as neither. Whose dependencies are all excluded, or condition tasks with
//! another outcome than it waits for, is excluded itself, whatever its `run_if` says.
//!
//! Tasks that do not wait for each other run at the same time, at most `max_parallel_tasks` of them (4 when it is left out),
//! items of loops included; a task that waits for its next attempt, for its items, or for another workflow does not count. The
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
//! `max_retries` is 0 when it is left out, and -1 is forever. Attempts are counted from 0 in each repair; those of a task that
//! was interrupted go on where they were. The next one starts no sooner than `min_retry_interval_millis` after the **start**
//! of the failed one, plus a delay that doubles from half a second up to [`LONGEST_DELAY`] and is jittered.
//! `timeout_seconds` limits each attempt, not all of them together.
//!
//! # Loops and other workflows
//! A `for_each_task` tries every item, whatever becomes of the others, and fails when one did. Items that succeeded are kept
//! over its attempts, resumes and repairs, unless the loop itself is named. A `run_job_task` takes over the end of the run
//! it waits for; three workflows may be nested. A part that ran out of its own time failed.
//!
//! A source outside of the lake that fails [`MOST_FAILURES`] times in a row, over all tasks and runs that share the
//! workshop's [`Breakers`], is left alone for a while; attempts that need it fail at once and come back afterwards.
//!
//! # Stopping
//! A signal, [`History::ask_cancel`] from any process, or the end of the time sets the cancellation in the
//! [`stage::Context`], whose `deadline` says when the time ends. Running work is told, waited for (at most [`PATIENCE`], or
//! [`STOPPING_TIME`] while it commits; then dropped, which is safe because only a commit makes work visible) and recorded;
//! nothing new starts, cleaning up included. Work that was finished in spite of it counts as a success.
//!
//! # How things end
//! | [`ResultState`] | a task | a run |
//! |---|---|---|
//! | `SUCCESS` | its work was done | nothing failed and nothing was stopped |
//! | `SUCCESS_WITH_FAILURES` | | all leaf tasks succeeded or were excluded, another task failed |
//! | `FAILED` | its last attempt ended with an error | a leaf task did not succeed because a task failed |
//! | `TIMEDOUT` | its last attempt ran out of time | the same for running out of time, or the run itself did |
//! | `CANCELED` | it was stopped, or had not started yet | it was stopped from outside |
//! | `EXCLUDED` | it was not selected, or not chosen by a condition, or had no failure to handle | |
//! | `DISABLED` | it is disabled, or could not run because others are | |
//! | `UPSTREAM_FAILED`, `UPSTREAM_CANCELED` | one it depends on failed or ran out of time, or was cancelled | |
//! | `MAXIMUM_CONCURRENT_RUNS_REACHED`, `MISSED` | | it did not take place |
//! | `INTERRUPTED` | its process died | the same; found out when the history is next read |
//!
//! Leaf tasks are the selected tasks after which no other selected one comes that is not disabled.
//! [`RunOutcome::exit_code`] makes a number of the end of a run.
//!
//! # Resume and repair
//! | | keeps | does again |
//! |---|---|---|
//! | resume | what succeeded, failed or ran out of time | what was interrupted, cancelled, skipped or not reached |
//! | repair | what succeeded | everything else |
//! | repair of named tasks | everything else that was executed | those, with `dependents` all after them, and what was skipped |
//!
//! Both keep the number of the run, its parameters, the times that references see, and what it was asked for; the definition
//! is that of today. What is to be done again has no end in the history from the start, so that a repair that is killed is
//! resumed where it was.
//!
//! # Where sources disagree
//! | Question | Here |
//! |---|---|
//! | the end of a run with failures before leaf tasks that succeeded | `SUCCESS_WITH_FAILURES`, as the SDK has it |
//! | what an excluded dependency counts as | a success; Databricks: "treated as successful" |
//! | a leaf that is disabled, after a failure | does not count: the failure decides |
//! | which failures are tried again | only those that may pass; Databricks tries all of them again |
//! | the most items of a loop at a time | 100, and 1 when it is left out |
//! | `error_code` | the kind of the error, such as `unavailable` |
//! | a disabled task in a repair | today's definition decides |
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
mod parameters;
pub mod pictures;
pub mod reference;
pub mod rehearsal;
mod request;
mod run_if;
mod runner;
pub mod schedule;
pub mod scheduler;
mod selection;
mod shared;
pub mod shell;
pub mod spec;
mod state;
pub mod stream;
mod task;
#[cfg(test)]
mod tests;
mod waves;
mod workshop;

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
pub use runner::{Surroundings, run, run_again};
pub use selection::Selection;
pub use state::ResultState;
pub use workshop::{Built, Workshop};
