//! Commits that race, and commits of other programs in between.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema};
use stage::{Checkpoint, Layer, TableName};

use super::*;
use crate::{Lake, Remembered, RuleOutcome, S3Settings};

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

/// Refuses tables with more than so many files, and makes a commit of its own before it answers the first time.
struct AtMost {
    files: usize,
    judged: std::sync::Mutex<Vec<usize>>,
    faster: tokio::sync::Mutex<Option<(Table, Commit)>>,
}

impl Guard for AtMost {
    fn is_needed(&self) -> bool {
        true
    }

    fn judge<'a>(
        &'a self,
        candidate: crate::Candidate<'a>,
    ) -> futures::future::BoxFuture<'a, Result<Vec<RuleOutcome>>> {
        Box::pin(async move {
            let files = candidate.files.len();
            self.judged.lock().unwrap().push(files);
            if let Some((mut table, commit)) = self.faster.lock().await.take() {
                table.commit(commit).await?;
            }
            if files > self.files { Err(Error::quality("too many")) } else { Ok(vec![RuleOutcome::default()]) }
        })
    }
}

fn adding(path: &str, id: &str) -> Commit {
    let add = Add { path: path.to_owned(), size: 1, data_change: true, ..Add::default() };
    Commit { add: vec![add], ..moving(id, 0, 1) }
}

#[tokio::test]
async fn a_guard_judges_again_after_a_lost_race_and_what_it_refuses_changes_nothing() {
    for (allowed, is_made) in [(3, true), (2, false)] {
        let folder = tempfile::tempdir().unwrap();
        let lake = Lake::new(folder.path().to_str().unwrap(), &S3Settings::default()).unwrap();
        let name = TableName::new("p", Layer::Silver, "t").unwrap();
        let mut table = lake.open(&name).await.unwrap();
        table.commit(adding("1.parquet", "x")).await.unwrap();
        let faster = Some((table.clone(), adding("2.parquet", "y")));
        let guard = AtMost { files: allowed, judged: Default::default(), faster: tokio::sync::Mutex::new(faster) };
        let made = table.commit_guarded(adding("3.parquet", "z"), Some(&guard)).await;
        assert_eq!(*guard.judged.lock().unwrap(), [2, 3], "once before the race and once after");
        let newest = lake.open(&name).await.unwrap();
        assert_eq!((made.is_ok(), newest.version()), (is_made, Some(if is_made { 2 } else { 1 })));
        assert_eq!(newest.files().await.unwrap().len(), if is_made { 3 } else { 2 });
        assert_eq!(newest.record().unwrap().1.rules.len(), usize::from(is_made), "the outcome of the last try alone");
    }
}

#[tokio::test]
async fn a_commit_that_changes_no_rows_takes_over_what_is_remembered_when_it_is_made() {
    let folder = tempfile::tempdir().unwrap();
    let lake = Lake::new(folder.path().to_str().unwrap(), &S3Settings::default()).unwrap();
    let name = TableName::new("p", Layer::Silver, "t").unwrap();
    let remembering = |horizon: &str, from| {
        let remembered = Remembered { files: Vec::new(), horizon: vec![Some(horizon.to_owned())] };
        let record = Record { remembered: Some(remembered), ..Record::default() };
        Commit { record, ..moving("x", from, from + 1) }
    };
    let mut one = lake.open(&name).await.unwrap();
    one.commit(remembering("old", 0)).await.unwrap();
    let mut slow = lake.open(&name).await.unwrap();
    // The first try of the slow one is made on the version it has read, and loses.
    one.commit(remembering("new", 1)).await.unwrap();
    let operation = Operation::Optimize { target_file_size: 1 };
    slow.commit(Commit { operation, range: None, ..moving("x", 0, 0) }).await.unwrap();
    let held = lake.open(&name).await.unwrap().record().unwrap().1.remembered.clone().unwrap();
    assert_eq!(held.horizon, [Some("new".to_owned())]);
}
