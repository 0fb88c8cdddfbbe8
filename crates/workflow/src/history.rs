//! The run history: every run and attempt, in one SQLite file.
//!
//! Each step is written before and after it is done. What tables hold is decided by their own commits, never by the history,
//! and stays right if it is deleted; what a resumed or repaired run leaves out is decided here. A run whose process died is
//! found by a lock that the system takes back, and is then shown as `INTERRUPTED`.

mod alive;
mod begin;
mod cancel;
mod end;
mod execution;
mod listing;
mod prune;
mod queue;
mod record;
mod schedules;
mod status;
mod store;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use chrono::{DateTime, Utc};
use rusqlite::{Connection, Transaction, TransactionBehavior};
use stage::{Error, Result};

pub use begin::{NewRun, PlannedTask};
pub use end::RunEnd;
pub use execution::{AttemptEnd, Execution, TaskEnd};
pub use listing::{RunFilter, RunStatus};
pub use record::{AttemptRecord, ErrorRecord, RowCounts, RunDetails, RunRecord, SavedOutput, TaskRecord};
pub use schedules::{Claim, Claimed, ScheduleRecord};

use crate::log::Logs;
use alive::Alive;
use end::end_dead;
use record::{select_attempts, select_open_runs, select_run, select_runs, select_tasks};
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
        self.alive.hold(number).map_err(|error| unheld(number, error))?;
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
            // Locks are taken in such transactions too: who went on with the run since the first look is found by this one.
            if self.alive.is_alive(run) {
                continue;
            }
            end_dead(&transaction, run)?;
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

/// Why a run cannot be held.
fn unheld(number: i64, error: std::io::Error) -> Error {
    if error.kind() == std::io::ErrorKind::WouldBlock {
        return Error::conflict(format!("another process is just letting go of run {number}; try again"));
    }
    let message = format!("could not lock run {number} beside the run history; is its folder writable?");
    Error::unavailable(message).with_source(error)
}

/// Now, as the history stores it: microseconds since 1970.
fn now() -> i64 {
    Utc::now().timestamp_micros()
}

fn time(micros: i64) -> DateTime<Utc> {
    DateTime::from_timestamp_micros(micros).unwrap_or_default()
}
