//! Cancelling a run from anywhere: the wish is written into the history, and the process that runs the run reads it.

use rusqlite::params;
use stage::Result;

use super::end::is_cancel_asked;
use super::queue::end_unstarted;
use super::store::explained;
use super::{History, READ, now};
use crate::state::ResultState;

impl History {
    /// Asks for the end of a run. One that waits for its turn ends at once; one that goes on notices within about a second
    /// and stops as after a signal; if its process dies before, it ends as `CANCELED` all the same. `false` when there is nothing to stop: it has ended, or is not there.
    ///
    /// # Errors
    /// As [`History::open`].
    pub async fn ask_cancel(&self, run: i64) -> Result<bool> {
        self.blocking(move |inner| inner.mark_interrupted().map_err(explained(READ))).await?;
        self.change("ask for the end of a run", move |transaction| {
            if end_unstarted(transaction, run, ResultState::Canceled, "it was cancelled while it waited for its turn")?
            {
                return Ok(true);
            }
            let sql = "UPDATE runs SET cancel_asked_at = coalesce(cancel_asked_at, ?2)
                WHERE number = ?1 AND state IS NULL";
            transaction.execute(sql, params![run, now()]).map(|changed| changed > 0)
        })
        .await
    }

    /// Whether somebody asked for the end of a run that has not ended yet.
    ///
    /// # Errors
    /// As [`History::open`].
    pub async fn cancel_asked(&self, run: i64) -> Result<bool> {
        self.blocking(move |inner| is_cancel_asked(&inner.connection, run).map_err(explained(READ))).await
    }
}
