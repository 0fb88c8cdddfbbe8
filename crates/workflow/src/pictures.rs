//! What is drawn of a workflow, and of a run of one.
//!
//! A workflow is drawn from its definition; a run from the history, so that it shows what ran then, whatever became of the
//! definition since.

use chrono::{DateTime, Utc};

use crate::definition::{Task, Workflow};
use crate::drawing::{Edge, Node, Picture};
use crate::history::{AttemptRecord, RunDetails, TaskRecord};
use crate::run_if::RunIf;
use crate::state::ResultState;

/// The tasks of a workflow as a plan: what they do, and what they wait for.
pub fn of_workflow(workflow: &Workflow) -> Picture {
    let nodes =
        workflow.tasks().iter().map(|task| Node { key: task.key().to_owned(), label: label(task), ..Node::default() });
    let mut edges = Vec::new();
    for (index, task) in workflow.tasks().iter().enumerate() {
        edges.extend(workflow.dag().dependencies(index).iter().map(|before| Edge {
            from: workflow.tasks()[*before].key().to_owned(),
            to: task.key().to_owned(),
            label: task.outcome_of(*before).map(|outcome| outcome.to_string()),
        }));
    }
    Picture { title: workflow.name().to_owned(), nodes: nodes.collect(), edges }
}

fn label(task: &Task) -> Vec<String> {
    let mut label = vec![task.body().to_string()];
    if task.run_if() != RunIf::default() {
        label.extend(name(task.run_if()));
    }
    if task.is_disabled() {
        label.push("disabled".to_owned());
    }
    match task.retry().max_retries {
        Some(0) => {}
        Some(1) => label.push("1 retry".to_owned()),
        Some(retries) => label.push(format!("{retries} retries")),
        None => label.push("retries without end".to_owned()),
    }
    label
}

/// The name in Jobs JSON, such as `ALL_DONE`.
fn name(run_if: RunIf) -> Option<String> {
    serde_json::to_value(run_if).ok()?.as_str().map(str::to_owned)
}

/// The tasks of a run with their states as of `now`, the rows they wrote, their time and how often they were started. Items
/// of loops are left out.
pub fn of_run(details: &RunDetails, now: DateTime<Utc>) -> Picture {
    let tasks = || details.tasks.iter().filter(|task| !is_item(task));
    let nodes = tasks().map(|task| Node {
        key: task.task_key.clone(),
        label: outcome(task).into_iter().chain([task.does.clone()]).collect(),
        state: Some(state_of(details, task).to_owned()),
        detail: figures(details, task, now),
    });
    let edge = |from: &String, to: &TaskRecord| Edge { from: from.clone(), to: to.task_key.clone(), label: None };
    let edges = tasks().flat_map(|task| task.depends_on.iter().map(move |from| edge(from, task)));
    Picture { title: String::new(), nodes: nodes.collect(), edges: edges.collect() }
}

/// Whether the condition held that a task looked at.
fn outcome(task: &TaskRecord) -> Option<String> {
    task.output.values.get("outcome").filter(|value| value.is_boolean()).map(ToString::to_string)
}

/// Whether a record is one of an item of a loop.
pub fn is_item(task: &TaskRecord) -> bool {
    task.input.is_some()
}

/// A task or a run that goes on.
pub const RUNNING: &str = "RUNNING";
/// A task between two attempts.
pub const WAITING_FOR_RETRY: &str = "WAITING_FOR_RETRY";
/// A task that waits for no other, and is about to start.
pub const PENDING: &str = "PENDING";
/// A task that waits for others.
pub const BLOCKED: &str = "BLOCKED";

/// Where a task of a run stands: how it ended, else [`RUNNING`], [`WAITING_FOR_RETRY`], [`PENDING`] or [`BLOCKED`].
pub fn state_of(details: &RunDetails, task: &TaskRecord) -> &'static str {
    match (task.state, task.started_at) {
        (Some(state), _) => state.name(),
        (None, None) if is_blocked(details, task) => BLOCKED,
        (None, None) => PENDING,
        (None, Some(_)) => match attempts_of(details, &task.task_key).last().and_then(|attempt| attempt.state) {
            Some(state) if !state.is_success() => WAITING_FOR_RETRY,
            _ => RUNNING,
        },
    }
}

/// Whether a task waits for another; what was interrupted has not ended, and is to be done again.
fn is_blocked(details: &RunDetails, task: &TaskRecord) -> bool {
    let is_open = |one: &TaskRecord| matches!(one.state, None | Some(ResultState::Interrupted));
    details.tasks.iter().any(|one| task.depends_on.contains(&one.task_key) && is_open(one))
}

/// How long a task took, or has taken until `now`; `None` when it never started, or nobody saw its end.
pub fn seconds_of(details: &RunDetails, task: &TaskRecord, now: DateTime<Utc>) -> Option<f64> {
    let ended = match (task.ended_at, task.state) {
        (Some(ended), _) => ended,
        (None, None) if details.run.state.is_none() => now,
        (None, _) => return None,
    };
    task.started_at.map(|started| (ended - started).as_seconds_f64().max(0.0))
}

/// The attempts of a task, or of an item of a loop, in the order they began.
pub fn attempts_of<'a>(details: &'a RunDetails, task_key: &'a str) -> impl Iterator<Item = &'a AttemptRecord> {
    details.attempts.iter().filter(move |attempt| attempt.task_key == task_key)
}

fn figures(details: &RunDetails, task: &TaskRecord, now: DateTime<Utc>) -> Vec<String> {
    let time = seconds_of(details, task, now).map(duration);
    // Only work on tables publishes how many rows it wrote.
    let has_rows = task.output.values.contains_key("rows_written") || task.rows.written > 0;
    let rows = has_rows.then(|| match task.rows.written {
        1 => "1 row".to_owned(),
        rows => format!("{} rows", grouped(rows)),
    });
    let starts = (task.executions > 1).then(|| format!("{} starts", task.executions));
    [time, rows, starts].map(Option::unwrap_or_default).into()
}

/// A time for people: `0.12 s`, `3 min 05 s`, `2 h 07 min`.
pub fn duration(seconds: f64) -> String {
    match seconds as u64 {
        0..60 => format!("{seconds:.2} s"),
        whole @ 60..3600 => format!("{} min {:02} s", whole / 60, whole % 60),
        whole => format!("{} h {:02} min", whole / 3600, whole % 3600 / 60),
    }
}

/// A number with commas between its thousands.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::drawing;

    #[test]
    fn a_workflow_is_drawn_with_what_its_tasks_do_and_the_outcomes_they_wait_for() {
        let spec = crate::spec::parse(
            r#"{"name": "w", "tasks": [
            {"task_key": "new", "condition_task": {"op": "EQUAL_TO", "left": "1", "right": "1"}},
            {"task_key": "load", "depends_on": [{"task_key": "new", "outcome": "true"}], "max_retries": 2,
             "shell_task": {"command": "load"}},
            {"task_key": "clear", "depends_on": [{"task_key": "load"}], "run_if": "ALL_DONE", "disabled": true,
             "shell_task": {"command": "clear"}}]}"#,
        );
        let workflow = crate::check(&spec.unwrap(), &|_| Ok(())).unwrap();
        let text = drawing::text(&of_workflow(&workflow), Some(80), false);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[0], "w");
        assert!(lines[1].contains("new") && lines[1].contains("if 1 EQUAL_TO 1"), "{text}");
        assert!(
            lines[2].contains("load") && lines[2].contains("if new is true") && lines[2].contains("2 retries"),
            "{text}"
        );
        assert!(lines[3].contains("ALL_DONE · disabled"), "{text}");
        assert_eq!(lines[4], "3 tasks");
    }
}
