//! What happened to a table since a version.
//!
//! Only `dataChange` counts: compaction moves rows but changes none. The first read takes a snapshot whole, afterwards
//! the files each version added, so a reader never sees a row twice.

use deltalake::kernel::{Action, Add};
use stage::{Error, Result};

use crate::table::Table;

/// The files that were added in a range of versions.
#[derive(Debug, Default)]
pub struct Changes {
    /// Files with new rows, oldest first.
    pub added: Vec<Add>,
    /// The version to continue from.
    pub next: u64,
    /// The first version in the range that removed rows, if any did. Its added files repeat rows of older ones.
    pub rewritten: Option<u64>,
    /// Files whose rows other files hold now, commit by commit.
    pub moved: Vec<Moved>,
    /// Whether the columns, the partitioning or the properties changed in the range.
    pub is_reshaped: bool,
}

/// Rows that one commit moved from some files to others, such as a compaction.
#[derive(Debug, Default)]
pub struct Moved {
    /// Paths of the files they were in.
    pub from: Vec<String>,
    /// Paths of the files they are in.
    pub to: Vec<String>,
}

impl Table {
    /// The changes from version `from` (inclusive) to this table's version. From 0, the snapshot as a whole.
    ///
    /// # Errors
    /// [`stage::Kind::Data`] when the table is older than `from` (it was created anew) or its log was cleaned past `from`.
    pub async fn changes(&self, from: u64) -> Result<Changes> {
        let Some(newest) = self.version() else {
            return Ok(Changes { next: from, ..Changes::default() });
        };
        let next = newest + 1;
        if from > next {
            return Err(Error::data(format!(
                "{} was created anew or restored: version {from} was expected but the newest is {newest}; run with --full-refresh",
                self.name
            )));
        }
        if from == 0 {
            return Ok(Changes { added: self.files().await?, next, ..Changes::default() });
        }
        let mut changes = Changes { next, ..Changes::default() };
        for version in from..next {
            self.collect_changes(version, &mut changes).await?;
        }
        Ok(changes)
    }

    async fn collect_changes(&self, version: u64, changes: &mut Changes) -> Result<()> {
        let Some(actions) = self.actions(version).await? else {
            return Err(Error::data(format!(
                "the log of {} was cleaned past version {version}, which was not read yet; run with --full-refresh",
                self.name
            )));
        };
        let mut moved = Moved::default();
        for action in actions {
            match action {
                Action::Add(add) if add.data_change => changes.added.push(add),
                Action::Add(add) => moved.to.push(add.path),
                Action::Remove(remove) if remove.data_change => {
                    changes.rewritten.get_or_insert(version);
                }
                Action::Remove(remove) => moved.from.push(remove.path),
                Action::Metadata(_) => changes.is_reshaped = true,
                _ => {}
            }
        }
        if !moved.from.is_empty() {
            changes.moved.push(moved);
        }
        Ok(())
    }
}
