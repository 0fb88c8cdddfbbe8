//! Figures of the runner and its history: what 1,000 tasks that do nothing cost in several shapes, what memory does over
//! 10,000 runs, and how fast a history of 100,000 runs answers. `make bench-workflow` prints them.

#![allow(clippy::print_stdout, reason = "its output is what it is for")]

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Instant;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use serde_json::{Value, json};
use stage::{Context, Error, Result};
use workflow::action::{Action, Output};
use workflow::history::{NewRun, PlannedTask, RowCounts, RunEnd};
use workflow::log::TaskLog;
use workflow::reference::Workspace;
use workflow::{Built, History, Request, ResultState, RunOutcome, Surroundings, Work, Workflow, Workshop};

struct Nothing;

impl Workshop for Nothing {
    fn build(&self, _work: &Work) -> Result<Built> {
        Ok(Built::Action(Box::new(Nothing)))
    }
}

impl Action for Nothing {
    fn run<'a>(self: Box<Self>, _context: &'a Context, _log: &'a TaskLog) -> BoxFuture<'a, Result<Output>> {
        async { Ok(Output::default()) }.boxed()
    }
}

/// A workflow of tasks that do nothing, each after those that `before` names.
fn workflow(tasks: usize, parallel: usize, before: impl Fn(usize) -> Vec<usize>) -> Result<Workflow> {
    let task = |task: usize| {
        let depends_on: Vec<Value> = before(task).iter().map(|task| json!({"task_key": format!("t{task}")})).collect();
        json!({"task_key": format!("t{task}"), "depends_on": depends_on, "shell_task": {"command": ["true"]}})
    };
    let tasks: Vec<Value> = (0..tasks).map(task).collect();
    let text = json!({"name": "w", "max_parallel_tasks": parallel, "tasks": tasks}).to_string();
    let spec = workflow::spec::parse(&text).map_err(|problem| Error::config(format!("{problem:?}")))?;
    workflow::check(&spec, &|_| Ok(())).map_err(|problems| Error::config(format!("{problems:?}")))
}

async fn run(history: &History, workflow: &Workflow) -> Result<RunOutcome> {
    let workspace = Workspace::default();
    let surroundings = Surroundings { workshop: &Nothing, history, workspace: &workspace, events: &|_| () };
    workflow::run(&Context::new(""), workflow, &Request::default(), &surroundings).await
}

/// The memory of this process that is in use, in MiB.
fn resident() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or_default();
    line.trim().trim_end_matches(" kB").parse::<f64>().unwrap_or_default() / 1024.0
}

async fn shapes(folder: &Path) -> Result<()> {
    let history = History::open(&folder.join("shapes.db"))?;
    let shapes = [
        ("all at once", workflow(1000, 1000, |_| Vec::new())?),
        ("four at a time", workflow(1000, 4, |_| Vec::new())?),
        ("one after another", workflow(1000, 4, |task| task.checked_sub(1).into_iter().collect())?),
        (
            "ten layers of 100, each task after ten",
            workflow(1000, 100, |task| {
                let layer = (task / 100).checked_sub(1).map(|layer| layer * 100);
                layer
                    .into_iter()
                    .flat_map(|layer| (0..10).map(move |other| layer + (task * 7 + other * 13) % 100))
                    .collect()
            })?,
        ),
    ];
    for (name, workflow) in shapes {
        let mut best = f64::MAX;
        for _ in 0..3 {
            best = best.min(run(&history, &workflow).await?.seconds);
        }
        println!("1,000 tasks, {name}: {best:.3} s, which is as many ms for each");
    }
    Ok(())
}

async fn memory(folder: &Path) -> Result<()> {
    let history = History::open(&folder.join("memory.db"))?;
    let workflow = workflow(3, 4, |task| task.checked_sub(1).into_iter().collect())?;
    let started = Instant::now();
    for number in 1..=10_000 {
        run(&history, &workflow).await?;
        if [1_000, 5_000, 10_000].contains(&number) {
            let each = started.elapsed().as_secs_f64() * 1000.0 / f64::from(number);
            println!("{number} runs of three tasks: {:.1} MiB resident, {each:.2} ms each", resident());
        }
    }
    Ok(())
}

async fn many_runs(folder: &Path) -> Result<()> {
    let path = folder.join("many.db");
    let history = History::open(&path)?;
    let plan: Vec<PlannedTask> =
        (0..3).map(|task| PlannedTask { task_key: format!("t{task}"), ..PlannedTask::default() }).collect();
    for number in 0..100_000 {
        let parameters = BTreeMap::from([("day".to_owned(), "2026-03-01".to_owned())]);
        let run = NewRun { workflow: format!("w{}", number % 20), parameters, ..NewRun::default() };
        let number = history.begin_run(run, plan.clone()).await?;
        let end = RunEnd { state: ResultState::Success, error: None, rows: RowCounts::default() };
        history.end_run(number, end).await?;
    }
    drop(history);
    let timed = |name: &str, started: Instant| {
        println!("100,000 runs: {name} in {:.2} ms", started.elapsed().as_secs_f64() * 1000.0);
    };
    let started = Instant::now();
    let history = History::open(&path)?;
    timed("opened", started);
    let started = Instant::now();
    history.runs(None, 100).await?;
    timed("the newest 100", started);
    let started = Instant::now();
    history.runs(Some("w7"), 100).await?;
    timed("the newest 100 of one workflow", started);
    let started = Instant::now();
    history.runs(None, 10_000).await?;
    timed("the newest 10,000", started);
    let started = Instant::now();
    history.open_runs().await?;
    timed("those that go on", started);
    let started = Instant::now();
    history.run(50_000).await?;
    timed("one with its tasks", started);
    let started = Instant::now();
    let pruned = history.prune(chrono::Utc::now(), 4_500).await?;
    timed(&format!("{pruned} deleted"), started);
    Ok(())
}

#[tokio::main]
async fn main() -> std::process::ExitCode {
    let folder = std::env::temp_dir().join(format!("workflow-figures-{}", std::process::id()));
    let figures = async {
        shapes(&folder).await?;
        memory(&folder).await?;
        many_runs(&folder).await
    };
    let ended = figures.await;
    let _ = std::fs::remove_dir_all(&folder);
    match ended {
        Ok(()) => std::process::ExitCode::SUCCESS,
        Err(error) => {
            println!("{}", error.chain());
            std::process::ExitCode::FAILURE
        }
    }
}
