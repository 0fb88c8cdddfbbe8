//! Rolls the system tables forward behind a stream.
//!
//! A commit is whole without that, so it may lag: commits of some seconds are told together, and a table that many commits
//! a second would otherwise give a version each stays small.

use std::collections::BTreeSet;
use std::time::Duration;

use stage::TableName;
use tokio::sync::Notify;

use crate::workbench::Workbench;

/// The least time from one roll to the next.
const PAUSE: Duration = Duration::from_secs(10);
/// How long the last roll may take; a supervisor that stopped the stream does not wait longer.
const LAST: Duration = Duration::from_secs(5);

/// The system tables behind a stream.
pub(crate) struct SystemTables<'a> {
    workbench: &'a Workbench,
    tables: BTreeSet<TableName>,
    warn: &'a (dyn Fn(&str) + Sync),
}

impl<'a> SystemTables<'a> {
    /// Those of the pipelines of these tables. What cannot be written is told to `warn`.
    pub(crate) fn new(
        workbench: &'a Workbench,
        tables: BTreeSet<TableName>,
        warn: &'a (dyn Fn(&str) + Sync),
    ) -> SystemTables<'a> {
        SystemTables { workbench, tables, warn }
    }

    /// Rolls after commits for as long as it is polled. Being dropped in the middle loses nothing.
    pub(crate) async fn follow(&self, committed: &Notify) {
        loop {
            committed.notified().await;
            if !self.roll().await {
                committed.notify_one();
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Rolls once more at the end. What it does not finish, the next start does.
    pub(crate) async fn finish(&self) {
        if tokio::time::timeout(LAST, self.roll()).await.is_err() {
            (self.warn)("the system tables are behind: there was no time to write them");
        }
    }

    async fn roll(&self) -> bool {
        let rolled = self.workbench.roll_system(&self.tables).await;
        if let Err(error) = &rolled {
            (self.warn)(&format!("the system tables are behind: {}", error.chain()));
        }
        rolled.is_ok()
    }
}
