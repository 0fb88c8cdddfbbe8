//! Workflows and runs as drawings.

use chrono::{DateTime, Utc};
use workflow::Workflow;
use workflow::drawing::{Edge, Node, Picture, svg};
use workflow::history::{RunDetails, TaskRecord};

use crate::status;

/// The tasks of a workflow, as SVG.
pub(crate) fn of_workflow(workflow: &Workflow) -> String {
    let tasks = workflow.tasks();
    let nodes = tasks.iter().map(|task| Node {
        key: task.key().to_owned(),
        label: vec![task.body().to_string()],
        ..Node::default()
    });
    let edges = tasks.iter().enumerate().flat_map(|(index, task)| {
        workflow.dag().dependencies(index).iter().map(move |before| Edge {
            from: tasks[*before].key().to_owned(),
            to: task.key().to_owned(),
            label: task.outcome_of(*before).map(|outcome| outcome.to_string()),
        })
    });
    svg(&Picture { title: workflow.name().to_owned(), nodes: nodes.collect(), edges: edges.collect() })
}

/// The tasks of a run and where they stand, as SVG. The items of loops are left out. Outcomes that conditions must have are
/// those of the workflow as it is now.
pub(crate) fn of_run(details: &RunDetails, workflow: Option<&Workflow>, now: DateTime<Utc>) -> String {
    let statuses = status::of_tasks(details);
    let tasks = || details.tasks.iter().zip(&statuses).filter(|(task, _)| task.input.is_none());
    let nodes = tasks().map(|(task, status)| Node {
        key: task.task_key.clone(),
        label: vec![task.does.clone()],
        state: Some((*status).to_owned()),
        detail: figures(task, now),
    });
    let edges = tasks().flat_map(|(task, _)| {
        task.depends_on.iter().map(|before| Edge {
            from: before.clone(),
            to: task.task_key.clone(),
            label: outcome(workflow, before, &task.task_key),
        })
    });
    let title = format!("run {} of {}", details.run.number, details.run.workflow);
    svg(&Picture { title, nodes: nodes.collect(), edges: edges.collect() })
}

fn outcome(workflow: Option<&Workflow>, before: &str, task: &str) -> Option<String> {
    let workflow = workflow?;
    let (before, task) = (workflow.index_of(before).ok()?, workflow.index_of(task).ok()?);
    workflow.tasks()[task].outcome_of(before).map(|outcome| outcome.to_string())
}

/// How long it took and what it wrote.
fn figures(task: &TaskRecord, now: DateTime<Utc>) -> Vec<String> {
    let Some(started) = task.started_at else { return Vec::new() };
    // A task that goes on would show a time that stands still.
    let time = task.ended_at.map(|ended| in_words((ended.min(now) - started).as_seconds_f64())).unwrap_or_default();
    let rows = if task.rows.written > 0 { format!("{} rows", thousands(task.rows.written)) } else { String::new() };
    vec![time, rows]
}

/// `1 234 567`, with narrow spaces.
fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let groups = digits.as_bytes().rchunks(3).rev().map(String::from_utf8_lossy);
    groups.collect::<Vec<_>>().join("\u{202f}")
}

/// `0.4 s`, `12 s`, `3 min 5 s`, `2 h 10 min`.
fn in_words(seconds: f64) -> String {
    let whole = seconds.max(0.0).round() as u64;
    match whole {
        0..10 => format!("{:.1} s", seconds.max(0.0)),
        10..60 => format!("{whole} s"),
        60..3600 => format!("{} min {} s", whole / 60, whole % 60),
        _ => format!("{} h {} min", whole / 3600, whole % 3600 / 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_stand_in_groups_of_three() {
        assert_eq!([0, 999, 1000, 1_234_567].map(thousands), ["0", "999", "1\u{202f}000", "1\u{202f}234\u{202f}567"]);
    }

    #[test]
    fn times_are_as_exact_as_they_are_short() {
        let words = [0.04, 9.4, 59.4, 185.0, 7800.0].map(in_words);
        assert_eq!(words, ["0.0 s", "9.4 s", "59 s", "3 min 5 s", "2 h 10 min"]);
    }
}
