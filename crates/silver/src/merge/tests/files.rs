//! Which files a merge writes again.

use super::shelf::{Shelf, change, delete};

const WRITE: &str = r#"{"merge":{"keys":["key"],"sequence_by":"at","delete_when":"op = 'd'"}}"#;

/// A table of ten files with a hundred keys each, a thousand apart, so that bounds alone tell most of it.
async fn ten_files() -> Shelf {
    let shelf = Shelf::new(WRITE);
    for file in 0..10 {
        let rows: Vec<_> = (0..100).map(|key| change(file * 1000 + key * 2, 1, key, "x")).collect();
        shelf.merge(&rows).await;
    }
    assert_eq!(shelf.open().await.files().await.unwrap().len(), 10);
    shelf
}

#[tokio::test]
async fn scattered_keys_touch_only_the_files_that_hold_them() {
    let shelf = ten_files().await;
    let merged = shelf.merge(&[change(10, 2, 7, "y"), change(9010, 2, 7, "y")]).await;
    assert_eq!((merged.added.len(), merged.removed.len(), merged.rows), (2, 2, 2));
    for file in &merged.added {
        assert_eq!(shelf.keys_of(file).await.len(), 100, "a file keeps its keys");
    }
}

#[tokio::test]
async fn a_key_within_the_bounds_of_a_file_that_does_not_hold_it_touches_nothing() {
    let shelf = ten_files().await;
    let merged = shelf.merge(&[change(1011, 2, 7, "y")]).await;
    assert_eq!((merged.added.len(), merged.removed.len(), merged.rows), (1, 0, 1));
}

#[tokio::test]
async fn the_same_changes_again_write_nothing() {
    let shelf = ten_files().await;
    let changes = [change(10, 2, 7, "y"), delete(3000, 2), change(777_777, 1, 1, "n")];
    shelf.merge(&changes).await;
    let rows = shelf.rows().await;
    let again = shelf.merge(&changes).await;
    assert_eq!((again.added.len(), again.removed.len(), again.rows), (0, 0, 0));
    assert_eq!(shelf.rows().await, rows);
}

#[tokio::test]
async fn a_batch_beyond_the_memory_is_taken_in_passes_whose_files_lie_side_by_side() {
    let shelf = Shelf::new(WRITE).with_memory(200_000);
    let all: Vec<_> = (0..2000).map(|key| change(key * 7919 % 2000, 1, key, "x")).collect();
    let merged = shelf.merge(&all).await;
    assert_eq!(merged.rows, 2000);
    assert!(merged.added.len() > 2, "{}", merged.added.len());
    let mut ranges = Vec::new();
    for file in &merged.added {
        let keys = shelf.keys_of(file).await;
        ranges.push((keys[0], keys[keys.len() - 1]));
    }
    ranges.sort_unstable();
    assert!(ranges.windows(2).all(|pair| pair[0].1 < pair[1].0), "{ranges:?}");
    let same_key: Vec<_> = (0..50).map(|at| change(7, at - 50, at, "z")).collect();
    assert_eq!(shelf.merge(&same_key).await.rows, 0);
    let update: Vec<_> = (0..2000).map(|key| change(key, 2, 5, "y")).collect();
    assert_eq!(shelf.merge(&update).await.rows, 2000);
    assert_eq!(shelf.rows().await.len(), 2000);
    assert!(shelf.rows().await.iter().all(|row| row.ends_with("|2|5|y")));
}

#[tokio::test]
async fn what_is_remembered_stays_in_few_files() {
    let shelf = Shelf::new(WRITE);
    for key in 0..30 {
        shelf.merge(&[delete(key, 5)]).await;
    }
    assert!(shelf.remembered().await.files.len() <= 9);
    let older: Vec<_> = (0..31).map(|key| change(key, 4, 1, "x")).collect();
    shelf.merge(&older).await;
    assert_eq!(shelf.rows().await, ["30|4|1|x"]);
}
