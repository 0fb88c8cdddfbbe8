//! What a compaction leaves behind when nobody else writes.

use super::shelf::{Row, Shelf, row};

#[tokio::test]
async fn rows_statistics_and_partitions_stay() {
    let shelf = Shelf::new(&["part"]);
    let parts: Vec<Option<String>> =
        [Some("a"), Some("b c"), Some("d/e%20f=ü:#?"), None].map(|part| part.map(str::to_owned)).to_vec();
    for number in 0..5 {
        let rows: Vec<Row> = parts.iter().map(|part| (part.clone(), number)).collect();
        shelf.append(number, &rows).await;
    }
    let before = shelf.rows().await;
    let done = shelf.compact().await;
    assert_eq!((done.files_removed, done.files_added, done.rows, done.conflicts), (20, 4, 20, 0));
    assert_eq!(shelf.rows().await, before);
    assert_eq!(shelf.queried().await, before);
    let files = shelf.open().await.files().await.unwrap();
    let mut found: Vec<Option<String>> = files.iter().map(|file| file.partition_values["part"].clone()).collect();
    found.sort();
    let mut expected = parts;
    expected.sort();
    assert_eq!(found, expected);
    for file in &files {
        let stats: serde_json::Value = serde_json::from_str(file.stats.as_deref().unwrap()).unwrap();
        assert_eq!((&stats["numRecords"], &stats["minValues"]["number"]), (&5.into(), &0.into()));
        assert_eq!(stats["maxValues"]["number"], 4);
    }
}

#[tokio::test]
async fn the_newest_record_still_tells_where_the_table_stands() {
    let shelf = Shelf::new(&[]);
    shelf.append_each(0..4).await;
    shelf.compact().await;
    let table = shelf.open().await;
    let (version, record) = table.record().unwrap();
    assert_eq!((*version, record.action.as_str(), record.batch), (4, "optimize", 3));
    assert_eq!((record.rows_written, record.fingerprint.as_deref()), (0, Some("print 3")));
    assert_eq!(table.position("source").await.unwrap(), 4);
    shelf.append(4, &[row(4)]).await;
    assert_eq!(shelf.open().await.position("source").await.unwrap(), 5);
    assert_eq!(shelf.rows().await, (0..5).map(row).collect::<Vec<_>>());
}

#[tokio::test]
async fn readers_of_changes_see_nothing_of_it() {
    let shelf = Shelf::new(&[]);
    shelf.append_each(0..4).await;
    shelf.compact().await;
    shelf.append(4, &[row(4)]).await;
    let table = shelf.open().await;
    for from in 1..=6 {
        let changes = table.changes(from).await.unwrap();
        assert_eq!(changes.rewritten, None);
        let expected: Vec<Row> = (from.min(4) as i64..5).filter(|_| from < 6).map(row).collect();
        assert_eq!(shelf.rows_of(&table, &changes.added).await, expected, "from {from}");
    }
    let whole = table.changes(0).await.unwrap();
    assert_eq!(shelf.rows_of(&table, &whole.added).await, (0..5).map(row).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_second_compaction_finds_nothing_to_do() {
    let shelf = Shelf::new(&[]);
    shelf.append_each(0..4).await;
    assert_eq!(shelf.compact().await.files_removed, 4);
    assert_eq!(shelf.compact().await, Default::default());
    assert_eq!(shelf.open().await.version(), Some(4));
}
