//! A feed over a stream in memory, into a table on disk.

mod fake;

use chrono::Utc;
use lake::{Commit, Lake, Operation, Record, S3Settings};
use stage::{Context, Kind, Layer, TableName};

use self::fake::{Fake, sequence_number};
use super::*;
use crate::kinesis::failure::Cause;
use crate::kinesis::shards::Place;
use crate::messages::feed::Gathered;

/// A table and a stream that is read into it.
struct Site {
    _folder: tempfile::TempDir,
    table: Table,
    fake: Arc<Fake>,
}

impl Site {
    async fn new() -> Site {
        let folder = tempfile::tempdir().unwrap();
        let lake = Lake::new(folder.path().to_str().unwrap(), &S3Settings::default()).unwrap();
        let table = lake.open(&TableName::new("p", Layer::Bronze, "t").unwrap()).await.unwrap();
        let fake = Arc::new(Fake::default());
        fake.shard("a", &[]);
        Site { _folder: folder, table, fake }
    }

    async fn open(&self, more: &str) -> Result<Opened<KinesisFeed>> {
        let spec = serde_json::from_str(&format!(r#"{{"stream":"s","format":"json"{more}}}"#)).unwrap();
        KinesisFeed::open(self.fake.clone(), &spec, 1 << 20, &self.table).await
    }

    /// Reads to the end as a run does, commits each batch, and returns the rows as `shard number payload`.
    async fn drain(&mut self, more: &str) -> Result<Vec<String>> {
        let mut feed = self.open(more).await?;
        let mut rows = Vec::new();
        loop {
            let mut gathered = Gathered::new();
            let found = gather_all(&mut feed, &mut gathered).await?;
            if found.is_empty() {
                return Ok(rows);
            }
            self.commit(&mut feed, &gathered).await?;
            rows.extend(found);
            if gathered.is_last {
                return Ok(rows);
            }
        }
    }

    async fn commit(&mut self, opened: &mut Opened<KinesisFeed>, gathered: &Gathered<KinesisFeed>) -> Result<()> {
        let (feed, moved) = (&opened.feed, &gathered.moved);
        let record = Record { states: feed.states(moved)?, ..Record::default() };
        self.table.commit(moving(feed.range(moved), record)).await?;
        opened.committed(gathered);
        Ok(())
    }

    fn place(&self, shard: &str) -> Option<Place> {
        let state = held(&self.table, &stream(), 0).unwrap()?;
        state.shards.get(shard).map(|state| state.place.clone())
    }
}

fn stream() -> Stream {
    let (position, name) = ("kinesis/1/r/s".to_owned(), "s".to_owned());
    Stream { position, name, created: 0, retention_hours: 24, now: Utc::now() }
}

fn moving(range: OffsetRange, record: Record) -> Commit {
    use arrow::datatypes::{DataType, Field, Schema};
    Commit {
        operation: Operation::Append,
        schema: Arc::new(Schema::new(vec![Field::new("a", DataType::Int64, true)])),
        partition_by: Vec::new(),
        properties: BTreeMap::default(),
        add: Vec::new(),
        remove: Vec::new(),
        range: Some(range),
        record,
    }
}

async fn gather_all(feed: &mut Opened<KinesisFeed>, gathered: &mut Gathered<KinesisFeed>) -> Result<Vec<String>> {
    let mut rows = Vec::new();
    loop {
        let pieces = feed.gather(gathered, &Context::new("run")).await?;
        if pieces.is_empty() {
            return Ok(rows);
        }
        for piece in pieces {
            let payloads = piece.places.iter().map(|place| String::from_utf8_lossy(&piece.payloads[place.clone()]));
            let rest = piece.parts.iter().zip(&piece.positions).zip(payloads);
            rows.extend(rest.map(|((shard, number), payload)| format!("{} {number} {payload}", piece.name_of(*shard))));
        }
    }
}

fn payloads(rows: &[String]) -> Vec<&str> {
    rows.iter().map(|row| row.rsplit(' ').next().unwrap()).collect()
}

#[tokio::test(start_paused = true)]
async fn each_start_goes_on_behind_the_last_record_of_each_shard() {
    let mut site = Site::new().await;
    site.fake.shard("b", &[]);
    site.fake.put("a", &["1", "2", "3", "4"]);
    let rows = site.drain("").await.unwrap();
    assert_eq!(rows, ["s/a 0 1", "s/a 1 2", "s/a 2 3", "s/a 3 4"]);
    assert_eq!(site.place("a"), Some(Place::After(sequence_number(3))));
    assert_eq!(site.drain("").await.unwrap(), Vec::<String>::new());
    site.fake.put("a", &["5"]);
    site.fake.put("b", &["6"]);
    let mut rows = site.drain(r#","max_rows":1"#).await.unwrap();
    rows.sort();
    assert_eq!(rows, ["s/a 4 5", "s/b 0 6"]);
    assert_eq!(site.table.version(), Some(2));
}

#[tokio::test(start_paused = true)]
async fn the_bytes_of_a_batch_are_those_of_its_payloads_and_keys() {
    let site = Site::new().await;
    // The second one is packed by the producer library, but cut off; its payload counts although it becomes no row.
    site.fake.put("a", &[&b"four"[..], b"\xf3\x89\x9a\xc2!"]);
    let mut feed = site.open("").await.unwrap();
    let mut gathered = Gathered::new();
    gather_all(&mut feed, &mut gathered).await.unwrap();
    assert_eq!(gathered.message_bytes, ("k".len() + "four".len() + 5) as u64);
}

#[tokio::test(start_paused = true)]
async fn children_are_read_after_their_parents_and_never_twice() {
    let mut site = Site::new().await;
    site.fake.put("a", &["1", "2", "3", "4", "5"]);
    site.fake.shard("b", &["a"]);
    site.fake.shard("c", &["a"]);
    site.fake.put("b", &["6"]);
    site.fake.put("c", &["7"]);
    site.fake.shard("d", &["b", "c"]);
    site.fake.put("d", &["8"]);
    let rows = site.drain("").await.unwrap();
    assert_eq!(payloads(&rows[..5]), ["1", "2", "3", "4", "5"]);
    assert_eq!(payloads(&rows[7..]), ["8"]);
    assert_eq!((site.place("a"), site.place("c")), (Some(Place::Closed), Some(Place::Closed)));
    site.fake.shard("e", &["d"]);
    site.fake.put("e", &["9"]);
    site.fake.expire("a");
    assert_eq!(payloads(&site.drain("").await.unwrap()), ["9"]);
    assert_eq!((site.place("a"), site.place("d")), (None, Some(Place::Closed)));
}

#[tokio::test(start_paused = true)]
async fn a_stream_is_resharded_while_it_is_read() {
    let mut site = Site::new().await;
    let mut feed = site.open("").await.unwrap();
    let mut streaming = Context::new("run");
    streaming.streaming = true;
    site.fake.put("a", &["1"]);
    site.fake.shard("b", &["a"]);
    site.fake.put("b", &["2"]);
    let mut found = Vec::new();
    while found.len() < 2 {
        feed.feed.news().await;
        let mut gathered = Gathered::new();
        let pieces = feed.gather(&mut gathered, &streaming).await.unwrap();
        found.extend(pieces.iter().flat_map(|piece| piece.parts.iter().map(|shard| piece.name_of(*shard).to_owned())));
        site.commit(&mut feed, &gathered).await.unwrap();
    }
    assert_eq!(found, ["s/a", "s/b"]);
}

#[tokio::test(start_paused = true)]
async fn a_start_at_the_end_is_kept_before_the_first_record() {
    let mut site = Site::new().await;
    site.fake.put("a", &["1"]);
    tokio::task::spawn_blocking(|| std::thread::sleep(Duration::from_millis(5))).await.unwrap();
    let mut feed = site.open(r#","start":"latest""#).await.unwrap();
    let mut gathered = Gathered::new();
    assert_eq!(gather_all(&mut feed, &mut gathered).await.unwrap(), Vec::<String>::new());
    assert!(feed.feed.is_worth_a_commit(&gathered.moved));
    site.commit(&mut feed, &gathered).await.unwrap();
    drop(feed);
    site.fake.put("a", &["2"]);
    assert_eq!(site.drain(r#","start":"latest""#).await.unwrap(), ["s/a 0 2"]);
}

#[tokio::test(start_paused = true)]
async fn an_empty_advance_from_the_beginning_writes_nothing() {
    let mut site = Site::new().await;
    let mut feed = site.open("").await.unwrap();
    let mut gathered = Gathered::new();
    gather_all(&mut feed, &mut gathered).await.unwrap();
    assert!(!feed.feed.is_worth_a_commit(&gathered.moved));
    site.commit(&mut feed, &gathered).await.unwrap();
    assert!(!feed.feed.is_worth_a_commit(&gathered.moved));
    drop(feed);
    site.fake.shard("b", &["a"]);
    let mut feed = site.open("").await.unwrap();
    let mut gathered = Gathered::new();
    gather_all(&mut feed, &mut gathered).await.unwrap();
    assert!(feed.feed.is_worth_a_commit(&gathered.moved), "what became of the shards is kept");
    let long = Duration::from_secs(3600);
    assert_eq!(feed.feed.due_in(long), Some(Duration::ZERO), "a stream is woken for that");
    site.commit(&mut feed, &gathered).await.unwrap();
    assert_eq!(feed.feed.due_in(long), None);
}

#[tokio::test(start_paused = true)]
async fn one_who_is_asked_too_often_is_asked_again_later() {
    let mut site = Site::new().await;
    site.fake.put("a", &["1", "2", "3", "4"]);
    site.fake.refuse("records", Cause::Throttled, 4);
    site.fake.refuse("records", Cause::Away, 2);
    site.fake.refuse("records", Cause::ExpiredIterator, 1);
    assert_eq!(payloads(&site.drain("").await.unwrap()), ["1", "2", "3", "4"]);
    let first = "a TrimHorizon".to_owned();
    assert_eq!(site.fake.asked(), [first.clone(), first], "only an iterator that is too old is replaced");
}

#[tokio::test(start_paused = true)]
async fn one_who_never_answers_again_ends_the_batch() {
    for cause in [Cause::Throttled, Cause::Away, Cause::Final] {
        let mut site = Site::new().await;
        site.fake.refuse("records", cause, 10_000);
        let error = site.drain("").await.unwrap_err();
        assert_eq!((error.kind(), error.message()), (Kind::Unavailable, "records refused"));
        assert_eq!(site.table.version(), None);
    }
}

#[tokio::test(start_paused = true)]
async fn records_that_are_gone_are_named_and_skipped_only_when_told_to() {
    let mut site = Site::new().await;
    site.fake.put("a", &["1", "2"]);
    site.drain("").await.unwrap();
    site.fake.expire("a");
    site.fake.shard("a", &[]);
    site.fake.put("a", &["3"]);
    let error = site.drain("").await.unwrap_err();
    assert_eq!(error.kind(), Kind::Data);
    assert!(error.message().contains(&format!("s/a is to be read behind sequence number {}", sequence_number(1))));
    let go_on = r#","on_data_loss":"continue""#;
    assert_eq!(site.drain(go_on).await.unwrap(), ["s/a 2 3"]);
    site.fake.make_anew();
    assert!(site.drain("").await.unwrap_err().message().contains("made anew"));
    assert_eq!(site.drain(go_on).await.unwrap(), ["s/a 3 3"]);
}

#[tokio::test(start_paused = true)]
async fn a_writer_that_was_faster_is_noticed() {
    let mut site = Site::new().await;
    let (slow, mut opened) = (site.open("").await.unwrap(), site.table.clone());
    site.fake.put("a", &["1"]);
    site.drain("").await.unwrap();
    assert_eq!(slow.feed.check_held(&site.table).await.unwrap_err().kind(), Kind::Conflict);
    let range = slow.feed.range(&Reached::new());
    assert_eq!(opened.commit(moving(range, Record::default())).await.unwrap_err().kind(), Kind::Conflict);
}

#[tokio::test(start_paused = true)]
async fn commits_of_others_repeat_where_the_shards_stand() {
    let mut site = Site::new().await;
    site.fake.put("a", &["1"]);
    site.drain("").await.unwrap();
    for version in 0..3 {
        let range =
            OffsetRange { from: Checkpoint::of("files/x", version), to: Checkpoint::of("files/x", version + 1) };
        site.table.commit(moving(range, Record::default())).await.unwrap();
    }
    site.fake.put("a", &["2"]);
    assert_eq!(site.drain("").await.unwrap(), ["s/a 1 2"]);
}

#[tokio::test(start_paused = true)]
async fn a_table_that_lost_its_state_is_not_read_into_again() {
    let mut site = Site::new().await;
    site.fake.put("a", &["1"]);
    let range = OffsetRange { from: Checkpoint::of("kinesis/1/r/s", 0), to: Checkpoint::of("kinesis/1/r/s", 3) };
    site.table.commit(moving(range, Record::default())).await.unwrap();
    let error = site.drain("").await.unwrap_err();
    assert_eq!(error.kind(), Kind::Data);
    assert!(error.message().contains("has read 3 batches of it"), "{error}");
    assert!(error.message().contains("delete the folder p/bronze/t in the lake"), "{error}");
}
