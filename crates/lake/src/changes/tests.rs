//! What a reader of changes is told, whatever happened in between.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{Int64Array, RecordBatch};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use proptest::prelude::*;

use super::*;
use crate::{Commit, Lake, Operation, Record, S3Settings};

struct Shelf {
    _folder: tempfile::TempDir,
    table: Table,
}

fn schema() -> SchemaRef {
    Arc::new(Schema::new(vec![Field::new("id", DataType::Int64, true)]))
}

impl Shelf {
    async fn new() -> Shelf {
        let folder = tempfile::tempdir().unwrap();
        let lake = Lake::new(folder.path().to_str().unwrap(), &S3Settings::default()).unwrap();
        let table = lake.open(&"shop.silver.orders".parse().unwrap()).await.unwrap();
        Shelf { _folder: folder, table }
    }

    /// Commits one new file in place of others, and returns it.
    async fn commit(&mut self, operation: Operation, remove: Vec<Add>) -> Add {
        let mut writer = self.table.staging().writer(schema(), &[]);
        let rows = RecordBatch::try_new(schema(), vec![Arc::new(Int64Array::from(vec![1]))]).unwrap();
        writer.write(&rows).await.unwrap();
        let add = writer.close().await.unwrap();
        let commit = Commit {
            operation,
            schema: schema(),
            partition_by: Vec::new(),
            properties: BTreeMap::new(),
            add: add.clone(),
            remove,
            range: None,
            record: Record::default(),
        };
        self.table.commit(commit).await.unwrap();
        add[0].clone()
    }

    async fn changed(&self, from: u64) -> (Vec<String>, Vec<String>) {
        let changes = self.table.changes(from).await.unwrap();
        (paths(&changes.added), paths(&changes.removed))
    }
}

fn paths(files: &[Add]) -> Vec<String> {
    files.iter().map(|file| file.path.clone()).collect()
}

#[tokio::test]
async fn added_and_removed_files_are_told_without_those_that_came_and_went() {
    let mut shelf = Shelf::new().await;
    let first = shelf.commit(Operation::Append, Vec::new()).await;
    let second = shelf.commit(Operation::Rewrite, vec![first.clone()]).await;
    let third = shelf.commit(Operation::Rewrite, vec![second.clone()]).await;
    assert_eq!(shelf.changed(1).await, (vec![third.path.clone()], vec![first.path.clone()]));
    assert_eq!(shelf.changed(2).await, (vec![third.path.clone()], vec![second.path.clone()]));
    assert_eq!(shelf.changed(3).await, (vec![], vec![]));
    assert_eq!(shelf.changed(0).await, (vec![third.path.clone()], vec![]), "the first read is the snapshot");
    let removed = shelf.table.changes(1).await.unwrap().removed;
    assert_eq!((removed[0].size, removed[0].partition_values.len()), (first.size, 0));
    assert_eq!(shelf.table.changes(1).await.unwrap().rewritten, Some(1));
}

#[tokio::test]
async fn a_compaction_tells_of_nothing_and_an_overwrite_of_all_files() {
    let mut shelf = Shelf::new().await;
    let first = shelf.commit(Operation::Append, Vec::new()).await;
    let optimize = Operation::Optimize { target_file_size: 1 };
    let compacted = shelf.commit(optimize, vec![first]).await;
    assert_eq!(shelf.changed(1).await, (vec![], vec![]));
    let newest = shelf.commit(Operation::Overwrite, Vec::new()).await;
    assert_eq!(shelf.changed(1).await, (vec![newest.path.clone()], vec![compacted.path]));
}

#[tokio::test]
async fn a_file_that_comes_back_never_was_away() {
    let mut shelf = Shelf::new().await;
    let first = shelf.commit(Operation::Append, Vec::new()).await;
    let second = shelf.commit(Operation::Rewrite, vec![first.clone()]).await;
    let mut back = Commit {
        operation: Operation::Rewrite,
        schema: schema(),
        partition_by: Vec::new(),
        properties: BTreeMap::new(),
        add: vec![first.clone()],
        remove: vec![second.clone()],
        range: None,
        record: Record::default(),
    };
    back.record.action = "restore".to_owned();
    shelf.table.commit(back).await.unwrap();
    assert_eq!(shelf.changed(1).await, (vec![], vec![]));
    assert_eq!(shelf.changed(2).await, (vec![first.path], vec![second.path]));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    /// From any version on: what was there, less what was removed, and what was added, is what is there. Each file has one
    /// row, and compaction puts one row in place of one.
    #[test]
    fn changes_lead_from_any_version_to_the_newest(steps in prop::collection::vec((0..4_u8, any::<prop::sample::Index>()), 1..12)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let mut shelf = Shelf::new().await;
            shelf.commit(Operation::Append, Vec::new()).await;
            let mut counts = vec![shelf.table.files().await.unwrap().len()];
            for (step, which) in steps {
                let files = shelf.table.files().await.unwrap();
                let one = vec![which.get(&files).clone()];
                match step {
                    0 => shelf.commit(Operation::Append, Vec::new()).await,
                    1 => shelf.commit(Operation::Rewrite, one).await,
                    2 => shelf.commit(Operation::Optimize { target_file_size: 1 }, one).await,
                    _ => shelf.commit(Operation::Overwrite, Vec::new()).await,
                };
                counts.push(shelf.table.files().await.unwrap().len());
            }
            let newest = *counts.last().unwrap();
            for (version, count) in counts.iter().enumerate() {
                let changes = shelf.table.changes(version as u64 + 1).await.unwrap();
                assert_eq!(count + changes.added.len() - changes.removed.len(), newest, "from {version}");
                let added = paths(&changes.added);
                assert!(!changes.removed.iter().any(|file| added.contains(&file.path)));
            }
        });
    }
}
