//! Who is woken by a commit of which table.
//!
//! A wake that finds its stage at work is kept until the stage next waits, and any number of them are one: so no commit
//! is missed, and none is looked for twice.

use std::collections::BTreeMap;
use std::sync::Arc;

use stage::TableName;
use tokio::sync::Notify;

/// The sleepers of a stream, by the table they wait for.
#[derive(Debug, Default)]
pub(super) struct Wakes {
    sleepers: BTreeMap<TableName, Vec<Arc<Notify>>>,
}

impl Wakes {
    /// Adds a sleeper that is to be woken by a commit of any of these tables.
    pub(super) fn add(&mut self, reads: &[TableName]) -> Arc<Notify> {
        let sleeper = Arc::new(Notify::new());
        for table in reads {
            self.sleepers.entry(table.clone()).or_default().push(Arc::clone(&sleeper));
        }
        sleeper
    }

    /// Wakes all that read this table, or the rows it keeps in quarantine.
    pub(super) fn committed(&self, table: &TableName) {
        for written in [table, &table.quarantine()] {
            self.sleepers.get(written).into_iter().flatten().for_each(|sleeper| sleeper.notify_one());
        }
    }
}
