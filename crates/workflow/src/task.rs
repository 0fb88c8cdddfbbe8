//! One task of a run: attempt after attempt, until it succeeds, may not be tried again, or the run is stopped.

use std::time::Duration;

use stage::{Context, Error, Progress};
use tokio::sync::Semaphore;
use tokio::time::Instant;
use tracing::Instrument;

use crate::attempt::{Attempt, Rebuilt, attempt};
use crate::backoff;
use crate::definition::Task;
use crate::event::Event;
use crate::history::AttemptEnd;
use crate::outcome::TaskOutcome;
use crate::runner::Surroundings;
use crate::state::ResultState;

/// What the tasks of a run share.
pub(crate) struct Shared<'a> {
    pub(crate) number: i64,
    pub(crate) context: &'a Context,
    pub(crate) deadline: Option<Instant>,
    /// One permit for each attempt that may run at the same time. A task that waits for its next attempt holds none.
    pub(crate) slots: &'a Semaphore,
    pub(crate) surroundings: &'a Surroundings<'a>,
}

/// Runs a task to its end.
pub(crate) async fn run_task(task: &Task, shared: &Shared<'_>) -> TaskOutcome {
    let mut progress = Progress::default();
    let mut first_start = None;
    let mut attempts = 0;
    let rebuilt = Rebuilt::default();
    let (state, error) = loop {
        let cancelled = shared.context.cancellation.cancelled();
        let slot = tokio::select! {
            biased;
            () = cancelled => None,
            slot = shared.slots.acquire() => slot.ok(),
        };
        let Some(slot) = slot else { break not_started(attempts) };
        let started = Instant::now();
        if first_start.is_none() {
            first_start = Some(started);
            tell(shared, Event::TaskStarted { task_key: task.key().to_owned() });
        }
        let ended = recorded_attempt(task, attempts, &rebuilt, shared).await;
        drop(slot);
        progress.add(&ended.progress);
        let Attempt { state, error, .. } = ended;
        let Some(error) = error else { break (state, None) };
        let wait = next_attempt_in(task, attempts, state, &error, started.elapsed(), shared);
        tell_failure(shared, task, attempts, state, &error, wait);
        attempts += 1;
        let Some(wait) = wait else { break (state, Some(error)) };
        tokio::select! {
            biased;
            () = shared.context.cancellation.cancelled() => break not_started(attempts),
            () = tokio::time::sleep(wait) => {}
        }
    };
    let seconds = first_start.map_or(0.0, |start| start.elapsed().as_secs_f64());
    TaskOutcome { task_key: task.key().to_owned(), state, error, progress, seconds }
}

fn not_started(attempts: u32) -> (ResultState, Option<Error>) {
    let before = if attempts == 0 { "it started" } else { "its next attempt" };
    (ResultState::Canceled, Some(Error::stopped(format!("the run was stopped before {before}"))))
}

async fn recorded_attempt(task: &Task, number: u32, rebuilt: &Rebuilt, shared: &Shared<'_>) -> Attempt {
    let history = shared.surroundings.history;
    let begun = history.begin_attempt(shared.number, task.key(), number).await;
    note(begun, "could not record the start of an attempt");
    let span = tracing::info_span!("attempt", task = task.key(), attempt = number);
    let ended = attempt(shared.context, task, shared.deadline, rebuilt, shared.surroundings).instrument(span).await;
    let end = AttemptEnd::new(ended.state, ended.error.as_ref(), &ended.progress);
    let recorded = history.end_attempt(shared.number, task.key(), number, end).await;
    note(recorded, "could not record the end of an attempt");
    ended
}

/// How long to wait for the next attempt; `None` when there is none.
fn next_attempt_in(
    task: &Task,
    number: u32,
    state: ResultState,
    error: &Error,
    elapsed: Duration,
    shared: &Shared<'_>,
) -> Option<Duration> {
    let may_pass = match state {
        ResultState::TimedOut => task.retry().on_timeout,
        ResultState::Failed => error.kind().is_transient(),
        _ => false,
    };
    let stopping = shared.context.cancellation.is_cancelled();
    let again = may_pass && !stopping && task.retry().allows_another_after(number);
    again.then(|| backoff::wait(number, task.retry().min_interval, elapsed))
}

fn tell_failure(
    shared: &Shared<'_>,
    task: &Task,
    attempt_number: u32,
    state: ResultState,
    error: &Error,
    will_retry_in: Option<Duration>,
) {
    let (kind, message) = (error.kind(), error.chain());
    let task_key = task.key().to_owned();
    tell(shared, Event::AttemptFailed { task_key, attempt_number, state, kind, message, will_retry_in });
}

fn tell(shared: &Shared<'_>, event: Event) {
    (shared.surroundings.events)(event);
}

/// A history that cannot be written does not stop the work that it is the history of.
pub(crate) fn note(result: stage::Result<()>, doing: &str) {
    if let Err(error) = result {
        tracing::warn!(kind = %error.kind(), error = error.chain(), "{doing}");
    }
}
