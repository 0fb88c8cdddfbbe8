//! The Delta log of a table: what lies in it, and the removal of what is too old.
//!
//! The one idea: the log always stays a checkpoint and every commit after it. What lies before the newest checkpoint that
//! is older than the retention goes, unless somebody has yet to read it. Nothing is deleted by a commit; listing a log
//! takes longer the more lies in it, so this runs on a schedule.

use std::time::Duration;

use chrono::{DateTime, Utc};
use futures::{StreamExt as _, TryStreamExt as _};
use object_store::path::Path;
use object_store::{Error as ObjectStoreError, ObjectStoreExt as _};
use serde::Serialize;
use stage::{Result, TableName};

use super::readers::first_untold;
use crate::classify_store;
use crate::open::Lake;
use crate::table::Table;

/// Digits of a version in the name of a file.
const VERSION_DIGITS: usize = 20;
/// Files that are deleted at the same time.
const CONCURRENCY: usize = 10;
/// Set to `false`, it forbids the clean-up of a table's log.
const CLEANUP_PROPERTY: &str = "delta.enableExpiredLogCleanup";

/// What a clean-up did.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct LogCleaned {
    /// Files of the log that were deleted.
    pub files: u64,
    /// The first version that the log still tells of.
    pub first_version: u64,
}

/// Deletes the part of a table's log that is older than `retention`; the table's own `delta.logRetentionDuration` wins.
///
/// What stays: the version `keep_from`, which a reader has yet to read, and all later ones; versions that system and
/// quarantine tables have not repeated yet; the newest record; and always a checkpoint with everything after it.
///
/// # Errors
/// When the storage fails. The log is complete from some version on then as well.
pub async fn clean_log(
    lake: &Lake,
    name: &TableName,
    retention: Duration,
    keep_from: Option<u64>,
    now: DateTime<Utc>,
) -> Result<LogCleaned> {
    let table = lake.open(name).await?;
    let (Some(newest), Some((record, _))) = (table.version(), table.record()) else { return Ok(LogCleaned::default()) };
    let log = Log::list(&table).await?;
    let first_version = log.commits().map(|file| file.version).min().unwrap_or(newest);
    let declared = table.state().and_then(|state| state.table_properties().log_retention_duration);
    let retention = declared.unwrap_or(retention);
    let mut bounds = vec![newest, *record, log.first_version_since(now - retention).unwrap_or(newest)];
    bounds.extend(keep_from);
    bounds.extend(first_untold(lake, &table).await?);
    let bound = bounds.into_iter().min().unwrap_or(0);
    let is_forbidden = table.property(CLEANUP_PROPERTY).is_some_and(|value| value == "false");
    let Some(checkpoint) = log.newest_checkpoint(bound).filter(|_| !is_forbidden) else {
        return Ok(LogCleaned { files: 0, first_version });
    };
    let files = log.before(checkpoint);
    let count = files.len() as u64;
    delete(&table, files).await?;
    if count > 0 {
        tracing::info!(table = %name, files = count, first_version = checkpoint, "cleaned the log");
    }
    Ok(LogCleaned { files: count, first_version: first_version.max(checkpoint) })
}

/// Oldest first, so that the log stays without gaps when this is interrupted.
async fn delete(table: &Table, files: Vec<LogFile>) -> Result<()> {
    let store = table.inner.log_store().object_store(None);
    let mut deletions = futures::stream::iter(files)
        .map(|file| {
            let store = store.clone();
            async move { store.delete(&file.path).await }
        })
        .buffered(CONCURRENCY);
    while let Some(deleted) = deletions.next().await {
        match deleted {
            Ok(()) | Err(ObjectStoreError::NotFound { .. }) => {}
            Err(error) => return Err(classify_store(&format!("could not clean the log of {}", table.name()), error)),
        }
    }
    Ok(())
}

/// The files of a log, oldest version first.
pub(super) struct Log {
    files: Vec<LogFile>,
}

/// One file of a log.
#[derive(Debug, Clone)]
struct LogFile {
    path: Path,
    /// The last version it tells of.
    version: u64,
    written: DateTime<Utc>,
    sort: Sort,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sort {
    Commit,
    Checkpoint,
    /// Checksums, checkpoints in parts or by other names, commits put together.
    Other,
}

impl Log {
    /// Lists the log of a table.
    ///
    /// # Errors
    /// When the storage fails.
    pub(super) async fn list(table: &Table) -> Result<Log> {
        let log_store = table.inner.log_store();
        let files = log_store.object_store(None).list(Some(log_store.log_path()));
        let mut files: Vec<LogFile> = files
            .try_filter_map(async |file| {
                let named = file.location.filename().and_then(told_by_name);
                Ok(named.map(|(version, sort)| LogFile {
                    path: file.location,
                    version,
                    written: file.last_modified,
                    sort,
                }))
            })
            .try_collect()
            .await
            .map_err(|error| classify_store(&format!("could not list the log of {}", table.name()), error))?;
        files.sort_by_key(|file| file.version);
        Ok(Log { files })
    }

    /// The first version that was committed at that time or later.
    pub(super) fn first_version_since(&self, time: DateTime<Utc>) -> Option<u64> {
        self.commits().find(|file| file.written >= time).map(|file| file.version)
    }

    fn commits(&self) -> impl Iterator<Item = &LogFile> {
        self.files.iter().filter(|file| file.sort == Sort::Commit)
    }

    /// The newest version up to `bound` that has a whole checkpoint.
    fn newest_checkpoint(&self, bound: u64) -> Option<u64> {
        let checkpoints = self.files.iter().filter(|file| file.sort == Sort::Checkpoint);
        checkpoints.map(|file| file.version).filter(|version| *version <= bound).max()
    }

    fn before(self, version: u64) -> Vec<LogFile> {
        self.files.into_iter().filter(|file| file.version < version).collect()
    }
}

/// The version and sort of a file, as its name tells; `None` when it tells no version.
fn told_by_name(name: &str) -> Option<(u64, Sort)> {
    let (first, rest) = name.split_at_checked(VERSION_DIGITS)?;
    let first = version(first)?;
    match rest {
        ".json" => Some((first, Sort::Commit)),
        ".checkpoint.parquet" => Some((first, Sort::Checkpoint)),
        _ => {
            // Commits put together tell of a range of versions, of which the last one counts.
            let last = rest.strip_prefix('.').and_then(|rest| rest.get(..VERSION_DIGITS)).and_then(version);
            rest.starts_with('.').then_some((last.unwrap_or(first), Sort::Other))
        }
    }
}

fn version(digits: &str) -> Option<u64> {
    digits.bytes().all(|one| one.is_ascii_digit()).then(|| digits.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_tell_what_a_file_of_the_log_is() {
        assert_eq!(told_by_name("00000000000000000007.json"), Some((7, Sort::Commit)));
        assert_eq!(told_by_name("00000000000000000099.checkpoint.parquet"), Some((99, Sort::Checkpoint)));
        let parts = "00000000000000000099.checkpoint.0000000001.0000000002.parquet";
        assert_eq!(told_by_name(parts), Some((99, Sort::Other)));
        let together = "00000000000000000001.00000000000000000009.compacted.json";
        assert_eq!(told_by_name(together), Some((9, Sort::Other)));
        for other in ["_last_checkpoint", "_commit_1.json.tmp", "0007.json", "0000000000000000000x.json"] {
            assert_eq!(told_by_name(other), None, "{other}");
        }
    }
}
