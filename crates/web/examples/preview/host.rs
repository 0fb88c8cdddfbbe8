//! A host whose tasks do what their command says, so that the page has something to show.
//!
//! A command such as `seconds=2 lines=40 rows=1200 fails=1 kind=unavailable` takes that long, says that many lines, writes that
//! many rows, and fails the first time with an error of that kind.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use chrono::Utc;
use futures::FutureExt as _;
use futures::future::BoxFuture;
use futures::stream::BoxStream;
use stage::{Context, Error, Kind, Progress, Result};
use tokio::sync::broadcast;
use web::{Change, Host, Plan};
use workflow::action::{Action, Output};
use workflow::history::{History, NewRun};
use workflow::log::TaskLog;
use workflow::reference::Workspace;
use workflow::{Again, Built, Request, ResultState, Surroundings, Work, Workflow, Workshop};

/// Some workflows, and the runs of them that go on.
pub struct PlayHost {
    plans: Mutex<BTreeMap<String, Plan>>,
    history: History,
    changes: broadcast::Sender<Change>,
    running: Mutex<BTreeMap<i64, Context>>,
    tried: Arc<Mutex<BTreeMap<String, u32>>>,
}

impl PlayHost {
    /// A host whose history lies in that folder.
    pub fn new(folder: &Path, workflows: &[(&str, Option<&str>)]) -> Arc<PlayHost> {
        let plan = |(json, schedule): &(&str, Option<&str>)| {
            let spec = workflow::spec::parse(json).unwrap_or_else(|error| panic!("{error:?}: {json}"));
            let workflow = workflow::check(&spec, &|_| Ok(())).unwrap_or_else(|problems| panic!("{problems:?}"));
            let plan = Plan {
                workflow: Arc::new(workflow),
                schedule: schedule.map(str::to_owned),
                next: schedule.map(|_| Utc::now() + Duration::from_secs(1370)),
                waits_for: None,
                paused: false,
            };
            (plan.workflow.name().to_owned(), plan)
        };
        Arc::new(PlayHost {
            plans: Mutex::new(workflows.iter().map(plan).collect()),
            history: History::open(&folder.join("history.db")).unwrap(),
            changes: broadcast::Sender::new(64),
            running: Mutex::default(),
            tried: Arc::default(),
        })
    }

    pub fn history(&self) -> History {
        self.history.clone()
    }

    /// Tells something as if it had happened.
    pub fn tell(&self, change: Change) {
        let _ = self.changes.send(change);
    }

    fn workflow(&self, name: &str) -> Arc<Workflow> {
        lock(&self.plans)[name].workflow.clone()
    }

    /// Runs in the background; what is told is told as it happens.
    fn spawn(self: &Arc<Self>, number: i64, workflow: Arc<Workflow>, context: Context, again: Option<Again>) {
        let host = Arc::clone(self);
        lock(&self.running).insert(number, context.clone());
        tokio::spawn(async move {
            let tell =
                |event| Change::of(number, workflow.name(), &event).into_iter().for_each(|change| host.tell(change));
            let workspace = Workspace { id: "preview".to_owned(), url: String::new() };
            let workshop = Play { tried: Arc::clone(&host.tried) };
            let surroundings =
                Surroundings { workshop: &workshop, history: &host.history, workspace: &workspace, events: &tell };
            let ended = match again {
                Some(again) => workflow::run_again(&context, &workflow, number, &again, &surroundings).await,
                None => {
                    let request = Request { queued: Some(number), ..Request::default() };
                    workflow::run(&context, &workflow, &request, &surroundings).await
                }
            };
            lock(&host.running).remove(&number);
            ended.unwrap();
        });
    }

    /// Starts a run. It needs the `Arc`, which a method of [`Host`] does not have.
    pub async fn begin(self: &Arc<Self>, name: &str, parameters: BTreeMap<String, String>) -> Result<i64> {
        let workflow = self.workflow(name);
        let context = Context { parameters: workflow.parameters_with(&parameters)?, ..Context::new(name) };
        let run = NewRun { workflow: name.to_owned(), parameters: context.parameters.clone(), ..NewRun::default() };
        let number = self.history.queue_run(run).await?.unwrap();
        self.spawn(number, workflow, context, None);
        Ok(number)
    }
}

/// A [`PlayHost`] as a [`Host`].
pub struct Shared(pub Arc<PlayHost>);

#[async_trait]
impl Host for Shared {
    fn project(&self) -> String {
        "preview".to_owned()
    }

    async fn plans(&self) -> Result<Vec<Plan>> {
        Ok(lock(&self.0.plans).values().cloned().collect())
    }

    fn changes(&self) -> BoxStream<'static, Change> {
        web::changes_of(self.0.changes.subscribe(), Some)
    }

    async fn start(&self, workflow: &str, parameters: BTreeMap<String, String>) -> Result<i64> {
        self.0.begin(workflow, parameters).await
    }

    async fn pause(&self, workflow: &str, paused: bool) -> Result<()> {
        lock(&self.0.plans).get_mut(workflow).unwrap().paused = paused;
        self.0.tell(Change::Workflows);
        Ok(())
    }

    async fn repair(&self, run: i64, again: Again) -> Result<()> {
        let details = self.0.history.run(run).await?.unwrap();
        let workflow = self.0.workflow(&details.run.workflow);
        if let Again::Repair { tasks, .. } = &again {
            tasks.iter().try_for_each(|task| workflow.index_of(task).map(|_| ()))?;
        }
        self.0.spawn(run, workflow, Context::new("repair"), Some(again));
        Ok(())
    }

    async fn cancel(&self, run: i64) -> Result<()> {
        if let Some(context) = lock(&self.0.running).get(&run) {
            context.cancellation.cancel();
            return Ok(());
        }
        self.0.history.end_queued(run, ResultState::Canceled, "canceled".to_owned()).await.map(|_| ())
    }
}

struct Play {
    tried: Arc<Mutex<BTreeMap<String, u32>>>,
}

impl Workshop for Play {
    fn build(&self, work: &Work) -> Result<Built> {
        let Work::Shell { command, .. } = work else { return Err(Error::config("only shell tasks are played")) };
        let words = command.iter().flat_map(|word| word.split_whitespace()).filter_map(|word| word.split_once('='));
        let script = words.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        Ok(Built::Action(Box::new(Script { script, tried: Arc::clone(&self.tried) })))
    }
}

struct Script {
    script: BTreeMap<String, String>,
    tried: Arc<Mutex<BTreeMap<String, u32>>>,
}

impl Script {
    fn number(&self, name: &str) -> f64 {
        self.script.get(name).and_then(|value| value.parse().ok()).unwrap_or(0.0)
    }
}

impl Action for Script {
    fn run<'a>(self: Box<Self>, context: &'a Context, log: &'a TaskLog) -> BoxFuture<'a, Result<Output>> {
        async move {
            let lines = self.number("lines").max(1.0) as u32;
            let pause = Duration::from_secs_f64(self.number("seconds") / f64::from(lines));
            for line in 1..=lines {
                log.line(&format!("batch {line} of {lines}: 1,024 rows of <orders> & \"more\" were read, 3 of them twice"));
                tokio::select! {
                    () = tokio::time::sleep(pause) => {}
                    () = context.cancellation.cancelled() => return Err(Error::stopped("stopped before the batch was committed")),
                }
            }
            let key = format!("{} {:?}", context.run_id, self.script);
            let tries = *lock(&self.tried).entry(key).and_modify(|tries| *tries += 1).or_insert(1);
            if f64::from(tries) <= self.number("fails") {
                let kind = self.script.get("kind").and_then(|kind| Kind::from_name(kind)).unwrap_or(Kind::Data);
                let message = "could not read s3://landing/orders/2026/11/21/part-00017.parquet: the server said 503 Slow Down";
                log.line(message);
                return Err(Error::new(kind, message));
            }
            let rows = self.number("rows") as u64;
            let progress = Progress { rows_read: rows, rows_written: rows, rows_quarantined: rows / 700, ..Progress::default() };
            let mut values = serde_json::Map::new();
            values.insert("rows_written".to_owned(), rows.into());
            Ok(Output { values, rows: None, progress })
        }
        .boxed()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
