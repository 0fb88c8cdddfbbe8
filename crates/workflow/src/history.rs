//! The run history: every run and attempt, in one SQLite file.
//!
//! Each step is written before and after it is done. What tables hold is decided by their own commits, never by the history,
//! and stays right if it is deleted; what a resumed or repaired run leaves out is decided here. A run whose process died is
//! found by a lock that the system takes back, and is then shown as `INTERRUPTED`.

mod alive;
mod cancel;
mod listing;
mod prune;
mod record;
mod schedules;
mod status;
mod store;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use chrono::{DateTime, Utc};
use rusqlite::{Connection, ErrorCode, Transaction, TransactionBehavior, params};
use serde_json::Value;
use stage::{Error, Progress, Result};

pub use listing::{RunFilter, RunStatus};
pub use record::{AttemptRecord, ErrorRecord, RowCounts, RunDetails, RunRecord, SavedOutput, TaskRecord};
pub use schedules::{Claim, Claimed, ScheduleRecord};

use crate::cause::Cause;
use crate::log::Logs;
use crate::outcome::RunOutcome;
use crate::state::ResultState;
use alive::Alive;
use record::{count, select_attempts, select_open_runs, select_run, select_runs, select_tasks};
use store::explained;

/// The run history. Cheap to clone; all clones share one connection.
#[derive(Debug, Clone)]
pub struct History {
    inner: Arc<Mutex<Inner>>,
    logs: Logs,
    path: PathBuf,
}

#[derive(Debug)]
struct Inner {
    connection: Connection,
    alive: Alive,
    /// Runs that are gone on with later, if they are stopped now.
    left: BTreeSet<i64>,
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

/// How a run ended.
#[derive(Debug, Clone, PartialEq)]
pub struct RunEnd {
    /// The state.
    pub state: ResultState,
    /// The error that explains best why it was not a success.
    pub error: Option<ErrorRecord>,
    /// What all tasks did together.
    pub rows: RowCounts,
}

impl RunEnd {
    /// The end of a run in the terms of the history.
    pub fn new(outcome: &RunOutcome) -> Self {
        RunEnd {
            state: outcome.state,
            error: outcome.first_error().map(ErrorRecord::from),
            rows: RowCounts::from(&outcome.progress),
        }
    }

    /// The same for a run of which earlier tries did that much.
    pub(crate) fn after(self, rows: RowCounts) -> Self {
        RunEnd { rows: self.rows.plus(rows), ..self }
    }
}

/// A run that is about to begin.
#[derive(Debug, Clone, Default)]
pub struct NewRun {
    /// The workflow.
    pub workflow: String,
    /// The parameters, defaults included.
    pub parameters: BTreeMap<String, String>,
    /// Why it takes place.
    pub cause: Cause,
    /// The run whose task runs it.
    pub parent: Option<i64>,
}

/// A task of a run that is about to begin.
#[derive(Debug, Clone, Default)]
pub struct PlannedTask {
    /// The task.
    pub task_key: String,
    /// The tasks it waits for.
    pub depends_on: Vec<String>,
    /// What it does, in words.
    pub does: String,
}

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

impl History {
    /// Opens the history in the file at `path`, which is created if it is missing, and marks the runs whose process
    /// died. It blocks for a moment; call it before the work starts.
    ///
    /// # Errors
    /// [`stage::Kind::Config`] when the file is no history or cannot be written, [`stage::Kind::Unavailable`] when the
    /// disk is full or others keep the file locked.
    pub fn open(path: &Path) -> Result<History> {
        let connection = store::open(path)?;
        let mut inner = Inner { connection, alive: Alive::beside(path), left: BTreeSet::new() };
        inner.mark_interrupted().map_err(explained("look for interrupted runs in the run history"))?;
        let logs = Logs::in_folder(path.with_file_name(LOGS_FOLDER));
        Ok(History { inner: Arc::new(Mutex::new(inner)), logs, path: path.to_owned() })
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What the tasks of all runs said.
    pub fn logs(&self) -> &Logs {
        &self.logs
    }

    /// Records that a run begins with these tasks, and gives it a number that was never given before.
    ///
    /// # Errors
    /// As [`History::open`].
    pub async fn begin_run(&self, run: NewRun, plan: Vec<PlannedTask>) -> Result<i64> {
        self.blocking(move |inner| {
            let number = inner.held("record the start of a run", |transaction| {
                let number = insert_run(transaction, &run, true)?;
                insert_plan(transaction, number, &plan)?;
                Ok(Some(number))
            })?;
            number.ok_or_else(|| Error::bug("a run that was recorded has no number"))
        })
        .await
    }

    /// Begins a run that waited for its turn, with what it turned out to be. `false` when it no longer waits.
    ///
    /// # Errors
    /// As [`History::open`].
    pub async fn begin_queued(&self, number: i64, run: NewRun, plan: Vec<PlannedTask>) -> Result<bool> {
        let begun = self.blocking(move |inner| {
            let run = &run;
            inner.held("record the start of a run", |transaction| {
                let sql = "UPDATE runs SET started_at = ?2, process = ?3, parameters = ?4, cause = ?5
                    WHERE number = ?1 AND state IS NULL AND started_at IS NULL";
                let which = params![number, now(), std::process::id(), json(&run.parameters)?, json(&run.cause)?];
                let (changed, run) = (transaction.execute(sql, which)?, number);
                insert_plan(transaction, run, &plan)?;
                Ok((changed > 0).then_some(run))
            })
        });
        Ok(begun.await?.is_some())
    }

    /// Opens a run that has ended, or was interrupted, once more; `before` is how it was found. What is not `kept` is to be
    /// done again, and no longer has a state. Returns how often the run was repaired, this time included if it is a repair;
    /// `None` when the run goes on, or another process was faster.
    ///
    /// # Errors
    /// As [`History::open`].
    pub async fn reopen(
        &self,
        before: &RunRecord,
        is_repair: bool,
        plan: Vec<PlannedTask>,
        kept: BTreeSet<String>,
    ) -> Result<Option<u32>> {
        let before = before.clone();
        let reopened = self.blocking(move |inner| {
            inner.mark_interrupted().map_err(explained(READ))?;
            let held = inner.held("open a run once more", |transaction| {
                // A process that went on with it in the meantime has left its number, or another end.
                let sql = "UPDATE runs SET state = NULL, ended_at = NULL, error_kind = NULL, error_message = NULL,
                    cancel_asked_at = NULL, started_at = coalesce(started_at, ?3), process = ?4, repairs = repairs + ?2,
                    resumes = resumes + (1 - ?2)
                    WHERE number = ?1 AND state = ?5 AND repairs = ?6 AND process = ?7 AND ended_at IS ?8";
                let state = before.state.map(ResultState::name);
                let ended_at = before.ended_at.map(|at| at.timestamp_micros());
                let (now, process) = (now(), std::process::id());
                let which =
                    params![before.number, is_repair, now, process, state, before.repairs, before.process, ended_at];
                if transaction.execute(sql, which)? == 0 {
                    return Ok(None);
                }
                forget_ends(transaction, before.number, &kept)?;
                insert_plan(transaction, before.number, &plan)?;
                Ok(Some(before.number))
            })?;
            Ok(held.map(|_| before.repairs + u32::from(is_repair)))
        });
        reopened.await
    }

    /// Records the parameters of a run that goes on with others than it began with.
    ///
    /// # Errors
    /// As [`History::open`].
    pub async fn keep_parameters(&self, run: i64, parameters: &BTreeMap<String, String>) -> Result<()> {
        let parameters = serde_json::to_string(parameters)
            .map_err(|error| Error::bug("could not write the parameters of a run as JSON").with_source(error))?;
        self.change("record the parameters of a run", move |transaction| {
            let sql = "UPDATE runs SET parameters = ?2 WHERE number = ?1";
            transaction.execute(sql, params![run, parameters]).map(|_| ())
        })
        .await
    }

    /// Records a run that waits for its turn. `None` when a run of this workflow is recorded for that time already.
    ///
    /// # Errors
    /// As [`History::open`].
    pub async fn queue_run(&self, run: NewRun) -> Result<Option<i64>> {
        self.change("record a run that waits", move |transaction| unless_recorded(insert_run(transaction, &run, false)))
            .await
    }

    /// Records a run that did not take place, with why. `None` as for [`History::queue_run`].
    ///
    /// # Errors
    /// As [`History::open`].
    pub async fn refuse_run(&self, run: NewRun, state: ResultState, reason: String) -> Result<Option<i64>> {
        self.change("record a run that does not take place", move |transaction| {
            let Some(number) = unless_recorded(insert_run(transaction, &run, false))? else { return Ok(None) };
            end_unstarted(transaction, number, state, &reason)?;
            Ok(Some(number))
        })
        .await
    }

    /// Ends a run that waits for its turn. `false` when it no longer waits.
    ///
    /// # Errors
    /// As [`History::open`].
    pub async fn end_queued(&self, run: i64, state: ResultState, reason: String) -> Result<bool> {
        self.change("record a run that does not take place", move |transaction| {
            end_unstarted(transaction, run, state, &reason)
        })
        .await
    }

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

    /// Records how a run ended.
    ///
    /// # Errors
    /// As [`History::open`].
    pub async fn end_run(&self, run: i64, end: RunEnd) -> Result<()> {
        self.blocking(move |inner| {
            let is_left = inner.left.remove(&run) && end.state == ResultState::Canceled;
            let (state, ended_at) = match is_left {
                true => (ResultState::Interrupted, None),
                false => (end.state, Some(now())),
            };
            let recorded = inner.change("record the end of a run", |transaction| {
                let sql = "UPDATE runs SET ended_at = ?2, state = ?3, error_kind = ?4, error_message = ?5,
                    rows_read = ?6, rows_written = ?7, rows_quarantined = ?8, rows_dropped = ?9 WHERE number = ?1";
                let (kind, message) = ErrorRecord::columns(end.error.as_ref());
                let [read, written, quarantined, dropped] = end.rows.columns();
                let state = state.name();
                transaction
                    .execute(sql, params![run, ended_at, state, kind, message, read, written, quarantined, dropped])
                    .map(|_| ())
            });
            if recorded.is_ok() {
                inner.alive.release(run);
            }
            recorded
        })
        .await
    }

    /// From now on the run, if it is stopped, ends as `INTERRUPTED` and can be resumed, as if its process had died.
    ///
    /// # Errors
    /// Only [`stage::Kind::Bug`].
    pub async fn leave(&self, run: i64) -> Result<()> {
        self.blocking(move |inner| {
            inner.left.insert(run);
            Ok(())
        })
        .await
    }

    /// The newest runs, newest first; of one workflow only, if it is named.
    ///
    /// # Errors
    /// As [`History::open`].
    pub async fn runs(&self, workflow: Option<&str>, limit: usize) -> Result<Vec<RunRecord>> {
        let workflow = workflow.map(str::to_owned);
        self.blocking(move |inner| {
            let marked = inner.mark_interrupted();
            let read = marked.and_then(|()| select_runs(&inner.connection, workflow.as_deref(), limit));
            read.map_err(explained(READ))
        })
        .await
    }

    /// The runs that have not ended, those that wait for their turn included, oldest first.
    ///
    /// # Errors
    /// As [`History::open`].
    pub async fn open_runs(&self) -> Result<Vec<RunRecord>> {
        self.blocking(move |inner| {
            inner.mark_interrupted().and_then(|()| select_open_runs(&inner.connection)).map_err(explained(READ))
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

    /// Lets go of a run whose work was given up in this process without an end. It is found as interrupted.
    pub(crate) fn abandon(&self, run: i64) {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner).alive.release(run);
    }

    /// Waits until no call of this history goes on in the background, as before the end of a process.
    #[cfg(test)]
    pub(crate) async fn wait_until_last(self) {
        while Arc::strong_count(&self.inner) > 1 {
            tokio::task::yield_now().await;
        }
    }

    async fn change<T: Send + 'static>(
        &self,
        doing: &'static str,
        work: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T> {
        self.blocking(move |inner| inner.change(doing, work)).await
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
/// The folder of the tasks' logs, beside the history.
const LOGS_FOLDER: &str = "logs";

fn json(value: &impl serde::Serialize) -> rusqlite::Result<String> {
    serde_json::to_string(value).map_err(|error| rusqlite::Error::ToSqlConversionFailure(Box::new(error)))
}

/// Inserts a run, begun or waiting for its turn.
fn insert_run(transaction: &Transaction<'_>, run: &NewRun, is_begun: bool) -> rusqlite::Result<i64> {
    insert_run_at(transaction, run, now(), is_begun)
}

/// [`insert_run`] at a time in microseconds since 1970.
fn insert_run_at(transaction: &Transaction<'_>, run: &NewRun, now: i64, is_begun: bool) -> rusqlite::Result<i64> {
    let (parameters, cause) = (json(&run.parameters)?, json(&run.cause)?);
    let due_at = run.cause.due_at.map(|due| due.timestamp_micros());
    let process = std::process::id();
    let sql = "INSERT INTO runs (workflow, parameters, cause, due_at, parent, process, queued_at, started_at)
        VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)";
    let started_at = is_begun.then_some(now);
    let mut insert = transaction.prepare_cached(sql)?;
    insert.execute(params![run.workflow, parameters, cause, due_at, run.parent, process, now, started_at])?;
    Ok(transaction.last_insert_rowid())
}

/// `None` for a run that is recorded for its time already.
fn unless_recorded(number: rusqlite::Result<i64>) -> rusqlite::Result<Option<i64>> {
    match number {
        Err(error) if error.sqlite_error_code() == Some(ErrorCode::ConstraintViolation) => Ok(None),
        number => number.map(Some),
    }
}

/// Inserts the tasks of a run. Those that are there keep how they ended.
fn insert_plan(transaction: &Transaction<'_>, run: i64, plan: &[PlannedTask]) -> rusqlite::Result<()> {
    let sql = "INSERT INTO tasks (run, task_key, position, depends_on, does) VALUES (?1, ?2, ?3, ?4, ?5)
        ON CONFLICT (run, task_key) DO UPDATE SET position = ?3, depends_on = ?4, does = ?5";
    let mut insert = transaction.prepare_cached(sql)?;
    for (position, task) in plan.iter().enumerate() {
        let depends_on = Value::from(task.depends_on.clone()).to_string();
        insert.execute(params![run, task.task_key, count(position as u64), depends_on, task.does])?;
    }
    Ok(())
}

/// Takes their state from the tasks and items that are to be done again, so that they are still to be done if this process
/// dies before it comes to them.
fn forget_ends(transaction: &Transaction<'_>, run: i64, kept: &BTreeSet<String>) -> rusqlite::Result<()> {
    let mut select = transaction.prepare_cached("SELECT task_key FROM tasks WHERE run = ?1")?;
    let keys: Vec<String> = select.query_map([run], |row| row.get(0))?.collect::<Result<_, _>>()?;
    let sql =
        "UPDATE tasks SET state = NULL, started_at = NULL, ended_at = NULL, error_kind = NULL, error_message = NULL
        WHERE run = ?1 AND task_key = ?2";
    let mut forget = transaction.prepare_cached(sql)?;
    for key in keys.iter().filter(|key| !kept.contains(*key)) {
        forget.execute(params![run, key])?;
    }
    Ok(())
}

/// Ends a run that never began. `false` when it did, or has ended.
fn end_unstarted(transaction: &Transaction<'_>, run: i64, state: ResultState, reason: &str) -> rusqlite::Result<bool> {
    let sql = "UPDATE runs SET ended_at = ?2, state = ?3, error_kind = ?4, error_message = ?5
        WHERE number = ?1 AND state IS NULL AND started_at IS NULL";
    let kind = stage::Kind::Stopped.name();
    transaction.execute(sql, params![run, now(), state.name(), kind, reason]).map(|changed| changed > 0)
}

impl Inner {
    fn change<T>(
        &mut self,
        doing: &'static str,
        work: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<T>,
    ) -> Result<T> {
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate);
        let changed = transaction.and_then(|transaction| {
            let value = work(&transaction)?;
            transaction.commit()?;
            Ok(value)
        });
        changed.map_err(explained(doing))
    }

    /// Changes a run and holds its lock from before that can be seen. The change says the run's number, or that nothing is
    /// to be changed after all.
    fn held(
        &mut self,
        doing: &'static str,
        work: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<Option<i64>>,
    ) -> Result<Option<i64>> {
        let explain = || explained(doing);
        let behavior = TransactionBehavior::Immediate;
        let transaction = self.connection.transaction_with_behavior(behavior).map_err(explain())?;
        let Some(number) = work(&transaction).map_err(explain())? else { return Ok(None) };
        // Whoever sees the run after the commit must find it locked.
        self.alive.hold(number).map_err(|error| {
            let message = format!("could not lock run {number} beside the run history; is its folder writable?");
            Error::unavailable(message).with_source(error)
        })?;
        transaction.commit().map_err(|error| {
            self.alive.release(number);
            explain()(error)
        })?;
        Ok(Some(number))
    }

    /// Marks the runs that have not ended and whose process is gone, with their attempts.
    fn mark_interrupted(&mut self) -> rusqlite::Result<()> {
        let sql = "SELECT number FROM runs WHERE state IS NULL AND started_at IS NOT NULL";
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
                let sql = "UPDATE tasks SET state = ?2 WHERE run = ?1 AND state IS NULL AND started_at IS NOT NULL";
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
