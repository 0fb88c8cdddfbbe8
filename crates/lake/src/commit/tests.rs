//! Commits that race, and commits of other programs in between.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema};
use stage::{Checkpoint, Layer, TableName};

use super::*;
use crate::{Lake, S3Settings};

fn moving(id: &str, from: i64, to: i64) -> Commit {
    Commit {
        operation: Operation::Append,
        schema: Arc::new(Schema::new(vec![Field::new("a", DataType::Int64, true)])),
        partition_by: Vec::new(),
        properties: BTreeMap::default(),
        add: Vec::new(),
        remove: Vec::new(),
        range: Some(OffsetRange { from: Checkpoint::of(id, from), to: Checkpoint::of(id, to) }),
        record: Record::default(),
    }
}

#[tokio::test]
async fn a_lost_race_never_takes_back_the_positions_of_the_winner() {
    let folder = tempfile::tempdir().unwrap();
    let lake = Lake::new(folder.path().to_str().unwrap(), &S3Settings::default()).unwrap();
    let name = TableName::new("p", Layer::Bronze, "t").unwrap();
    let mut one = lake.open(&name).await.unwrap();
    one.commit(moving("x", 0, 1)).await.unwrap();
    one.commit(moving("y", 0, 1)).await.unwrap();
    let mut other = lake.open(&name).await.unwrap();
    one.commit(moving("x", 1, 5)).await.unwrap();
    other.commit(moving("y", 1, 7)).await.unwrap();
    let positions = lake.open(&name).await.unwrap().positions();
    assert_eq!((positions.next("x"), positions.next("y")), (5, 7));
}

/// Commits of another program, which tell nothing and move nothing of ours.
fn foreign_commits(table: &Table, versions: std::ops::Range<u64>) {
    let log = table.url().to_file_path().unwrap().join("_delta_log");
    for version in versions {
        let told = json!({ "commitInfo": { "timestamp": 0, "operation": "SET TBLPROPERTIES" } });
        std::fs::write(log.join(format!("{version:020}.json")), told.to_string()).unwrap();
    }
}

#[tokio::test]
async fn positions_are_carried_over_any_number_of_commits_of_other_programs() {
    let folder = tempfile::tempdir().unwrap();
    let lake = Lake::new(folder.path().to_str().unwrap(), &S3Settings::default()).unwrap();
    let name = TableName::new("p", Layer::Bronze, "t").unwrap();
    let mut table = lake.open(&name).await.unwrap();
    table.commit(moving("x", 0, 5)).await.unwrap();
    foreign_commits(&table, 1..300);
    let anew = Lake::new(folder.path().to_str().unwrap(), &S3Settings::default()).unwrap();
    let mut table = anew.open(&name).await.unwrap();
    table.commit(moving("y", 0, 7)).await.unwrap();
    assert_eq!((table.position("x").await.unwrap(), table.position("y").await.unwrap()), (5, 7));
    assert_eq!((table.positions().next("x"), table.positions().next("y")), (5, 7));
}

#[tokio::test]
async fn positions_outlive_a_log_that_another_program_cleaned() {
    let folder = tempfile::tempdir().unwrap();
    let lake = Lake::new(folder.path().to_str().unwrap(), &S3Settings::default()).unwrap();
    let name = TableName::new("p", Layer::Bronze, "t").unwrap();
    let mut table = lake.open(&name).await.unwrap();
    table.commit(moving("x", 0, 5)).await.unwrap();
    foreign_commits(&table, 1..4);
    table.refresh().await.unwrap();
    deltalake::checkpoints::create_checkpoint(&table.inner, None).await.unwrap();
    for version in 0..3 {
        let log = table.url().to_file_path().unwrap().join("_delta_log");
        std::fs::remove_file(log.join(format!("{version:020}.json"))).unwrap();
    }
    for (id, next) in [("y", 7), ("z", 9)] {
        let anew = Lake::new(folder.path().to_str().unwrap(), &S3Settings::default()).unwrap();
        let mut table = anew.open(&name).await.unwrap();
        assert_eq!((table.position("x").await.unwrap(), table.position(id).await.unwrap()), (5, 0));
        table.commit(moving(id, 0, next)).await.unwrap();
        assert_eq!((table.position("x").await.unwrap(), table.position(id).await.unwrap()), (5, next));
    }
}

fn told(times: &[(&str, i64)]) -> Record {
    let greatest_event_times = times.iter().map(|(source, time)| ((*source).to_owned(), *time)).collect();
    Record { greatest_event_times, ..Record::default() }
}

#[tokio::test]
async fn event_times_are_only_taken_back_when_all_rows_are_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let lake = Lake::new(folder.path().to_str().unwrap(), &S3Settings::default()).unwrap();
    let name = TableName::new("p", Layer::Silver, "t").unwrap();
    let mut one = lake.open(&name).await.unwrap();
    one.commit(Commit { record: told(&[("a", 5), ("b", 5)]), ..moving("x", 0, 1) }).await.unwrap();
    let mut slow = lake.open(&name).await.unwrap();
    one.commit(Commit { record: told(&[("a", 9)]), ..moving("x", 1, 2) }).await.unwrap();
    slow.commit(Commit { record: told(&[("a", 7), ("c", 1)]), ..moving("y", 0, 1) }).await.unwrap();
    one.refresh().await.unwrap();
    let optimize = Operation::Optimize { target_file_size: 1 };
    one.commit(Commit { operation: optimize, range: None, ..moving("x", 0, 0) }).await.unwrap();
    let held = lake.open(&name).await.unwrap().record().unwrap().1.greatest_event_times.clone();
    assert_eq!(held, told(&[("a", 9), ("b", 5), ("c", 1)]).greatest_event_times);
    let anew = Commit { operation: Operation::Overwrite, record: told(&[("a", 2)]), ..moving("x", 2, 3) };
    one.commit(anew).await.unwrap();
    assert_eq!(one.record().unwrap().1.greatest_event_times, told(&[("a", 2)]).greatest_event_times);
}
