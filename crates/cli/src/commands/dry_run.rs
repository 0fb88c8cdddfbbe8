//! `medallion run <workflow> --dry-run`: what a run would do, without doing any of it.

use std::fmt::Write as _;

use ::stage::{Context, Error, Result};
use workflow::rehearsal::{Rehearsal, RehearsedTask, rehearse};
use workflow::{Request, Work, Workflow};

use super::run::{Asked, Start};
use crate::args::OutputFormat;
use crate::output;
use crate::workbench::Workbench;

/// One step to the right.
const INDENT: &str = "  ";

/// Prints the plan. Nothing is read or written but the project.
pub(super) fn run(workbench: &Workbench, workflow: &Workflow, asked: Asked, output: OutputFormat) -> Result<u8> {
    let Asked { start, full_refresh, interval, parameters } = asked;
    let Start::Anew(selection) = start else { return Err(Error::bug("only a new run is planned")) };
    let context = Context { full_refresh, interval, parameters, ..Context::new(workflow.name()) };
    let request = Request { selection, ..Request::default() };
    let tables = |work: &Work| tables(workbench, work);
    let plan = rehearse(&context, workflow, &request, &workbench.workspace(), workbench, &tables)?;
    output::print(&match super::is_for_programs(output) {
        true => serde_json::json!(plan).to_string(),
        false => told(&plan, ""),
    });
    Ok(0)
}

/// The tables that a work writes, and those it reads that are not among them.
fn tables(workbench: &Workbench, work: &Work) -> (Vec<String>, Vec<String>) {
    let project = &workbench.project;
    let written = workbench.tables_of(work);
    let reads = match work {
        Work::Quality(table) => [table.clone()].into(),
        Work::Sql { file, .. } => {
            let text = std::fs::read_to_string(project.root.join(file)).unwrap_or_default();
            sql::references(&text, crate::project::only_pipeline(project)).unwrap_or_default()
        }
        _ => written.iter().flat_map(|table| project.upstreams(table)).cloned().collect(),
    };
    let written_too = match work {
        Work::Optimize(table) | Work::Vacuum { table, .. } => Some(table.to_string()),
        _ => None,
    };
    let reads = reads.difference(&written).map(ToString::to_string).collect();
    (written.iter().map(ToString::to_string).chain(written_too).collect(), reads)
}

fn told(plan: &Rehearsal, indent: &str) -> String {
    let mut text = format!("{indent}workflow {}\n", plan.workflow);
    for (name, value) in &plan.parameters {
        let _ = writeln!(text, "{indent}{INDENT}parameter {name} = {value}");
    }
    if let Some(seconds) = plan.timeout_seconds {
        let _ = writeln!(text, "{indent}{INDENT}at most {seconds} s");
    }
    for (number, task) in plan.tasks.iter().enumerate() {
        let _ = write!(text, "{indent}{}. {}", number + 1, task_told(task, indent));
    }
    text
}

fn task_told(task: &RehearsedTask, indent: &str) -> String {
    let left_out = task.left_out.map(|why| format!(" ({why})")).unwrap_or_default();
    let mut text = format!("{}{left_out}: {}\n", task.task_key, task.does);
    let inside = format!("{indent}{INDENT}{INDENT}");
    let mut line = |what: String| {
        let _ = writeln!(text, "{inside}{what}");
    };
    if !task.depends_on.is_empty() {
        let named = task.depends_on.iter().map(|dependency| match dependency.outcome {
            Some(outcome) => format!("{} ({outcome})", dependency.task_key),
            None => dependency.task_key.clone(),
        });
        let run_if = task.run_if.as_str().filter(|name| *name != "ALL_SUCCESS");
        let run_if = run_if.map(|name| format!(", if {name}")).unwrap_or_default();
        line(format!("after {}{run_if}", named.collect::<Vec<_>>().join(", ")));
    }
    if let Some(holds) = task.holds {
        line(format!("which is {holds}"));
    }
    for (name, value) in task.body.as_object().into_iter().flatten() {
        let is_said = ["table", "pipeline", "layer", "file", "op", "left", "right", "inputs", "workflow", "command"]
            .contains(&name.as_str());
        let is_empty = value.is_null()
            || value == false
            || value.as_array().is_some_and(Vec::is_empty)
            || value.as_object().is_some_and(serde_json::Map::is_empty);
        if !is_said && !is_empty {
            line(format!("{name}: {value}"));
        }
    }
    for (what, tables) in [("writes", &task.writes), ("reads", &task.reads)] {
        if !tables.is_empty() {
            line(format!("{what} {}", tables.join(", ")));
        }
    }
    if let Some(limits) = limits(task) {
        line(limits);
    }
    for reference in &task.later {
        line(format!("known later: {reference}"));
    }
    if let Some(inner) = &task.task {
        let _ = write!(text, "{inside}- {}", task_told(inner, &inside));
    }
    if let Some(run) = &task.run {
        text.push_str(&told(run, &inside));
    }
    text
}

/// How often it is tried and how long it may take, where that is not once and without an end.
fn limits(task: &RehearsedTask) -> Option<String> {
    let mut parts = Vec::new();
    match task.max_retries {
        Some(0) => {}
        Some(1) => parts.push("tried again once".to_owned()),
        Some(times) => parts.push(format!("tried again {times} times")),
        None => parts.push("tried again for ever".to_owned()),
    }
    if task.min_retry_interval_millis > 0 && task.max_retries != Some(0) {
        parts.push(format!("at least {} ms from start to start", task.min_retry_interval_millis));
    }
    if let Some(seconds) = task.timeout_seconds {
        let again = if task.retry_on_timeout { ", then tried again" } else { "" };
        parts.push(format!("at most {seconds} s{again}"));
    }
    (!parts.is_empty()).then(|| parts.join(", "))
}
