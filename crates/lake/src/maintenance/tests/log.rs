//! What is cleaned from a log, and what has to stay.

use std::collections::BTreeMap;
use std::time::Duration;

use super::super::{LogCleaned, clean_log};
use super::shelf::{Shelf, later, row};
use crate::{Operation, ledger};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// A table with a checkpoint every ten versions, and system tables that tell of all of it.
async fn shelf_with_checkpoints(versions: i64) -> Shelf {
    let shelf = Shelf::new(&[]);
    let mut table = shelf.open().await;
    let add = shelf.staged(&table, &[row(0)]).await;
    let mut commit = shelf.commit(Operation::Append, "", add, Vec::new());
    commit.properties = BTreeMap::from([("delta.checkpointInterval".to_owned(), "10".to_owned())]);
    table.commit(commit).await.unwrap();
    shelf.append_each(0..versions - 1).await;
    shelf
}

async fn roll(shelf: &Shelf) {
    ledger::roll_system(&shelf.lake(), "shop", std::slice::from_ref(&shelf.name)).await.unwrap();
}

async fn cleaned(shelf: &Shelf, after: Duration, keep_from: Option<u64>) -> LogCleaned {
    clean_log(&shelf.lake(), &shelf.name, 7 * DAY, keep_from, later(after)).await.unwrap()
}

#[tokio::test]
async fn old_commits_go_once_a_checkpoint_covers_them_and_system_tables_told_of_them() {
    let shelf = shelf_with_checkpoints(125).await;
    let rows = shelf.rows().await;
    assert_eq!(cleaned(&shelf, 8 * DAY, None).await, LogCleaned { files: 0, first_version: 0 });
    roll(&shelf).await;
    assert_eq!(cleaned(&shelf, 6 * DAY, None).await, LogCleaned { files: 0, first_version: 0 });
    // 119 commits and 11 checkpoints lie before the newest checkpoint.
    assert_eq!(cleaned(&shelf, 8 * DAY, None).await, LogCleaned { files: 130, first_version: 119 });
    assert_eq!(cleaned(&shelf, 8 * DAY, None).await, LogCleaned { files: 0, first_version: 119 });
    let table = shelf.open().await;
    assert_eq!((table.version(), table.position("source").await.unwrap()), (Some(124), 124));
    assert_eq!(shelf.rows().await, rows);
    shelf.append(124, &[row(999)]).await;
    assert_eq!(shelf.rows().await.len(), rows.len() + 1);
    assert_eq!(shelf.compact().await.files_removed, 126);
    assert_eq!(shelf.queried().await.len(), rows.len() + 1);
}

#[tokio::test]
async fn versions_that_a_reader_has_yet_to_read_stay() {
    let shelf = shelf_with_checkpoints(125).await;
    roll(&shelf).await;
    assert_eq!(cleaned(&shelf, 8 * DAY, Some(57)).await.first_version, 49);
    assert_eq!(shelf.open().await.changes(57).await.unwrap().added.len(), 68);
    assert!(shelf.open().await.changes(40).await.unwrap_err().message().contains("was cleaned past version 40"));
}

#[tokio::test]
async fn the_newest_record_stays() {
    let shelf = shelf_with_checkpoints(25).await;
    for system in ledger::SYSTEM_TABLES {
        assert!(shelf.lake().open(&shelf.name.system(system)).await.unwrap().version().is_none());
    }
    // Nothing tells that the system tables have read anything, so nothing may go.
    assert_eq!(cleaned(&shelf, 80 * DAY, None).await, LogCleaned { files: 0, first_version: 0 });
}
