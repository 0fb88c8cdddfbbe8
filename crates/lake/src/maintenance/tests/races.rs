//! Compaction against every other writer: rows are counted, nothing is lost and nothing doubled.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use proptest::prelude::{Just, Strategy, prop_oneof};
use proptest::test_runner::{Config, TestRunner};
use stage::Kind;

use super::super::compact::{session, stage};
use super::super::plan::plan;
use super::shelf::{ALL_SMALL, Row, Shelf, later, row};
use crate::{Commit, Operation, Table};

/// A change that was prepared and is not committed yet.
struct Prepared {
    table: Table,
    commit: Commit,
    effect: Effect,
}

/// What a commit does to the rows.
#[derive(Debug, Clone, Default)]
struct Effect {
    replaces_all: bool,
    removed: Vec<Row>,
    added: Vec<Row>,
}

#[derive(Debug, Clone, Copy)]
enum Kinds {
    Append,
    AppendChecked,
    Rewrite,
    Overwrite,
    Compact,
}

impl Effect {
    fn apply(&self, rows: &mut Vec<Row>) {
        if self.replaces_all {
            rows.clear();
        }
        for gone in &self.removed {
            let at = rows.iter().position(|row| row == gone).expect("a row is removed once");
            rows.swap_remove(at);
        }
        rows.extend(self.added.iter().cloned());
        rows.sort();
    }
}

/// Prepares a change on the table as it is now. `number` is unique.
async fn prepare(shelf: &Shelf, kind: Kinds, number: i64) -> Option<Prepared> {
    let table = shelf.open().await;
    let files = table.files().await.unwrap();
    let run = format!("{number}");
    let fresh = vec![row(number), (Some("b".into()), number)];
    let (operation, removed, effect) = match kind {
        Kinds::Append => (Operation::Append, Vec::new(), Effect { added: fresh, ..Effect::default() }),
        Kinds::AppendChecked => (Operation::AppendChecked, Vec::new(), Effect { added: fresh, ..Effect::default() }),
        Kinds::Overwrite => {
            (Operation::Overwrite, Vec::new(), Effect { replaces_all: true, added: fresh, ..Effect::default() })
        }
        Kinds::Rewrite => {
            let removed: Vec<_> = files.into_iter().skip(number as usize % 3).step_by(2).collect();
            let rows = shelf.rows_of(&table, &removed).await;
            let added = rows.iter().map(|(part, value)| (part.clone(), value + 1_000_000)).collect();
            (Operation::Rewrite, removed, Effect { removed: rows, added, ..Effect::default() })
        }
        Kinds::Compact => {
            let bundles = plan(files, &ALL_SMALL, later(Default::default()).timestamp_millis());
            if bundles.is_empty() {
                return None;
            }
            let staged = stage(&session(&shelf.lake()), &table, bundles, &ALL_SMALL).await.unwrap();
            let mut commit = staged.commit(&table, &ALL_SMALL);
            commit.record.run = run;
            return Some(Prepared { table, commit, effect: Effect::default() });
        }
    };
    let added = shelf.staged(&table, &effect.added).await;
    Some(Prepared { commit: shelf.commit(operation, &run, added, removed), table, effect })
}

/// Commits; whether it was made.
async fn finish(prepared: &mut Prepared, commit: Commit) -> bool {
    match prepared.table.commit(commit).await {
        Ok(_) => true,
        Err(error) => {
            assert_eq!(error.kind(), Kind::Conflict, "{}", error.chain());
            false
        }
    }
}

/// A step of one of three writers: it prepares a change of that kind, or commits the one it has prepared.
type Step = (usize, Kinds);

async fn check_interleaving(partition_by: &[&str], steps: Vec<Step>) {
    let shelf = Shelf::new(partition_by);
    shelf.append_each(0..3).await;
    let first_unread = shelf.open().await.version().unwrap() + 1;
    let mut rows = shelf.rows().await;
    let before = rows.clone();
    let mut writers: [Option<Prepared>; 3] = [None, None, None];
    for (number, (writer, kind)) in steps.into_iter().enumerate() {
        match writers[writer].take() {
            None => writers[writer] = prepare(&shelf, kind, 100 + number as i64).await,
            Some(mut prepared) => {
                let commit = std::mem::replace(
                    &mut prepared.commit,
                    shelf.commit(Operation::Append, "", Vec::new(), Vec::new()),
                );
                if finish(&mut prepared, commit).await {
                    prepared.effect.apply(&mut rows);
                }
                assert_eq!(shelf.rows().await, rows);
            }
        }
    }
    assert_eq!(shelf.queried().await, rows);
    let table = shelf.open().await;
    let changes = table.changes(first_unread).await.unwrap();
    // As multisets: what there was and what came is what there is and what has gone.
    let sum = |one: Vec<Row>, other: Vec<Row>| {
        let mut sum = [one, other].concat();
        sum.sort();
        sum
    };
    let (came, gone) = (shelf.rows_of(&table, &changes.added).await, shelf.rows_of(&table, &changes.removed).await);
    assert_eq!(sum(before, came), sum(rows, gone));
}

#[test]
fn no_interleaving_of_writers_and_compactions_loses_or_doubles_a_row() {
    let kind = prop_oneof![
        2 => Just(Kinds::Append),
        1 => Just(Kinds::AppendChecked),
        2 => Just(Kinds::Rewrite),
        1 => Just(Kinds::Overwrite),
        4 => Just(Kinds::Compact),
    ];
    let steps = proptest::collection::vec((0..3usize, kind), 1..16);
    let partition_by = prop_oneof![Just(Vec::new()), Just(vec!["part"])];
    let mut runner = TestRunner::new(Config { cases: 48, failure_persistence: None, ..Config::default() });
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let cases = (partition_by, steps).prop_map(|(partition_by, steps)| (partition_by, steps));
    runner
        .run(&cases, |(partition_by, steps)| {
            runtime.block_on(check_interleaving(&partition_by, steps));
            Ok(())
        })
        .unwrap();
}

/// Does `count` changes of a kind, each until it is made, and notes what they do.
async fn write(shelf: Arc<Shelf>, kind: Kinds, numbers: std::ops::Range<i64>, effects: Effects) {
    for number in numbers {
        loop {
            let Some(mut prepared) = prepare(&shelf, kind, number).await else { break };
            effects.lock().unwrap().insert(format!("{number}"), prepared.effect.clone());
            let commit =
                std::mem::replace(&mut prepared.commit, shelf.commit(Operation::Append, "", Vec::new(), Vec::new()));
            if finish(&mut prepared, commit).await {
                break;
            }
        }
    }
}

type Effects = Arc<Mutex<BTreeMap<String, Effect>>>;

/// The rows that the log tells of, from what each commit was meant to do.
async fn expected(shelf: &Shelf, effects: &BTreeMap<String, Effect>) -> Vec<Row> {
    let mut rows = Vec::new();
    let mut history = shelf.open().await.history(usize::MAX).await.unwrap();
    history.reverse();
    for version in history {
        effects[&version.record.unwrap().run].apply(&mut rows);
    }
    rows
}

async fn check_together(kinds: &[(Kinds, i64)]) {
    let shelf = Arc::new(Shelf::new(&["part"]));
    let effects = Effects::default();
    write(shelf.clone(), Kinds::Append, 0..6, effects.clone()).await;
    let mut tasks = tokio::task::JoinSet::new();
    for (index, (kind, count)) in kinds.iter().enumerate() {
        let first = 1000 * (index as i64 + 1);
        tasks.spawn(write(shelf.clone(), *kind, first..first + count, effects.clone()));
    }
    while let Some(joined) = tasks.join_next().await {
        joined.unwrap();
    }
    let effects = effects.lock().unwrap().clone();
    let rows = expected(&shelf, &effects).await;
    assert_eq!(shelf.rows().await, rows);
    assert_eq!(shelf.queried().await, rows);
    let history = shelf.open().await.history(usize::MAX).await.unwrap();
    assert!(history.iter().any(|version| version.operation == "OPTIMIZE"), "nothing was compacted");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn compaction_beside_appends() {
    check_together(&[(Kinds::Append, 15), (Kinds::Append, 15), (Kinds::Compact, 8)]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn compaction_beside_merges() {
    check_together(&[(Kinds::Rewrite, 6), (Kinds::Append, 10), (Kinds::Compact, 6)]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn compaction_beside_overwrites() {
    check_together(&[(Kinds::Overwrite, 5), (Kinds::Append, 10), (Kinds::Compact, 8)]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn compaction_beside_compaction() {
    check_together(&[(Kinds::Compact, 6), (Kinds::Compact, 6), (Kinds::Append, 15)]).await;
}

#[tokio::test]
async fn a_compaction_that_loses_leaves_no_file_behind() {
    let shelf = Shelf::new(&[]);
    shelf.append_each(0..4).await;
    let mut slow = prepare(&shelf, Kinds::Compact, 1).await.unwrap();
    assert_eq!(shelf.compact().await.files_removed, 4);
    let before = shelf.data_files();
    let staged = slow.commit.add.clone();
    let commit = std::mem::replace(&mut slow.commit, shelf.commit(Operation::Append, "", Vec::new(), Vec::new()));
    assert!(!finish(&mut slow, commit).await);
    slow.table.staging().discard(&staged).await;
    assert_eq!(shelf.data_files(), before - 1);
    assert_eq!(shelf.rows().await, (0..4).map(row).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_checked_append_is_not_disturbed_by_a_compaction() {
    let shelf = Shelf::new(&[]);
    shelf.append_each(0..4).await;
    let mut checked = prepare(&shelf, Kinds::AppendChecked, 9).await.unwrap();
    shelf.compact().await;
    let commit = std::mem::replace(&mut checked.commit, shelf.commit(Operation::Append, "", Vec::new(), Vec::new()));
    assert!(finish(&mut checked, commit).await);
}
