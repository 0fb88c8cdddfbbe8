//! What the history remembers, as it is read back.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use rusqlite::types::Type;
use rusqlite::{Connection, OptionalExtension, Row, params};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use stage::{Error, Kind, Progress};

use super::time;
use crate::cause::Cause;
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
    /// Why it took place.
    pub cause: Cause,
    /// The run whose task ran it.
    pub parent: Option<i64>,
    /// The id of the process that ran it last.
    pub process: u32,
    /// How often it was repaired.
    pub repairs: u32,
    /// When it was asked for.
    pub queued_at: DateTime<Utc>,
    /// When it began; `None` while it waits for its turn, and when it never did.
    pub started_at: Option<DateTime<Utc>>,
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
    /// Every task in the order of the workflow, with the items of loops that have begun behind theirs.
    pub tasks: Vec<TaskRecord>,
    /// Every attempt, in the order they began.
    pub attempts: Vec<AttemptRecord>,
}

impl RunDetails {
    /// What all attempts did that have ended, over all repairs. Those of a loop count what its items did.
    pub fn rows_so_far(&self) -> RowCounts {
        let of_tasks = self.attempts.iter().filter(|attempt| !attempt.task_key.contains('['));
        of_tasks.fold(RowCounts::default(), |rows, attempt| rows.plus(attempt.rows))
    }
}

/// A task of a run, or an item of a loop, as the history remembers it.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct TaskRecord {
    /// The task; an item is `<task>[<index>]`.
    pub task_key: String,
    /// The tasks it waited for.
    pub depends_on: Vec<String>,
    /// What it does, in words.
    pub does: String,
    /// The item it was run for, when it is one of a loop.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub input: Option<Value>,
    /// When its first attempt began; that of the last repair.
    pub started_at: Option<DateTime<Utc>>,
    /// When it ended.
    pub ended_at: Option<DateTime<Utc>>,
    /// How it ended; `None` until then.
    pub state: Option<ResultState>,
    /// What it published.
    pub output: SavedOutput,
    /// How often it was started, over all repairs.
    pub executions: u32,
    /// The error, if it was not a success.
    pub error: Option<ErrorRecord>,
    /// What it did.
    pub rows: RowCounts,
}

/// What a task published, as the history remembers it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct SavedOutput {
    /// Values by their names.
    #[serde(default)]
    pub values: Map<String, Value>,
    /// The rows of a query.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rows: Option<Vec<Map<String, Value>>>,
}

/// An attempt, as the history remembers it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct AttemptRecord {
    /// The task.
    pub task_key: String,
    /// The repair it belongs to; 0 is the run as it began.
    pub repair: u32,
    /// The number of the attempt in it, counted from 0.
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
    /// The kind; one that this program does not know is a defect.
    pub fn kind(&self) -> Kind {
        Kind::from_name(&self.kind).unwrap_or(Kind::Bug)
    }

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
    /// Both together.
    pub(crate) fn plus(self, more: RowCounts) -> RowCounts {
        RowCounts {
            read: self.read + more.read,
            written: self.written + more.written,
            quarantined: self.quarantined + more.quarantined,
            dropped: self.dropped + more.dropped,
        }
    }

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

const OF_RUN: &str = "number, workflow, parameters, cause, parent, process, repairs, queued_at, started_at";

pub(super) fn select_runs(
    connection: &Connection,
    workflow: Option<&str>,
    limit: usize,
) -> rusqlite::Result<Vec<RunRecord>> {
    let of_workflow = if workflow.is_some() { "WHERE workflow = ?2" } else { "WHERE ?2 IS NULL" };
    let sql = format!("SELECT {COUNTS}, {OF_RUN} FROM runs {of_workflow} ORDER BY number DESC LIMIT ?1");
    connection.prepare_cached(&sql)?.query_map(params![count(limit as u64), workflow], run_record)?.collect()
}

/// The runs that have not ended, those that wait for their turn included, oldest first.
pub(super) fn select_open_runs(connection: &Connection) -> rusqlite::Result<Vec<RunRecord>> {
    let sql = format!("SELECT {COUNTS}, {OF_RUN} FROM runs WHERE state IS NULL ORDER BY number");
    connection.prepare_cached(&sql)?.query_map([], run_record)?.collect()
}

/// The runs that were due by themselves and whose process died or left them, each with how often it died, oldest first.
pub(super) fn select_interrupted(connection: &Connection) -> rusqlite::Result<Vec<(RunRecord, u32)>> {
    let sql = format!(
        "SELECT {COUNTS}, {OF_RUN}, resumes FROM runs
        WHERE state = 'INTERRUPTED' AND parent IS NULL AND due_at IS NOT NULL ORDER BY number"
    );
    let record = |row: &Row<'_>| Ok((run_record(row)?, row.get("resumes")?));
    connection.prepare_cached(&sql)?.query_map([], record)?.collect()
}

pub(super) fn select_run(connection: &Connection, number: i64) -> rusqlite::Result<Option<RunRecord>> {
    let sql = format!("SELECT {COUNTS}, {OF_RUN} FROM runs WHERE number = ?1");
    connection.query_row(&sql, [number], run_record).optional()
}

pub(super) fn select_tasks(connection: &Connection, run: i64) -> rusqlite::Result<Vec<TaskRecord>> {
    let sql = format!(
        "SELECT {COUNTS}, task_key, depends_on, does, input, started_at, output, executions FROM tasks WHERE run = ?1
        ORDER BY position, length(task_key), task_key"
    );
    let record = |row: &Row<'_>| {
        Ok(TaskRecord {
            task_key: row.get("task_key")?,
            depends_on: json(row, "depends_on")?.unwrap_or_default(),
            does: row.get("does")?,
            input: json(row, "input")?,
            started_at: row.get::<_, Option<i64>>("started_at")?.map(time),
            ended_at: row.get::<_, Option<i64>>("ended_at")?.map(time),
            state: state(row, "state")?,
            output: json(row, "output")?.unwrap_or_default(),
            executions: row.get("executions")?,
            error: error(row)?,
            rows: rows(row)?,
        })
    };
    connection.prepare_cached(&sql)?.query_map([run], record)?.collect()
}

pub(super) fn select_attempts(connection: &Connection, run: i64) -> rusqlite::Result<Vec<AttemptRecord>> {
    let sql = format!(
        "SELECT {COUNTS}, task_key, repair, attempt_number, started_at FROM attempts WHERE run = ?1
        ORDER BY started_at, task_key, repair, attempt_number"
    );
    let record = |row: &Row<'_>| {
        Ok(AttemptRecord {
            task_key: row.get("task_key")?,
            repair: row.get("repair")?,
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

/// The columns that [`run_record`] reads.
pub(super) fn run_columns() -> String {
    format!("{COUNTS}, {OF_RUN}")
}

pub(super) fn run_record(row: &Row<'_>) -> rusqlite::Result<RunRecord> {
    Ok(RunRecord {
        number: row.get("number")?,
        workflow: row.get("workflow")?,
        parameters: json(row, "parameters")?.unwrap_or_default(),
        cause: json(row, "cause")?.unwrap_or_default(),
        parent: row.get("parent")?,
        process: row.get("process")?,
        repairs: row.get("repairs")?,
        queued_at: time(row.get("queued_at")?),
        started_at: row.get::<_, Option<i64>>("started_at")?.map(time),
        ended_at: row.get::<_, Option<i64>>("ended_at")?.map(time),
        state: state(row, "state")?,
        error: error(row)?,
        rows: rows(row)?,
    })
}

fn json<T: serde::de::DeserializeOwned>(row: &Row<'_>, column: &str) -> rusqlite::Result<Option<T>> {
    let text = row.get::<_, Option<String>>(column)?;
    text.map(|text| serde_json::from_str(&text)).transpose().map_err(|error| unreadable(0, Box::new(error)))
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
