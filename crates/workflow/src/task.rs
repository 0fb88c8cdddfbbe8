//! One task of a run: attempt after attempt, until it succeeds, may not be tried again, or the run is stopped.

use std::time::Duration;

use futures::future::BoxFuture;
use serde_json::Value;
use stage::{Error, Progress};
use tokio::time::Instant;
use tracing::Instrument;

use crate::attempt::{Attempt, Memory, Trial, attempt, lock};
use crate::backoff;
use crate::definition::{Body, Task};
use crate::event::{Event, in_vain};
use crate::history::{AttemptEnd, Execution, TaskEnd};
use crate::outcome::TaskOutcome;
use crate::reference::CurrentTask;
use crate::shared::Shared;
use crate::state::ResultState;

/// Runs a task, or an item of a loop under the key `task_key`, to its end. Tasks run tasks, so the future is boxed.
pub(crate) fn run_task<'a>(
    task: &'a Task,
    task_key: &'a str,
    position: usize,
    input: Option<&'a Value>,
    shared: &'a Shared<'a>,
) -> BoxFuture<'a, TaskOutcome> {
    Box::pin(async move {
        let execution = shared.execution(task_key, position, input);
        let ended = attempts(task, &execution, input, shared).await;
        let recorded = shared.surroundings.history.end_task(&execution, TaskEnd::new(&ended)).await;
        note(recorded, "could not record the end of a task");
        shared.tell(ended.ended());
        ended
    })
}

async fn attempts(task: &Task, execution: &Execution, input: Option<&Value>, shared: &Shared<'_>) -> TaskOutcome {
    let task_key = execution.task_key.as_str();
    let mut outcome = TaskOutcome::unstarted(task_key, ResultState::Canceled);
    outcome.executions = shared.starts(task_key).executions;
    let mut first_start = None;
    let mut progress = Progress::default();
    let mut retries = 0;
    let memory = Memory::default();
    let log = shared.surroundings.history.logs().task(shared.facts.number, task_key);
    loop {
        let Some(slot) = slot(task, shared).await else {
            outcome.set_stopped(retries);
            break;
        };
        let started = Instant::now();
        if first_start.is_none() {
            first_start = Some((started, shared.context.now()));
            shared.tell(Event::TaskStarted { task_key: task_key.to_owned() });
        }
        let (number, executions) = shared.start(task_key);
        outcome.executions = executions;
        let current = CurrentTask {
            name: task_key.to_owned(),
            run_id: shared.task_run_id(task_key),
            execution_count: outcome.executions,
            retry_count: retries,
            started: first_start.map_or_else(|| shared.context.now(), |(_, at)| at),
        };
        let trial = Trial { task, execution, current: &current, input, memory: &memory, log: &log, shared };
        let ended = recorded_attempt(&trial, number).await;
        drop(slot);
        progress.add(&ended.output.progress);
        outcome.state = ended.state;
        outcome.output = ended.output;
        outcome.error = ended.error;
        let Some(error) = &outcome.error else { break };
        let rest =
            lock(&memory.rests_until).take().map_or(Duration::ZERO, |until| until.duration_since(Instant::now()));
        let wait = next_attempt_in(task, retries, outcome.state, error, started.elapsed(), shared);
        let wait = wait.map(|wait| wait.max(rest));
        tell_failure(&trial, number, retries, outcome.state, error, wait);
        retries += 1;
        let Some(wait) = wait else { break };
        tokio::select! {
            biased;
            () = shared.context.cancellation.cancelled() => {
                outcome.set_stopped(retries);
                break;
            }
            () = tokio::time::sleep(wait) => {}
        }
    }
    outcome.output.progress = progress;
    outcome.seconds = first_start.map_or(0.0, |(start, _)| start.elapsed().as_secs_f64());
    outcome
}

/// A place to run in; `None` when the run is stopped before there is one. What only waits for other work takes none.
async fn slot<'a>(task: &Task, shared: &'a Shared<'_>) -> Option<Option<tokio::sync::SemaphorePermit<'a>>> {
    let slot = match task.body() {
        Body::ForEach { .. } | Body::RunJob { .. } => None,
        _ => tokio::select! {
            biased;
            () = shared.context.cancellation.cancelled() => return None,
            slot = shared.facts.slots.acquire() => Some(slot.ok()?),
        },
    };
    (!is_stopping(shared)).then_some(slot)
}

/// Whether nothing new is to start. An attempt can notice the end of the time a moment before what it is part of does.
fn is_stopping(shared: &Shared<'_>) -> bool {
    shared.context.cancellation.is_cancelled() || shared.deadline.is_some_and(|deadline| Instant::now() >= deadline)
}

async fn recorded_attempt(trial: &Trial<'_>, number: u32) -> Attempt {
    let history = trial.shared.surroundings.history;
    let begun = history.begin_attempt(trial.execution, number).await;
    note(begun, "could not record the start of an attempt");
    let span = tracing::info_span!("attempt", task = trial.execution.task_key, attempt = number);
    let ended = attempt(trial).instrument(span).await;
    let end = AttemptEnd::new(ended.state, ended.error.as_ref(), &ended.output.progress);
    let recorded = history.end_attempt(trial.execution, number, end).await;
    note(recorded, "could not record the end of an attempt");
    ended
}

/// How long to wait for the next attempt, after `retries` of this task since the run began or went on; `None` when there is
/// none.
fn next_attempt_in(
    task: &Task,
    retries: u32,
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
    let again = may_pass && !is_stopping(shared) && task.retry().allows_another_after(retries);
    again.then(|| backoff::wait(retries, task.retry().min_interval, elapsed))
}

fn tell_failure(
    trial: &Trial<'_>,
    attempt_number: u32,
    retries: u32,
    state: ResultState,
    error: &Error,
    will_retry_in: Option<Duration>,
) {
    let (kind, message) = (error.kind(), error.chain());
    let is_in_vain =
        state == ResultState::Failed && !kind.is_transient() && trial.task.retry().allows_another_after(retries);
    let next = match will_retry_in {
        Some(wait) => format!("; trying again in {:.1} s", wait.as_secs_f64()),
        None if is_in_vain => format!("; {}", in_vain(kind)),
        None => String::new(),
    };
    trial.log.line(&format!("attempt {attempt_number} ended as {state}: {message}{next}"));
    let task_key = trial.execution.task_key.clone();
    trial.shared.tell(Event::AttemptFailed {
        task_key,
        attempt_number,
        state,
        kind,
        message,
        will_retry_in,
        is_in_vain,
    });
}

/// A history that cannot be written does not stop the work that it is the history of.
pub(crate) fn note(result: stage::Result<()>, doing: &str) {
    if let Err(error) = result {
        tracing::warn!(kind = %error.kind(), error = error.chain(), "{doing}");
    }
}
