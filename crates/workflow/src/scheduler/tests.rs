//! Schedulers whose clock goes as fast as the test wants, around work that only takes time.

mod clock_times;
mod crashes;
mod limits;
mod passing;
mod restarts;
mod starts;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use futures::FutureExt as _;
use futures::future::BoxFuture;
use stage::{Context, Error, Progress, Result, Stage, TableName};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::{Clock, Event, Project, Scheduler, SeenFile, SeenTable, Site, Source};
use crate::history::{History, RunRecord};
use crate::reference::Workspace;
use crate::spec::parse;
use crate::workshop::{Built, Workshop};
use crate::{Work, check};

/// The paused clock of the runtime, as if it was started at that time.
#[derive(Clone)]
struct PausedClock {
    start: DateTime<Utc>,
    since: Instant,
    /// The seconds by which it is wrong.
    ahead: Arc<AtomicI64>,
}

impl Clock for PausedClock {
    fn now(&self) -> DateTime<Utc> {
        let ahead = TimeDelta::seconds(self.ahead.load(Ordering::Relaxed));
        self.start + TimeDelta::from_std(self.since.elapsed()).unwrap() + ahead
    }

    fn sleep(&self, time: TimeDelta) -> BoxFuture<'static, ()> {
        tokio::time::sleep(time.to_std().unwrap_or_default()).boxed()
    }
}

/// The world that a test changes: the project's files, and what there is to do and to see.
#[derive(Default)]
struct World {
    workflows: Vec<String>,
    fingerprint: u64,
    problems: Vec<String>,
    files: Vec<SeenFile>,
    tables: BTreeMap<String, SeenTable>,
    takes: Duration,
    fails: bool,
    is_blind: bool,
    panics: bool,
    loads: usize,
}

type Shared = Arc<Mutex<World>>;

struct FakeSource(Shared);

impl Source for FakeSource {
    fn fingerprint(&self) -> u64 {
        self.0.lock().unwrap().fingerprint
    }

    fn load(&self) -> Result<Project, Vec<String>> {
        let mut world = self.0.lock().unwrap();
        world.loads += 1;
        if !world.problems.is_empty() {
            return Err(world.problems.clone());
        }
        let workflows = world.workflows.iter().map(|text| {
            let workflow = check(&parse(text).unwrap(), &|_| Ok(())).unwrap();
            (workflow.name().to_owned(), workflow)
        });
        let site = Arc::new(FakeSite(Arc::clone(&self.0)));
        Ok(Project { workflows: workflows.collect(), workspace: Workspace::default(), site })
    }
}

struct FakeSite(Shared);

impl Workshop for FakeSite {
    fn build(&self, _: &Work) -> Result<Built> {
        let table = "p.bronze.a".parse()?;
        Ok(Built::Waves(vec![vec![Box::new(FakeStage { table, world: Arc::clone(&self.0) })]]))
    }
}

impl Site for FakeSite {
    fn files<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Result<Vec<SeenFile>>> {
        let world = self.0.lock().unwrap();
        if world.panics {
            return async { panic!("a defect") }.boxed();
        }
        let seen = if world.is_blind { Err(Error::unavailable("no answer")) } else { Ok(world.files.clone()) };
        async { seen }.boxed()
    }

    fn versions<'a>(&'a self, _: &'a [String]) -> BoxFuture<'a, Result<BTreeMap<String, SeenTable>>> {
        let tables = self.0.lock().unwrap().tables.clone();
        async { Ok(tables) }.boxed()
    }

    fn finish<'a>(&'a self, _: &'a BTreeSet<TableName>) -> BoxFuture<'a, Result<()>> {
        async { Ok(()) }.boxed()
    }
}

struct FakeStage {
    table: TableName,
    world: Shared,
}

impl Stage for FakeStage {
    fn table(&self) -> &TableName {
        &self.table
    }

    fn advance<'a>(&'a mut self, context: &'a Context) -> BoxFuture<'a, Result<Progress>> {
        let (takes, fails) = {
            let world = self.world.lock().unwrap();
            (world.takes, world.fails)
        };
        async move {
            tokio::select! {
                () = context.cancellation.cancelled() => context.check()?,
                () = tokio::time::sleep(takes) => {}
            }
            if fails { Err(Error::data("it does not work")) } else { Ok(Progress::idle()) }
        }
        .boxed()
    }
}

/// A workflow of one task, `w0` or `w1` and so on, with what starts it.
fn text(index: usize, start: &str) -> String {
    format!(
        r#"{{"name": "w{index}", {start}, "parameters": [{{"name": "day", "default": "today"}}],
            "tasks": [{{"task_key": "a", "bronze_task": {{"table": "p.bronze.a"}}}}]}}"#
    )
}

/// A scheduler under test.
struct Rig {
    world: Shared,
    history: History,
    clock: PausedClock,
    events: Arc<Mutex<Vec<Event>>>,
    folder: tempfile::TempDir,
}

/// What is seen of a run: when it was due after the start of the test, in seconds, and its state or `GOING` or `QUEUED`.
type Look = (i64, &'static str);

impl Rig {
    /// A project of workflows that each have one task, with what starts them in JSON, at the beginning of a year.
    fn new(starts: &[&str]) -> Rig {
        Rig::at("2026-01-05T00:00:00Z", starts)
    }

    fn at(start: &str, starts: &[&str]) -> Rig {
        let folder = tempfile::tempdir().unwrap();
        let rig = Rig {
            world: Shared::default(),
            history: History::open(&folder.path().join("history.db")).unwrap(),
            clock: PausedClock { start: start.parse().unwrap(), since: Instant::now(), ahead: Arc::default() },
            events: Arc::default(),
            folder,
        };
        rig.write(starts);
        rig
    }

    /// Writes the workflows `w0`, `w1` and so on anew.
    fn write(&self, starts: &[&str]) {
        self.change(|world| {
            world.workflows = starts.iter().enumerate().map(|(index, start)| text(index, start)).collect();
            world.fingerprint += 1;
        });
    }

    fn change(&self, change: impl FnOnce(&mut World)) {
        change(&mut self.world.lock().unwrap());
    }

    fn open(&self) -> Result<Scheduler> {
        let events = Arc::clone(&self.events);
        let listener = Box::new(move |event: &Event| events.lock().unwrap().push(event.clone()));
        Scheduler::open(
            Box::new(FakeSource(Arc::clone(&self.world))),
            self.history.clone(),
            Box::new(self.clock.clone()),
            listener,
        )
    }

    /// Lets a scheduler run for some seconds, stops it and waits for its end.
    async fn serve(&self, seconds: u64) {
        self.serve_and(seconds, |_| async {}).await;
    }

    /// Lets a scheduler run while something else goes on, then for some seconds, and stops it.
    async fn serve_and<F: Future<Output = ()>>(&self, seconds: u64, other: impl FnOnce(Scheduler) -> F) {
        let (scheduler, stop) = (self.open().unwrap(), CancellationToken::new());
        let serving = tokio::spawn({
            let (scheduler, stop) = (scheduler.clone(), stop.clone());
            async move { scheduler.serve(stop).await }
        });
        other(scheduler).await;
        self.pass(seconds).await;
        stop.cancel();
        serving.await.unwrap().unwrap();
    }

    /// Lets time pass.
    async fn pass(&self, seconds: u64) {
        tokio::time::sleep(Duration::from_secs(seconds)).await;
    }

    /// Sets the clock to be ahead by so much.
    fn set_ahead(&self, seconds: i64) {
        self.clock.ahead.store(seconds, Ordering::Relaxed);
    }

    async fn records(&self, workflow: &str) -> Vec<RunRecord> {
        let mut runs = self.history.runs(Some(workflow), 1000).await.unwrap();
        runs.reverse();
        runs
    }

    async fn looks(&self, workflow: &str) -> Vec<Look> {
        let look = |run: RunRecord| {
            let due = run.cause.due_at.map_or(-1, |due| (due - self.clock.start).num_seconds());
            let going = if run.started_at.is_some() { "GOING" } else { "QUEUED" };
            (due, run.state.map_or(going, crate::ResultState::name))
        };
        self.records(workflow).await.into_iter().map(look).collect()
    }

    /// The events that are not about the inside of runs.
    fn events(&self) -> Vec<Event> {
        let events = self.events.lock().unwrap();
        events.iter().filter(|event| !matches!(event, Event::Run { .. })).cloned().collect()
    }
}

const EVERY_TEN_SECONDS: &str = r#""schedule": {"quartz_cron_expression": "0/10 * * * * ?", "timezone_id": "UTC"}"#;
