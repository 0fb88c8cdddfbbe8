//! A checked workflow: what [`crate::check`] makes of a spec, and the only thing the runner accepts.
//!
//! Whatever is wrong with a spec cannot be written here: every task has one body, every dependency is a task, and the
//! [`Dag`] has no cycle.

mod body;
mod notification;
mod work;

use std::collections::BTreeMap;
use std::time::Duration;

use stage::{Error, Result};

pub use body::{Body, Referring, TableSelection};
pub use notification::{HealthRule, Notifications, Occasion, Recipients};
pub use work::Work;
pub(crate) use work::{literally, work};

use crate::dag::Dag;
use crate::nearest::hint;
use crate::run_if::RunIf;
use crate::schedule::{CatchUp, Schedule};

/// The tasks that run at the same time when a workflow does not say.
pub const DEFAULT_PARALLEL_TASKS: usize = 4;
/// The most runs of a workflow at the same time when it does not say.
pub const DEFAULT_CONCURRENT_RUNS: usize = 1;

/// A workflow that can be run.
#[derive(Debug, Clone)]
pub struct Workflow {
    pub(crate) name: String,
    pub(crate) description: String,
    pub(crate) tasks: Vec<Task>,
    pub(crate) dag: Dag,
    pub(crate) max_parallel_tasks: usize,
    pub(crate) timeout: Option<Duration>,
    pub(crate) parameters: BTreeMap<String, String>,
    pub(crate) tags: BTreeMap<String, String>,
    pub(crate) max_concurrent_runs: usize,
    pub(crate) queues: bool,
    pub(crate) notifications: Notifications,
    pub(crate) schedule: Option<Schedule>,
    pub(crate) catch_up: CatchUp,
}

impl Workflow {
    /// A workflow of one task without retries or time limits, so that a command for a single table is run and
    /// recorded like any other run. Its name is that of the body.
    pub fn single(work: Work) -> Workflow {
        let task = Task {
            key: work.to_string(),
            description: String::new(),
            body: Body::Work(work),
            run_if: RunIf::default(),
            outcomes: BTreeMap::new(),
            disabled: false,
            retry: RetryPolicy::default(),
            timeout: None,
            notifications: Notifications::default(),
        };
        Workflow {
            name: task.key.clone(),
            description: String::new(),
            dag: Dag::unordered(1),
            tasks: vec![task],
            max_parallel_tasks: 1,
            timeout: None,
            parameters: BTreeMap::new(),
            tags: BTreeMap::new(),
            max_concurrent_runs: DEFAULT_CONCURRENT_RUNS,
            queues: true,
            notifications: Notifications::default(),
            schedule: None,
            catch_up: CatchUp::default(),
        }
    }

    /// The same workflow under another name.
    #[must_use]
    pub fn named(self, name: String) -> Workflow {
        Workflow { name, ..self }
    }

    /// The name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What the workflow is for.
    pub fn description(&self) -> &str {
        &self.description
    }

    /// The tasks in the order they were written. [`Dag`] names them by their index.
    pub fn tasks(&self) -> &[Task] {
        &self.tasks
    }

    /// Which task depends on which.
    pub fn dag(&self) -> &Dag {
        &self.dag
    }

    /// The most tasks that run at the same time; at least 1.
    pub fn max_parallel_tasks(&self) -> usize {
        self.max_parallel_tasks
    }

    /// How long a run may take.
    pub fn timeout(&self) -> Option<Duration> {
        self.timeout
    }

    /// The parameters and their defaults.
    pub fn parameters(&self) -> &BTreeMap<String, String> {
        &self.parameters
    }

    /// Words to find the workflow by.
    pub fn tags(&self) -> &BTreeMap<String, String> {
        &self.tags
    }

    /// The most runs at the same time; with 0 every new run is skipped.
    pub fn max_concurrent_runs(&self) -> usize {
        self.max_concurrent_runs
    }

    /// Whether a run that is one too many waits for its turn; else it is skipped.
    pub fn queues(&self) -> bool {
        self.queues
    }

    /// When its runs start by themselves; `None` when only somebody who asks starts one.
    pub fn schedule(&self) -> Option<&Schedule> {
        self.schedule.as_ref()
    }

    /// What is run of the times that came while no scheduler was running.
    pub fn catch_up(&self) -> CatchUp {
        self.catch_up
    }

    /// Who is told of what about its runs.
    pub fn notifications(&self) -> &Notifications {
        &self.notifications
    }

    /// The index of the task of that name.
    ///
    /// # Errors
    /// [`stage::Kind::Config`] with the nearest known name.
    pub fn index_of(&self, task_key: &str) -> Result<usize> {
        self.tasks.iter().position(|task| task.key == task_key).ok_or_else(|| {
            let hint = hint(task_key, self.tasks.iter().map(|task| task.key.as_str()));
            Error::config(format!("workflow `{}` has no task `{task_key}`{hint}", self.name))
        })
    }

    /// The parameters of a run that was given some values.
    ///
    /// # Errors
    /// [`stage::Kind::Config`] when a given one is not a parameter of this workflow.
    pub fn parameters_with(&self, given: &BTreeMap<String, String>) -> Result<BTreeMap<String, String>> {
        let mut parameters = self.parameters.clone();
        for (name, value) in given {
            let Some(slot) = parameters.get_mut(name) else {
                let hint = hint(name, self.parameters.keys().map(String::as_str));
                return Err(Error::config(format!("workflow `{}` has no parameter `{name}`{hint}", self.name)));
            };
            slot.clone_from(value);
        }
        Ok(parameters)
    }
}

/// A task that can be run.
#[derive(Debug, Clone, PartialEq)]
pub struct Task {
    pub(crate) key: String,
    pub(crate) description: String,
    pub(crate) body: Body,
    pub(crate) run_if: RunIf,
    /// The outcomes that condition tasks must have, by their index.
    pub(crate) outcomes: BTreeMap<usize, bool>,
    pub(crate) disabled: bool,
    pub(crate) retry: RetryPolicy,
    pub(crate) timeout: Option<Duration>,
    pub(crate) notifications: Notifications,
}

impl Task {
    /// The name, unique in the workflow.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// What the task is for.
    pub fn description(&self) -> &str {
        &self.description
    }

    /// What the task does.
    pub fn body(&self) -> &Body {
        &self.body
    }

    /// How the tasks it depends on must have ended.
    pub fn run_if(&self) -> RunIf {
        self.run_if
    }

    /// The outcome that a condition task of that index must have, if it depends on one.
    pub fn outcome_of(&self, dependency: usize) -> Option<bool> {
        self.outcomes.get(&dependency).copied()
    }

    /// Whether it is left out of every run.
    pub fn is_disabled(&self) -> bool {
        self.disabled
    }

    /// Who is told of what about it.
    pub fn notifications(&self) -> &Notifications {
        &self.notifications
    }

    /// When the task is tried again.
    pub fn retry(&self) -> &RetryPolicy {
        &self.retry
    }

    /// How long one attempt may take.
    pub fn timeout(&self) -> Option<Duration> {
        self.timeout
    }
}

/// When a failed attempt is followed by another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetryPolicy {
    /// How often at most; `None` is forever.
    pub max_retries: Option<u32>,
    /// The least time from the start of a failed attempt to the start of the next.
    pub min_interval: Duration,
    /// Whether an attempt that ran out of time is tried again.
    pub on_timeout: bool,
}

impl RetryPolicy {
    /// Whether another attempt may follow after that many retries since the run began or went on.
    pub fn allows_another_after(&self, retries: u32) -> bool {
        self.max_retries.is_none_or(|most| retries < most)
    }
}

/// No retries.
impl Default for RetryPolicy {
    fn default() -> Self {
        RetryPolicy { max_retries: Some(0), min_interval: Duration::ZERO, on_timeout: false }
    }
}
