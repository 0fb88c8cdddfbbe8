//! Whatever the order of changes, however they are cut into batches, and however often they come, the table is the same.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::shelf::{Change, Shelf, change, delete};

const NEWEST: &str =
    r#"{"merge":{"keys":["key"],"sequence_by":"at","delete_when":"op = 'd'","truncate_when":"op = 't'"}}"#;
const FILLED: &str = r#"{"merge":{"keys":["key"],"sequence_by":["at"],"delete_when":"op = 'd'",
    "truncate_when":"op = 't'","ignore_null_updates":true}}"#;
const HISTORY: &str = r#"{"scd2":{"keys":["key"],"sequence_by":"at","track":["a"],"delete_when":"op = 'd'"}}"#;

/// What happened, by key and sequence: each is one change, and all others with that sequence are repeats of it.
type Story = BTreeMap<(i64, i64), Change>;

/// What is shown of a story by `write`, told the simple way: one change after the other, in order.
fn told(write: &str, story: &Story) -> Vec<String> {
    let emptied = story.values().filter(|change| change.op == "t").map(|change| change.at).max();
    let keys: BTreeSet<i64> = story.keys().map(|(key, _)| *key).collect();
    let mut rows = Vec::new();
    for key in keys {
        let changes = story.range((key, i64::MIN)..=(key, i64::MAX)).map(|(_, change)| change);
        let counts = |change: &&Change| change.op != "t" && emptied.is_none_or(|emptied| change.at >= emptied);
        let changes: Vec<&Change> = changes.filter(counts).collect();
        rows.extend(match write {
            NEWEST => newest(&changes),
            FILLED => filled(&changes),
            _ => history(&changes),
        });
    }
    rows.sort();
    rows
}

fn line(change: &Change) -> String {
    let a = change.a.map(|a| a.to_string()).unwrap_or_default();
    format!("{}|{}|{a}|{}", change.key, change.at, change.b.clone().unwrap_or_default())
}

fn newest(changes: &[&Change]) -> Vec<String> {
    changes.last().filter(|change| change.op == "c").map(|change| line(change)).into_iter().collect()
}

fn filled(changes: &[&Change]) -> Vec<String> {
    let mut row: Option<Change> = None;
    for change in changes {
        row = match (row, change.op) {
            (_, "d") => None,
            (None, _) => Some((*change).clone()),
            (Some(row), _) => {
                Some(Change { a: change.a.or(row.a), b: change.b.clone().or(row.b), ..(*change).clone() })
            }
        };
    }
    row.iter().map(line).collect()
}

fn history(changes: &[&Change]) -> Vec<String> {
    let mut versions: Vec<(Change, i64, Option<i64>)> = Vec::new();
    for change in changes {
        let open = versions.last_mut().filter(|(_, _, to)| to.is_none());
        match (open, change.op) {
            (Some((row, ..)), "c") if row.a == change.a => *row = (*change).clone(),
            (open, op) => {
                if let Some((_, _, to)) = open {
                    *to = Some(change.at);
                }
                if op == "c" {
                    versions.push(((*change).clone(), change.at, None));
                }
            }
        }
    }
    let told = |(row, from, to): &(Change, i64, Option<i64>)| {
        format!("{}|{from}|{}|{}", line(row), to.map(|to| to.to_string()).unwrap_or_default(), to.is_none())
    };
    versions.iter().map(told).collect()
}

fn stories() -> impl Strategy<Value = Story> {
    let op = prop_oneof![12 => Just("c"), 3 => Just("d"), 1 => Just("t")];
    let b = prop::option::weighted(0.6, prop_oneof![Just("x"), Just("y")]);
    let one = (0..4_i64, 0..25_i64, prop::option::weighted(0.6, 0..3_i64), b, op);
    prop::collection::vec(one, 1..30).prop_map(|changes| {
        changes.into_iter().map(|(key, at, a, b, op)| ((key, at), Change { op, ..change(key, at, a, b) })).collect()
    })
}

/// The changes of a story in any order, some of them twice, in several batches.
fn deliveries(story: &Story) -> impl Strategy<Value = Vec<Vec<Change>>> + use<> {
    let all: Vec<Change> = story.values().cloned().collect();
    let repeated = prop::sample::subsequence(all.clone(), 0..=all.len());
    let order = (Just(all), repeated).prop_map(|(all, again)| [all, again].concat()).prop_shuffle();
    (order, prop::collection::vec(1..9_usize, 12)).prop_map(|(changes, cuts)| {
        let mut batches: Vec<Vec<Change>> = Vec::new();
        let mut rest = changes.as_slice();
        for cut in cuts.into_iter().cycle() {
            if rest.is_empty() {
                break;
            }
            let (batch, after) = rest.split_at(cut.min(rest.len()));
            batches.push(batch.to_vec());
            rest = after;
        }
        batches
    })
}

/// `t` means nothing to a history.
fn without_truncation(story: Story) -> Story {
    story.into_iter().filter(|(_, change)| change.op != "t").collect()
}

fn run<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap().block_on(future)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(std::env::var("PROPTEST_CASES").map_or(25, |cases| cases.parse().unwrap())))]

    #[test]
    fn the_table_is_what_all_changes_in_order_give(
        (write, story, batches, memory_bytes) in (prop::sample::select(vec![NEWEST, FILLED, HISTORY]), stories()).prop_flat_map(|(write, story)| {
            let story = if write == HISTORY { without_truncation(story) } else { story };
            let deliveries = deliveries(&story);
            (Just(write), Just(story), deliveries, prop::sample::select(vec![64 << 20, 20_000_usize]))
        })
    ) {
        run(async {
            let shelf = Shelf::new(write).with_memory(memory_bytes);
            for batch in &batches {
                shelf.merge(batch).await;
            }
            assert_eq!(shelf.rows().await, told(write, &story), "{write}");
        });
    }
}

#[tokio::test]
async fn a_deleted_key_does_not_return_with_an_older_row() {
    for write in [NEWEST, FILLED] {
        let shelf = Shelf::new(write);
        shelf.merge(&[change(1, 5, 1, "x"), change(2, 5, 1, "x")]).await;
        shelf.merge(&[delete(1, 9)]).await;
        shelf.merge(&[change(1, 7, 2, "y")]).await;
        assert_eq!(shelf.rows().await, ["2|5|1|x"]);
        shelf.merge(&[change(1, 10, 3, "z")]).await;
        assert_eq!(shelf.rows().await, ["1|10|3|z", "2|5|1|x"]);
    }
}

#[tokio::test]
async fn what_was_remembered_longer_ago_than_asked_is_forgotten_and_versions_stay_as_they_were() {
    let write = HISTORY.replace("\"track\"", "\"remember\":\"1d\",\"track\"");
    let mut shelf = Shelf::new(&write);
    shelf.merge(&[change(1, 1, 1, "x"), change(1, 4, 1, "y"), delete(1, 6), change(1, 8, 2, "z")]).await;
    let before = ["1|4|1|y|1|6|false", "1|8|2|z|8||true"];
    assert_eq!(shelf.rows().await, before);
    shelf.now += chrono::TimeDelta::days(2);
    shelf.merge(&[change(1, 9, 3, "z")]).await;
    assert_eq!(shelf.rows().await, ["1|4|1|y|1|6|false", "1|8|2|z|8|9|false", "1|9|3|z|9||true"]);
    assert!(shelf.remembered().await.files.len() <= 1);
}

#[tokio::test]
async fn equally_new_rows_come_to_the_same_in_either_order() {
    for write in [NEWEST, FILLED, HISTORY] {
        let (one, other) = (change(1, 5, 1, "x"), change(1, 5, 2, "a"));
        let mut found = Vec::new();
        for batches in [[one.clone(), other.clone()], [other, one]] {
            let shelf = Shelf::new(write);
            shelf.merge(&batches[..1]).await;
            shelf.merge(&batches[1..]).await;
            found.push(shelf.rows().await);
        }
        assert_eq!(found[0], found[1], "{write}");
        assert_eq!(found[0].len(), 1);
    }
}

#[tokio::test]
async fn rows_that_are_gone_upstream_go_and_changed_ones_are_replaced_whatever_their_sequence() {
    let shelf = Shelf::new(NEWEST);
    let old = [change(1, 5, 1, "x"), change(2, 5, 1, "x"), change(3, 5, 9, "x")];
    shelf.merge(&old).await;
    shelf.follow(&[change(2, 5, 0, "w"), change(3, 4, 1, "x")], &old).await;
    assert_eq!(shelf.rows().await, ["2|5|0|w", "3|4|1|x"]);
}

#[tokio::test]
async fn a_snapshot_changes_what_differs_and_deletes_what_is_missing() {
    let shelf = Shelf::new(r#"{"merge":{"keys":["key"],"source":"snapshots"}}"#);
    shelf.merge(&[change(1, 1, 1, "x"), change(2, 1, 1, "x"), change(3, 1, 1, "x")]).await;
    let merged = shelf.merge(&[change(1, 1, 1, "x"), change(2, 1, 2, "x"), change(4, 1, 1, "x")]).await;
    assert_eq!(shelf.rows().await, ["1|1|1|x", "2|1|2|x", "4|1|1|x"]);
    assert_eq!(merged.rows, 2);
    let again = shelf.merge(&[change(1, 1, 1, "x"), change(2, 1, 2, "x"), change(4, 1, 1, "x")]).await;
    assert_eq!((again.added.len(), again.removed.len(), again.rows), (0, 0, 0));
}

#[tokio::test]
async fn a_history_of_snapshots_takes_the_newest_and_no_older_one() {
    let shelf = Shelf::new(r#"{"scd2":{"keys":["key"],"sequence_by":"at","source":"snapshots"}}"#);
    let snapshot =
        |at: i64, keys: &[(i64, i64)]| -> Vec<_> { keys.iter().map(|(key, a)| change(*key, at, *a, "x")).collect() };
    shelf.merge(&snapshot(10, &[(1, 1), (2, 1)])).await;
    shelf.merge(&[snapshot(20, &[(9, 9)]), snapshot(30, &[(1, 1), (3, 1)])].concat()).await;
    let after = ["1|10|1|x|10||true", "2|10|1|x|10|30|false", "3|30|1|x|30||true"];
    assert_eq!(shelf.rows().await, after);
    shelf.merge(&snapshot(25, &[(7, 7)])).await;
    assert_eq!(shelf.rows().await, after, "an older snapshot says nothing");
    shelf.merge(&snapshot(30, &[(4, 1)])).await;
    let more = ["1|10|1|x|10||true", "2|10|1|x|10|30|false", "3|30|1|x|30||true", "4|30|1|x|30||true"];
    assert_eq!(shelf.rows().await, more, "the rest of a snapshot deletes nothing");
}
