//! A process that runs a workflow of programs is killed for real, again and again, and the run resumed until it is done.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use chrono::Utc;
use futures::FutureExt as _;
use futures::future::BoxFuture;
use serde_json::{Value, json};
use stage::{Context, Error, Result};

use crate::action::{Action, Output};
use crate::history::RunDetails;
use crate::log::TaskLog;
use crate::reference::Workspace;
use crate::{
    Again, Built, History, Request, ResultState, Surroundings, Work, Workflow, Workshop, check, run, run_again,
};

/// The folder that the child works in.
const CHILDS_FOLDER: &str = "WORKFLOW_TEST_FOLDER";
/// How many tasks the workflow has, in layers of four.
const TASKS: usize = 24;

/// Layers of four tasks, each after two of the layer before, and a loop over four items behind them.
fn workflow() -> Workflow {
    let mut tasks: Vec<Value> = (0..TASKS)
        .map(|task| {
            let before = (task >= 4).then(|| [task / 4 * 4 - 4 + task % 4, task / 4 * 4 - 4 + (task + 1) % 4]);
            let before = before.into_iter().flatten().map(|before| json!({"task_key": format!("t{before}")}));
            json!({"task_key": format!("t{task}"), "depends_on": before.collect::<Vec<_>>(),
                "shell_task": {"command": ["append", format!("t{task}")]}})
        })
        .collect();
    tasks.push(json!({"task_key": "each", "depends_on": [{"task_key": format!("t{}", TASKS - 1)}],
        "for_each_task": {"inputs": "[0, 1, 2, 3]", "concurrency": 2,
            "task": {"task_key": "one", "shell_task": {"command": ["append", "each[{{input}}]"]}}}}));
    let json = json!({"name": "w", "tasks": tasks});
    check(&crate::spec::parse(&json.to_string()).unwrap(), &|_| Ok(())).unwrap()
}

/// Programs that append a line to a file of their own, after a moment.
struct Files(PathBuf);

impl Workshop for Files {
    fn build(&self, work: &Work) -> Result<Built> {
        let Work::Shell { command, .. } = work else { return Err(Error::bug("no program")) };
        Ok(Built::Action(Box::new(Append { file: self.0.join(&command[1]) })))
    }
}

struct Append {
    file: PathBuf,
}

impl Action for Append {
    fn run<'a>(self: Box<Self>, _context: &'a Context, _log: &'a TaskLog) -> BoxFuture<'a, Result<Output>> {
        async move {
            tokio::time::sleep(Duration::from_millis(fastrand::u64(0..15))).await;
            let mut file = std::fs::OpenOptions::new().create(true).append(true).open(&self.file).unwrap();
            // One write of one line, which is there whole or not at all.
            file.write_all(format!("{}\n", Utc::now().timestamp_micros()).as_bytes()).unwrap();
            Ok(Output::default())
        }
        .boxed()
    }
}

/// Not a test of its own: the process that the next test kills. It begins the run, or goes on with it.
#[tokio::test]
#[ignore = "runs only as the child of another test"]
async fn a_process_that_runs_the_workflow() {
    let Some(folder) = std::env::var_os(CHILDS_FOLDER).map(PathBuf::from) else { return };
    let history = History::open(&folder.join("history.db")).unwrap();
    let (files, workspace, context) = (Files(folder), Workspace::default(), Context::new("replaced by the runner"));
    let surroundings = Surroundings { workshop: &files, history: &history, workspace: &workspace, events: &|_| () };
    let outcome = match history.runs(None, 1).await.unwrap().first() {
        None => run(&context, &workflow(), &Request::default(), &surroundings).await,
        Some(run) => run_again(&context, &workflow(), run.number, &Again::Resume, &surroundings).await,
    };
    assert_eq!(outcome.unwrap().state, ResultState::Success);
}

/// Starts the child and kills it after that time, unless it is done before.
fn child_for(folder: &Path, time: Duration) {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "tests::survival::killed::a_process_that_runs_the_workflow", "--ignored"])
        .env(CHILDS_FOLDER, folder)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let killed_at = Instant::now() + time;
    while Instant::now() < killed_at && child.try_wait().unwrap().is_none() {
        std::thread::sleep(Duration::from_millis(1));
    }
    let _ = child.kill();
    child.wait().unwrap();
}

async fn details(folder: &Path) -> Option<RunDetails> {
    let history = History::open(&folder.join("history.db")).unwrap();
    history.run(1).await.unwrap()
}

#[tokio::test]
async fn a_run_that_is_killed_at_any_moment_and_resumed_does_each_recorded_success_once() {
    let folder = tempfile::tempdir().unwrap();
    let mut kills = 0;
    let mut succeeded: BTreeMap<String, usize> = BTreeMap::new();
    loop {
        child_for(folder.path(), Duration::from_millis(fastrand::u64(5..60)));
        let Some(now) = details(folder.path()).await else { continue };
        // What was recorded as done before this child has not been done again by it.
        for (key, lines) in &succeeded {
            assert_eq!(lines_of(folder.path(), key), *lines, "{key} was done again");
        }
        for task in now.tasks.iter().filter(|task| task.state == Some(ResultState::Success)) {
            succeeded.insert(task.task_key.clone(), lines_of(folder.path(), &task.task_key));
        }
        assert!(now.attempts.iter().all(|attempt| attempt.state.is_some()), "an attempt is left open");
        match now.run.state {
            Some(ResultState::Interrupted) => kills += 1,
            state => {
                assert_eq!(state, Some(ResultState::Success));
                break;
            }
        }
        assert!(kills < 1000, "it makes no progress");
    }
    println!("killed {kills} times");
    let last = details(folder.path()).await.unwrap();
    assert!(last.tasks.iter().all(|task| task.state == Some(ResultState::Success)));
    assert_eq!(last.tasks.len(), TASKS + 1 + 4);
    right_order(folder.path());
}

fn lines_of(folder: &Path, key: &str) -> usize {
    std::fs::read_to_string(folder.join(key)).map(|text| text.lines().count()).unwrap_or_default()
}

/// The last time that a program was done is after those of all before it.
fn right_order(folder: &Path) {
    let workflow = workflow();
    let at = |key: &str| {
        let text = std::fs::read_to_string(folder.join(key)).unwrap();
        text.lines().last().unwrap().parse::<i64>().unwrap()
    };
    for index in 0..TASKS {
        for before in workflow.dag().dependencies(index) {
            let (key, before) = (workflow.tasks()[index].key(), workflow.tasks()[*before].key());
            assert!(at(key) >= at(before), "{key} was done before {before}");
        }
    }
}
