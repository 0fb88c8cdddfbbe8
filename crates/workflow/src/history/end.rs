//! Runs end, or are left to be gone on with later.

use std::sync::PoisonError;

use rusqlite::params;
use stage::Result;

use super::{ErrorRecord, History, RowCounts, now};
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

    /// Lets go of a run whose work was given up in this process without an end. It is found as interrupted.
    pub(crate) fn abandon(&self, run: i64) {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner).alive.release(run);
    }
}
