//! `medallion runs show N`: one run, its tasks as a drawing, items of loops, and errors.

use ::stage::Result;
use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use workflow::History;
use workflow::drawing::{self, Picture};
use workflow::history::{ErrorRecord, RunDetails, TaskRecord};
use workflow::pictures::{self, duration, is_item, seconds_of, state_of};

use super::{csv, details, run_object, seconds, task_object, time};
use crate::args::OutputFormat;
use crate::output::{self, counted, thousands};

const COLUMNS: [(&str, &str); 13] = [
    ("task_key", "/task_key"),
    ("state", "/state"),
    ("attempts", "/attempts"),
    ("executions", "/executions"),
    ("started_at", "/started_at"),
    ("ended_at", "/ended_at"),
    ("seconds", "/seconds"),
    ("rows_read", "/rows/read"),
    ("rows_written", "/rows/written"),
    ("rows_quarantined", "/rows/quarantined"),
    ("rows_dropped", "/rows/dropped"),
    ("error_kind", "/error/kind"),
    ("error", "/error/message"),
];
/// Of a loop with more items only those are listed that did not succeed, and at most so many.
const MOST_ITEMS: usize = 10;

/// Shows the run.
pub(super) async fn run(history: &History, number: i64, output: OutputFormat) -> Result<u8> {
    let (details, now) = (details(history, number).await?, Utc::now());
    let tasks = || details.tasks.iter().map(|task| task_object(&details, task, now)).collect::<Vec<Value>>();
    output::print(&match output {
        OutputFormat::Json => {
            json!({ "run": run_object(&details.run, now), "tasks": tasks(), "attempts": details.attempts }).to_string()
        }
        OutputFormat::Csv => csv(&COLUMNS, &tasks()),
        OutputFormat::Table => told(&details, now),
    });
    Ok(0)
}

fn told(details: &RunDetails, now: DateTime<Utc>) -> String {
    let width = output::width();
    let mut text = head(details, now, width);
    let picture: Picture = pictures::of_run(details, now);
    if !picture.nodes.is_empty() {
        text.push('\n');
        text.push_str(&drawing::text(&picture, width, output::has_colours()));
    }
    for task in details.tasks.iter().filter(|task| !is_item(task)) {
        text.push_str(&items(details, task, now, width));
    }
    text + &errors(details, width)
}

/// What the run is, in lines of a name and a value.
fn head(details: &RunDetails, now: DateTime<Utc>, width: Option<usize>) -> String {
    let run = &details.run;
    let mut text = format!("run {} of {}, {}\n", run.number, run.workflow, run.status());
    let mut line = |name: &str, value: String| {
        let value = output::wrapped(&value, width.map(|width| width.saturating_sub(14)), "");
        text.push_str(&format!("  {name:12}{}\n", value.replace('\n', &format!("\n{:14}", ""))));
    };
    match (run.started_at, seconds(run, now)) {
        (None, _) => line("asked for", time(run.queued_at)),
        (Some(started), None) => line("started", time(started)),
        (Some(started), Some(seconds)) => {
            let so_far = if run.state.is_none() { " so far" } else { "" };
            line("started", format!("{}, {}{so_far}", time(started), duration(seconds)));
        }
    }
    line("cause", cause(details));
    if !run.parameters.is_empty() {
        let pairs = run.parameters.iter().map(|(name, value)| format!("{name}={value}"));
        line("parameters", pairs.collect::<Vec<_>>().join(" "));
    }
    if let Some(parent) = run.parent {
        line("part of", format!("run {parent}"));
    }
    if run.repairs > 0 {
        line("repaired", if run.repairs == 1 { "once".to_owned() } else { format!("{} times", run.repairs) });
    }
    let rows = details.rows_so_far();
    let kept = [(rows.quarantined, "in quarantine"), (rows.dropped, "left out")];
    let kept = kept.iter().filter(|(rows, _)| *rows > 0).map(|(rows, what)| format!(", {} {what}", thousands(*rows)));
    line("rows", format!("{} written{}", thousands(rows.written), kept.collect::<String>()));
    if details.tasks.iter().all(|task| task.error.is_none())
        && let Some(error) = &run.error
    {
        line("why", error.message.clone());
    }
    text
}

fn cause(details: &RunDetails) -> String {
    let cause = &details.run.cause;
    let mut text = cause.kind.name().to_owned();
    if let Some(due) = cause.due_at {
        text.push_str(&format!(", due {}", time(due)));
    }
    if let Some(location) = &cause.location {
        text.push_str(&format!(", files in {location}"));
    }
    if !cause.tables.is_empty() {
        let tables = cause.tables.iter().map(|(table, (version, _))| format!("{table} version {version}"));
        text.push_str(&format!(", {}", tables.collect::<Vec<_>>().join(", ")));
    }
    if !cause.tasks.is_empty() {
        text.push_str(&format!(", only {}", cause.tasks.join(", ")));
    }
    text
}

/// The items of a loop, indented; when there are many, those that did not succeed.
fn items(details: &RunDetails, task: &TaskRecord, now: DateTime<Utc>, width: Option<usize>) -> String {
    let prefix = format!("{}[", task.task_key);
    let items = || details.tasks.iter().filter(|item| is_item(item) && item.task_key.starts_with(&prefix));
    let count = items().count();
    if count == 0 {
        return String::new();
    }
    let succeeded = items().filter(|item| item.state.is_some_and(|state| state.is_success())).count();
    let mut text = format!("\n{}: {succeeded} of {} succeeded\n", task.task_key, counted(count as u64, "item"));
    let is_told = |item: &&TaskRecord| count <= MOST_ITEMS || item.state.is_none_or(|state| !state.is_success());
    let told: Vec<&TaskRecord> = items().filter(is_told).collect();
    let rows: Vec<Vec<String>> = told
        .iter()
        .take(MOST_ITEMS)
        .map(|item| {
            vec![
                item.task_key.clone(),
                state_of(details, item).to_owned(),
                seconds_of(details, item, now).map(duration).unwrap_or_default(),
                counted(item.rows.written, "row"),
                item.input.as_ref().map(ToString::to_string).unwrap_or_default(),
            ]
        })
        .collect();
    for line in output::aligned(&rows).lines() {
        let line = format!("  {line}");
        text.push_str(&width.map_or(line.clone(), |width| drawing::fitted(&line, width)));
        text.push('\n');
    }
    if told.len() > MOST_ITEMS {
        text.push_str(&format!("  and {} more that did not succeed\n", told.len() - MOST_ITEMS));
    }
    text
}

/// What went wrong, task by task. An error of an item stands in that of its loop too, so it is told once.
fn errors(details: &RunDetails, width: Option<usize>) -> String {
    let mut text = String::new();
    for task in details.tasks.iter().filter(|task| !is_item(task)) {
        if let Some(ErrorRecord { kind, message }) = &task.error {
            let line = format!("{}: {kind}: {message}", task.task_key);
            text.push_str(&format!("{}\n", output::wrapped(&line, width, "    ")));
        }
    }
    if text.is_empty() { text } else { format!("\n{text}") }
}
