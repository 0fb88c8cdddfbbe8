//! Runs end, or are left to be gone on with later.

use std::sync::PoisonError;

use rusqlite::{Connection, Transaction, params};
use stage::Result;

use super::store::explained;
use super::{ErrorRecord, History, READ, RowCounts, now};
use crate::outcome::RunOutcome;
use crate::state::ResultState;

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

impl History {
    /// Records how a run ended.
    ///
    /// # Errors
    /// As [`History::open`].
    pub async fn end_run(&self, run: i64, end: RunEnd) -> Result<()> {
        self.blocking(move |inner| {
            let is_left = inner.left.remove(&run) && end.state == ResultState::Canceled;
            let recorded = inner.change("record the end of a run", |transaction| {
                // Who asked for the end of the run does not want it to be gone on with.
                let (state, ended_at) = match is_left && !is_cancel_asked(transaction, run)? {
                    true => (ResultState::Interrupted, None),
                    false => (end.state, Some(now())),
                };
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

    /// From now on the run, if it is stopped, ends as `INTERRUPTED` and can be resumed, as if its process had died. `false`
    /// when somebody asked for its end: then it ends as `CANCELED`.
    ///
    /// # Errors
    /// As [`History::open`].
    pub async fn leave(&self, run: i64) -> Result<bool> {
        self.blocking(move |inner| {
            let is_left = !is_cancel_asked(&inner.connection, run).map_err(explained(READ))?;
            if is_left {
                inner.left.insert(run);
            }
            Ok(is_left)
        })
        .await
    }

    /// Lets go of a run whose work was given up in this process without an end. It is found as interrupted.
    pub(crate) fn abandon(&self, run: i64) {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner).alive.release(run);
    }
}

/// Ends a run whose process is gone: as `CANCELED` when somebody asked for its end, else as `INTERRUPTED`, which is counted.
/// A run that has ended keeps its state.
pub(super) fn end_dead(transaction: &Transaction<'_>, run: i64) -> rusqlite::Result<()> {
    if is_cancel_asked(transaction, run)? {
        return end_canceled(transaction, run);
    }
    let state = ResultState::Interrupted.name();
    let sql = "UPDATE runs SET state = ?2, resumes = resumes + 1 WHERE number = ?1 AND state IS NULL";
    if transaction.execute(sql, params![run, state])? > 0 {
        let sql = "UPDATE attempts SET state = ?2 WHERE run = ?1 AND state IS NULL";
        transaction.execute(sql, params![run, state])?;
        let sql = "UPDATE tasks SET state = ?2 WHERE run = ?1 AND state IS NULL AND started_at IS NOT NULL";
        transaction.execute(sql, params![run, state])?;
    }
    Ok(())
}

/// Ends a run that was to be stopped and whose process died before it was, as if it had been.
fn end_canceled(transaction: &Transaction<'_>, run: i64) -> rusqlite::Result<()> {
    let (state, now) = (ResultState::Canceled.name(), now());
    let sql = "UPDATE runs SET state = ?2, ended_at = ?3 WHERE number = ?1 AND state IS NULL";
    if transaction.execute(sql, params![run, state, now])? > 0 {
        for table in ["attempts", "tasks"] {
            let sql = format!("UPDATE {table} SET state = ?2, ended_at = ?3 WHERE run = ?1 AND state IS NULL");
            transaction.execute(&sql, params![run, state, now])?;
        }
    }
    Ok(())
}

/// Whether somebody asked for the end of a run that has not ended yet.
pub(super) fn is_cancel_asked(connection: &Connection, run: i64) -> rusqlite::Result<bool> {
    let sql = "SELECT count(*) FROM runs WHERE number = ?1 AND state IS NULL AND cancel_asked_at IS NOT NULL";
    connection.prepare_cached(sql)?.query_row([run], |row| row.get(0)).map(|asked: i64| asked > 0)
}
