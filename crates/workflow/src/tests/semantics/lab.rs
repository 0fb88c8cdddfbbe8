//! A project of small workflows whose programs do what their first word says, and the runs of them.
//!
//! | Program | does |
//! |---|---|
//! | `ok ..` | nothing |
//! | `say <name> <text>` | publishes the text under that name |
//! | `publish <json>` | publishes the values of an object |
//! | `rows <json>` | returns rows, as a query does |
//! | `fail <kind> ..` | fails |
//! | `fail-first <times> <kind> ..` | fails so often, then nothing |
//! | `cancel ..` | ends as something that was cancelled on its own |
//! | `take <seconds> ..` | waits, and heeds nobody |
//! | `serve ..` | waits until it is told to stop |

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use chrono::{DateTime, Utc};
use futures::future::BoxFuture;
use serde_json::Value;
use stage::{Context, Error, Kind, Result};
use tokio::time::Instant;

use crate::action::{Action, Output};
use crate::history::RunDetails;
use crate::log::TaskLog;
use crate::reference::Workspace;
use crate::{
    Again, Built, History, Request, RunOutcome, Surroundings, Work, Workflow, Workshop, check, run, run_again, spec,
};

/// A program that was started, and when, counted from the beginning of the test.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Started {
    pub(crate) words: String,
    pub(crate) at: Duration,
}

pub(crate) struct Lab {
    pub(crate) workflows: BTreeMap<String, Workflow>,
    pub(crate) context: Context,
    pub(crate) request: Request,
    pub(crate) history: History,
    pub(crate) workspace: Workspace,
    _folder: tempfile::TempDir,
    began: Instant,
    started: Arc<Mutex<Vec<Started>>>,
    works: Mutex<Vec<Work>>,
}

/// The moment at which every run of a lab takes place.
pub(crate) fn noon() -> DateTime<Utc> {
    "2026-03-01T12:00:00Z".parse().unwrap()
}

impl Lab {
    /// A project of workflows in Jobs JSON.
    pub(crate) fn new(workflows: &[Value]) -> Lab {
        let checked = workflows.iter().map(|json| {
            let spec = spec::parse(&json.to_string()).map_err(|problems| format!("{problems:?}")).unwrap();
            let workflow = check(&spec, &|_| Ok(())).map_err(|problems| format!("{problems:?}")).unwrap();
            (workflow.name().to_owned(), workflow)
        });
        let folder = tempfile::tempdir().unwrap();
        Lab {
            workflows: checked.collect(),
            context: Context { fixed_now: Some(noon()), ..Context::new("replaced by the runner") },
            request: Request::default(),
            history: History::open(&folder.path().join("history.db")).unwrap(),
            workspace: Workspace::default(),
            _folder: folder,
            began: Instant::now(),
            started: Arc::default(),
            works: Mutex::default(),
        }
    }

    pub(crate) async fn try_run(&self, workflow: &str) -> Result<RunOutcome> {
        let surroundings =
            Surroundings { workshop: self, history: &self.history, workspace: &self.workspace, events: &|_| () };
        run(&self.context, &self.workflows[workflow], &self.request, &surroundings).await
    }

    pub(crate) async fn run(&self, workflow: &str) -> RunOutcome {
        self.try_run(workflow).await.unwrap()
    }

    pub(crate) async fn run_again(&self, number: i64, again: &Again) -> Result<RunOutcome> {
        let surroundings =
            Surroundings { workshop: self, history: &self.history, workspace: &self.workspace, events: &|_| () };
        let workflow = self.details(number).await.run.workflow;
        run_again(&self.context, &self.workflows[&workflow], number, again, &surroundings).await
    }

    pub(crate) async fn details(&self, number: i64) -> RunDetails {
        self.history.run(number).await.unwrap().unwrap()
    }

    /// Every program that was started, in that order.
    pub(crate) fn started(&self) -> Vec<Started> {
        self.started.lock().unwrap().clone()
    }

    pub(crate) fn started_words(&self) -> Vec<String> {
        self.started().into_iter().map(|one| one.words).collect()
    }

    /// Everything that was asked of the workshop.
    pub(crate) fn works(&self) -> Vec<Work> {
        self.works.lock().unwrap().clone()
    }

    /// What the program of a task published as text.
    pub(crate) fn said(outcome: &RunOutcome, task: &str, name: &str) -> String {
        let task = outcome.tasks.iter().find(|one| one.task_key == task).unwrap();
        task.output.values.get(name).and_then(Value::as_str).unwrap_or_default().to_owned()
    }
}

impl Workshop for Lab {
    fn build(&self, work: &Work) -> Result<Built> {
        self.works.lock().unwrap().push(work.clone());
        let words = match work {
            Work::Shell { command, .. } => command.clone(),
            other => vec!["ok".to_owned(), other.to_string()],
        };
        Ok(Built::Action(Box::new(Program { words, began: self.began, started: Arc::clone(&self.started) })))
    }

    fn workflow(&self, name: &str) -> Result<Workflow> {
        let workflow = self.workflows.get(name).cloned();
        workflow.ok_or_else(|| Error::config(format!("there is no workflow `{name}` here")))
    }
}

struct Program {
    words: Vec<String>,
    began: Instant,
    started: Arc<Mutex<Vec<Started>>>,
}

impl Action for Program {
    fn run<'a>(self: Box<Self>, context: &'a Context, log: &'a TaskLog) -> BoxFuture<'a, Result<Output>> {
        let words = self.words.join(" ");
        let before = {
            let mut started = self.started.lock().unwrap();
            let before = started.iter().filter(|one| one.words == words).count();
            started.push(Started { words: words.clone(), at: self.began.elapsed() });
            before
        };
        Box::pin(async move {
            log.line(&words);
            let words: Vec<&str> = self.words.iter().map(String::as_str).collect();
            done(&words, before, context).await
        })
    }
}

async fn done(words: &[&str], times_before: usize, context: &Context) -> Result<Output> {
    let failure = |kind: &str| Err(Error::new(Kind::from_name(kind).unwrap(), "it would not go"));
    let parsed = |json: &str| serde_json::from_str::<Value>(json).unwrap();
    match words {
        ["ok", ..] => Ok(Output::default()),
        ["say", name, text @ ..] => Ok(published([((*name).to_owned(), text.join(" ").into())])),
        ["publish", json] => Ok(published(parsed(json).as_object().unwrap().clone())),
        ["rows", json] => {
            let rows = parsed(json).as_array().unwrap().iter().map(|row| row.as_object().unwrap().clone()).collect();
            Ok(Output { rows: Some(rows), ..Output::default() })
        }
        ["fail", kind, ..] => failure(kind),
        ["fail-first", times, kind, ..] if times_before < times.parse().unwrap() => failure(kind),
        ["fail-first", ..] => Ok(Output::default()),
        ["cancel", ..] => Err(Error::stopped("somebody stopped it")),
        ["take", seconds, ..] => {
            tokio::time::sleep(Duration::from_secs_f64(seconds.parse().unwrap())).await;
            Ok(Output::default())
        }
        ["serve", ..] => {
            context.cancellation.cancelled().await;
            Err(context.check().expect_err("it was cancelled"))
        }
        other => panic!("there is no program {other:?}"),
    }
}

fn published(values: impl IntoIterator<Item = (String, Value)>) -> Output {
    Output { values: values.into_iter().collect(), ..Output::default() }
}
