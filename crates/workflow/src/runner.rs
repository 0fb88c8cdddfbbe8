//! Runs a workflow: starts what is ready, skips what cannot be, and says how it ended.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;
use std::time::Duration;

use chrono::{DateTime, Utc};
use futures::StreamExt;
use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use serde_json::{Map, Value};
use stage::{Context, Error, Interval, Progress, Result};
use tokio::sync::Semaphore;
use tokio::time::Instant;

use crate::board::{Board, Turn};
use crate::cause::Cause;
use crate::definition::Workflow;
use crate::event::Event;
use crate::history::{History, NewRun, PlannedTask, RowCounts, RunEnd, RunRecord};
use crate::outcome::{RunOutcome, RunStop, TaskOutcome, run_state};
use crate::parameters::filled;
use crate::reference::{Job, Workspace};
use crate::request::{Again, Kept, Request, ended_run};
use crate::shared::{Facts, Shared};
use crate::state::ResultState;
use crate::task::{note, run_task};
use crate::workshop::Workshop;

/// How often a run looks whether it is to stop.
const ASKED_EVERY: Duration = Duration::from_secs(1);

/// What a run works with: who builds the stages, where the run is recorded, and who is told.
#[derive(Clone, Copy)]
pub struct Surroundings<'a> {
    /// Builds the stages.
    pub workshop: &'a dyn Workshop,
    /// Where the run is recorded.
    pub history: &'a History,
    /// Where the run takes place, for references.
    pub workspace: &'a Workspace,
    /// Told of each event at once. It must not block.
    pub events: &'a (dyn Fn(Event) + Send + Sync),
}

/// Runs the selected tasks of a workflow and records them.
///
/// `context` carries what the run was asked: parameters (those given; defaults are added here), full refresh, interval,
/// and the cancellation, which the caller sets on a signal. Its `run_id` is replaced by `<workflow>-<number>`.
///
/// # Errors
/// Only when the run could not begin: an unknown task or parameter ([`stage::Kind::Config`]), or a history that cannot be
/// written. Whatever fails after that is in the [`RunOutcome`].
pub async fn run(
    context: &Context,
    workflow: &Workflow,
    request: &Request,
    surroundings: &Surroundings<'_>,
) -> Result<RunOutcome> {
    run_nested(context, workflow, request, &[], None, surroundings).await
}

/// [`run`] for a task of another run: `above` are the workflows that run each other down to this one.
pub(crate) async fn run_nested(
    context: &Context,
    workflow: &Workflow,
    request: &Request,
    above: &[String],
    parent: Option<i64>,
    surroundings: &Surroundings<'_>,
) -> Result<RunOutcome> {
    let selected = request.selection.resolve(workflow)?;
    let parameters = workflow.parameters_with(&context.parameters)?;
    let history = surroundings.history;
    let cause = Cause {
        tasks: keys_unless_all(workflow, &selected),
        backfill: request.backfill,
        full_refresh: context.full_refresh,
        interval: context.interval.map(|interval| (interval.from, interval.to)),
        ..request.cause.clone()
    };
    let run =
        NewRun { workflow: workflow.name().to_owned(), parameters: parameters.clone(), cause: cause.clone(), parent };
    let number = match request.queued {
        Some(number) => match history.begin_queued(number, run, plan(workflow)).await? {
            true => number,
            false => return Err(Error::conflict(format!("run {number} no longer waits for its turn"))),
        },
        None => history.begin_run(run, plan(workflow)).await?,
    };
    let started = context.now();
    let (kept, rows) = (Kept::default(), RowCounts::default());
    let begun = Begun { number, repair: 0, kept, rows, parameters, cause, started, asked: started };
    run_begun(context, workflow, selected, begun, above, surroundings).await
}

/// Goes on with a run that has ended, under its number, with the definition of today.
///
/// # Errors
/// As [`run`]; [`stage::Kind::Config`] also when there is no such run or it has not ended, [`stage::Kind::Conflict`] when
/// another process goes on with it.
pub async fn run_again(
    context: &Context,
    workflow: &Workflow,
    number: i64,
    again: &Again,
    surroundings: &Surroundings<'_>,
) -> Result<RunOutcome> {
    let before = ended_run(surroundings.history, number).await?;
    let kept = again.kept(workflow, &before)?;
    // What the run was given stands, for parameters that are still there.
    let mut given = before.run.parameters.clone();
    given.retain(|name, _| workflow.parameters().contains_key(name));
    given.extend(context.parameters.clone());
    let parameters = workflow.parameters_with(&given)?;
    let selected = again.selected(workflow, &before.run.cause)?;
    let (is_repair, standing) = (again.is_repair(), kept.keys(&before));
    let history = surroundings.history;
    let reopened = history.reopen(&before.run, is_repair, parameters.clone(), plan(workflow), standing).await?;
    let repair = reopened.ok_or_else(|| Error::conflict(format!("run {number} is being gone on with elsewhere")))?;
    let rows = before.rows_so_far();
    let RunRecord { cause, started_at, queued_at, .. } = before.run;
    let context = Context {
        full_refresh: context.full_refresh || cause.full_refresh,
        interval: context.interval.or(cause.interval.map(|(from, to)| Interval { from, to })),
        ..context.clone()
    };
    // Times that tasks refer to are those of the run as it began, so that what goes on means the same.
    let started = started_at.unwrap_or_else(|| context.now());
    let begun = Begun { number, repair, kept, rows, parameters, cause, started, asked: queued_at };
    run_begun(&context, workflow, selected, begun, &[], surroundings).await
}

/// A run that has its number.
struct Begun {
    number: i64,
    repair: u32,
    kept: Kept,
    /// What earlier tries of it did.
    rows: RowCounts,
    parameters: BTreeMap<String, String>,
    cause: Cause,
    /// When it first started.
    started: DateTime<Utc>,
    /// When it was asked for.
    asked: DateTime<Utc>,
}

/// Lets go of a run when its work is dropped before it has ended. After its end this does nothing.
struct Held<'a> {
    history: &'a History,
    number: i64,
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.history.abandon(self.number);
    }
}

async fn run_begun(
    context: &Context,
    workflow: &Workflow,
    selected: BTreeSet<usize>,
    begun: Begun,
    above: &[String],
    surroundings: &Surroundings<'_>,
) -> Result<RunOutcome> {
    let Begun { number, repair, kept, rows, parameters, cause, started: job_started, asked } = begun;
    let _held = Held { history: surroundings.history, number };
    let started = Instant::now();
    let run_id = run_id(workflow.name(), number);
    (surroundings.events)(Event::RunStarted {
        number,
        run_id: run_id.clone(),
        workflow: workflow.name().to_owned(),
        tasks: selected.len(),
    });
    let job = Job {
        id: workflow.name().to_owned(),
        name: workflow.name().to_owned(),
        run_id: number,
        repair_count: repair,
        started: job_started,
    };
    let trigger = cause.trigger(asked);
    let (parameters, unfilled) = filled(parameters, &job, &trigger, surroundings.workspace, cause.backfill);
    let context = inside_run(context, &run_id, parameters);
    let deadline = workflow.timeout().and_then(|timeout| started.checked_add(timeout));
    let facts = Facts {
        number,
        repair,
        slots: Semaphore::new(workflow.max_parallel_tasks().min(Semaphore::MAX_PERMITS)),
        job,
        trigger,
        backfill: cause.backfill,
        above: above.iter().cloned().chain([workflow.name().to_owned()]).collect(),
        results: Mutex::default(),
        items: kept.items,
        starts: Mutex::new(kept.starts),
        unfilled,
    };
    let deadline = deadline.into_iter().chain(context.deadline.map(Instant::from_std)).min();
    let shared = Shared { facts: &facts, context: &context, deadline, surroundings };
    let board = Board::new(workflow, &selected, kept.tasks);
    let (tasks, stop) = until_ended(workflow, board, &shared).await;
    let state = run_state(workflow, &selected, &tasks, stop);
    let mut progress = Progress::default();
    tasks.iter().for_each(|task| progress.add(&task.output.progress));
    let seconds = started.elapsed().as_secs_f64();
    let outcome = RunOutcome { number, run_id, state, tasks, progress, seconds };
    let recorded = surroundings.history.end_run(number, RunEnd::new(&outcome).after(rows)).await;
    note(recorded, "could not record the end of the run");
    (surroundings.events)(Event::RunEnded { state, progress: outcome.progress.clone(), seconds });
    Ok(outcome)
}

/// The name of a run in commits. What would not be plain in a path or a log becomes `-`.
pub(crate) fn run_id(workflow: &str, number: i64) -> String {
    let plain = |one: char| if one.is_alphanumeric() || "_.-".contains(one) { one } else { '-' };
    format!("{}-{number}", workflow.chars().map(plain).collect::<String>())
}

/// The tasks of a run as they are recorded before it begins.
fn plan(workflow: &Workflow) -> Vec<PlannedTask> {
    let key = |index: &usize| workflow.tasks()[*index].key().to_owned();
    let tasks = workflow.tasks().iter().enumerate();
    let planned = tasks.map(|(index, task)| PlannedTask {
        task_key: task.key().to_owned(),
        depends_on: workflow.dag().dependencies(index).iter().map(key).collect(),
        does: task.body().to_string(),
    });
    planned.collect()
}

/// The keys of the selected tasks; none when all are selected.
fn keys_unless_all(workflow: &Workflow, selected: &BTreeSet<usize>) -> Vec<String> {
    if selected.len() == workflow.tasks().len() {
        return Vec::new();
    }
    selected.iter().map(|index| workflow.tasks()[*index].key().to_owned()).collect()
}

/// The context of a run: stopping the run does not stop what the caller does with its own token.
fn inside_run(context: &Context, run_id: &str, parameters: BTreeMap<String, String>) -> Context {
    Context {
        run_id: run_id.to_owned(),
        cancellation: context.cancellation.child_token(),
        parameters,
        ..context.clone()
    }
}

/// Starts tasks as they become ready until all have ended; on the way stops the run when its time is over.
async fn until_ended(workflow: &Workflow, mut board: Board<'_>, shared: &Shared<'_>) -> (Vec<TaskOutcome>, RunStop) {
    let mut running: FuturesUnordered<BoxFuture<'_, (usize, TaskOutcome)>> = FuturesUnordered::new();
    let time_over = async {
        match shared.deadline {
            Some(deadline) => tokio::time::sleep_until(deadline).await,
            None => std::future::pending().await,
        }
    };
    let mut time_over = std::pin::pin!(time_over);
    let mut asked = std::pin::pin!(cancel_asked(shared));
    let cancellation = &shared.context.cancellation;
    let mut stop = RunStop::Not;
    loop {
        start_ready(workflow, &mut board, &mut running, shared).await;
        tokio::select! {
            biased;
            ended = running.next() => match ended {
                Some((index, outcome)) => {
                    shared.publish(&outcome);
                    board.end(index, outcome);
                }
                None => break,
            },
            () = cancellation.cancelled(), if stop == RunStop::Not => stop = RunStop::Canceled,
            () = &mut time_over, if stop == RunStop::Not => {
                stop = RunStop::TimedOut;
                cancellation.cancel();
            }
            () = &mut asked, if stop == RunStop::Not => {
                stop = RunStop::Canceled;
                cancellation.cancel();
            }
        }
    }
    if stop == RunStop::Not && cancellation.is_cancelled() {
        stop = RunStop::Canceled;
    }
    (board.into_outcomes(), stop)
}

/// Waits until somebody, perhaps in another process, asks for the end of the run.
async fn cancel_asked(shared: &Shared<'_>) {
    loop {
        tokio::time::sleep(ASKED_EVERY).await;
        match shared.surroundings.history.cancel_asked(shared.facts.number).await {
            Ok(true) => return,
            Ok(false) => {}
            Err(error) => tracing::warn!(error = error.chain(), "could not see whether the run is to stop"),
        }
    }
}

/// Starts every task whose turn has come. Those that will not run are ended on the way, which may bring the turn of others.
async fn start_ready<'a>(
    workflow: &'a Workflow,
    board: &mut Board<'_>,
    running: &mut FuturesUnordered<BoxFuture<'a, (usize, TaskOutcome)>>,
    shared: &'a Shared<'_>,
) {
    loop {
        let turns = board.turns();
        if turns.is_empty() {
            return;
        }
        for turn in turns {
            match turn {
                Turn::Run(index) => running.push(Box::pin(async move {
                    let task = &workflow.tasks()[index];
                    (index, run_task(task, task.key(), index, None, shared).await)
                })),
                Turn::Leave(index) => {
                    let outcome = shared.skip(workflow, index, ResultState::Excluded).await;
                    shared.tell(outcome.left());
                    board.end(index, outcome);
                }
                Turn::Skip(index, state) => {
                    let outcome = shared.skip(workflow, index, state).await;
                    shared.tell(outcome.ended());
                    board.end(index, outcome);
                }
                Turn::Keep(index, outcome) => {
                    shared.publish(&outcome);
                    shared.tell(outcome.left());
                    board.end(index, *outcome);
                }
            }
        }
    }
}

/// The values of a map as they are published.
pub(crate) fn values<const N: usize>(pairs: [(&str, Value); N]) -> Map<String, Value> {
    pairs.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}
