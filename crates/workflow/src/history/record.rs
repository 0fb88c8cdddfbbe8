//! What the history remembers, as it is read back.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use rusqlite::types::Type;
use rusqlite::{Connection, OptionalExtension, Row};
use serde::Serialize;
use stage::{Error, Progress};

use super::time;
use crate::state::ResultState;

/// A run, as the history remembers it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RunRecord {
    /// The number, never given twice.
    pub number: i64,
    /// The workflow, or what a command for a single table stood for.
    pub workflow: String,
    /// The parameters of the run, defaults included.
    pub parameters: BTreeMap<String, String>,
    /// The id of the process that ran it.
    pub process: u32,
    /// When it began.
    pub started_at: DateTime<Utc>,
    /// When it ended; also unknown for an interrupted run.
    pub ended_at: Option<DateTime<Utc>>,
    /// How it ended; `None` while it goes on.
    pub state: Option<ResultState>,
    /// The error that explains best why it was not a success.
    pub error: Option<ErrorRecord>,
    /// What all tasks did together.
    pub rows: RowCounts,
}

/// A run with its parts.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RunDetails {
    /// The run.
    pub run: RunRecord,
    /// How each task ended, in the order of the workflow. Empty until the run has ended, and for an interrupted one.
    pub tasks: Vec<TaskRecord>,
    /// Every attempt, in the order they began.
    pub attempts: Vec<AttemptRecord>,
}

/// How a task ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TaskRecord {
    /// The task.
    pub task_key: String,
    /// How it ended.
    pub state: ResultState,
}

/// An attempt, as the history remembers it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct AttemptRecord {
    /// The task.
    pub task_key: String,
    /// The number of the attempt, counted from 0.
    pub attempt_number: u32,
    /// When it began.
    pub started_at: DateTime<Utc>,
    /// When it ended; also unknown for an interrupted one.
    pub ended_at: Option<DateTime<Utc>>,
    /// How it ended; `None` while it goes on.
    pub state: Option<ResultState>,
    /// The error, if it was not a success.
    pub error: Option<ErrorRecord>,
    /// What it did.
    pub rows: RowCounts,
}

/// An error, as the history remembers it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ErrorRecord {
    /// The name of its [`stage::Kind`].
    pub kind: String,
    /// The error and its causes on one line.
    pub message: String,
}

impl From<&Error> for ErrorRecord {
    fn from(error: &Error) -> Self {
        ErrorRecord { kind: error.kind().name().to_owned(), message: error.chain() }
    }
}

impl ErrorRecord {
    pub(super) fn columns(error: Option<&ErrorRecord>) -> (Option<&str>, Option<&str>) {
        (error.map(|error| error.kind.as_str()), error.map(|error| error.message.as_str()))
    }
}

/// What was done, in rows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct RowCounts {
    /// Rows read from the source.
    pub read: u64,
    /// Rows committed to tables.
    pub written: u64,
    /// Rows kept in quarantine.
    pub quarantined: u64,
    /// Rows left out on purpose.
    pub dropped: u64,
}

impl From<&Progress> for RowCounts {
    fn from(progress: &Progress) -> Self {
        RowCounts {
            read: progress.rows_read,
            written: progress.rows_written,
            quarantined: progress.rows_quarantined,
            dropped: progress.rows_dropped,
        }
    }
}

impl RowCounts {
    pub(super) fn columns(&self) -> [i64; 4] {
        [self.read, self.written, self.quarantined, self.dropped].map(count)
    }
}

/// A count as SQLite stores it.
pub(super) fn count(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

const COUNTS: &str =
    "ended_at, state, error_kind, error_message, rows_read, rows_written, rows_quarantined, rows_dropped";

pub(super) fn select_runs(connection: &Connection, limit: usize) -> rusqlite::Result<Vec<RunRecord>> {
    let sql = format!(
        "SELECT {COUNTS}, number, workflow, parameters, process, started_at FROM runs
        ORDER BY number DESC LIMIT ?1"
    );
    connection.prepare_cached(&sql)?.query_map([count(limit as u64)], run_record)?.collect()
}

pub(super) fn select_run(connection: &Connection, number: i64) -> rusqlite::Result<Option<RunRecord>> {
    let sql = format!("SELECT {COUNTS}, number, workflow, parameters, process, started_at FROM runs WHERE number = ?1");
    connection.query_row(&sql, [number], run_record).optional()
}

pub(super) fn select_tasks(connection: &Connection, run: i64) -> rusqlite::Result<Vec<TaskRecord>> {
    let sql = "SELECT task_key, state FROM tasks WHERE run = ?1 ORDER BY position";
    let record = |row: &Row<'_>| {
        let state = state(row, "state")?;
        let state = state.ok_or_else(|| unreadable(1, "a task without a state".into()))?;
        Ok(TaskRecord { task_key: row.get("task_key")?, state })
    };
    connection.prepare_cached(sql)?.query_map([run], record)?.collect()
}

pub(super) fn select_attempts(connection: &Connection, run: i64) -> rusqlite::Result<Vec<AttemptRecord>> {
    let sql = format!(
        "SELECT {COUNTS}, task_key, attempt_number, started_at FROM attempts WHERE run = ?1
        ORDER BY started_at, task_key, attempt_number"
    );
    let record = |row: &Row<'_>| {
        Ok(AttemptRecord {
            task_key: row.get("task_key")?,
            attempt_number: row.get("attempt_number")?,
            started_at: time(row.get("started_at")?),
            ended_at: row.get::<_, Option<i64>>("ended_at")?.map(time),
            state: state(row, "state")?,
            error: error(row)?,
            rows: rows(row)?,
        })
    };
    connection.prepare_cached(&sql)?.query_map([run], record)?.collect()
}

fn run_record(row: &Row<'_>) -> rusqlite::Result<RunRecord> {
    let parameters: String = row.get("parameters")?;
    Ok(RunRecord {
        number: row.get("number")?,
        workflow: row.get("workflow")?,
        parameters: serde_json::from_str(&parameters).map_err(|error| unreadable(0, Box::new(error)))?,
        process: row.get("process")?,
        started_at: time(row.get("started_at")?),
        ended_at: row.get::<_, Option<i64>>("ended_at")?.map(time),
        state: state(row, "state")?,
        error: error(row)?,
        rows: rows(row)?,
    })
}

fn state(row: &Row<'_>, column: &str) -> rusqlite::Result<Option<ResultState>> {
    let Some(name) = row.get::<_, Option<String>>(column)? else { return Ok(None) };
    match ResultState::from_name(&name) {
        Some(state) => Ok(Some(state)),
        None => Err(unreadable(0, format!("`{name}` is not a state").into())),
    }
}

fn error(row: &Row<'_>) -> rusqlite::Result<Option<ErrorRecord>> {
    let (kind, message): (Option<String>, Option<String>) = (row.get("error_kind")?, row.get("error_message")?);
    Ok(kind.zip(message).map(|(kind, message)| ErrorRecord { kind, message }))
}

fn rows(row: &Row<'_>) -> rusqlite::Result<RowCounts> {
    let get = |column: &str| row.get::<_, i64>(column).map(i64::unsigned_abs);
    Ok(RowCounts {
        read: get("rows_read")?,
        written: get("rows_written")?,
        quarantined: get("rows_quarantined")?,
        dropped: get("rows_dropped")?,
    })
}

fn unreadable(column: usize, error: stage::BoxError) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(column, Type::Text, error)
}
