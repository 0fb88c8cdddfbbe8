//! What happened to a table since a version.
//!
//! Only `dataChange` counts: compaction moves rows but changes none. The first read takes a snapshot whole, afterwards
//! the files each version added and removed, so a reader never sees a row twice. As multisets, the rows of the table at the
//! end are those at the beginning, less those of the removed files, and those of the added ones: that holds too where a
//! compaction in between moved rows of an added file into one that was removed later.

use deltalake::kernel::{Action, Add, Remove};
use object_store::ObjectStoreExt as _;
use object_store::path::Path;
use stage::{Error, Result};

use crate::error::classify_store;
use crate::table::Table;

/// The files that were added and removed in a range of versions.
#[derive(Debug, Default)]
pub struct Changes {
    /// Files with new rows, oldest first, without those that were removed in the range too.
    pub added: Vec<Add>,
    /// Files whose rows have gone, oldest first, without those that were added in the range. They stay readable until vacuum,
    /// which waits for readers. They have no statistics.
    pub removed: Vec<Add>,
    /// The version to continue from.
    pub next: u64,
    /// The first version in the range that removed rows, if any did. Its added files repeat rows of older ones. Rows that
    /// came and went in the range count here, although their files stand nowhere.
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
        let (mut added, mut removed) = (Vec::new(), Vec::new());
        for action in actions {
            match action {
                Action::Add(add) if add.data_change => added.push(add),
                Action::Add(add) => moved.to.push(add.path),
                Action::Remove(remove) if remove.data_change => {
                    changes.rewritten.get_or_insert(version);
                    removed.push(remove);
                }
                Action::Remove(remove) => moved.from.push(remove.path),
                Action::Metadata(_) => changes.is_reshaped = true,
                _ => {}
            }
        }
        if !moved.from.is_empty() {
            changes.moved.push(moved);
        }
        // Within a commit, a removed file is one of before.
        for remove in removed {
            match changes.added.iter().position(|add| is_same(add, &remove)) {
                Some(place) => drop(changes.added.remove(place)),
                None => changes.removed.push(self.removed_file(remove).await?),
            }
        }
        for add in added {
            // A file that comes back, as by a restore, never was away.
            match changes
                .removed
                .iter()
                .position(|gone| gone.path == add.path && gone.deletion_vector == add.deletion_vector)
            {
                Some(place) => drop(changes.removed.remove(place)),
                None => changes.added.push(add),
            }
        }
        Ok(())
    }

    /// A removed file as it can be read. Other programs may leave out what they need not tell ("Add File and Remove File" of
    /// the protocol).
    async fn removed_file(&self, remove: Remove) -> Result<Add> {
        if remove.partition_values.is_none() && !self.partition_columns().is_empty() {
            return Err(Error::data(format!(
                "{} was changed by a program that does not tell the partition of the files it removes; run with --full-refresh",
                self.name
            )));
        }
        let size = match remove.size {
            Some(size) => size,
            None => self.size_of(&remove.path).await?,
        };
        Ok(Add {
            path: remove.path,
            partition_values: remove.partition_values.unwrap_or_default(),
            size,
            modification_time: remove.deletion_timestamp.unwrap_or_default(),
            data_change: true,
            stats: None,
            tags: None,
            deletion_vector: remove.deletion_vector,
            base_row_id: None,
            default_row_commit_version: None,
            clustering_provider: None,
        })
    }

    async fn size_of(&self, path: &str) -> Result<i64> {
        let unreadable = |error| classify_store(&format!("could not read a removed file of {}", self.name), error);
        let path = Path::parse(path).map_err(|error| unreadable(error.into()))?;
        let found = self.inner.log_store().object_store(None).head(&path).await.map_err(unreadable)?;
        Ok(i64::try_from(found.size).unwrap_or(i64::MAX))
    }
}

/// Whether a file that was added is the one that is removed. A file whose deletion vector changed is another one.
fn is_same(add: &Add, remove: &Remove) -> bool {
    add.path == remove.path && add.deletion_vector == remove.deletion_vector
}

#[cfg(test)]
mod tests;
