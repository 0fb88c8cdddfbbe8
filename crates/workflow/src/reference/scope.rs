//! What a run knows when a text is filled, and the value of each reference in it.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde_json::{Map, Value};

use super::{JobField, Legacy, Reference, TaskField, TaskResult, TimeArgument, TriggerField, WorkspaceField};
use crate::ResultState;
use crate::nearest::hint;

/// Everything the references of one text can ask for. It borrows, so that a scope for each of many tasks costs nothing.
#[derive(Debug, Clone, Copy)]
pub struct Scope<'a> {
    /// The workflow and its run.
    pub job: &'a Job,
    /// The parameters of the run, already filled themselves; none while they are being filled.
    pub parameters: &'a BTreeMap<String, String>,
    /// What started the run.
    pub trigger: &'a Trigger,
    /// Where the run takes place.
    pub workspace: &'a Workspace,
    /// The task the text belongs to; `None` for texts of the workflow itself.
    pub task: Option<&'a CurrentTask>,
    /// The tasks of the run that have ended, by their keys.
    pub tasks: &'a BTreeMap<String, TaskResults>,
    /// The item of a `for_each_task` that the text is filled for.
    pub input: Option<&'a Value>,
    /// The start of the interval that the run repeats, when it belongs to a backfill.
    pub backfill: Option<DateTime<Utc>>,
}

/// The workflow and its run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Job {
    /// What tells the workflow from others.
    pub id: String,
    /// The name of the workflow.
    pub name: String,
    /// The number of the run.
    pub run_id: i64,
    /// How often the run was repaired.
    pub repair_count: u32,
    /// When the run started.
    pub started: DateTime<Utc>,
}

/// What started a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trigger {
    /// The sort of trigger, by its name in Jobs JSON: `periodic`, `onetime`, `run_job_task`, `file_arrival`,
    /// `continuous` or `table_update`.
    pub name: String,
    /// When the run was due; for a run by hand, when it was asked for.
    pub time: DateTime<Utc>,
    /// Where files arrived, if that was it.
    pub file_arrival_location: Option<String>,
    /// The tables that were written since the run before, by name, if that was it.
    pub updated_tables: Option<BTreeMap<String, TableUpdate>>,
}

/// The last commit of a table that started a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TableUpdate {
    /// The version of the table it made.
    pub version: u64,
    /// When it was committed.
    pub committed: DateTime<Utc>,
}

/// Where a run takes place.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Workspace {
    /// What tells the project from others.
    pub id: String,
    /// Where it can be seen; empty when it is not served.
    pub url: String,
}

/// The task a text belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CurrentTask {
    /// Its key.
    pub name: String,
    /// What tells this run of the task from others.
    pub run_id: String,
    /// How often it was started in this run, retries and repairs included; 1 for the first time.
    pub execution_count: u32,
    /// How often it was tried again since it was started or repaired; 0 for its first attempt.
    pub retry_count: u32,
    /// When it was started.
    pub started: DateTime<Utc>,
}

/// A task that has ended, and what it left for others.
#[derive(Debug, Clone, PartialEq)]
pub struct TaskResults {
    /// What tells that run of the task from others.
    pub run_id: String,
    /// How it ended.
    pub result_state: ResultState,
    /// The kind of its error, if there was one.
    pub error_code: Option<String>,
    /// How often it was started in this run.
    pub execution_count: u32,
    /// What it published.
    pub values: Map<String, Value>,
    /// The rows of its query, if it was one.
    pub rows: Option<Vec<Map<String, Value>>>,
}

/// The text of a reference, or why it has none.
type Filled = Result<String, String>;

impl Scope<'_> {
    /// The value of a reference as text.
    ///
    /// # Errors
    /// Why it has none, with the nearest name that has one.
    pub(super) fn value(&self, reference: &Reference) -> Filled {
        match reference {
            Reference::Job(field) => Ok(self.job.field(*field)),
            Reference::JobParameter(name) => self.parameter(name),
            Reference::StartTime(argument) => Ok(argument.of(self.job.started)),
            Reference::TriggerTime(argument) => Ok(argument.of(self.trigger.time)),
            Reference::Trigger(field) => self.trigger.field(field),
            Reference::Task(field) => self.task()?.field(*field),
            Reference::OtherTask { task, result } => self.other_task(task)?.result(task, result),
            Reference::Input(path) => self.input(path),
            Reference::Workspace(field) => Ok(self.workspace.field(*field)),
            Reference::Backfill(argument) => {
                self.backfill.map(|start| argument.of(start)).ok_or_else(|| "the run is no backfill".to_owned())
            }
            Reference::Legacy(legacy) => self.legacy(*legacy),
        }
    }

    fn parameter(&self, name: &str) -> Filled {
        self.parameters.get(name).cloned().ok_or_else(|| {
            let hint = hint(name, self.parameters.keys().map(String::as_str));
            format!("the workflow has no parameter `{name}`{hint}")
        })
    }

    fn task(&self) -> Result<&CurrentTask, String> {
        self.task.ok_or_else(|| "the text belongs to no task".to_owned())
    }

    fn other_task(&self, key: &str) -> Result<&TaskResults, String> {
        self.tasks.get(key).ok_or_else(|| {
            let hint = hint(key, self.tasks.keys().map(String::as_str));
            format!("task `{key}` has not run{hint}")
        })
    }

    fn input(&self, path: &[String]) -> Filled {
        let input = self.input.ok_or("the task is not inside a for_each_task")?;
        follow(input, "the input", path).map(text)
    }

    fn legacy(&self, legacy: Legacy) -> Filled {
        match legacy {
            Legacy::JobId | Legacy::RunId | Legacy::TaskKey | Legacy::ParentRunId => self.value(&legacy.successor()),
            Legacy::StartDate => Ok(TimeArgument::IsoDate.of(self.task()?.started)),
            Legacy::StartTime => Ok(TimeArgument::TimestampMs.of(self.task()?.started)),
            Legacy::TaskRetryCount => Ok(self.task()?.retry_count.to_string()),
        }
    }
}

impl Job {
    fn field(&self, field: JobField) -> String {
        match field {
            JobField::Id => self.id.clone(),
            JobField::Name => self.name.clone(),
            JobField::RunId => self.run_id.to_string(),
            JobField::RepairCount => self.repair_count.to_string(),
        }
    }
}

impl Trigger {
    fn field(&self, field: &TriggerField) -> Filled {
        match field {
            TriggerField::Type => Ok(self.name.clone()),
            TriggerField::FileArrivalLocation => {
                self.file_arrival_location.clone().ok_or_else(|| self.not_started_by("the arrival of a file"))
            }
            TriggerField::UpdatedTables => Ok(Value::from_iter(self.updated_tables()?.keys().cloned()).to_string()),
            TriggerField::TableVersion(table) => Ok(self.table(table)?.version.to_string()),
            TriggerField::TableCommitTime(table, argument) => Ok(argument.of(self.table(table)?.committed)),
        }
    }

    fn table(&self, name: &str) -> Result<&TableUpdate, String> {
        let tables = self.updated_tables()?;
        tables.get(name).ok_or_else(|| {
            let hint = hint(name, tables.keys().map(String::as_str));
            format!("table `{name}` is none of those whose update started the run{hint}")
        })
    }

    fn updated_tables(&self) -> Result<&BTreeMap<String, TableUpdate>, String> {
        self.updated_tables.as_ref().ok_or_else(|| self.not_started_by("the update of a table"))
    }

    fn not_started_by(&self, event: &str) -> String {
        format!("the run was not started by {event}; its trigger is `{}`", self.name)
    }
}

impl Workspace {
    fn field(&self, field: WorkspaceField) -> String {
        match field {
            WorkspaceField::Id => self.id.clone(),
            WorkspaceField::Url => self.url.clone(),
        }
    }
}

impl CurrentTask {
    fn field(&self, field: TaskField) -> Filled {
        match field {
            TaskField::Name => Ok(self.name.clone()),
            TaskField::RunId => Ok(self.run_id.clone()),
            TaskField::ExecutionCount => Ok(self.execution_count.to_string()),
            TaskField::NotebookPath => Err("there are no notebooks here".to_owned()),
        }
    }
}

impl TaskResults {
    fn result(&self, key: &str, result: &TaskResult) -> Filled {
        match result {
            TaskResult::RunId => Ok(self.run_id.clone()),
            TaskResult::ResultState => Ok(self.result_state.name().to_ascii_lowercase()),
            TaskResult::ErrorCode => Ok(self.error_code.clone().unwrap_or_default()),
            TaskResult::ExecutionCount => Ok(self.execution_count.to_string()),
            TaskResult::Value { key: name, path } => self.published(key, name, path),
            TaskResult::FirstRow(column) => self.first_row(key, column),
            TaskResult::Rows => serde_json::to_string(self.rows(key)?).map_err(|error| error.to_string()),
        }
    }

    fn published(&self, key: &str, name: &str, path: &[String]) -> Filled {
        let value = self.values.get(name).ok_or_else(|| {
            let hint = hint(name, self.values.keys().map(String::as_str));
            format!("task `{key}` published no value `{name}`, and ended as {}{hint}", self.result_state)
        })?;
        follow(value, &format!("the value `{name}`"), path).map(text)
    }

    fn first_row(&self, key: &str, column: &str) -> Filled {
        let row = self.rows(key)?.first().ok_or_else(|| format!("the query of task `{key}` returned no row"))?;
        row.get(column).map(text).ok_or_else(|| {
            let hint = hint(column, row.keys().map(String::as_str));
            format!("the query of task `{key}` returned no column `{column}`{hint}")
        })
    }

    fn rows(&self, key: &str) -> Result<&[Map<String, Value>], String> {
        self.rows.as_deref().ok_or_else(|| {
            format!("task `{key}` returned no rows: it is no query, or it ended before, as {}", self.result_state)
        })
    }
}

/// The field inside a value that a path leads to. `what` is the value, for the message.
fn follow<'a>(value: &'a Value, what: &str, path: &[String]) -> Result<&'a Value, String> {
    path.iter().try_fold(value, |value, field| {
        let fields =
            value.as_object().ok_or_else(|| format!("{what} has no field `{field}`: that part of it is no object"))?;
        fields.get(field).ok_or_else(|| {
            let hint = hint(field, fields.keys().map(String::as_str));
            format!("{what} has no field `{field}`{hint}")
        })
    })
}

/// A value as it stands in a text.
fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}
