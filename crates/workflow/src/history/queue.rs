//! Runs wait for their turn, or do not take place at all.

use rusqlite::{ErrorCode, Transaction, params};
use stage::Result;

use super::begin::insert_run;
use super::{History, NewRun, now};
use crate::state::ResultState;

impl History {
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
}

/// `None` for a run that is recorded for its time already.
pub(super) fn unless_recorded(number: rusqlite::Result<i64>) -> rusqlite::Result<Option<i64>> {
    match number {
        Err(error) if error.sqlite_error_code() == Some(ErrorCode::ConstraintViolation) => Ok(None),
        number => number.map(Some),
    }
}

/// Ends a run that never began. `false` when it did, or has ended.
pub(super) fn end_unstarted(
    transaction: &Transaction<'_>,
    run: i64,
    state: ResultState,
    reason: &str,
) -> rusqlite::Result<bool> {
    let sql = "UPDATE runs SET ended_at = ?2, state = ?3, error_kind = ?4, error_message = ?5
        WHERE number = ?1 AND state IS NULL AND started_at IS NULL";
    let kind = stage::Kind::Stopped.name();
    transaction.execute(sql, params![run, now(), state.name(), kind, reason]).map(|changed| changed > 0)
}
