//! Tables that do what a test tells them, and a stream of them.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use stage::{Context, Error, Gauge, Progress, Result, Stage, TableName};
use tokio::sync::Notify;

use crate::spec::{TableTaskSpec, TaskSpec, WorkflowSpec};
use crate::stream::{Stream, StreamEvent, StreamOptions, StreamOutcome, StreamStatus, TableState, TableStatus};
use crate::tests::fakes::{Script, script};
use crate::{Built, History, Selection, Work, Workflow, Workshop, check};

pub(super) const SECOND: Duration = Duration::from_secs(1);

/// Waits for the source; it is told how often it was called before.
pub(super) type Arrival = Arc<dyn Fn(usize) -> BoxFuture<'static, Result<()>> + Send + Sync>;

pub(super) fn arrival<F>(wait: impl Fn(usize) -> F + Send + Sync + 'static) -> Arrival
where
    F: Future<Output = Result<()>> + Send + 'static,
{
    Arc::new(move |calls| wait(calls).boxed())
}

/// Something that rows are put into and taken from: a source, or the versions of a table.
#[derive(Default)]
pub(super) struct Pile {
    rows: AtomicU64,
    changed: Notify,
}

impl Pile {
    pub(super) fn put(&self, rows: u64) {
        self.rows.fetch_add(rows, Ordering::SeqCst);
        self.changed.notify_one();
    }
}

/// A commit of that many rows.
pub(super) fn committed(version: u64, rows: u64) -> Progress {
    Progress { rows_read: rows, rows_written: rows, version: Some(version), ..Progress::default() }
}

#[derive(Clone)]
struct Fake {
    reads: Vec<TableName>,
    advance: Script,
    arrival: Arrival,
    advances: Arc<AtomicUsize>,
    arrivals: Arc<AtomicUsize>,
    builds: Arc<AtomicUsize>,
    gauges: Arc<Mutex<Vec<Gauge>>>,
}

struct FakeStage {
    table: TableName,
    fake: Fake,
}

impl Stage for FakeStage {
    fn table(&self) -> &TableName {
        &self.table
    }

    fn advance<'a>(&'a mut self, context: &'a Context) -> BoxFuture<'a, Result<Progress>> {
        assert!(context.streaming);
        (self.fake.advance)(self.fake.advances.fetch_add(1, Ordering::SeqCst), context.clone())
    }

    fn reads(&self) -> Vec<TableName> {
        self.fake.reads.clone()
    }

    fn arrival<'a>(&'a mut self, _: &'a Context) -> BoxFuture<'a, Result<()>> {
        (self.fake.arrival)(self.fake.arrivals.fetch_add(1, Ordering::SeqCst))
    }

    fn gauges(&self) -> Vec<Gauge> {
        self.fake.gauges.lock().unwrap().clone()
    }
}

/// The tables of a stream under test.
pub(super) struct Tables {
    fakes: BTreeMap<String, Fake>,
    piles: HashMap<String, Arc<Pile>>,
    pub(super) spec: WorkflowSpec,
    pub(super) options: StreamOptions,
    folder: tempfile::TempDir,
}

/// A stream that goes on.
pub(super) struct Going {
    pub(super) status: Arc<StreamStatus>,
    pub(super) history: History,
    pub(super) context: Context,
    events: Arc<Mutex<Vec<StreamEvent>>>,
    ending: tokio::task::JoinHandle<StreamOutcome>,
    _folder: tempfile::TempDir,
}

pub(super) fn name(table: &str) -> TableName {
    format!("test.bronze.{table}").parse().unwrap()
}

impl Tables {
    pub(super) fn new() -> Tables {
        Tables {
            fakes: BTreeMap::new(),
            piles: HashMap::new(),
            spec: WorkflowSpec { name: "test".into(), ..WorkflowSpec::default() },
            options: StreamOptions::default(),
            folder: tempfile::tempdir().unwrap(),
        }
    }

    /// A table with a task of its own.
    pub(super) fn table(&mut self, table: &str, reads: &[&str], advance: Script, arrival: Arrival) {
        let fake = Fake {
            reads: reads.iter().map(|upstream| name(upstream)).collect(),
            advance,
            arrival,
            advances: Arc::default(),
            arrivals: Arc::default(),
            builds: Arc::default(),
            gauges: Arc::default(),
        };
        self.fakes.insert(table.to_owned(), fake);
        self.task(table, table);
    }

    pub(super) fn task(&mut self, key: &str, table: &str) -> &mut TaskSpec {
        let bronze_task = Some(TableTaskSpec { table: format!("test.bronze.{table}") });
        self.spec.tasks.push(TaskSpec { task_key: key.to_owned(), bronze_task, ..TaskSpec::default() });
        self.spec.tasks.last_mut().unwrap()
    }

    /// A table that takes what is put into its source, and the source.
    pub(super) fn source(&mut self, table: &str) -> Arc<Pile> {
        let source = Arc::new(Pile::default());
        let (taken, waited) = (Arc::clone(&source), Arc::clone(&source));
        let takes = self.takes(table, &taken, Duration::ZERO);
        let waits = arrival(move |_| {
            let source = Arc::clone(&waited);
            async move {
                while source.rows.load(Ordering::SeqCst) == 0 {
                    source.changed.notified().await;
                }
                Ok(())
            }
        });
        self.table(table, &[], takes, waits);
        source
    }

    /// A table that takes what is new in another, and needs that long for a batch.
    pub(super) fn follower(&mut self, table: &str, upstream: &str, duration: Duration) {
        let pile = Arc::clone(self.piles.entry(upstream.to_owned()).or_default());
        let takes = self.takes(table, &pile, duration);
        self.table(table, &[upstream], takes, arrival(|_| std::future::pending()));
    }

    fn takes(&mut self, table: &str, from: &Arc<Pile>, duration: Duration) -> Script {
        let (from, own) = (Arc::clone(from), Arc::clone(self.piles.entry(table.to_owned()).or_default()));
        let versions = Arc::new(AtomicU64::new(0));
        script(move |_, _| {
            let (from, own, versions) = (Arc::clone(&from), Arc::clone(&own), Arc::clone(&versions));
            async move {
                let rows = from.rows.swap(0, Ordering::SeqCst);
                if rows == 0 {
                    return Ok(Progress::idle());
                }
                tokio::time::sleep(duration).await;
                own.put(rows);
                Ok(committed(versions.fetch_add(1, Ordering::SeqCst), rows))
            }
        })
    }

    pub(super) fn gauges(&self, table: &str, gauges: Vec<Gauge>) {
        *self.fakes[table].gauges.lock().unwrap() = gauges;
    }

    pub(super) fn workflow(&self) -> Workflow {
        check(&self.spec, &|_| Ok(())).unwrap()
    }

    /// Opens the stream.
    pub(super) fn open(&self) -> Result<Stream> {
        let workshop = FakeWorkshop { fakes: self.fakes.clone() };
        Stream::open(&self.workflow(), &Selection::All, Arc::new(workshop), self.options)
    }

    /// Starts the stream. The counts of the tables are read through `counts`.
    pub(super) fn start(self) -> (Going, Counts) {
        let stream = self.open().unwrap();
        let history = History::open(&self.folder.path().join("history.db")).unwrap();
        let context = Context::new("replaced by the stream");
        let events: Arc<Mutex<Vec<StreamEvent>>> = Arc::default();
        let status = stream.status();
        let (told, inner, recorded) = (Arc::clone(&events), context.clone(), history.clone());
        let ending = tokio::spawn(async move {
            let tell = Arc::new(move |event| told.lock().unwrap().push(event));
            stream.run(&inner, &recorded, tell).await.unwrap()
        });
        (Going { status, history, context, events, ending, _folder: self.folder }, Counts { fakes: self.fakes })
    }
}

/// How often the tables were called.
pub(super) struct Counts {
    fakes: BTreeMap<String, Fake>,
}

impl Counts {
    pub(super) fn advances(&self, table: &str) -> usize {
        self.fakes[table].advances.load(Ordering::SeqCst)
    }

    pub(super) fn builds(&self, table: &str) -> usize {
        self.fakes[table].builds.load(Ordering::SeqCst)
    }
}

struct FakeWorkshop {
    fakes: BTreeMap<String, Fake>,
}

impl Workshop for FakeWorkshop {
    fn build(&self, work: &Work) -> Result<Built> {
        let body = work.to_string();
        let key = body.rsplit('.').next().unwrap_or_default();
        let fake = self.fakes.get(key).ok_or_else(|| Error::config("there is no such table"))?;
        fake.builds.fetch_add(1, Ordering::SeqCst);
        Ok(Built::Waves(vec![vec![Box::new(FakeStage { table: name(key), fake: fake.clone() })]]))
    }
}

impl Going {
    pub(super) fn of(&self, table: &str) -> TableStatus {
        self.status.tables().into_iter().find(|status| status.table == name(table)).unwrap()
    }

    pub(super) fn states(&self) -> Vec<TableState> {
        self.status.tables().into_iter().map(|status| status.state).collect()
    }

    pub(super) fn events(&self) -> Vec<StreamEvent> {
        self.events.lock().unwrap().clone()
    }

    /// Lets that much time go by.
    pub(super) async fn after(&self, time: Duration) -> &Going {
        tokio::time::sleep(time).await;
        self
    }

    /// Stops the stream and waits for its end.
    pub(super) async fn stop(self) -> StreamOutcome {
        self.context.cancellation.cancel();
        self.ended().await
    }

    pub(super) async fn ended(self) -> StreamOutcome {
        self.ending.await.unwrap()
    }
}
