//! The files of a table that somebody may still read, as paths below its folder.
//!
//! A file is kept when it is active, when it was removed within the retention (older versions are read by time travel,
//! and by queries that began before), when a version tells of it that a reader has yet to read, or when the newest record
//! names it as what the next commit goes on from.

use std::collections::HashSet;
use std::time::Duration;

use chrono::{DateTime, Utc};
use deltalake::kernel::Action;
use futures::TryStreamExt as _;
use stage::Result;

use super::log::Log;
use crate::table::{Table, record_of};

/// How long checkpoints tell of removed files when the table does not say.
const TOMBSTONE_RETENTION: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// The paths of all files that must stay.
pub(super) async fn kept_files(
    table: &Table,
    retention: Duration,
    keep_from: Option<u64>,
    now: DateTime<Utc>,
) -> Result<HashSet<String>> {
    let since = now - retention;
    let mut kept: HashSet<String> = table.files().await?.into_iter().map(|file| file.path).collect();
    kept.extend(removed_since(table, since).await?);
    kept.extend(
        table.record().into_iter().flat_map(|(_, record)| record.kept.values().flatten().map(|file| file.path.clone())),
    );
    for action in actions_since(table, keep_from).await? {
        kept.extend(changed_file(action));
    }
    kept.extend(remembered_since(table, since).await?);
    if retention > tombstone_retention(table) {
        // Checkpoints no longer tell of everything that was removed since; the log itself does.
        let first = Log::list(table).await?.first_version_since(since);
        for action in actions_since(table, first).await? {
            kept.extend(removed_file(action));
        }
    }
    Ok(kept)
}

async fn removed_since(table: &Table, since: DateTime<Utc>) -> Result<HashSet<String>> {
    let failed = |error| table.failed("list the removed files of", error);
    let log_store = table.inner.log_store();
    let state = table.inner.snapshot().map_err(failed)?;
    let since = since.timestamp_millis();
    state
        .all_tombstones(log_store.as_ref())
        .try_filter_map(async |removed| {
            let is_young = removed.deletion_timestamp().is_none_or(|at| at >= since);
            Ok(is_young.then(|| removed.path().into_owned()))
        })
        .try_collect()
        .await
        .map_err(failed)
}

/// The files with what a merged table remembers, now and at every version that it may still be restored to.
async fn remembered_since(table: &Table, since: DateTime<Utc>) -> Result<HashSet<String>> {
    let Some((_, newest)) = table.record() else { return Ok(HashSet::new()) };
    let Some(remembered) = &newest.remembered else { return Ok(HashSet::new()) };
    let mut kept: HashSet<String> = remembered.files.iter().map(|file| file.path.clone()).collect();
    let (Some(first), Some(last)) = (Log::list(table).await?.first_version_since(since), table.version()) else {
        return Ok(kept);
    };
    // The version before the first one stood at the beginning of the time.
    for version in first.saturating_sub(1)..=last {
        let record = table.actions(version).await?.as_deref().and_then(record_of);
        let files = record.and_then(|record| record.remembered).map(|remembered| remembered.files);
        kept.extend(files.into_iter().flatten().map(|file| file.path));
    }
    Ok(kept)
}

fn tombstone_retention(table: &Table) -> Duration {
    let declared = table.state().and_then(|state| state.table_properties().deleted_file_retention_duration);
    declared.unwrap_or(TOMBSTONE_RETENTION)
}

/// What all versions from `first` on did; nothing when there is no first one.
async fn actions_since(table: &Table, first: Option<u64>) -> Result<Vec<Action>> {
    let (Some(first), Some(newest)) = (first, table.version()) else { return Ok(Vec::new()) };
    let mut actions = Vec::new();
    for version in first..=newest {
        actions.extend(table.actions(version).await?.unwrap_or_default());
    }
    Ok(actions)
}

/// The file that a reader of changes reads for an action. Compaction changes nothing, so its files do not count.
fn changed_file(action: Action) -> Option<String> {
    match action {
        Action::Add(add) if add.data_change => Some(add.path),
        Action::Remove(remove) if remove.data_change => Some(remove.path),
        Action::Cdc(cdc) => Some(cdc.path),
        _ => None,
    }
}

fn removed_file(action: Action) -> Option<String> {
    match action {
        Action::Remove(remove) => Some(remove.path),
        Action::Cdc(cdc) => Some(cdc.path),
        _ => None,
    }
}
