//! A checked workflow: what [`crate::check`] makes of a spec, and the only thing the runner accepts.
//!
//! Whatever is wrong with a spec cannot be written here: every task has one body, every dependency is a task, and the
//! [`Dag`] has no cycle.

use std::collections::BTreeMap;
use std::time::Duration;

use stage::{Error, Layer, Result, TableName};

use crate::dag::Dag;
use crate::nearest::hint;

/// The tasks that run at the same time when a workflow does not say.
pub const DEFAULT_PARALLEL_TASKS: usize = 4;

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
}

impl Workflow {
    /// A workflow of one task without retries or time limits, so that a command for a single table is run and
    /// recorded like any other run. Its name is that of the body.
    pub fn single(body: Body) -> Workflow {
        let task = Task {
            key: body.to_string(),
            description: String::new(),
            body,
            retry: RetryPolicy::default(),
            timeout: None,
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
#[derive(Debug, Clone)]
pub struct Task {
    pub(crate) key: String,
    pub(crate) description: String,
    pub(crate) body: Body,
    pub(crate) retry: RetryPolicy,
    pub(crate) timeout: Option<Duration>,
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

    /// When the task is tried again.
    pub fn retry(&self) -> &RetryPolicy {
        &self.retry
    }

    /// How long one attempt may take.
    pub fn timeout(&self) -> Option<Duration> {
        self.timeout
    }
}

/// What a task does. [`crate::Workshop`] turns it into stages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Body {
    /// Brings a bronze table up to date.
    Bronze(TableName),
    /// Brings a silver table up to date.
    Silver(TableName),
    /// Brings a gold table up to date.
    Gold(TableName),
    /// Audits a table as it stands.
    Quality(TableName),
    /// Brings a pipeline, or one layer of it, up to date.
    Pipeline {
        /// The pipeline.
        pipeline: String,
        /// Only the tables of this layer.
        layer: Option<Layer>,
        /// Rebuild the tables from all of their upstream.
        full_refresh: bool,
    },
}

impl Body {
    /// Whether the tables are to be rebuilt whatever the run was asked.
    pub fn full_refresh(&self) -> bool {
        matches!(self, Body::Pipeline { full_refresh: true, .. })
    }
}

/// `shop.silver.orders`, `quality.shop.silver.orders`, `shop` or `shop.silver`.
impl std::fmt::Display for Body {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Body::Bronze(table) | Body::Silver(table) | Body::Gold(table) => write!(formatter, "{table}"),
            Body::Quality(table) => write!(formatter, "quality.{table}"),
            Body::Pipeline { pipeline, layer: None, .. } => formatter.write_str(pipeline),
            Body::Pipeline { pipeline, layer: Some(layer), .. } => write!(formatter, "{pipeline}.{layer}"),
        }
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
    /// Whether the attempt of that number, counted from 0, may be followed by another.
    pub fn allows_another_after(&self, attempt_number: u32) -> bool {
        self.max_retries.is_none_or(|most| attempt_number < most)
    }
}

/// No retries.
impl Default for RetryPolicy {
    fn default() -> Self {
        RetryPolicy { max_retries: Some(0), min_interval: Duration::ZERO, on_timeout: false }
    }
}
