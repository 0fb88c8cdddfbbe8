//! What the tasks of a run share: what the run is, and what those that have ended left for others.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use chrono::{DateTime, Utc};
use serde_json::Value;
use stage::Context;
use tokio::sync::Semaphore;
use tokio::time::Instant;

use crate::definition::Workflow;
use crate::event::Event;
use crate::history::{Execution, TaskEnd};
use crate::outcome::TaskOutcome;
use crate::reference::{Job, TaskResults, Trigger};
use crate::request::Starts;
use crate::runner::Surroundings;
use crate::state::ResultState;
use crate::task::note;

/// What a run is, for all of its tasks.
pub(crate) struct Facts {
    pub(crate) number: i64,
    /// The repair; 0 is the run as it began.
    pub(crate) repair: u32,
    /// One permit for each attempt that may run at the same time. A task that waits for its next attempt holds none.
    pub(crate) slots: Semaphore,
    pub(crate) job: Job,
    pub(crate) trigger: Trigger,
    pub(crate) backfill: Option<DateTime<Utc>>,
    /// The workflows that run each other, this one included.
    pub(crate) above: Vec<String>,
    /// What the tasks that have ended left for others.
    pub(crate) results: Mutex<BTreeMap<String, TaskResults>>,
    /// Items of loops that succeeded in an earlier try.
    pub(crate) items: BTreeMap<String, (Value, TaskOutcome)>,
    /// How often tasks and items were started so far.
    pub(crate) starts: Mutex<BTreeMap<String, Starts>>,
    /// Why a parameter could not be filled in.
    pub(crate) unfilled: Option<String>,
}

/// What the tasks of a run share.
#[derive(Clone, Copy)]
pub(crate) struct Shared<'a> {
    pub(crate) facts: &'a Facts,
    pub(crate) context: &'a Context,
    pub(crate) deadline: Option<Instant>,
    pub(crate) surroundings: &'a Surroundings<'a>,
}

impl Shared<'_> {
    /// Tells an event.
    pub(crate) fn tell(&self, event: Event) {
        (self.surroundings.events)(event);
    }

    /// What a task, or an item of a loop, is in the history.
    pub(crate) fn execution(&self, task_key: &str, position: usize, input: Option<&Value>) -> Execution {
        Execution {
            run: self.facts.number,
            repair: self.facts.repair,
            task_key: task_key.to_owned(),
            position,
            input: input.cloned(),
        }
    }

    /// What tells this run of a task from others.
    pub(crate) fn task_run_id(&self, task_key: &str) -> String {
        format!("{}/{task_key}", self.facts.number)
    }

    /// How often a task, or an item of a loop, was started so far.
    pub(crate) fn starts(&self, task_key: &str) -> Starts {
        let starts = self.facts.starts.lock().unwrap_or_else(PoisonError::into_inner);
        starts.get(task_key).copied().unwrap_or_default()
    }

    /// Notes that an attempt starts. Returns its number, and how often the task was started with it.
    pub(crate) fn start(&self, task_key: &str) -> (u32, u32) {
        let mut starts = self.facts.starts.lock().unwrap_or_else(PoisonError::into_inner);
        let starts = starts.entry(task_key.to_owned()).or_default();
        starts.executions += 1;
        starts.next_attempt += 1;
        (starts.next_attempt - 1, starts.executions)
    }

    /// Leaves what a task published for those that come after it.
    pub(crate) fn publish(&self, outcome: &TaskOutcome) {
        let results = TaskResults {
            run_id: self.task_run_id(&outcome.task_key),
            result_state: outcome.state,
            error_code: outcome.error.as_ref().map(|error| error.kind().name().to_owned()),
            execution_count: outcome.executions,
            values: outcome.output.values.clone(),
            rows: outcome.output.rows.clone(),
        };
        self.facts.results.lock().unwrap_or_else(PoisonError::into_inner).insert(outcome.task_key.clone(), results);
    }

    /// Records the end of a task that never started.
    pub(crate) async fn skip(&self, workflow: &Workflow, position: usize, state: ResultState) -> TaskOutcome {
        let mut outcome = TaskOutcome::unstarted(workflow.tasks()[position].key(), state);
        outcome.executions = self.starts(&outcome.task_key).executions;
        let execution = self.execution(&outcome.task_key, position, None);
        let recorded = self.surroundings.history.end_task(&execution, TaskEnd::new(&outcome)).await;
        note(recorded, "could not record the end of a task");
        self.publish(&outcome);
        outcome
    }
}
