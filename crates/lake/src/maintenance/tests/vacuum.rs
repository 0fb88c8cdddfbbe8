//! What vacuum deletes, and what it spares.

use std::time::Duration;

use stage::{Checkpoint, OffsetRange};

use super::super::{MaintenanceSettings, VacuumSettings, Vacuumed, maintain, slowest_reader, vacuum};
use super::shelf::{Row, Shelf, batch, later, row, schema};
use crate::{Add, Commit, Operation, REMEMBERED_FOLDER, Record, Remembered};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

async fn vacuumed(shelf: &Shelf, after: Duration, keep_from: Option<u64>, dry_run: bool) -> Vacuumed {
    let settings = VacuumSettings { retention: 7 * DAY, keep_from, dry_run };
    vacuum(&shelf.lake(), &shelf.name, &settings, later(after)).await.unwrap()
}

#[tokio::test]
async fn replaced_files_go_after_their_retention_and_not_before() {
    let shelf = Shelf::new(&["part"]);
    for number in 0..4 {
        shelf.append(number, &[(Some("b c/ü%20".into()), number), (None, number)]).await;
    }
    let rows = shelf.rows().await;
    shelf.compact().await;
    assert_eq!(vacuumed(&shelf, 6 * DAY, None, false).await.files.len(), 0);
    let listed = vacuumed(&shelf, 8 * DAY, None, true).await;
    assert_eq!((listed.files.len(), shelf.data_files()), (8, 10));
    assert_eq!(vacuumed(&shelf, 8 * DAY, None, false).await, listed);
    assert_eq!(shelf.data_files(), 2);
    assert_eq!(shelf.rows().await, rows);
    assert_eq!(shelf.queried().await, rows);
    assert_eq!(vacuumed(&shelf, 8 * DAY, None, false).await.files.len(), 0);
}

#[tokio::test]
async fn files_of_versions_that_are_not_read_yet_stay() {
    let shelf = Shelf::new(&[]);
    shelf.append_each(0..6).await;
    shelf.compact().await;
    assert_eq!(vacuumed(&shelf, 30 * DAY, Some(3), false).await.files.len(), 3);
    let table = shelf.open().await;
    let changes = table.changes(3).await.unwrap();
    assert_eq!(shelf.rows_of(&table, &changes.added).await, (3..6).map(row).collect::<Vec<Row>>());
}

#[tokio::test]
async fn files_of_crashed_batches_go_and_young_ones_stay() {
    let shelf = Shelf::new(&[]);
    shelf.append_each(0..1).await;
    shelf.staged(&shelf.open().await, &[row(7)]).await;
    std::fs::write(shelf.path("part-1.parquet#1"), "half").unwrap();
    std::fs::create_dir_all(shelf.path("_medallion")).unwrap();
    std::fs::write(shelf.path("_medallion/old.json"), "[]").unwrap();
    std::fs::write(shelf.path("notes.txt"), "of a user").unwrap();
    assert_eq!(vacuumed(&shelf, DAY, None, false).await.files.len(), 0);
    let gone = vacuumed(&shelf, 8 * DAY, None, false).await;
    assert_eq!((gone.files.len(), shelf.data_files()), (2, 1));
    assert!(shelf.path("notes.txt").exists() && shelf.path("_medallion/old.json").exists());
    assert!(!shelf.path("part-1.parquet#1").exists());
    assert_eq!(shelf.rows().await, [row(0)]);
}

#[tokio::test]
async fn quarantine_files_that_wait_for_their_commit_stay() {
    let shelf = Shelf::new(&[]);
    let lake = shelf.lake();
    let mut quarantine = lake.open(&shelf.name.quarantine()).await.unwrap();
    let staged = shelf.staged(&quarantine, &[row(1)]).await;
    let orphan = shelf.staged(&quarantine, &[row(2)]).await;
    let mut table = shelf.open().await;
    let mut commit = shelf.commit(Operation::Append, "", Vec::new(), Vec::new());
    commit.record.quarantine = staged.clone();
    table.commit(commit).await.unwrap();
    shelf.append_each(0..1).await;
    let first = shelf.commit(Operation::Append, "", Vec::new(), Vec::new());
    quarantine.commit(first).await.unwrap();
    let settings = VacuumSettings { retention: 7 * DAY, keep_from: None, dry_run: true };
    let gone = vacuum(&lake, quarantine.name(), &settings, later(8 * DAY)).await.unwrap();
    assert_eq!(gone.files, [orphan[0].path.clone()]);
}

#[tokio::test]
async fn the_slowest_reader_counts_and_readers_that_never_read_do_not() {
    let shelf = Shelf::new(&[]);
    shelf.append_each(0..3).await;
    let lake = shelf.lake();
    let position = crate::ledger::position_of(&shelf.open().await).unwrap();
    let readers: Vec<stage::TableName> =
        ["shop.gold.one", "shop.gold.two", "shop.gold.none"].map(|name| name.parse().unwrap()).to_vec();
    assert_eq!(slowest_reader(&lake, &shelf.name, &readers).await.unwrap(), None);
    for (reader, next) in readers.iter().zip([3, 2]) {
        let commit = Commit {
            range: Some(OffsetRange { from: Checkpoint::of(&position, 0), to: Checkpoint::of(&position, next) }),
            schema: schema(),
            record: Record::default(),
            ..shelf.commit(Operation::Append, "", Vec::new(), Vec::new())
        };
        lake.open(reader).await.unwrap().commit(commit).await.unwrap();
    }
    assert_eq!(slowest_reader(&lake, &shelf.name, &readers).await.unwrap(), Some(2));
}

#[tokio::test]
async fn maintenance_does_what_is_due_and_remembers_it() {
    let shelf = Shelf::new(&[]);
    let settings = MaintenanceSettings::default();
    let run = async |after| maintain(&shelf.lake(), &shelf.name, &settings, None, later(after)).await.unwrap();
    assert_eq!(run(DAY).await, Default::default());
    shelf.append_each(0..10).await;
    let first = run(DAY).await;
    assert_eq!(
        (first.compacted.files_removed, first.vacuumed.is_some(), first.log_cleaned.is_some()),
        (10, true, true)
    );
    let second = run(DAY + Duration::from_secs(60)).await;
    assert_eq!((second.compacted.files_removed, second.vacuumed, second.log_cleaned), (0, None, None));
    let third = run(9 * DAY).await;
    assert_eq!(third.vacuumed.unwrap().files.len(), 10);
    assert_eq!(shelf.rows().await, (0..10).map(row).collect::<Vec<_>>());
}

#[tokio::test]
async fn what_is_remembered_stays_as_long_as_a_version_names_it() {
    let shelf = Shelf::new(&[]);
    let remember = async |remembered: Vec<Add>| {
        let mut table = shelf.open().await;
        let mut commit = shelf.commit(Operation::Append, "remembers", Vec::new(), Vec::new());
        commit.record.remembered = Some(Remembered { files: remembered, horizon: Vec::new() });
        table.commit(commit).await.unwrap();
    };
    let stage = async || {
        let table = shelf.open().await;
        let mut writer = table.staging().below(REMEMBERED_FOLDER).writer(schema(), &[]);
        writer.write(&batch(&[row(1)])).await.unwrap();
        writer.close().await.unwrap()
    };
    let (first, second) = (stage().await, stage().await);
    remember(first.clone()).await;
    remember(second.clone()).await;
    shelf.append_each(0..1).await;
    shelf.compact().await;
    let carried = shelf.open().await.record().unwrap().1.remembered.clone().unwrap();
    assert_eq!(carried.files, second, "commits that say nothing of it keep it");
    assert_eq!(vacuumed(&shelf, 6 * DAY, None, false).await.files, Vec::<String>::new());
    let gone = vacuumed(&shelf, 8 * DAY, None, false).await.files;
    assert!(gone.contains(&first[0].path) && !gone.contains(&second[0].path), "{gone:?}");
    assert!(first[0].path.starts_with(REMEMBERED_FOLDER));
}
