//! `medallion run <workflow>`: the tasks of a workflow in their order.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use ::stage::{Context, Error, Interval, Result, TableName};
use serde_json::json;
use workflow::{Again, Event, Request, RunOutcome, Selection, Surroundings, Task, Workflow, Workshop};

use super::{dry_run, interval};
use crate::args::{OutputFormat, RunArguments};
use crate::notifying::{Outbox, RunNotices, notifier};
use crate::output::{self, thousands};
use crate::progress::Display;
use crate::signals::Signals;
use crate::workbench::Workbench;

/// Runs the named workflow.
pub(super) async fn run(workbench: Workbench, arguments: &RunArguments, output: OutputFormat) -> Result<u8> {
    let workflow = workbench.project.workflow(workflow_name(&arguments.workflow))?.clone();
    let interval = interval::asked(arguments)?;
    if !arguments.only.is_empty() && !arguments.from.is_empty() && interval.is_none() {
        return Err(Error::config("--only and --from both choose tasks; give one of them"));
    }
    let selection = match (arguments.only.is_empty(), arguments.from.is_empty() || interval.is_some()) {
        (false, _) => Selection::Only(arguments.only.clone()),
        (true, false) => Selection::From(arguments.from.clone()),
        (true, true) => Selection::All,
    };
    let parameters = arguments.parameters.iter().cloned().collect();
    let start = Start::Anew(selection);
    if interval.is_some() {
        let is_chosen = |task: &&Task| arguments.only.is_empty() || arguments.only.iter().any(|key| key == task.key());
        let works = workflow.tasks().iter().filter(is_chosen).filter_map(|task| task.body().work());
        interval::check(&workbench.project, &works.flat_map(|work| workbench.tables_of(work)).collect())?;
    }
    let asked = Asked { start, full_refresh: arguments.full_refresh, interval, parameters };
    if arguments.dry_run {
        return dry_run::run(&workbench, &workflow, asked, output);
    }
    execute(&workbench, &workbench, &workflow, asked, output).await
}

/// How a run comes about.
pub(super) enum Start {
    /// As a new one, of these tasks.
    Anew(Selection),
    /// As the run of that number, which goes on.
    Again(i64, Again),
}

/// What a run is asked to do.
pub(super) struct Asked {
    /// How it comes about.
    pub(super) start: Start,
    /// Whether silver and gold are rebuilt.
    pub(super) full_refresh: bool,
    /// The event times that silver tables make anew.
    pub(super) interval: Option<Interval>,
    /// The parameters that were given.
    pub(super) parameters: BTreeMap<String, String>,
}

impl Default for Asked {
    fn default() -> Self {
        let start = Start::Anew(Selection::All);
        Asked { start, full_refresh: false, interval: None, parameters: BTreeMap::new() }
    }
}

/// Runs a workflow, or goes on with a run of it, prints what happens while it goes, and prints its result. `workshop`
/// builds the stages.
pub(super) async fn execute(
    workbench: &Workbench,
    workshop: &dyn Workshop,
    workflow: &Workflow,
    asked: Asked,
    output: OutputFormat,
) -> Result<u8> {
    let Asked { start, full_refresh, interval, parameters } = asked;
    let signals = Signals::listen();
    let history = workbench.history()?;
    let context = Context {
        cancellation: signals.cancellation.clone(),
        full_refresh,
        interval,
        parameters,
        ..Context::new(workflow.name())
    };
    let display = Display::new(workflow);
    let touched: Mutex<BTreeSet<TableName>> = Mutex::default();
    let outbox = Outbox::new(notifier(&workbench.project));
    let notices = RunNotices::new(&workbench.project.name, workflow, &context.parameters, outbox.clone());
    let show = |event: Event| {
        notices.hear(&event);
        if let Event::StageAdvanced { table, .. } = &event {
            touched.lock().unwrap_or_else(PoisonError::into_inner).insert(table.clone());
        }
        display.show(&event);
    };
    let workspace = workbench.workspace();
    let surroundings = Surroundings { workshop, history: &history, workspace: &workspace, events: &show };
    let outcome = match start {
        Start::Anew(selection) => {
            let request = Request { selection, ..Request::default() };
            workflow::run(&context, workflow, &request, &surroundings).await
        }
        Start::Again(number, again) => workflow::run_again(&context, workflow, number, &again, &surroundings).await,
    };
    drop(notices);
    let outcome = match outcome {
        Ok(outcome) => outcome,
        Err(error) => {
            outbox.close().await;
            return Err(error);
        }
    };
    let touched = touched.into_inner().unwrap_or_else(PoisonError::into_inner);
    // The tables themselves are done; what is missing in the system tables the next run rolls forward.
    let rolled = tokio::select! {
        biased;
        () = signals.cancellation.cancelled() => Ok(()),
        rolled = workbench.roll_system(&touched) => rolled,
    };
    // A run that failed has said what is wrong already.
    if let Err(error) = rolled
        && outcome.state.is_success()
    {
        output::note(&format!("warning: the system tables are behind: {}", error.chain()));
    }
    output::print(&summary(&outcome, output));
    outbox.close().await;
    Ok(signals.exit_code().filter(|_| !outcome.state.is_success()).unwrap_or_else(|| outcome.exit_code()))
}

/// A workflow may be named by its file.
pub(super) fn workflow_name(text: &str) -> &str {
    match text.strip_suffix(".json") {
        Some(_) => Path::new(text).file_stem().and_then(|stem| stem.to_str()).unwrap_or(text),
        None => text,
    }
}

fn summary(outcome: &RunOutcome, output: OutputFormat) -> String {
    if super::is_for_programs(output) {
        let tasks = outcome.tasks.iter().map(|task| {
            json!({
                "task_key": task.task_key, "state": task.state, "executions": task.executions, "seconds": task.seconds,
                "progress": task.output.progress, "values": task.output.values, "rows": task.output.rows,
                "error": task.error.as_ref().map(Error::chain),
                "error_kind": task.error.as_ref().map(|error| error.kind().name()),
            })
        });
        let tasks: Vec<_> = tasks.collect();
        let run = json!({
            "run": outcome.number, "run_id": outcome.run_id, "state": outcome.state, "seconds": outcome.seconds,
            "progress": outcome.progress, "tasks": tasks,
        });
        return run.to_string();
    }
    let rows: Vec<Vec<String>> = outcome
        .tasks
        .iter()
        .map(|task| {
            vec![
                task.task_key.clone(),
                task.state.name().to_owned(),
                thousands(task.output.progress.rows_written),
                thousands(task.output.progress.rows_quarantined),
                thousands(task.output.progress.rows_dropped),
                format!("{:.2} s", task.seconds),
            ]
        })
        .collect();
    let header = ["task", "state", "rows written", "in quarantine", "left out", "time"];
    let table = output::columns(&header, &rows);
    format!("{table}run {} {} in {:.2} s\n", outcome.number, outcome.state.name(), outcome.seconds)
}
