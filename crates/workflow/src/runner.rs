//! Runs a workflow: starts what is ready, skips what cannot be, and says how it ended.

use std::collections::{BTreeMap, BTreeSet};

use futures::StreamExt;
use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use stage::{Context, Progress, Result, Stage};
use tokio::sync::Semaphore;
use tokio::time::Instant;

use crate::definition::{Body, Workflow};
use crate::event::Event;
use crate::history::{History, RunEnd};
use crate::outcome::{RunOutcome, RunStop, TaskOutcome, run_state};
use crate::selection::Selection;
use crate::state::ResultState;
use crate::task::{Shared, note, run_task};

/// Builds the stages that a body stands for.
pub trait Workshop: Send + Sync {
    /// The stages of a body: the waves one after another, the stages of a wave at the same time. It is called anew for
    /// each attempt, and must be quick: a stage opens its tables when it first advances.
    ///
    /// # Errors
    /// An error ends the attempt as one of a stage would.
    fn waves(&self, body: &Body) -> Result<Vec<Vec<Box<dyn Stage>>>>;
}

/// What a run works with: who builds the stages, where the run is recorded, and who is told.
pub struct Surroundings<'a> {
    /// Builds the stages.
    pub workshop: &'a dyn Workshop,
    /// Where the run is recorded.
    pub history: &'a History,
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
    selection: &Selection,
    surroundings: &Surroundings<'_>,
) -> Result<RunOutcome> {
    let selected = selection.resolve(workflow)?;
    let parameters = workflow.parameters_with(&context.parameters)?;
    let number = surroundings.history.begin_run(workflow.name(), &parameters).await?;
    let started = Instant::now();
    let run_id = run_id(workflow.name(), number);
    (surroundings.events)(Event::RunStarted {
        number,
        run_id: run_id.clone(),
        workflow: workflow.name().to_owned(),
        tasks: selected.len(),
    });
    let context = inside_run(context, &run_id, parameters);
    let (tasks, stop) = until_ended(&context, workflow, &selected, number, surroundings).await;
    let state = run_state(workflow.dag(), &selected, &tasks, stop);
    let mut progress = Progress::default();
    tasks.iter().for_each(|task| progress.add(&task.progress));
    let seconds = started.elapsed().as_secs_f64();
    let outcome = RunOutcome { number, run_id, state, tasks, progress, seconds };
    let recorded = surroundings.history.end_run(number, RunEnd::new(&outcome)).await;
    note(recorded, "could not record the end of the run");
    (surroundings.events)(Event::RunEnded { state, progress: outcome.progress.clone(), seconds });
    Ok(outcome)
}

/// The name of a run in commits. What would not be plain in a path or a log becomes `-`.
pub(crate) fn run_id(workflow: &str, number: i64) -> String {
    let plain = |one: char| if one.is_alphanumeric() || "_.-".contains(one) { one } else { '-' };
    format!("{}-{number}", workflow.chars().map(plain).collect::<String>())
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
async fn until_ended(
    context: &Context,
    workflow: &Workflow,
    selected: &BTreeSet<usize>,
    number: i64,
    surroundings: &Surroundings<'_>,
) -> (Vec<TaskOutcome>, RunStop) {
    let slots = Semaphore::new(workflow.max_parallel_tasks().min(Semaphore::MAX_PERMITS));
    let deadline = workflow.timeout().and_then(|timeout| Instant::now().checked_add(timeout));
    let deadline = deadline.into_iter().chain(context.deadline.map(Instant::from_std)).min();
    let shared = Shared { number, context, deadline, slots: &slots, surroundings };
    let mut board = Board::new(workflow, selected);
    let mut running: FuturesUnordered<BoxFuture<'_, (usize, TaskOutcome)>> = FuturesUnordered::new();
    let time_over = async {
        match deadline {
            Some(deadline) => tokio::time::sleep_until(deadline).await,
            None => std::future::pending().await,
        }
    };
    let mut time_over = std::pin::pin!(time_over);
    let mut stop = RunStop::Not;
    loop {
        for index in board.take_ready(surroundings) {
            let shared = &shared;
            running.push(Box::pin(async move { (index, run_task(&workflow.tasks()[index], shared).await) }));
        }
        tokio::select! {
            biased;
            ended = running.next() => match ended {
                Some((index, outcome)) => board.end(index, outcome, surroundings),
                None => break,
            },
            () = context.cancellation.cancelled(), if stop == RunStop::Not => stop = RunStop::Canceled,
            () = &mut time_over, if stop == RunStop::Not => {
                stop = RunStop::TimedOut;
                context.cancellation.cancel();
            }
        }
    }
    if stop == RunStop::Not && context.cancellation.is_cancelled() {
        stop = RunStop::Canceled;
    }
    (board.into_outcomes(), stop)
}

/// Which tasks have ended, and which of the others may start.
struct Board<'a> {
    workflow: &'a Workflow,
    selected: &'a BTreeSet<usize>,
    outcomes: Vec<Option<TaskOutcome>>,
    /// How many dependencies of each task have not ended.
    missing: Vec<usize>,
    /// What keeps a task from starting. It passes through excluded tasks to those behind them.
    blocked: Vec<Option<ResultState>>,
    /// Tasks without missing dependencies that were not looked at yet.
    open: Vec<usize>,
}

impl<'a> Board<'a> {
    fn new(workflow: &'a Workflow, selected: &'a BTreeSet<usize>) -> Self {
        let count = workflow.tasks().len();
        let missing: Vec<usize> = (0..count).map(|index| workflow.dag().dependencies(index).len()).collect();
        let open = (0..count).rev().filter(|index| missing[*index] == 0).collect();
        let outcomes = (0..count).map(|_| None).collect();
        Board { workflow, selected, outcomes, missing, blocked: vec![None; count], open }
    }

    /// The tasks that may start now. Tasks that never will are ended on the way.
    fn take_ready(&mut self, surroundings: &Surroundings<'_>) -> Vec<usize> {
        let mut ready = Vec::new();
        while let Some(index) = self.open.pop() {
            match self.blocked[index] {
                _ if !self.selected.contains(&index) => self.skip(index, ResultState::Excluded, surroundings),
                Some(state) => self.skip(index, state, surroundings),
                None => ready.push(index),
            }
        }
        // Places are given in the order of the workflow.
        ready.sort_unstable();
        ready
    }

    fn skip(&mut self, index: usize, state: ResultState, surroundings: &Surroundings<'_>) {
        let task_key = self.workflow.tasks()[index].key().to_owned();
        let outcome = TaskOutcome { task_key, state, error: None, progress: Progress::default(), seconds: 0.0 };
        self.end(index, outcome, surroundings);
    }

    fn end(&mut self, index: usize, outcome: TaskOutcome, surroundings: &Surroundings<'_>) {
        let excluded = outcome.state == ResultState::Excluded;
        let blocks = if excluded { self.blocked[index] } else { outcome.state.blocks() };
        if !excluded {
            (surroundings.events)(Event::TaskEnded {
                task_key: outcome.task_key.clone(),
                state: outcome.state,
                progress: outcome.progress.clone(),
                seconds: outcome.seconds,
            });
        }
        self.outcomes[index] = Some(outcome);
        for dependent in self.workflow.dag().dependents(index) {
            let blocked = &mut self.blocked[*dependent];
            // A failure explains more than a cancellation.
            if blocked.is_none() || blocks == Some(ResultState::UpstreamFailed) {
                *blocked = blocks.or(*blocked);
            }
            self.missing[*dependent] -= 1;
            if self.missing[*dependent] == 0 {
                self.open.push(*dependent);
            }
        }
    }

    fn into_outcomes(self) -> Vec<TaskOutcome> {
        self.outcomes.into_iter().flatten().collect()
    }
}
