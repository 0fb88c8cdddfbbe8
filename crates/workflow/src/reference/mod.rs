//! Dynamic references: `{{...}}` in the texts of a workflow, which a run replaces by what it knows.
//!
//! A text is parsed once, when the workflow is checked, to a [`Template`] of literal pieces and [`Reference`]s; a run
//! fills it from a [`Scope`]. The references and their rules are those of Databricks Jobs JSON.
//!
//! # How they are written
//! - Words joined by points, with white space inside the braces at either end only: `{{ job.run_id }}`.
//! - A word is letters, digits and `_`. Other names stand in backticks: ``{{job.parameters.`run-date`}}``.
//! - It is no expression. What is not of this form, or begins with an unknown word, stays in the text as it is written;
//!   [`Template::left_alone`] finds what was probably meant to be a reference.
//! - An unknown name after a known first word (`job`, `task`, `tasks`, `input`, `workspace`, `backfill`) is a
//!   [`ReferenceProblem`].
//!
//! # What they stand for
//! | Reference | Value |
//! |---|---|
//! | `job.id`, `job.name`, `job.run_id`, `job.repair_count` | the workflow, its run, and how often that was repaired |
//! | `job.start_time.<argument>` | when the run started |
//! | `job.parameters.<name>` | a parameter of the run |
//! | `job.trigger.type`, `job.trigger.time.<argument>` | what started the run, and when it was due |
//! | `job.trigger.file_arrival.location` | where the files arrived |
//! | `job.trigger.table_update.updated_tables` | the tables that were written, as a JSON list |
//! | `job.trigger.table_update.<table>.version`, `.commit_timestamp.<argument>` | the last commit of one of them |
//! | `task.name`, `task.run_id`, `task.execution_count` | the task the text belongs to |
//! | `task.notebook_path` | nothing: there are no notebooks here, and filling it is an error |
//! | `tasks.<task>.run_id`, `.execution_count` | a task that has ended |
//! | `tasks.<task>.result_state`, `.error_code` | how, in small letters: `success`; the kind of its error, or nothing |
//! | `tasks.<task>.values.<key>`, `.values.<key>.<field>` | what it published, or a field of that, at any depth |
//! | `tasks.<task>.output.first_row.<column>`, `.output.rows` | what its query returned; rows as a JSON list |
//! | `input`, `input.<field>` | the item of a `for_each_task`, or a field of it, at any depth |
//! | `workspace.id`, `workspace.url` | where the run takes place |
//! | `backfill.<argument>` | the start of the interval that a backfill repeats |
//!
//! The deprecated `job_id`, `run_id`, `start_date`, `start_time`, `task_key`, `parent_run_id` and `task_retry_count`
//! are known too, see [`Legacy`]. Times and their arguments are in [`TimeArgument`], always UTC.
//!
//! # How values become text
//! Texts as they are, `true` and `false`, numbers as JSON writes them, `null`, and lists and objects as JSON without
//! white space. What was filled in is not searched for references again, so that no value can read another one.
//!
//! # Parameters
//! The value of a parameter may hold references itself, see [`Template::parse_parameter`]: only to what is known when a
//! run starts, and not to other parameters, so that there is one level and no cycle. It is filled once per run.

mod lexer;
mod names;
mod problem;
mod scope;
mod template;
#[cfg(test)]
mod tests;
mod time;

use std::fmt;

pub use problem::ReferenceProblem;
pub use scope::{CurrentTask, Job, Scope, TableUpdate, TaskResults, Trigger, Workspace};
pub use template::Template;
pub use time::TimeArgument;

/// What a `{{...}}` names. It is displayed as it is written in a workflow.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Reference {
    /// `{{job.<field>}}`
    Job(JobField),
    /// `{{job.parameters.<name>}}`
    JobParameter(String),
    /// `{{job.start_time.<argument>}}`
    StartTime(TimeArgument),
    /// `{{job.trigger.time.<argument>}}`
    TriggerTime(TimeArgument),
    /// `{{job.trigger.<field>}}`
    Trigger(TriggerField),
    /// `{{task.<field>}}`
    Task(TaskField),
    /// `{{tasks.<task>.<result>}}`
    OtherTask {
        /// The key of the task.
        task: String,
        /// What of it.
        result: TaskResult,
    },
    /// `{{input}}` when the path is empty, or `{{input.<field>...}}`.
    Input(Vec<String>),
    /// `{{workspace.<field>}}`
    Workspace(WorkspaceField),
    /// `{{backfill.<argument>}}`
    Backfill(TimeArgument),
    /// One of the deprecated names without a point.
    Legacy(Legacy),
}

/// What is known of the workflow and its run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum JobField {
    /// `id`
    Id,
    /// `name`
    Name,
    /// `run_id`
    RunId,
    /// `repair_count`
    RepairCount,
}

/// What is known of the trigger of a run, its time apart.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum TriggerField {
    /// `type`
    Type,
    /// `file_arrival.location`
    FileArrivalLocation,
    /// `table_update.updated_tables`
    UpdatedTables,
    /// `table_update.<table>.version`, with the name of the table.
    TableVersion(String),
    /// `table_update.<table>.commit_timestamp.<argument>`, with the name of the table.
    TableCommitTime(String, TimeArgument),
}

/// What is known of the task a text belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TaskField {
    /// `name`
    Name,
    /// `run_id`
    RunId,
    /// `execution_count`
    ExecutionCount,
    /// `notebook_path`
    NotebookPath,
}

/// What is known of a task that has ended.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum TaskResult {
    /// `run_id`
    RunId,
    /// `result_state`
    ResultState,
    /// `error_code`
    ErrorCode,
    /// `execution_count`
    ExecutionCount,
    /// `values.<key>`, or a field of that value: `values.<key>.<field>...`.
    Value {
        /// The name the value was published under.
        key: String,
        /// The fields to follow inside it; empty for the whole value.
        path: Vec<String>,
    },
    /// `output.first_row.<column>`
    FirstRow(String),
    /// `output.rows`
    Rows,
}

/// What is known of the place a run takes place at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum WorkspaceField {
    /// `id`
    Id,
    /// `url`
    Url,
}

/// The names of before there were namespaces. Databricks deprecates them; [`Legacy::successor`] says what to write.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Legacy {
    /// `job_id`: as `job.id`.
    JobId,
    /// `run_id`: as `task.run_id`.
    RunId,
    /// `start_date`: the day the task started, as `2026-03-01`.
    StartDate,
    /// `start_time`: when the task started, in milliseconds since 1970.
    StartTime,
    /// `task_key`: as `task.name`.
    TaskKey,
    /// `parent_run_id`: as `job.run_id`.
    ParentRunId,
    /// `task_retry_count`: how often the task was tried again; 0 for its first attempt.
    TaskRetryCount,
}

impl Legacy {
    /// The reference that comes nearest to it today. The times of a task are gone: those of the run remain.
    pub fn successor(self) -> Reference {
        match self {
            Legacy::JobId => Reference::Job(JobField::Id),
            Legacy::RunId => Reference::Task(TaskField::RunId),
            Legacy::StartDate => Reference::StartTime(TimeArgument::IsoDate),
            Legacy::StartTime => Reference::StartTime(TimeArgument::TimestampMs),
            Legacy::TaskKey => Reference::Task(TaskField::Name),
            Legacy::ParentRunId => Reference::Job(JobField::RunId),
            Legacy::TaskRetryCount => Reference::Task(TaskField::ExecutionCount),
        }
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words: Vec<_> = names::words(self).into_iter().map(lexer::quoted).collect();
        write!(formatter, "{{{{{}}}}}", words.join("."))
    }
}
