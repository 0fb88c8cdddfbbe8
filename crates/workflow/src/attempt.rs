//! One attempt of one task: its stages are advanced until idle, and stopped when it is time.
//!
//! Each advance runs as a task of its own, so that stages use every core and a panic in one is an error like others.

use std::collections::BTreeSet;
use std::panic::AssertUnwindSafe;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::future::join_all;
use stage::{Context, Error, Kind, Meter, Progress, Result, Stage, TableName};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;
use tracing::Instrument;

use crate::definition::Task;
use crate::event::Event;
use crate::runner::{Surroundings, Workshop};
use crate::state::ResultState;

/// How long work may go on after it was told to stop. After that it is dropped wherever it waits, which is safe because
/// only a commit makes work visible.
pub const PATIENCE: Duration = Duration::from_secs(2);
/// How long a commit may go on that had begun by then. Dropping it is safe too, but would leave open whether it was made.
pub const STOPPING_TIME: Duration = Duration::from_secs(30);

/// What one attempt did and how it ended.
#[derive(Debug)]
pub(crate) struct Attempt {
    pub(crate) progress: Progress,
    pub(crate) state: ResultState,
    pub(crate) error: Option<Error>,
}

/// What a task keeps over its attempts: the tables that were rebuilt already, so that a retry goes on from there.
pub(crate) type Rebuilt = Mutex<BTreeSet<TableName>>;

/// Runs one attempt. `context` is that of the run; `run_deadline` is when the run as a whole is out of time.
pub(crate) async fn attempt(
    context: &Context,
    task: &Task,
    run_deadline: Option<Instant>,
    rebuilt: &Rebuilt,
    surroundings: &Surroundings<'_>,
) -> Attempt {
    let own_deadline = task.timeout().and_then(|timeout| Instant::now().checked_add(timeout));
    let deadline = own_deadline.into_iter().chain(run_deadline).min();
    let context = Context {
        cancellation: context.cancellation.child_token(),
        deadline: deadline.map(Instant::into_std).into_iter().chain(context.deadline).min(),
        full_refresh: context.full_refresh || task.body().full_refresh(),
        ..context.clone()
    };
    let patience_over = CancellationToken::new();
    let done = Mutex::default();
    let work = Work { context: &context, task, rebuilt, surroundings, done: &done, patience_over: &patience_over };
    let (stop, result) = stoppable(&context, deadline, work.waves(), &patience_over).await;
    let own_limit = task.timeout().filter(|_| own_deadline == deadline);
    let (state, error) = match result {
        Ok(()) => (ResultState::Success, None),
        Err(error) => ended_with(error, stop, own_limit),
    };
    Attempt { progress: done.into_inner().unwrap_or_else(PoisonError::into_inner), state, error }
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
    let time_over = async {
        match deadline {
            Some(deadline) => tokio::time::sleep_until(deadline).await,
            None => std::future::pending().await,
        }
    };
    let ended = tokio::select! {
        biased;
        result = &mut work => Some(result),
        () = context.cancellation.cancelled() => None,
        () = time_over => None,
    };
    // Asked of the clock rather than of who woke first: a stage can be a moment ahead of our timer, and the end of the
    // whole run's time cancels this attempt at the moment that its own timer fires.
    let stop = match deadline {
        Some(deadline) if Instant::now() >= deadline => Some(Stop::TimeOver),
        _ => context.cancellation.is_cancelled().then_some(Stop::Cancelled),
    };
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

/// The stages of one attempt on their way.
struct Work<'a> {
    context: &'a Context,
    task: &'a Task,
    rebuilt: &'a Rebuilt,
    surroundings: &'a Surroundings<'a>,
    done: &'a Mutex<Progress>,
    /// Set when stages that were told to stop have not, and are to be dropped.
    patience_over: &'a CancellationToken,
}

impl Work<'_> {
    /// Wave after wave, the stages of each at the same time. A failed stage lets the others of its wave finish, and
    /// keeps the next wave from starting.
    async fn waves(&self) -> Result<()> {
        for wave in build(self.surroundings.workshop, self.task)? {
            let results = join_all(wave.into_iter().map(|stage| self.until_idle(stage))).await;
            let errors = results.into_iter().filter_map(Result::err);
            // An error that stays is told rather than one that may pass, so that nobody tries again in vain.
            if let Some(worst) = errors.reduce(|first, other| if rank(&other) > rank(&first) { other } else { first }) {
                return Err(worst);
            }
        }
        Ok(())
    }

    async fn until_idle(&self, stage: Box<dyn Stage>) -> Result<()> {
        let table = stage.table().clone();
        let result = self.advance_until_idle(stage, &table).await;
        if let Err(error) = &result {
            self.tell(Event::StageFailed {
                task_key: self.task.key().to_owned(),
                table,
                kind: error.kind(),
                message: error.chain(),
            });
        }
        result
    }

    async fn advance_until_idle(&self, mut stage: Box<dyn Stage>, table: &TableName) -> Result<()> {
        let mut context = Context { meter: Meter::default(), ..self.context.clone() };
        self.tell(Event::StageStarted {
            task_key: self.task.key().to_owned(),
            table: table.clone(),
            meter: context.meter.clone(),
        });
        context.full_refresh &= !lock(self.rebuilt).contains(table);
        loop {
            self.context.check()?;
            let started = Instant::now();
            let (returned, result) = advance(stage, context.clone(), table, self.patience_over).await?;
            let progress = result?;
            if context.full_refresh {
                lock(self.rebuilt).insert(table.clone());
                context.full_refresh = false;
            }
            lock(self.done).add(&progress);
            let idle = progress.idle;
            self.tell(Event::StageAdvanced {
                task_key: self.task.key().to_owned(),
                table: table.clone(),
                progress,
                seconds: started.elapsed().as_secs_f64(),
            });
            if idle {
                return Ok(());
            }
            stage = returned;
        }
    }

    fn tell(&self, event: Event) {
        (self.surroundings.events)(event);
    }
}

/// Errors that stay stand above those that may pass, and both above having been stopped.
pub(crate) fn rank(error: &Error) -> u8 {
    match error.kind() {
        Kind::Stopped => 0,
        kind if kind.is_transient() => 1,
        _ => 2,
    }
}

fn build(workshop: &dyn Workshop, task: &Task) -> Result<Vec<Vec<Box<dyn Stage>>>> {
    std::panic::catch_unwind(AssertUnwindSafe(|| workshop.waves(task.body()))).unwrap_or_else(|panic| {
        Err(Error::bug(format!("building the stages of task `{}` panicked: {}", task.key(), words(&*panic))))
    })
}

/// One advance on a task of its own. The stage comes back with its result, unless it panicked.
async fn advance(
    mut stage: Box<dyn Stage>,
    context: Context,
    table: &TableName,
    patience_over: &CancellationToken,
) -> Result<(Box<dyn Stage>, Result<Progress>)> {
    let meter = context.meter.clone();
    let work = async move {
        let result = stage.advance(&context).await;
        (stage, result)
    };
    let mut handle = AbortOnDropHandle::new(tokio::spawn(work.in_current_span()));
    let ended = tokio::select! {
        biased;
        ended = &mut handle => ended,
        () = patience_over.cancelled() => {
            if meter.is_committing() && let Ok(ended) = tokio::time::timeout(STOPPING_TIME - PATIENCE, &mut handle).await {
                ended
            } else {
                handle.abort();
                handle.await
            }
        }
    };
    ended.map_err(|error| match error.try_into_panic() {
        Ok(panic) => Error::bug(format!("the stage of {table} panicked: {}", words(&*panic))),
        Err(_) => Error::stopped(format!("the stage of {table} did not stop in {PATIENCE:?} and was dropped")),
    })
}

/// What a panic said.
pub(crate) fn words(panic: &(dyn std::any::Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("without a message")
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
