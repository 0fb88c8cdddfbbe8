//! The run history: every run and attempt, in one SQLite file.
//!
//! It is a record for people and tools; nothing is decided by it, and tables stay right if it is deleted. A run whose process
//! died is found by a lock that the system takes back, and is then shown as `INTERRUPTED`.

mod alive;
mod record;
mod store;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use chrono::{DateTime, Utc};
use rusqlite::{Connection, Transaction, TransactionBehavior, params};
use stage::{Error, Progress, Result};

pub use record::{AttemptRecord, ErrorRecord, RowCounts, RunDetails, RunRecord, TaskRecord};

use crate::outcome::RunOutcome;
use crate::state::ResultState;
use alive::Alive;
use record::{count, select_attempts, select_run, select_runs, select_tasks};
use store::explained;

/// The run history. Cheap to clone; all clones share one connection.
#[derive(Debug, Clone)]
pub struct History {
    inner: Arc<Mutex<Inner>>,
}

#[derive(Debug)]
struct Inner {
    connection: Connection,
    alive: Alive,
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

/// How a run ended.
#[derive(Debug, Clone, PartialEq)]
pub struct RunEnd {
    /// The state.
    pub state: ResultState,
    /// The error that explains best why it was not a success.
    pub error: Option<ErrorRecord>,
    /// What all tasks did together.
    pub rows: RowCounts,
    /// The end of each task, those included that never started.
    pub tasks: Vec<TaskRecord>,
}

impl RunEnd {
    /// The end of a run in the terms of the history.
    pub fn new(outcome: &RunOutcome) -> Self {
        let tasks = outcome.tasks.iter();
        RunEnd {
            state: outcome.state,
            error: outcome.first_error().map(ErrorRecord::from),
            rows: RowCounts::from(&outcome.progress),
            tasks: tasks.map(|task| TaskRecord { task_key: task.task_key.clone(), state: task.state }).collect(),
        }
    }
}

impl History {
    /// Opens the history in the file at `path`, which is created if it is missing, and marks the runs whose process
    /// died. It blocks for a moment; call it before the work starts.
    ///
    /// # Errors
    /// [`stage::Kind::Config`] when the file is no history or cannot be written, [`stage::Kind::Unavailable`] when the
    /// disk is full or others keep the file locked.
    pub fn open(path: &Path) -> Result<History> {
        let connection = store::open(path)?;
        let mut inner = Inner { connection, alive: Alive::beside(path) };
        inner.mark_interrupted().map_err(explained("look for interrupted runs in the run history"))?;
        Ok(History { inner: Arc::new(Mutex::new(inner)) })
    }

    /// Records that a run begins, and gives it a number that was never given before.
    ///
    /// # Errors
    /// As [`History::open`].
    pub async fn begin_run(&self, workflow: &str, parameters: &BTreeMap<String, String>) -> Result<i64> {
        let workflow = workflow.to_owned();
        let parameters = serde_json::to_string(parameters)
            .map_err(|error| Error::bug("could not write the parameters of a run as JSON").with_source(error))?;
        self.blocking(move |inner| inner.begin(&workflow, &parameters)).await
    }

    /// Records that an attempt begins.
    ///
    /// # Errors
    /// As [`History::open`].
    pub async fn begin_attempt(&self, run: i64, task_key: &str, attempt_number: u32) -> Result<()> {
        let task_key = task_key.to_owned();
        self.change("record the start of an attempt", move |transaction| {
            let sql = "INSERT INTO attempts (run, task_key, attempt_number, started_at) VALUES (?1, ?2, ?3, ?4)";
            transaction.prepare_cached(sql)?.execute(params![run, task_key, attempt_number, now()]).map(|_| ())
        })
        .await
    }

    /// Records how an attempt ended.
    ///
    /// # Errors
    /// As [`History::open`].
    pub async fn end_attempt(&self, run: i64, task_key: &str, attempt_number: u32, end: AttemptEnd) -> Result<()> {
        let task_key = task_key.to_owned();
        self.change("record the end of an attempt", move |transaction| {
            let sql = "UPDATE attempts SET ended_at = ?4, state = ?5, error_kind = ?6, error_message = ?7,
                rows_read = ?8, rows_written = ?9, rows_quarantined = ?10, rows_dropped = ?11
                WHERE run = ?1 AND task_key = ?2 AND attempt_number = ?3";
            let (kind, message) = ErrorRecord::columns(end.error.as_ref());
            let [read, written, quarantined, dropped] = end.rows.columns();
            let state = end.state.name();
            transaction
                .prepare_cached(sql)?
                .execute(params![
                    run,
                    task_key,
                    attempt_number,
                    now(),
                    state,
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

    /// Records how a run ended.
    ///
    /// # Errors
    /// As [`History::open`].
    pub async fn end_run(&self, run: i64, end: RunEnd) -> Result<()> {
        self.change("record the end of a run", move |transaction| {
            let sql = "UPDATE runs SET ended_at = ?2, state = ?3, error_kind = ?4, error_message = ?5,
                rows_read = ?6, rows_written = ?7, rows_quarantined = ?8, rows_dropped = ?9 WHERE number = ?1";
            let (kind, message) = ErrorRecord::columns(end.error.as_ref());
            let [read, written, quarantined, dropped] = end.rows.columns();
            let state = end.state.name();
            transaction.execute(sql, params![run, now(), state, kind, message, read, written, quarantined, dropped])?;
            let mut insert = transaction
                .prepare_cached("INSERT INTO tasks (run, position, task_key, state) VALUES (?1, ?2, ?3, ?4)")?;
            for (position, task) in end.tasks.iter().enumerate() {
                insert.execute(params![run, count(position as u64), task.task_key, task.state.name()])?;
            }
            Ok(())
        })
        .await?;
        self.blocking(move |inner| {
            inner.alive.release(run);
            Ok(())
        })
        .await
    }

    /// The newest runs, newest first.
    ///
    /// # Errors
    /// As [`History::open`].
    pub async fn runs(&self, limit: usize) -> Result<Vec<RunRecord>> {
        self.blocking(move |inner| {
            inner.mark_interrupted().and_then(|()| select_runs(&inner.connection, limit)).map_err(explained(READ))
        })
        .await
    }

    /// A run with its tasks and attempts, or `None` if there is none of that number.
    ///
    /// # Errors
    /// As [`History::open`].
    pub async fn run(&self, number: i64) -> Result<Option<RunDetails>> {
        self.blocking(move |inner| inner.details(number).map_err(explained(READ))).await
    }

    async fn change<T: Send + 'static>(
        &self,
        doing: &'static str,
        work: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T> {
        self.blocking(move |inner| {
            let transaction = inner.connection.transaction_with_behavior(TransactionBehavior::Immediate);
            let changed = transaction.and_then(|transaction| {
                let value = work(&transaction)?;
                transaction.commit()?;
                Ok(value)
            });
            changed.map_err(explained(doing))
        })
        .await
    }

    /// SQLite blocks, if only for a moment; so it stays away from the threads that drive the stages.
    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Inner) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let inner = Arc::clone(&self.inner);
        let task = move || work(&mut inner.lock().unwrap_or_else(PoisonError::into_inner));
        let done = tokio::task::spawn_blocking(task).await;
        done.map_err(|error| Error::bug("a call of the run history broke off").with_source(error))?
    }
}

const READ: &str = "read the run history";

impl Inner {
    fn begin(&mut self, workflow: &str, parameters: &str) -> Result<i64> {
        let explain = || explained("record the start of a run");
        let behavior = TransactionBehavior::Immediate;
        let transaction = self.connection.transaction_with_behavior(behavior).map_err(explain())?;
        let sql = "INSERT INTO runs (workflow, parameters, started_at, process) VALUES (?1, ?2, ?3, ?4)";
        transaction.execute(sql, params![workflow, parameters, now(), std::process::id()]).map_err(explain())?;
        let number = transaction.last_insert_rowid();
        // Whoever sees the run after the commit must find it locked.
        self.alive.hold(number).map_err(|error| {
            let message = format!("could not lock run {number} beside the run history; is its folder writable?");
            Error::unavailable(message).with_source(error)
        })?;
        transaction.commit().map_err(|error| {
            self.alive.release(number);
            explain()(error)
        })?;
        Ok(number)
    }

    /// Marks the runs that have not ended and whose process is gone, with their attempts.
    fn mark_interrupted(&mut self) -> rusqlite::Result<()> {
        let sql = "SELECT number FROM runs WHERE state IS NULL";
        let open: Vec<i64> =
            self.connection.prepare_cached(sql)?.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?;
        for run in open.into_iter().filter(|run| !self.alive.is_alive(*run)) {
            let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let state = ResultState::Interrupted.name();
            // The run may have ended between the two looks at it; then it keeps its state.
            let changed = transaction
                .execute("UPDATE runs SET state = ?2 WHERE number = ?1 AND state IS NULL", params![run, state])?;
            if changed > 0 {
                let sql = "UPDATE attempts SET state = ?2 WHERE run = ?1 AND state IS NULL";
                transaction.execute(sql, params![run, state])?;
            }
            transaction.commit()?;
            self.alive.clear(run);
        }
        Ok(())
    }

    fn details(&mut self, number: i64) -> rusqlite::Result<Option<RunDetails>> {
        self.mark_interrupted()?;
        // One transaction, so that the parts belong together while another process writes.
        let transaction = self.connection.transaction()?;
        let Some(run) = select_run(&transaction, number)? else { return Ok(None) };
        let tasks = select_tasks(&transaction, number)?;
        let attempts = select_attempts(&transaction, number)?;
        Ok(Some(RunDetails { run, tasks, attempts }))
    }
}

/// Now, as the history stores it: microseconds since 1970.
fn now() -> i64 {
    Utc::now().timestamp_micros()
}

fn time(micros: i64) -> DateTime<Utc> {
    DateTime::from_timestamp_micros(micros).unwrap_or_default()
}
