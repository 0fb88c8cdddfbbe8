//! Stages that do what a test tells them, and a run around them.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use stage::{Context, Error, Kind, Progress, Result, Stage, TableName};

use crate::reference::Workspace;
use crate::spec::{DependencySpec, TableTaskSpec, TaskSpec, WorkflowSpec};
use crate::{
    Breakers, Built, Event, History, Request, ResultState, RunOutcome, Selection, Surroundings, Work, Workflow,
    Workshop, check, run,
};

/// What a stage does when it advances; it is told how often it was called before.
pub(super) type Script = Arc<dyn Fn(usize, Context) -> BoxFuture<'static, Result<Progress>> + Send + Sync>;

pub(super) fn script<F>(advance: impl Fn(usize, Context) -> F + Send + Sync + 'static) -> Script
where
    F: Future<Output = Result<Progress>> + Send + 'static,
{
    Arc::new(move |calls, context| advance(calls, context).boxed())
}

/// Fails with an error of that kind the first `times` times it is called.
pub(super) fn fails(kind: Kind, times: usize) -> Script {
    script(move |calls, _| async move {
        if calls < times { Err(Error::new(kind, "it would not go")) } else { Ok(Progress::idle()) }
    })
}

pub(super) fn takes(duration: Duration) -> Script {
    script(move |_, _| async move {
        tokio::time::sleep(duration).await;
        Ok(Progress::idle())
    })
}

/// Works until it is told to stop.
pub(super) fn until_stopped() -> Script {
    script(|_, context| async move {
        context.cancellation.cancelled().await;
        Err(context.check().expect_err("it was cancelled"))
    })
}

struct FakeStage {
    table: TableName,
    script: Script,
    calls: Arc<AtomicUsize>,
}

impl Stage for FakeStage {
    fn table(&self) -> &TableName {
        &self.table
    }

    fn source(&self) -> Option<String> {
        Some("the test".to_owned())
    }

    fn advance<'a>(&'a mut self, context: &'a Context) -> BoxFuture<'a, Result<Progress>> {
        let before = self.calls.fetch_add(1, Ordering::SeqCst);
        (self.script)(before, context.clone())
    }
}

/// A workflow under test, with what its stages do and what was seen.
pub(super) struct Rig {
    pub(super) spec: WorkflowSpec,
    pub(super) context: Context,
    pub(super) selection: Selection,
    pub(super) history: History,
    events: Mutex<Vec<Event>>,
    waves: HashMap<String, Vec<Vec<(String, Script)>>>,
    calls: Mutex<HashMap<String, Arc<AtomicUsize>>>,
    pub(super) folder: tempfile::TempDir,
    /// Those of the one source that all stages read.
    pub(super) breakers: Option<Breakers>,
}

impl Rig {
    /// Tasks that do nothing, written as `a` or `b: a c`, which is b after a and c.
    pub(super) fn new(tasks: &[&str]) -> Rig {
        let tasks = tasks.iter().map(|text| {
            let (key, dependencies) = text.split_once(':').unwrap_or((text, ""));
            let dependency = |key: &str| DependencySpec { task_key: key.to_owned(), outcome: None };
            TaskSpec {
                task_key: key.to_owned(),
                depends_on: dependencies.split_whitespace().map(dependency).collect(),
                bronze_task: Some(TableTaskSpec { table: format!("test.bronze.{key}") }),
                ..TaskSpec::default()
            }
        });
        let folder = tempfile::tempdir().unwrap();
        Rig {
            spec: WorkflowSpec { name: "test".into(), tasks: tasks.collect(), ..WorkflowSpec::default() },
            context: Context::new("replaced by the runner"),
            selection: Selection::All,
            history: History::open(&folder.path().join("history.db")).unwrap(),
            events: Mutex::default(),
            waves: HashMap::new(),
            calls: Mutex::default(),
            folder,
            breakers: None,
        }
    }

    pub(super) fn task(&mut self, key: &str) -> &mut TaskSpec {
        self.spec.tasks.iter_mut().find(|task| task.task_key == key).unwrap()
    }

    /// Says what the only stage of a task does.
    pub(super) fn does(&mut self, key: &str, script: Script) {
        self.has_waves(key, vec![vec![(key, script)]]);
    }

    /// Gives a task waves of named stages.
    pub(super) fn has_waves(&mut self, key: &str, waves: Vec<Vec<(&str, Script)>>) {
        let named =
            |wave: Vec<(&str, Script)>| wave.into_iter().map(|(name, script)| (name.to_owned(), script)).collect();
        self.waves.insert(format!("test.bronze.{key}"), waves.into_iter().map(named).collect());
    }

    pub(super) fn workflow(&self) -> Workflow {
        check(&self.spec, &|_| Ok(())).unwrap()
    }

    pub(super) async fn run(&self) -> RunOutcome {
        let workflow = self.workflow();
        let events = |event| self.events.lock().unwrap().push(event);
        let workspace = Workspace::default();
        let surroundings =
            Surroundings { workshop: self, history: &self.history, workspace: &workspace, events: &events };
        let request = Request { selection: self.selection.clone(), ..Request::default() };
        run(&self.context, &workflow, &request, &surroundings).await.unwrap()
    }

    /// How often the stage of that name was advanced.
    pub(super) fn calls(&self, name: &str) -> usize {
        self.calls.lock().unwrap().get(name).map_or(0, |calls| calls.load(Ordering::SeqCst))
    }

    pub(super) fn events(&self) -> Vec<Event> {
        self.events.lock().unwrap().clone()
    }
}

impl Workshop for Rig {
    fn breakers(&self) -> Option<&Breakers> {
        self.breakers.as_ref()
    }

    fn build(&self, work: &Work) -> Result<Built> {
        let body = work.to_string();
        let key = body.rsplit('.').next().unwrap_or_default().to_owned();
        let nothing = || vec![vec![(key.clone(), script(|_, _| async { Ok(Progress::idle()) }))]];
        let waves = self.waves.get(&body).cloned().unwrap_or_else(nothing);
        let stage = |(name, script): (String, Script)| -> Box<dyn Stage> {
            let table = format!("test.bronze.{name}").parse().unwrap();
            let calls = Arc::clone(self.calls.lock().unwrap().entry(name).or_default());
            Box::new(FakeStage { table, script, calls })
        };
        Ok(Built::Waves(waves.into_iter().map(|wave| wave.into_iter().map(stage).collect()).collect()))
    }
}

/// The state of each task by its key.
pub(super) fn states(outcome: &RunOutcome) -> BTreeMap<&str, ResultState> {
    outcome.tasks.iter().map(|task| (task.task_key.as_str(), task.state)).collect()
}

pub(super) fn check_states(outcome: &RunOutcome, expected: &[(&str, ResultState)]) {
    assert_eq!(states(outcome), expected.iter().copied().collect());
}
