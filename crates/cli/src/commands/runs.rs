//! `medallion runs` and `medallion runs show N`: what ran, when, and how it ended.

use ::stage::{Error, Result};
use chrono::{DateTime, Utc};
use workflow::history::{RunDetails, RunRecord};

use crate::args::{OutputFormat, RunsArguments, RunsCommand};
use crate::output::{self, thousands};
use crate::workbench::Workbench;

/// Lists runs or shows one.
pub(super) async fn run(workbench: Workbench, arguments: &RunsArguments, output: OutputFormat) -> Result<u8> {
    let history = workbench.history()?;
    let text = match arguments.command {
        None => list(&history.runs(None, arguments.limit).await?, output),
        Some(RunsCommand::Show { number }) => {
            let details = history.run(number).await?;
            let details = details.ok_or_else(|| {
                Error::config(format!("there is no run {number}; `medallion runs` lists those that are known"))
            })?;
            show(&details, output)
        }
    };
    output::print(&text);
    Ok(0)
}

fn list(runs: &[RunRecord], output: OutputFormat) -> String {
    if output == OutputFormat::Json {
        return json(runs);
    }
    let rows = runs.iter().map(|run| {
        vec![
            run.number.to_string(),
            run.workflow.clone(),
            state(run.state.map(workflow::ResultState::name)),
            time(run.started_at.unwrap_or(run.queued_at)),
            run.started_at.map(|started| seconds(started, run.ended_at)).unwrap_or_default(),
            thousands(run.rows.written),
        ]
    });
    table(&["run", "workflow", "state", "started", "time", "rows written"], rows.collect(), output)
}

fn show(details: &RunDetails, output: OutputFormat) -> String {
    if output == OutputFormat::Json {
        return json(details);
    }
    let attempts = details.attempts.iter().map(|attempt| {
        vec![
            attempt.task_key.clone(),
            attempt.attempt_number.to_string(),
            state(attempt.state.map(workflow::ResultState::name)),
            seconds(attempt.started_at, attempt.ended_at),
            thousands(attempt.rows.written),
            thousands(attempt.rows.quarantined),
            attempt.error.as_ref().map(|error| format!("{}: {}", error.kind, error.message)).unwrap_or_default(),
        ]
    });
    let header = ["task", "attempt", "state", "time", "rows written", "in quarantine", "error"];
    let attempts = table(&header, attempts.collect(), output);
    if output == OutputFormat::Csv {
        return attempts;
    }
    let begun: Vec<&str> = details.attempts.iter().map(|attempt| attempt.task_key.as_str()).collect();
    let never: Vec<String> = details
        .tasks
        .iter()
        .filter(|task| !begun.contains(&task.task_key.as_str()))
        .map(|task| format!("{} {}\n", task.task_key, state(task.state.map(workflow::ResultState::name))))
        .collect();
    let run = &details.run;
    let ended = state(run.state.map(workflow::ResultState::name));
    let head = format!(
        "run {} of {}, started {}, {ended}\n\n",
        run.number,
        run.workflow,
        time(run.started_at.unwrap_or(run.queued_at))
    );
    head + &attempts + &never.concat()
}

fn table(header: &[&str], rows: Vec<Vec<String>>, output: OutputFormat) -> String {
    match output {
        OutputFormat::Csv => output::csv(header, &rows),
        _ => output::columns(header, &rows),
    }
}

fn json(value: &(impl serde::Serialize + ?Sized)) -> String {
    serde_json::to_string(value).unwrap_or_default()
}

fn state(name: Option<&str>) -> String {
    name.unwrap_or("RUNNING").to_owned()
}

fn time(at: DateTime<Utc>) -> String {
    at.format("%Y-%m-%d %H:%M:%S").to_string()
}

fn seconds(from: DateTime<Utc>, to: Option<DateTime<Utc>>) -> String {
    let ended = to.map(|to| (to - from).num_milliseconds() as f64 / 1000.0);
    ended.map(|seconds| format!("{seconds:.2} s")).unwrap_or_default()
}
