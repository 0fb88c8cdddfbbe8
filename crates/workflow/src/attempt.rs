//! One attempt of one task: its references are filled in, its work is done, and stopped when it is time.

use std::collections::{BTreeMap, BTreeSet};
use std::panic::AssertUnwindSafe;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::Value;
use stage::{Context, Error, Kind, Result, TableName};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::action::Output;
use crate::condition::holds;
use crate::definition::{Body, Task, Work, literally};
use crate::event::Event;
use crate::history::Execution;
use crate::log::TaskLog;
use crate::outcome::TaskOutcome;
use crate::reference::{CurrentTask, Scope, Template};
use crate::shared::Shared;
use crate::state::ResultState;
use crate::workshop::Built;
use crate::{for_each, nested, waves};

/// How long work may go on after it was told to stop. After that it is dropped wherever it waits, which is safe because
/// only a commit makes work visible.
pub const PATIENCE: Duration = Duration::from_secs(2);
/// How long a commit may go on that had begun by then. Dropping it is safe too, but would leave open whether it was made.
pub const STOPPING_TIME: Duration = Duration::from_secs(30);

/// What one attempt did and how it ended.
#[derive(Debug)]
pub(crate) struct Attempt {
    pub(crate) output: Output,
    pub(crate) state: ResultState,
    pub(crate) error: Option<Error>,
}

/// What a task keeps over its attempts, so that a retry goes on from there.
#[derive(Debug, Default)]
pub(crate) struct Memory {
    /// The tables that were rebuilt already.
    pub(crate) rebuilt: Mutex<BTreeSet<TableName>>,
    /// The items of a loop that succeeded already, with what they were run for.
    pub(crate) items: Mutex<BTreeMap<usize, (Value, TaskOutcome)>>,
    /// Until when a source that the last attempt needed is left alone.
    pub(crate) rests_until: Mutex<Option<Instant>>,
}

/// What one attempt is about.
#[derive(Clone, Copy)]
pub(crate) struct Trial<'a> {
    pub(crate) task: &'a Task,
    pub(crate) execution: &'a Execution,
    pub(crate) current: &'a CurrentTask,
    /// The item, when the task is run for one.
    pub(crate) input: Option<&'a Value>,
    pub(crate) memory: &'a Memory,
    pub(crate) log: &'a TaskLog,
    pub(crate) shared: &'a Shared<'a>,
}

impl Trial<'_> {
    /// A text with the values of its references.
    pub(crate) fn fill(&self, template: &Template) -> Result<String> {
        self.with_scope(|scope| template.fill(scope))
    }

    fn with_scope<T>(&self, fill: impl FnOnce(&Scope<'_>) -> Result<T>) -> Result<T> {
        let shared = self.shared;
        if let Some(reason) = &shared.facts.unfilled {
            return Err(Error::config(reason.clone()));
        }
        let results = lock(&shared.facts.results);
        fill(&Scope {
            job: &shared.facts.job,
            parameters: &shared.context.parameters,
            trigger: &shared.facts.trigger,
            workspace: shared.surroundings.workspace,
            task: Some(self.current),
            tasks: &results,
            input: self.input,
            backfill: shared.facts.backfill,
        })
    }
}

/// Runs one attempt.
pub(crate) async fn attempt(trial: &Trial<'_>) -> Attempt {
    let shared = trial.shared;
    let own_deadline = trial.task.timeout().and_then(|timeout| Instant::now().checked_add(timeout));
    let deadline = own_deadline.into_iter().chain(shared.deadline).min();
    let context = Context {
        cancellation: shared.context.cancellation.child_token(),
        deadline: deadline.map(Instant::into_std).into_iter().chain(shared.context.deadline).min(),
        ..shared.context.clone()
    };
    let mut output = Output::default();
    let (stop, result) = match trial.task.body() {
        Body::Work(_) | Body::Referring(_) => {
            let patience_over = CancellationToken::new();
            let work = AssertUnwindSafe(work(trial, &context, &patience_over, &mut output));
            stoppable(&context, deadline, work.0, &patience_over).await
        }
        Body::Condition { operator, left, right } => {
            let compared = trial.fill(left).and_then(|left| holds(*operator, &left, &trial.fill(right)?));
            let decided = compared.map(|outcome| {
                let task_key = trial.execution.task_key.clone();
                shared.tell(Event::ConditionDecided { task_key, outcome });
                output = TaskOutcome::of_condition(outcome);
            });
            (None, decided)
        }
        Body::ForEach { .. } => {
            to_the_end(&context, deadline, for_each::items(trial, &context, deadline, &mut output)).await
        }
        Body::RunJob { workflow, parameters } => {
            let run = nested::run_job(trial, &context, workflow, parameters, &mut output);
            to_the_end(&context, deadline, run).await
        }
    };
    let own_limit = trial.task.timeout().filter(|_| own_deadline == deadline);
    let (state, error) = match result.and_then(|()| output.check()) {
        Ok(()) => (ResultState::Success, None),
        Err(error) => ended_with(error, stop, own_limit),
    };
    Attempt { output, state, error }
}

/// The work of a workshop.
async fn work(
    trial: &Trial<'_>,
    context: &Context,
    patience_over: &CancellationToken,
    output: &mut Output,
) -> Result<()> {
    let work = filled_work(trial)?;
    let workshop = trial.shared.surroundings.workshop;
    let built = std::panic::catch_unwind(AssertUnwindSafe(|| workshop.build(&work))).unwrap_or_else(|panic| {
        let key = trial.task.key();
        Err(Error::bug(format!("building the work of task `{key}` panicked: {}", words(&*panic))))
    })?;
    match built {
        Built::Waves(stages) => waves::run(trial, context, &work, stages, patience_over, output).await,
        Built::Action(action) => waves::act(trial, context, action, patience_over, output).await,
    }
}

/// The work with the values of its references. The parameters of the run win over those of a query; a program is told what
/// it runs for.
fn filled_work(trial: &Trial<'_>) -> Result<Work> {
    let mut work = match trial.task.body() {
        Body::Work(work) => work.clone(),
        Body::Referring(referring) => trial.with_scope(|scope| referring.fill(scope))?,
        _ => return Err(Error::bug("a task without work was given to a workshop")),
    };
    match &mut work {
        Work::Sql { parameters, .. } => parameters.extend(trial.shared.context.parameters.clone()),
        Work::Shell { environment, .. } => {
            let told = [
                ("MEDALLION_RUN_ID", trial.shared.context.run_id.as_str()),
                ("MEDALLION_WORKFLOW", trial.shared.facts.job.name.as_str()),
                ("MEDALLION_TASK_KEY", trial.execution.task_key.as_str()),
            ];
            environment.extend(told.map(|(name, value)| (name.to_owned(), literally(value))));
        }
        _ => {}
    }
    Ok(work)
}

/// Why an attempt was told to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stop {
    TimeOver,
    Cancelled,
}

/// Runs `work` until it ends by itself or because it was told to. Says also why it had to stop at that moment, if it had.
async fn stoppable(
    context: &Context,
    deadline: Option<Instant>,
    work: impl Future<Output = Result<()>>,
    patience_over: &CancellationToken,
) -> (Option<Stop>, Result<()>) {
    let mut work = std::pin::pin!(work);
    let ended = told_to_stop(context, deadline, work.as_mut()).await;
    let stop = stop_now(context, deadline);
    if let Some(result) = ended {
        return (stop, result);
    }
    context.cancellation.cancel();
    if let Ok(result) = tokio::time::timeout(PATIENCE, &mut work).await {
        return (stop, result);
    }
    patience_over.cancel();
    // Dropping takes effect when the stage next waits for something; one that never does cannot be stopped at all.
    let result = tokio::time::timeout(STOPPING_TIME, work).await;
    (stop, result.unwrap_or_else(|_| Err(Error::stopped("the work neither stopped nor could be dropped"))))
}

/// Runs work that is made of tasks. Each of them stops by itself when it is told to, so they are waited for.
async fn to_the_end(
    context: &Context,
    deadline: Option<Instant>,
    work: impl Future<Output = Result<()>>,
) -> (Option<Stop>, Result<()>) {
    let mut work = std::pin::pin!(work);
    let ended = told_to_stop(context, deadline, work.as_mut()).await;
    let stop = stop_now(context, deadline);
    match ended {
        Some(result) => (stop, result),
        None => {
            context.cancellation.cancel();
            (stop, work.await)
        }
    }
}

/// The end of the work, or nothing when it is told to stop before.
async fn told_to_stop(
    context: &Context,
    deadline: Option<Instant>,
    work: impl Future<Output = Result<()>>,
) -> Option<Result<()>> {
    let time_over = async {
        match deadline {
            Some(deadline) => tokio::time::sleep_until(deadline).await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        biased;
        result = work => Some(result),
        () = context.cancellation.cancelled() => None,
        () = time_over => None,
    }
}

/// Why work is to stop by now. Asked of the clock rather than of who woke first: a stage can be a moment ahead of our
/// timer, and the end of the whole run's time cancels this attempt at the moment that its own timer fires.
fn stop_now(context: &Context, deadline: Option<Instant>) -> Option<Stop> {
    match deadline {
        Some(deadline) if Instant::now() >= deadline => Some(Stop::TimeOver),
        _ => context.cancellation.is_cancelled().then_some(Stop::Cancelled),
    }
}

/// The state that an error means. One that came of being told to stop is the stop's doing; any other is a failure of
/// its own, whatever else was going on.
fn ended_with(error: Error, stop: Option<Stop>, own_limit: Option<Duration>) -> (ResultState, Option<Error>) {
    let by_stop = error.kind() == Kind::Stopped || (stop.is_some() && error.kind().is_transient());
    match stop {
        _ if !by_stop => (ResultState::Failed, Some(error)),
        Some(Stop::TimeOver) => (ResultState::TimedOut, Some(timed_out(error, own_limit))),
        Some(Stop::Cancelled) | None => (ResultState::Canceled, Some(error)),
    }
}

fn timed_out(error: Error, own_limit: Option<Duration>) -> Error {
    let message = match own_limit {
        Some(limit) => format!("the attempt ran out of time after {limit:?}"),
        None => "the whole run ran out of time".to_owned(),
    };
    Error::stopped(message).with_source(error)
}

/// Errors that stay stand above those that may pass, and both above having been stopped.
pub(crate) fn rank(error: &Error) -> u8 {
    match error.kind() {
        Kind::Stopped => 0,
        kind if kind.is_transient() => 1,
        _ => 2,
    }
}

/// The kind that an error inside of a task has for that task. A part that ran out of its own time has not been stopped from
/// outside: it failed, and may not fail again.
pub(crate) fn kind_above(error: &Error, state: ResultState) -> Kind {
    match error.kind() {
        Kind::Stopped if state == ResultState::TimedOut => Kind::Unavailable,
        kind => kind,
    }
}

/// What a panic said.
pub(crate) fn words(panic: &(dyn std::any::Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("without a message")
}

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
