//! Deletes files that nobody can read any more: replaced ones past their retention, and what crashed batches staged.
//!
//! The one idea: everything is listed, and only what is surely unneeded goes. A file goes when it is not among the
//! [`kept_files`] and is older than the retention itself, so what a batch stages now and commits later is spared. Names
//! that this program does not write are left alone, and so is the log.

use std::collections::HashSet;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use futures::{StreamExt as _, TryStreamExt as _};
use object_store::path::Path;
use object_store::{Error as ObjectStoreError, ObjectMeta, ObjectStoreExt as _};
use serde::Serialize;
use stage::{Result, TableName};

use super::diary::DIARY;
use super::kept::kept_files;
use super::leftovers::delete_leftovers;
use super::readers::staged_quarantine;
use crate::classify_store;
use crate::ledger::MANIFEST_FOLDER;
use crate::open::Lake;
use crate::record::{KEPT_FOLDER, REMEMBERED_FOLDER};
use crate::table::Table;

/// Files that are deleted at the same time.
const CONCURRENCY: usize = 10;
const LOG_FOLDER: &str = "_delta_log";
/// Folders whose names begin with `_` and whose files are rows all the same.
const FOLDERS_OF_ROWS: [&str; 3] = ["_change_data", KEPT_FOLDER, REMEMBERED_FOLDER];

/// What vacuum may delete.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VacuumSettings {
    /// How long a file stays after it was written and after it was removed. A batch must not take longer than this from
    /// its first staged file to its commit, nor a query to its last row.
    pub retention: Duration,
    /// The first version that a reader has yet to read; what it and later versions tell of stays, however old. Without
    /// it, files of unread versions go with their retention.
    pub keep_from: Option<u64>,
    /// List only.
    pub dry_run: bool,
}

/// What vacuum deleted, or would delete.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Vacuumed {
    /// The files, as paths below the table's folder.
    pub files: Vec<String>,
    /// Their bytes.
    pub bytes: u64,
}

/// Deletes the files of a table that are no longer needed.
///
/// # Errors
/// When the storage fails; what was not deleted then is deleted the next time.
pub async fn vacuum(lake: &Lake, name: &TableName, settings: &VacuumSettings, now: DateTime<Utc>) -> Result<Vacuumed> {
    let mut table = lake.open(name).await?;
    if table.version().is_none() {
        return Ok(Vacuumed::default());
    }
    // In this order a file is in one of them whenever it is committed: listed, then waiting to be committed, then active.
    let listed = list(&table).await?;
    let waiting = staged_quarantine(lake, name).await?;
    table.refresh().await?;
    let mut kept = kept_files(&table, settings.retention, settings.keep_from, now).await?;
    kept.extend(waiting);
    let limits = Limits::new(&listed, settings.retention, now);
    let unneeded = listed.into_iter().filter(|file| limits.allow(file) && !kept.contains(file.location.as_ref()));
    let unneeded: Vec<ObjectMeta> = unneeded.collect();
    let mut done = Vacuumed {
        bytes: unneeded.iter().map(|file| file.size).sum(),
        files: unneeded.iter().map(|file| file.location.to_string()).collect(),
    };
    if !settings.dry_run {
        delete(&table, unneeded).await?;
    }
    for leftover in delete_leftovers(&table, limits.written_before, settings.dry_run).await? {
        done.bytes += leftover.bytes;
        done.files.push(leftover.path);
    }
    if !done.files.is_empty() && !settings.dry_run {
        tracing::info!(table = %name, files = done.files.len(), bytes = done.bytes, "vacuumed");
    }
    Ok(done)
}

/// Every file below the table's folder. Of the log only the commits, which say how old it is.
async fn list(table: &Table) -> Result<Vec<ObjectMeta>> {
    let store = table.inner.log_store().object_store(None);
    let is_needed = |file: &ObjectMeta| {
        let path = file.location.as_ref();
        !path.starts_with(LOG_FOLDER) || path.ends_with(".json")
    };
    store
        .list(None)
        .try_filter(|file| std::future::ready(is_needed(file)))
        .try_collect()
        .await
        .map_err(|error| classify_store(&format!("could not list the files of {}", table.name()), error))
}

/// Deletes files. One that another vacuum has deleted in the meantime is no error.
async fn delete(table: &Table, files: Vec<ObjectMeta>) -> Result<()> {
    let store = table.inner.log_store().object_store(None);
    let mut deletions = futures::stream::iter(files)
        .map(|file| {
            let store = store.clone();
            async move { (store.delete(&file.location).await, file.location) }
        })
        .buffer_unordered(CONCURRENCY);
    let mut failed = Vec::new();
    while let Some((deleted, path)) = deletions.next().await {
        match deleted {
            Ok(()) | Err(ObjectStoreError::NotFound { .. }) => {}
            Err(error) => failed.push((path, error)),
        }
    }
    if failed.is_empty() {
        return Ok(());
    }
    let left: HashSet<Path> = list(table).await?.into_iter().map(|file| file.location).collect();
    match failed.into_iter().find(|(path, _)| left.contains(path)) {
        Some((_, error)) => Err(classify_store(&format!("could not delete old files of {}", table.name()), error)),
        None => Ok(()),
    }
}

/// What a commit names is staged before it, but no longer before than this.
const LONGEST_BATCH: TimeDelta = TimeDelta::days(1);

/// How old a file must be to go.
struct Limits {
    written_before: DateTime<Utc>,
    /// A list of files read, or a profile, is needed as long as its commit is in the log.
    manifest_before: DateTime<Utc>,
}

impl Limits {
    fn new(listed: &[ObjectMeta], retention: Duration, now: DateTime<Utc>) -> Limits {
        let written_before = now - retention;
        let commits = listed.iter().filter(|file| file.location.as_ref().starts_with(LOG_FOLDER));
        let oldest_commit = commits.map(|file| file.last_modified).min();
        let manifest_before =
            oldest_commit.map_or(DateTime::<Utc>::MIN_UTC, |oldest| oldest - retention - LONGEST_BATCH);
        Limits { written_before, manifest_before: manifest_before.min(written_before) }
    }

    fn allow(&self, file: &ObjectMeta) -> bool {
        match sort_of(&file.location) {
            Sort::Rows => file.last_modified < self.written_before,
            Sort::Manifest => file.last_modified < self.manifest_before,
            Sort::Other => false,
        }
    }
}

enum Sort {
    Rows,
    Manifest,
    Other,
}

/// What a path says a file is. Names that begin with `_` or `.` are not the table's, but for folders of partitions.
fn sort_of(path: &Path) -> Sort {
    let text = path.as_ref();
    let first = text.split('/').next().unwrap_or_default();
    if first == MANIFEST_FOLDER {
        return if text == DIARY { Sort::Other } else { Sort::Manifest };
    }
    let is_hidden = first.starts_with(['_', '.']) && !first.contains('=') && !FOLDERS_OF_ROWS.contains(&first);
    if is_hidden || first == LOG_FOLDER || !text.ends_with(".parquet") {
        return Sort::Other;
    }
    Sort::Rows
}
