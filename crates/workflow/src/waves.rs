//! The work of one attempt: stages in waves, each advanced until idle, or an action that runs once.
//!
//! Each advance, and each action, runs as a task of its own, so that work uses every core and a panic in it is an error like
//! others.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures::future::join_all;
use stage::{Context, Error, Meter, Progress, Result, Stage, TableName};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;
use tracing::Instrument;

use crate::action::{Action, Output};
use crate::attempt::{PATIENCE, STOPPING_TIME, Trial, lock, rank, words};
use crate::breaker::Pass;
use crate::definition::Work;
use crate::event::Event;

/// Runs the stages of a work. What they did is in `output` even after an error.
///
/// # Errors
/// The worst one of the first wave with errors.
pub(crate) async fn run(
    trial: &Trial<'_>,
    context: &Context,
    work: &Work,
    waves: Vec<Vec<Box<dyn Stage>>>,
    patience_over: &CancellationToken,
    output: &mut Output,
) -> Result<()> {
    let (done, tables) = (Mutex::default(), AtomicUsize::new(0));
    let waves_on_their_way = Waves { trial, context, work, done: &done, tables: &tables, patience_over };
    let result = waves_on_their_way.run(waves).await;
    let done: Progress = lock(&done).clone();
    let version = done.version.filter(|_| tables.load(Ordering::Relaxed) == 1);
    *output = Output::of_stages(&done, version);
    result
}

/// Runs an action.
///
/// # Errors
/// That of the action, or that it had to be dropped.
pub(crate) async fn act(
    trial: &Trial<'_>,
    context: &Context,
    action: Box<dyn Action>,
    patience_over: &CancellationToken,
    output: &mut Output,
) -> Result<()> {
    let key = trial.execution.task_key.clone();
    let work = std::panic::AssertUnwindSafe(action.run(context, trial.log));
    let ended = tokio::select! {
        biased;
        ended = futures::FutureExt::catch_unwind(work) => ended,
        () = patience_over.cancelled() => {
            return Err(Error::stopped(format!("task `{key}` did not stop in {PATIENCE:?} and was dropped")));
        }
    };
    *output = ended.unwrap_or_else(|panic| Err(Error::bug(format!("task `{key}` panicked: {}", words(&*panic)))))?;
    Ok(())
}

/// The stages of one attempt on their way.
struct Waves<'a> {
    trial: &'a Trial<'a>,
    context: &'a Context,
    work: &'a Work,
    done: &'a Mutex<Progress>,
    /// How many stages were brought forward.
    tables: &'a AtomicUsize,
    /// Set when stages that were told to stop have not, and are to be dropped.
    patience_over: &'a CancellationToken,
}

impl Waves<'_> {
    /// Wave after wave, the stages of each at the same time. A failed stage lets the others of its wave finish, and
    /// keeps the next wave from starting.
    async fn run(&self, waves: Vec<Vec<Box<dyn Stage>>>) -> Result<()> {
        for wave in waves {
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
        self.tables.fetch_add(1, Ordering::Relaxed);
        let result = self.advance_until_idle(stage, &table).await;
        if let Err(error) = &result {
            self.trial.log.line(&format!("{table}: {}", error.chain()));
            self.tell(Event::StageFailed {
                task_key: self.trial.execution.task_key.clone(),
                table,
                kind: error.kind(),
                message: error.chain(),
            });
        }
        result
    }

    async fn advance_until_idle(&self, mut stage: Box<dyn Stage>, table: &TableName) -> Result<()> {
        let rebuilt = &self.trial.memory.rebuilt;
        let mut context = Context { meter: Meter::default(), ..self.context.clone() };
        self.tell(Event::StageStarted {
            task_key: self.trial.execution.task_key.clone(),
            table: table.clone(),
            meter: context.meter.clone(),
        });
        let rebuilds = context.full_refresh || self.work.rebuilds(table);
        context.full_refresh = rebuilds && !lock(rebuilt).contains(table);
        loop {
            self.context.check()?;
            let started = Instant::now();
            let pass = self.admitted(&*stage)?;
            let advanced = advance(stage, context.clone(), table, self.patience_over).await;
            let kind = match &advanced {
                Ok((_, Ok(_))) => None,
                Ok((_, Err(error))) | Err(error) => Some(error.kind()),
            };
            self.rests_until(pass.and_then(|pass| pass.ended(kind)));
            let (returned, result) = advanced?;
            let progress = result?;
            if context.full_refresh {
                lock(rebuilt).insert(table.clone());
                context.full_refresh = false;
            }
            lock(self.done).add(&progress);
            let idle = progress.idle;
            self.advanced(table, progress, started.elapsed().as_secs_f64());
            if idle {
                return Ok(());
            }
            stage = returned;
        }
    }

    /// The leave to ask the source of a stage, when it has one that is watched.
    fn admitted(&self, stage: &dyn Stage) -> Result<Option<Pass>> {
        let Some(breakers) = self.trial.shared.surroundings.workshop.breakers() else { return Ok(None) };
        let Some(source) = stage.source() else { return Ok(None) };
        breakers.admit(&source).map(Some).map_err(|refused| {
            self.rests_until(Some(refused.until));
            refused.error
        })
    }

    /// Notes until when it is in vain to try again.
    fn rests_until(&self, until: Option<Instant>) {
        let mut latest = lock(&self.trial.memory.rests_until);
        *latest = (*latest).max(until);
    }

    fn advanced(&self, table: &TableName, progress: Progress, seconds: f64) {
        if !progress.idle {
            let Progress { rows_read, rows_written, rows_quarantined, rows_dropped, .. } = progress;
            let rest = format!("{rows_quarantined} in quarantine, {rows_dropped} left out");
            let line = format!("{table}: {rows_read} rows read, {rows_written} written, {rest}, in {seconds:.2} s");
            self.trial.log.line(&line);
        }
        let task_key = self.trial.execution.task_key.clone();
        self.tell(Event::StageAdvanced { task_key, table: table.clone(), progress, seconds });
    }

    fn tell(&self, event: Event) {
        self.trial.shared.tell(event);
    }
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
