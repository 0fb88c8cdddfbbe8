//! Where runs and tasks stand, in one word: the result state, or what they do until they have one.

use std::collections::BTreeMap;

use workflow::history::{RunDetails, RunRecord, TaskRecord};

/// A run that waits for its turn.
pub(crate) const QUEUED: &str = "QUEUED";
/// A run or a task that goes on.
pub(crate) const RUNNING: &str = "RUNNING";
/// A task between two attempts.
pub(crate) const WAITING_FOR_RETRY: &str = "WAITING_FOR_RETRY";
/// A task that could start.
pub(crate) const PENDING: &str = "PENDING";
/// A task that waits for others.
pub(crate) const BLOCKED: &str = "BLOCKED";

/// Where a run stands.
pub(crate) fn of_run(run: &RunRecord) -> &'static str {
    match (run.state, run.started_at) {
        (Some(state), _) => state.name(),
        (None, Some(_)) => RUNNING,
        (None, None) => QUEUED,
    }
}

/// Where each task of a run stands, in the order of the tasks.
pub(crate) fn of_tasks(details: &RunDetails) -> Vec<&'static str> {
    let by_key: BTreeMap<&str, &TaskRecord> = details.tasks.iter().map(|task| (task.task_key.as_str(), task)).collect();
    details.tasks.iter().map(|task| of_task(task, details, &by_key)).collect()
}

fn of_task(task: &TaskRecord, details: &RunDetails, by_key: &BTreeMap<&str, &TaskRecord>) -> &'static str {
    if let Some(state) = task.state {
        return state.name();
    }
    let last = details.attempts.iter().rev().find(|attempt| attempt.task_key == task.task_key);
    let has_begun = task.started_at.is_some();
    let waits_for = |key: &String| by_key.get(key.as_str()).is_some_and(|before| before.state.is_none());
    match last {
        Some(attempt) if has_begun && attempt.state.is_some_and(|state| !state.is_success()) => WAITING_FOR_RETRY,
        Some(_) if has_begun => RUNNING,
        _ if task.depends_on.iter().any(waits_for) => BLOCKED,
        _ => PENDING,
    }
}
