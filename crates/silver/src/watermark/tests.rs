//! Whatever the cuts of batches, the same rows are late, and they are those that the definition names.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use ::stage::{Checkpoint, Context, OffsetRange, Stage as _, TableName};
use arrow::array::{ArrayRef, AsArray as _, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray};
use arrow::datatypes::Int64Type;
use frame::TimeSpan;
use frame::spec::{CastSpec, CleanSpec};
use lake::{Commit, Lake, Operation, Record, RollingWriter, S3Settings, Table, maintenance};
use proptest::prelude::*;
use sql::{Engine, EngineOptions};

use crate::Silver;
use crate::spec::{SilverSpec, WatermarkSpec, WriteSpec};

const START: i64 = 1_700_000_000_000_000;
/// A step of time: less than statistics tell apart.
const STEP: i64 = 400;
const DELAY_MICROS: i64 = 2_000;

#[derive(Debug, Clone)]
struct Row {
    id: i64,
    batch: i64,
    source: String,
    position: i64,
    time: Option<i64>,
    ingested_at: i64,
}

/// How the rows of a test come: from files or from partitions, with times or with texts that become times.
#[derive(Debug, Clone, Copy)]
struct Form {
    is_partitioned: bool,
    is_text: bool,
    has_sql: bool,
}

/// Batches of upstream rows, in the order in which they are ingested.
fn upstream(form: Form, batches: &[Vec<(u8, Option<i64>)>]) -> Vec<Vec<Row>> {
    let mut id = 0;
    let mut next: BTreeMap<(i64, String), i64> = BTreeMap::new();
    let mut numbered = |batch: usize, (source, time): &(u8, Option<i64>)| {
        let batch = batch as i64;
        let (restart, source) =
            if form.is_partitioned { (0, format!("t/{source}")) } else { (batch, format!("f{source}.json")) };
        let position = next.entry((restart, source.clone())).or_default();
        *position += 1;
        id += 1;
        let (time, ingested_at) = (time.map(|time| START + time * STEP), START + (batch * 4 + 6) * STEP);
        Row { id, batch, source, position: *position, time, ingested_at }
    };
    batches.iter().enumerate().map(|(batch, rows)| rows.iter().map(|row| numbered(batch, row)).collect()).collect()
}

/// What the definition says, looked up for each row among all rows before it.
fn late_by_definition(form: Form, rows: &[Row]) -> BTreeSet<i64> {
    let is_before = |one: &Row, other: &Row| match form.is_partitioned {
        true => one.source == other.source && one.position < other.position,
        false => (one.batch, &one.source, one.position) < (other.batch, &other.source, other.position),
    };
    let is_late = |row: &&Row| {
        let earlier = rows.iter().filter(|one| is_before(one, row));
        let greatest = earlier.filter_map(|one| one.time.map(|time| time.min(one.ingested_at))).max();
        greatest.zip(row.time).is_some_and(|(greatest, time)| time < greatest - DELAY_MICROS)
    };
    rows.iter().filter(is_late).map(|row| row.id).collect()
}

struct Shop {
    lake: Lake,
    engine: Engine,
    form: Form,
    write: WriteSpec,
    delay: Option<TimeSpan>,
    sql: &'static str,
    _folder: tempfile::TempDir,
}

fn name(text: &str) -> TableName {
    text.parse().unwrap()
}

impl Shop {
    fn new(form: Form, write: WriteSpec) -> Shop {
        let folder = tempfile::tempdir().unwrap();
        let lake = Lake::new(folder.path().to_str().unwrap(), &S3Settings::default()).unwrap();
        let options = EngineOptions { memory_bytes: 64 << 20, spill_folder: None, threads: 2 };
        let delay = Some(TimeSpan::milliseconds(DELAY_MICROS.unsigned_abs() / 1000));
        let sql = "SELECT e.id, e.at FROM bronze.t e WHERE id > 0";
        Shop { lake, engine: Engine::new(options).unwrap(), form, write, delay, sql, _folder: folder }
    }

    /// Commits rows to bronze as several workers would: in files that hold them in no order.
    async fn ingest(&self, rows: &[Row]) {
        let mut table = self.lake.open(&name("p.bronze.t")).await.unwrap();
        let (odd, even): (Vec<&Row>, Vec<&Row>) = rows.iter().rev().partition(|row| row.id % 2 == 1);
        let mut added = Vec::new();
        for rows in [odd, even] {
            let mut writer = RollingWriter::new(table.staging(), &[]);
            writer.write(&self.batch(&rows)).await.unwrap();
            added.extend(writer.close().await.unwrap());
        }
        let id = if self.form.is_partitioned { "kafka/c/t/0" } else { "files/landing" };
        let from = table.position(id).await.unwrap();
        let range = OffsetRange { from: Checkpoint::of(id, from), to: Checkpoint::of(id, from + 1) };
        let commit = Commit {
            operation: Operation::Append,
            schema: self.batch(&[]).schema(),
            partition_by: Vec::new(),
            properties: BTreeMap::new(),
            add: added,
            remove: Vec::new(),
            range: Some(range),
            record: Record::default(),
        };
        table.commit(commit).await.unwrap();
    }

    fn batch(&self, rows: &[&Row]) -> RecordBatch {
        let numbers =
            |of: fn(&Row) -> i64| Arc::new(rows.iter().map(|row| of(row)).collect::<Int64Array>()) as ArrayRef;
        let times = |of: fn(&Row) -> Option<i64>| {
            let times: TimestampMicrosecondArray = rows.iter().map(|row| of(row)).collect();
            Arc::new(times.with_timezone("UTC")) as ArrayRef
        };
        let text = |time: i64| chrono::DateTime::from_timestamp_micros(time).unwrap().to_rfc3339();
        let time = match self.form.is_text {
            true => Arc::new(rows.iter().map(|row| row.time.map(text)).collect::<StringArray>()) as ArrayRef,
            false => times(|row| row.time),
        };
        let sources: StringArray = rows.iter().map(|row| Some(row.source.as_str())).collect();
        RecordBatch::try_from_iter_with_nullable([
            ("id", numbers(|row| row.id), true),
            ("at", time, true),
            ("_source", Arc::new(sources) as ArrayRef, true),
            ("_position", numbers(|row| row.position), true),
            ("_ingested_at", times(|row| Some(row.ingested_at)), true),
            ("_batch", numbers(|row| row.batch), true),
        ])
        .unwrap()
    }

    /// Brings silver up to date.
    async fn advance(&self, full_refresh: bool) -> ::stage::Progress {
        let clean = CleanSpec {
            cast: self
                .form
                .is_text
                .then(|| ("at".to_owned(), CastSpec::Type("timestamp".into())))
                .into_iter()
                .collect(),
            ..CleanSpec::default()
        };
        let spec = SilverSpec {
            event_time: None,
            description: String::new(),
            from: "bronze.t".into(),
            partition_by: Vec::new(),
            write: self.write.clone(),
            clean,
            watermark: self.delay.map(|delay| WatermarkSpec { column: "at".into(), delay }),
            expect: Vec::new(),
            check: Vec::new(),
            profile: quality::profile::spec::ProfileSpec::default(),
        };
        let sql = self.form.has_sql.then(|| self.sql.to_owned());
        let (lake, engine) = (self.lake.clone(), self.engine.clone());
        let mut silver = Silver::new(name("p.silver.t"), name("p.bronze.t"), spec, sql, lake, engine, 64 << 20);
        silver.advance(&Context { full_refresh, ..Context::new("run") }).await.unwrap()
    }

    async fn compact(&self, table: &str) {
        let settings = maintenance::MaintenanceSettings::default().at_once();
        maintenance::compact(&self.lake, &name(table), &settings, chrono::Utc::now()).await.unwrap();
    }

    async fn silver(&self) -> Table {
        self.lake.open(&name("p.silver.t")).await.unwrap()
    }

    async fn kept(&self) -> Vec<i64> {
        let columns =
            sql::select(&self.engine, self.silver().await.provider().await.unwrap(), &[], &["id"]).await.unwrap();
        let mut ids: Vec<i64> =
            columns.iter().flat_map(|rows| rows.column(0).as_primitive::<Int64Type>().values().to_vec()).collect();
        ids.sort_unstable();
        ids
    }

    async fn quarantined(&self) -> Vec<i64> {
        let table = self.lake.open(&name("p.quarantine.silver_t")).await.unwrap();
        if table.version().is_none() {
            return Vec::new();
        }
        let found = sql::select(&self.engine, table.provider().await.unwrap(), &[], &["row", "reasons"]).await.unwrap();
        let mut ids = Vec::new();
        for rows in found {
            for row in 0..rows.num_rows() {
                let json: serde_json::Value = serde_json::from_str(rows.column(0).as_string_view().value(row)).unwrap();
                assert_eq!(rows.column(1).as_list::<i32>().value(row).as_string_view().value(0), "late");
                assert!(json["at"].is_string(), "the time that was late stands in the row: {json}");
                ids.push(json["id"].as_i64().unwrap());
            }
        }
        ids.sort_unstable();
        ids
    }
}

/// Sources and times, batch by batch; times lie within the delay of each other, or far apart.
fn batches() -> impl Strategy<Value = Vec<Vec<(u8, Option<i64>)>>> {
    prop::sample::select(vec![6i64, 30]).prop_flat_map(|spread| {
        let row = (0u8..3, proptest::option::weighted(0.9, 0..spread));
        proptest::collection::vec(proptest::collection::vec(row, 1..12), 1..6)
    })
}

fn forms() -> impl Strategy<Value = Form> {
    any::<[bool; 3]>().prop_map(|[is_partitioned, is_text, has_sql]| Form { is_partitioned, is_text, has_sql })
}

fn block_on(test: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap().block_on(test);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 16, ..ProptestConfig::default() })]

    #[test]
    fn cuts_of_batches_change_nothing(form in forms(), batches in batches(), cuts in any::<[bool; 6]>()) {
        block_on(async {
            let batches = upstream(form, &batches);
            let rows: Vec<Row> = batches.concat();
            let late = late_by_definition(form, &rows);
            let kept: Vec<i64> = rows.iter().map(|row| row.id).filter(|id| !late.contains(id)).collect();
            let late: Vec<i64> = late.into_iter().collect();
            let shop = Shop::new(form, WriteSpec::Append);
            let mut told = 0;
            for (batch, cut) in batches.iter().zip(cuts) {
                shop.ingest(batch).await;
                if cut {
                    told += shop.advance(false).await.rejects.get("late").copied().unwrap_or_default();
                    shop.compact("p.silver.t").await;
                }
            }
            told += shop.advance(false).await.rejects.get("late").copied().unwrap_or_default();
            assert_eq!((shop.kept().await, shop.quarantined().await), (kept.clone(), late.clone()));
            assert_eq!(told, late.len() as u64);
            shop.advance(true).await;
            assert_eq!(shop.kept().await, kept, "a full refresh begins anew and comes to the same");
        });
    }

    #[test]
    fn partitions_may_be_ingested_in_any_batches(is_text in any::<bool>(), batches in batches()) {
        block_on(async {
            let form = Form { is_partitioned: true, is_text, has_sql: false };
            let rows: Vec<Row> = upstream(form, &batches).concat();
            let at_once: Vec<Row> = rows.iter().cloned().map(|row| Row { batch: 0, ..row }).collect();
            let shop = Shop::new(form, WriteSpec::Append);
            shop.ingest(&at_once).await;
            shop.advance(false).await;
            let late: Vec<i64> = late_by_definition(form, &rows).into_iter().collect();
            assert_eq!(shop.quarantined().await, late);
        });
    }
}

fn row(id: i64, batch: i64, time: i64) -> Row {
    let ingested_at = START + 1_000_000_000;
    Row { id, batch, source: "t/0".into(), position: batch * 10 + id, time: Some(START + time), ingested_at }
}

const PARTITIONS: Form = Form { is_partitioned: true, is_text: false, has_sql: true };

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_compaction_keeps_the_watermarks_and_a_full_refresh_begins_anew() {
    let shop = Shop::new(PARTITIONS, WriteSpec::Append);
    for (batch, time) in [(0, 100_000), (1, 101_000)] {
        shop.ingest(&[row(batch + 1, batch, time)]).await;
        shop.advance(false).await;
    }
    let before = shop.silver().await.record().unwrap().1.clone();
    assert_eq!(before.greatest_event_times.values().collect::<Vec<_>>(), [&(START + 101_000)]);
    assert!(
        before.greatest_event_times.keys().all(|id| id.starts_with("table/") && id.contains("/t/0#")),
        "{before:?}"
    );
    shop.compact("p.silver.t").await;
    let after = shop.silver().await.record().unwrap().1.clone();
    assert_ne!(before.id, after.id, "there was something to compact");
    assert_eq!(before.greatest_event_times, after.greatest_event_times);
    shop.ingest(&[row(3, 2, 50_000)]).await;
    assert_eq!(shop.advance(false).await.rejects["late"], 1);
    assert_eq!(shop.advance(true).await.rejects["late"], 1);
    assert_eq!(shop.silver().await.record().unwrap().1.greatest_event_times, before.greatest_event_times);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_row_ahead_makes_all_that_follow_late_however_many_they_are() {
    let shop = Shop::new(PARTITIONS, WriteSpec::Append);
    let ahead = [row(1, 0, 0), row(2, 0, 100_000)];
    let behind = (3..=20_000).map(|id| row(id, 0, 0));
    shop.ingest(&ahead.into_iter().chain(behind).collect::<Vec<Row>>()).await;
    let progress = shop.advance(false).await;
    assert_eq!((progress.rows_written, progress.rejects["late"]), (2, 19_998));
    assert_eq!(shop.kept().await, [1, 2]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_clock_in_the_future_makes_no_other_row_late() {
    let shop = Shop::new(PARTITIONS, WriteSpec::Append);
    let wrong = Row { ingested_at: START + 1_000, ..row(1, 0, 900_000_000) };
    let right = Row { ingested_at: START + 1_000, ..row(2, 0, 500) };
    shop.ingest(&[wrong, right]).await;
    assert_eq!(shop.advance(false).await.rows_written, 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_query_decides_neither_what_is_late_nor_where_the_watermark_stands() {
    for (sql, rows) in [
        ("SELECT id, at FROM bronze.t UNION ALL SELECT -id AS id, at FROM bronze.t", 4),
        ("SELECT id, at FROM bronze.t WHERE false", 0),
    ] {
        let mut shop = Shop::new(PARTITIONS, WriteSpec::Append);
        shop.sql = sql;
        shop.ingest(&[row(1, 0, 100_000)]).await;
        shop.advance(false).await;
        shop.ingest(&[row(2, 1, 50_000), row(3, 1, 101_000)]).await;
        let progress = shop.advance(false).await;
        assert_eq!((progress.rejects["late"], progress.rows_quarantined), (1, 1), "{sql}");
        assert_eq!((shop.quarantined().await, shop.kept().await.len()), (vec![2], rows), "{sql}");
        let watermarks = shop.silver().await.record().unwrap().1.greatest_event_times.clone();
        assert_eq!(watermarks.into_values().collect::<Vec<_>>(), [START + 101_000], "{sql}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn repeats_are_looked_for_as_far_back_as_the_watermark() {
    let shop = Shop::new(PARTITIONS, WriteSpec::UniqueKey(vec!["id".into()]));
    let second = 1_000_000;
    for (batch, time) in [(0, 0), (1, 10 * second), (2, 20 * second)] {
        shop.ingest(&[row(batch + 1, batch, time)]).await;
        shop.advance(false).await;
    }
    // Files of rows that are too old to come again are not even there any more; nobody may miss them.
    let table = shop.silver().await;
    let mut gone = 0;
    for file in table.files().await.unwrap() {
        if file.stats.as_deref().unwrap().contains("22:13:20") {
            std::fs::remove_file(table.url().to_file_path().unwrap().join(file.path.as_str())).unwrap();
            gone += 1;
        }
    }
    assert_eq!(gone, 1);
    let repeat = Row { position: 90, ..row(3, 3, 20 * second) };
    shop.ingest(&[repeat, Row { position: 91, ..row(1, 3, 20 * second) }]).await;
    let progress = shop.advance(false).await;
    assert_eq!((progress.rows_written, progress.rows_dropped), (1, 1));
}

/// `cargo test --release -p cli -p silver -- --ignored --nocapture` shows what watermarks cost.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "measures"]
async fn what_a_watermark_costs() {
    const BATCHES: i64 = 30;
    let rows = |batch: i64, count: i64| -> Vec<Row> {
        let row = |id: i64| {
            let time = START + (batch * count + id - id * 7919 % 5_000) * STEP;
            let source = format!("behavior/{}", id % 8);
            let (position, ingested_at) = (batch * count + id, START + 1_000_000_000_000);
            Row { id, batch, source, position, time: Some(time), ingested_at }
        };
        (0..count).map(row).collect()
    };
    for (count, batches) in [(1_000, BATCHES), (2_000_000, 1)] {
        for (is_text, delay) in
            [(false, None), (false, Some(3_600_000)), (false, Some(1_000)), (true, None), (true, Some(3_600_000))]
        {
            let form = Form { is_partitioned: true, is_text, has_sql: true };
            let mut shop = Shop::new(form, WriteSpec::Append);
            shop.delay = delay.map(TimeSpan::milliseconds);
            let mut times = Vec::new();
            let mut late = 0;
            for batch in 0..batches {
                shop.ingest(&rows(batch, count)).await;
                let start = std::time::Instant::now();
                late += shop.advance(false).await.rejects.get("late").copied().unwrap_or_default();
                times.push(start.elapsed());
            }
            times.sort();
            let median = times[times.len() / 2];
            println!("{count} rows, text {is_text}, delay {delay:?} ms: {median:?}, {late} late");
        }
    }
}
