//! `medallion runs`: what ran, when, and how it ended; and how a run goes on, or stops. A file for each subcommand.

mod again;
mod cancel;
mod compare;
mod list;
mod logs;
mod prune;
mod show;

use ::stage::{Error, Result};
use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use workflow::History;
use workflow::history::{RunDetails, RunRecord, TaskRecord};
use workflow::pictures::{attempts_of, seconds_of, state_of};

use crate::args::{OutputFormat, RunsArguments, RunsCommand};
use crate::output;
use crate::workbench::Workbench;

/// Runs the subcommand; lists runs when there is none.
pub(super) async fn run(workbench: Workbench, arguments: &RunsArguments, output: OutputFormat) -> Result<u8> {
    let history = workbench.history()?;
    match &arguments.command {
        None => list::run(&history, arguments, output).await,
        Some(RunsCommand::Show { number }) => show::run(&history, *number, output).await,
        Some(RunsCommand::Logs(arguments)) => logs::run(&history, arguments, output).await,
        Some(RunsCommand::Compare(arguments)) => compare::run(&history, arguments, output).await,
        Some(RunsCommand::Resume { number }) => again::resume(&workbench, &history, *number, output).await,
        Some(RunsCommand::Repair(arguments)) => again::repair(&workbench, &history, arguments, output).await,
        Some(RunsCommand::Cancel { number }) => cancel::run(&history, *number, output).await,
        Some(RunsCommand::Prune(arguments)) => prune::run(&history, arguments, output).await,
    }
}

/// The run of that number.
async fn details(history: &History, number: i64) -> Result<RunDetails> {
    history
        .run(number)
        .await?
        .ok_or_else(|| Error::config(format!("there is no run {number}; `medallion runs` lists those that are known")))
}

/// A run for programs: its record, with a state in every case and its seconds so far.
fn run_object(run: &RunRecord, now: DateTime<Utc>) -> Value {
    let more = json!({ "state": run.status().name(), "seconds": seconds(run, now) });
    merged(serde_json::to_value(run).unwrap_or_default(), more)
}

/// A task of a run, or an item of a loop, for programs: as [`run_object`], with how many attempts there were.
fn task_object(details: &RunDetails, task: &TaskRecord, now: DateTime<Utc>) -> Value {
    let more = json!({
        "state": state_of(details, task), "seconds": seconds_of(details, task, now),
        "attempts": attempts_of(details, &task.task_key).count(),
    });
    merged(serde_json::to_value(task).unwrap_or_default(), more)
}

fn merged(mut object: Value, more: Value) -> Value {
    if let (Value::Object(object), Value::Object(more)) = (&mut object, more) {
        object.extend(more);
    }
    object
}

/// Objects as CSV: the columns with where their values stand in an object.
fn csv(columns: &[(&str, &str)], objects: &[Value]) -> String {
    let header: Vec<&str> = columns.iter().map(|(name, _)| *name).collect();
    let cell = |object: &Value, place: &str| match object.pointer(place) {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => text.clone(),
        Some(value) => value.to_string(),
    };
    let rows: Vec<Vec<String>> =
        objects.iter().map(|object| columns.iter().map(|(_, place)| cell(object, place)).collect()).collect();
    output::csv(&header, &rows)
}

/// From the start of a run to its end, or until now.
fn seconds(run: &RunRecord, now: DateTime<Utc>) -> Option<f64> {
    let ended = run.ended_at.or_else(|| run.state.is_none().then_some(now))?;
    run.started_at.map(|started| (ended - started).as_seconds_f64().max(0.0))
}

fn time(at: DateTime<Utc>) -> String {
    at.format("%Y-%m-%d %H:%M:%S").to_string()
}
