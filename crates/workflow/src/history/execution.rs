//! Tasks, items of loops and their attempts begin and end.

use rusqlite::params;
use serde_json::Value;
use stage::{Error, Progress, Result};

use super::record::count;
use super::{ErrorRecord, History, RowCounts, SavedOutput, now};
use crate::state::ResultState;

/// What is executed in a run: a task, or an item of a loop.
#[derive(Debug, Clone)]
pub struct Execution {
    /// The run.
    pub run: i64,
    /// The repair; 0 is the run as it began.
    pub repair: u32,
    /// The task, or `<task>[<index>]`.
    pub task_key: String,
    /// The place of the task among those of the workflow.
    pub position: usize,
    /// The item, when it is one of a loop.
    pub input: Option<Value>,
}

/// How an attempt ended.
#[derive(Debug, Clone, PartialEq)]
pub struct AttemptEnd {
    /// The state.
    pub state: ResultState,
    /// The error, if it was not a success.
    pub error: Option<ErrorRecord>,
    /// What it did.
    pub rows: RowCounts,
}

impl AttemptEnd {
    /// The end of an attempt in the terms of the history.
    pub fn new(state: ResultState, error: Option<&Error>, progress: &Progress) -> Self {
        AttemptEnd { state, error: error.map(ErrorRecord::from), rows: RowCounts::from(progress) }
    }
}

/// How a task, or an item of a loop, ended.
#[derive(Debug, Clone, PartialEq)]
pub struct TaskEnd {
    /// The state.
    pub state: ResultState,
    /// What it published.
    pub output: SavedOutput,
    /// The error, if it was not a success.
    pub error: Option<ErrorRecord>,
    /// What all of its attempts did together.
    pub rows: RowCounts,
}

impl History {
    /// Records that an attempt begins.
    ///
    /// # Errors
    /// As [`History::open`].
    pub async fn begin_attempt(&self, execution: &Execution, attempt_number: u32) -> Result<()> {
        let Execution { run, repair, task_key, position, input } = execution.clone();
        self.change("record the start of an attempt", move |transaction| {
            let (position, input) = (count(position as u64), input.map(|input| input.to_string()));
            let sql = "INSERT INTO tasks (run, task_key, position, input, started_at, executions) VALUES (?1, ?2, ?3, ?4, ?5, 1)
                ON CONFLICT (run, task_key) DO UPDATE SET executions = executions + 1, input = ?4, state = NULL,
                    ended_at = NULL, error_kind = NULL, error_message = NULL,
                    started_at = CASE WHEN ?6 = 0 THEN ?5 ELSE coalesce(started_at, ?5) END";
            let mut upsert = transaction.prepare_cached(sql)?;
            upsert.execute(params![run, task_key, position, input, now(), attempt_number])?;
            let sql = "INSERT OR REPLACE INTO attempts (run, task_key, repair, attempt_number, started_at)
                VALUES (?1, ?2, ?3, ?4, ?5)";
            transaction.prepare_cached(sql)?.execute(params![run, task_key, repair, attempt_number, now()]).map(|_| ())
        })
        .await
    }

    /// Records how an attempt ended.
    ///
    /// # Errors
    /// As [`History::open`].
    pub async fn end_attempt(&self, execution: &Execution, attempt_number: u32, end: AttemptEnd) -> Result<()> {
        let Execution { run, repair, task_key, .. } = execution.clone();
        self.change("record the end of an attempt", move |transaction| {
            let sql = "UPDATE attempts SET ended_at = ?5, state = ?6, error_kind = ?7, error_message = ?8,
                rows_read = ?9, rows_written = ?10, rows_quarantined = ?11, rows_dropped = ?12
                WHERE run = ?1 AND task_key = ?2 AND repair = ?3 AND attempt_number = ?4";
            let (kind, message) = ErrorRecord::columns(end.error.as_ref());
            let [read, written, quarantined, dropped] = end.rows.columns();
            let which = (run, task_key, repair, attempt_number);
            transaction
                .prepare_cached(sql)?
                .execute(params![
                    which.0,
                    which.1,
                    which.2,
                    which.3,
                    now(),
                    end.state.name(),
                    kind,
                    message,
                    read,
                    written,
                    quarantined,
                    dropped
                ])
                .map(|_| ())
        })
        .await
    }

    /// Records how a task, or an item of a loop, ended.
    ///
    /// # Errors
    /// As [`History::open`].
    pub async fn end_task(&self, execution: &Execution, end: TaskEnd) -> Result<()> {
        let output = serde_json::to_string(&end.output)
            .map_err(|error| Error::bug("could not write what a task published as JSON").with_source(error))?;
        let Execution { run, task_key, position, input, .. } = execution.clone();
        self.change("record the end of a task", move |transaction| {
            let sql = "INSERT INTO tasks (run, task_key, position, input, ended_at, state, output, error_kind, error_message,
                    rows_read, rows_written, rows_quarantined, rows_dropped)
                VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)
                ON CONFLICT (run, task_key) DO UPDATE SET ended_at = ?5, state = ?6, output = ?7, error_kind = ?8,
                    error_message = ?9, rows_read = ?10, rows_written = ?11, rows_quarantined = ?12, rows_dropped = ?13";
            let (kind, message) = ErrorRecord::columns(end.error.as_ref());
            let [read, written, quarantined, dropped] = end.rows.columns();
            let (position, input) = (count(position as u64), input.map(|input| input.to_string()));
            transaction
                .prepare_cached(sql)?
                .execute(params![
                    run,
                    task_key,
                    position,
                    input,
                    now(),
                    end.state.name(),
                    output,
                    kind,
                    message,
                    read,
                    written,
                    quarantined,
                    dropped
                ])
                .map(|_| ())
        })
        .await
    }
}
