//! Runs the stages of a workflow open-ended: each table is kept going by itself, and a commit wakes what reads it.
//!
//! # What keeps a table going
//! Every table of the selected tasks has one keeper, however many tasks name it. It advances the stage until that is idle and
//! then waits for whichever comes first: a commit of a table it reads ([`stage::Stage::reads`]), something new in its
//! source ([`stage::Stage::arrival`]), or [`StreamOptions::look_again_after`], for tables that another process writes. There is no
//! poll from the top, and the order and the limits of tasks are those of a run, not of a stream.
//!
//! # Failures
//! An error that may pass is tried again after a growing delay, and so is a panic, with a stage that is built anew; an
//! error that stays, or the last of [`StreamOptions::max_failures`] in a row, stops that table. The others go on. The
//! stream itself ends only when it is stopped or when every table has stopped.
//!
//! # Stopping
//! When the cancellation of its context is set, no new batch begins and an open one is finished. What takes too long for
//! that is told to stop, and dropped after [`crate::PATIENCE`], or a little later if it is just then committing.

mod event;
mod guard;
mod histogram;
mod keeper;
mod outcome;
mod plan;
mod status;
mod wakes;

use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::FutureExt;
use futures::future::join_all;
use stage::{Context, Error, Progress, Result, TableName};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;
use tracing::Instrument;

pub use event::StreamEvent;
pub use histogram::Histogram;
pub use outcome::{StreamOutcome, TableOutcome};
pub use status::{LastCommit, StreamStatus, TableState, TableStatus};

use crate::attempt::{PATIENCE, words};
use crate::definition::Workflow;
use crate::history::{Execution, History, NewRun, PlannedTask};
use crate::runner::run_id;
use crate::selection::Selection;
use crate::state::ResultState;
use crate::task::note;
use crate::workshop::Workshop;
use keeper::{Keeper, Shared};
use plan::{Planned, plan};
use wakes::Wakes;

/// How long an open batch may take until it is told to stop. With what comes after it, this leaves those who stopped the
/// stream some of the half minute that supervisors wait before they kill.
const FINISHING_TIME: Duration = Duration::from_secs(12);
/// How long a commit may go on after that.
const COMMITTING_TIME: Duration = Duration::from_secs(5);

/// Told of each event at once. It must not block.
pub type Events = Arc<dyn Fn(StreamEvent) + Send + Sync>;

/// How a stream behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StreamOptions {
    /// After how many failures in a row a table stops; at least 1.
    pub max_failures: u32,
    /// How long a table waits at most before it looks for something new by itself.
    pub look_again_after: Duration,
}

impl Default for StreamOptions {
    fn default() -> Self {
        StreamOptions { max_failures: 10, look_again_after: Duration::from_secs(30) }
    }
}

/// A stream that is ready to begin.
pub struct Stream {
    workflow: Workflow,
    workshop: Arc<dyn Workshop>,
    options: StreamOptions,
    planned: Vec<Planned>,
    tables: Vec<(TableName, Vec<TableName>)>,
    status: Arc<StreamStatus>,
}

impl Stream {
    /// The stream of the selected tasks of a workflow.
    ///
    /// # Errors
    /// As [`Workshop::build`]; [`stage::Kind::Config`] when a selected task does not exist or asks for a full refresh,
    /// or when there is no table to stream.
    pub fn open(
        workflow: &Workflow,
        selection: &Selection,
        workshop: Arc<dyn Workshop>,
        options: StreamOptions,
    ) -> Result<Stream> {
        let planned = plan(workflow, selection, &*workshop)?;
        let named = planned.iter().map(|planned| (planned.stage.table().clone(), planned.stage.reads()));
        let tables: Vec<(TableName, Vec<TableName>)> = named.collect();
        let status = Arc::new(StreamStatus::new(&tables));
        Ok(Stream { workflow: workflow.clone(), workshop, options, planned, tables, status })
    }

    /// How the tables of the stream stand, before, while and after it runs.
    pub fn status(&self) -> Arc<StreamStatus> {
        Arc::clone(&self.status)
    }

    /// Keeps the tables going until the cancellation of `context` is set or all of them have failed, and records that as a
    /// run. `context` carries the parameters given; its `run_id` is replaced by `<workflow>-<number>`.
    ///
    /// # Errors
    /// Only when the stream could not begin: an unknown parameter, or a history that cannot be written. Whatever fails
    /// after that is in the [`StreamOutcome`].
    pub async fn run(self, context: &Context, history: &History, events: Events) -> Result<StreamOutcome> {
        let Stream { workflow, workshop, options, planned, tables, status } = self;
        let parameters = workflow.parameters_with(&context.parameters)?;
        let run = NewRun { workflow: workflow.name().to_owned(), parameters: parameters.clone(), ..NewRun::default() };
        let number = history.begin_run(run, tables.iter().map(planned_table).collect()).await?;
        let started = Instant::now();
        let run_id = run_id(workflow.name(), number);
        let name = workflow.name().to_owned();
        events(StreamEvent::Started { number, run_id: run_id.clone(), workflow: name, tables: tables.len() });
        let inner = Context {
            run_id: run_id.clone(),
            cancellation: CancellationToken::new(),
            deadline: None,
            full_refresh: false,
            streaming: true,
            parameters,
            ..context.clone()
        };
        let mut wakes = Wakes::default();
        let sleepers: Vec<_> = tables.iter().map(|(_, reads)| wakes.add(reads)).collect();
        let keepers = planned.into_iter().zip(&tables).zip(sleepers);
        let keepers = keepers.map(|((planned, (_, reads)), wake)| Keeper::new(planned, reads.clone(), wake, &inner));
        let keepers = keepers.collect();
        let shared = Arc::new(Shared {
            workshop,
            history: history.clone(),
            number,
            events,
            status,
            wakes,
            options,
            stop: CancellationToken::new(),
            patience_over: CancellationToken::new(),
        });
        let mut ended = until_ended([&context.cancellation, &inner.cancellation], keepers, &tables, &shared).await;
        let outcomes = tables.into_iter().map(|(table, _)| ended.remove(&table).unwrap_or_else(|| given_up(table)));
        let outcome = StreamOutcome::new(number, run_id, outcomes.collect(), started.elapsed().as_secs_f64());
        for (position, table) in outcome.tables.iter().enumerate() {
            let task_key = table.table.to_string();
            let execution = Execution { run: number, repair: 0, task_key, position, input: None };
            note(history.end_task(&execution, table.end()).await, "could not record the end of a table");
        }
        note(history.end_run(number, outcome.end()).await, "could not record the end of the stream");
        Ok(outcome)
    }
}

/// A table as a task of the run that a stream is recorded as.
fn planned_table((table, reads): &(TableName, Vec<TableName>)) -> PlannedTask {
    PlannedTask {
        task_key: table.to_string(),
        depends_on: reads.iter().map(ToString::to_string).collect(),
        does: "streams".to_owned(),
    }
}

type Ended = BTreeMap<TableName, TableOutcome>;

/// Runs all keepers until they have ended, or until there is no more time to wait for that.
async fn until_ended(
    cancellations: [&CancellationToken; 2],
    keepers: Vec<Keeper>,
    tables: &[(TableName, Vec<TableName>)],
    shared: &Arc<Shared>,
) -> Ended {
    let ended: Arc<Mutex<Ended>> = Arc::default();
    let spawned = keepers.into_iter().zip(tables).map(|(keeper, (table, _))| {
        let (shared, ended) = (Arc::clone(shared), Arc::clone(&ended));
        let span = tracing::info_span!("stream", %table);
        let table = table.clone();
        let work = async move {
            let outcome = AssertUnwindSafe(keeper.run(&shared)).catch_unwind().await;
            let outcome = outcome.unwrap_or_else(|panic| broken(&table, words(&*panic), &shared));
            ended.lock().unwrap_or_else(PoisonError::into_inner).insert(table, outcome);
        };
        AbortOnDropHandle::new(tokio::spawn(work.instrument(span)))
    });
    let all_ended = join_all(spawned);
    tokio::select! {
        biased;
        _ = all_ended => {}
        () = stopping(cancellations, shared) => {}
    }
    std::mem::take(&mut *ended.lock().unwrap_or_else(PoisonError::into_inner))
}

/// Stops the keepers step by step once the first cancellation, that of the caller, is set; the second is that of the
/// stages. Ends when there is no more time even for a commit that was being made.
async fn stopping([ours, of_stages]: [&CancellationToken; 2], shared: &Shared) {
    ours.cancelled().await;
    shared.status.stop();
    shared.stop.cancel();
    tokio::time::sleep(FINISHING_TIME).await;
    of_stages.cancel();
    tokio::time::sleep(PATIENCE).await;
    shared.patience_over.cancel();
    // Dropping takes effect when the stage next waits for something.
    tokio::time::sleep(COMMITTING_TIME).await;
}

fn given_up(table: TableName) -> TableOutcome {
    let error = Error::stopped(format!("the stage of {table} neither stopped nor could be dropped"));
    TableOutcome { table, state: ResultState::Canceled, error: Some(error), progress: Progress::default() }
}

/// The end of a table whose keeper panicked outside the work of its stage.
fn broken(table: &TableName, words: &str, shared: &Shared) -> TableOutcome {
    let error = Error::bug(format!("keeping {table} going panicked: {words}"));
    shared.status.failed(table, &error, 1);
    shared.status.enter(table, TableState::Failed);
    let (kind, message) = (error.kind(), error.chain());
    (shared.events)(StreamEvent::Failed { table: table.clone(), kind, message, failures: 1, will_retry_in: None });
    TableOutcome { table: table.clone(), state: ResultState::Failed, error: Some(error), progress: Progress::default() }
}
