//! One task: what it waits for, how it is tried again, and what it does.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use stage::Problem;

use super::{MOST_SECONDS, body, notifications, seconds};
use crate::definition::{RetryPolicy, Task, Work};
use crate::nearest::hint;
use crate::spec::{OutcomeSpec, TaskSpec, WorkflowSpec};

/// The tasks that a task waits for, by index, and the outcomes that condition tasks among them must have.
pub(super) fn dependencies(
    task: &TaskSpec,
    at: &str,
    keys: &HashMap<&str, usize>,
    tasks: &[TaskSpec],
    problems: &mut Vec<Problem>,
) -> (Vec<usize>, BTreeMap<usize, bool>) {
    let mut found = Vec::new();
    let mut outcomes = BTreeMap::new();
    for (place, dependency) in task.depends_on.iter().enumerate() {
        let key = dependency.task_key.as_str();
        let at = format!("{at}/depends_on/{place}");
        let Some(index) = keys.get(key).copied() else {
            let mut names: Vec<&str> = keys.keys().copied().filter(|name| *name != task.task_key).collect();
            names.sort_unstable();
            let message = format!("there is no task `{key}` in this workflow{}", hint(key, names));
            problems.push(Problem::new(format!("{at}/task_key"), message));
            continue;
        };
        if found.contains(&index) {
            let message = format!("the dependency on `{key}` stands here twice");
            problems.push(Problem::new(format!("{at}/task_key"), message));
            continue;
        }
        found.push(index);
        let Some(outcome) = dependency.outcome else { continue };
        if tasks.get(index).is_some_and(|task| task.condition_task.is_none()) {
            let message = format!("`{key}` is no condition_task, so it has no outcome; leave `outcome` out");
            problems.push(Problem::new(format!("{at}/outcome"), message));
        }
        outcomes.insert(index, outcome == OutcomeSpec::True);
    }
    (found, outcomes)
}

/// A task with everything but its dependencies.
pub(super) fn checked(
    task: &TaskSpec,
    outcomes: BTreeMap<usize, bool>,
    at: &str,
    known: &dyn Fn(&Work) -> Result<(), String>,
    problems: &mut Vec<Problem>,
) -> Option<Task> {
    let retry = retry_policy(task, at, problems);
    let timeout = seconds(task.timeout_seconds, &format!("{at}/timeout_seconds"), problems);
    let notifications = notifications::of_task(task, at, problems);
    let body = body::checked(task, at, known, problems)?;
    Some(Task {
        key: task.task_key.clone(),
        description: task.description.clone(),
        body,
        run_if: task.run_if,
        outcomes,
        disabled: task.disabled,
        retry,
        timeout,
        notifications,
    })
}

fn retry_policy(task: &TaskSpec, at: &str, problems: &mut Vec<Problem>) -> RetryPolicy {
    let max_retries = match task.max_retries {
        -1 => None,
        number => Some(u32::try_from(number).unwrap_or_else(|_| {
            let message = format!("{number} retries cannot be; use 0 for none, -1 for as often as it takes");
            problems.push(Problem::new(format!("{at}/max_retries"), message));
            0
        })),
    };
    if task.condition_task.is_some() && task.max_retries != 0 {
        let message = "a condition_task is not tried again: the same texts compare the same; leave it out";
        problems.push(Problem::new(format!("{at}/max_retries"), message));
    }
    let millis = task.min_retry_interval_millis;
    let at_interval = format!("{at}/min_retry_interval_millis");
    let min_interval = match u64::try_from(millis) {
        Ok(millis) if millis <= MOST_SECONDS * 1000 => Duration::from_millis(millis),
        Ok(_) => {
            problems.push(Problem::new(at_interval, format!("{millis} milliseconds is more than ten years")));
            Duration::ZERO
        }
        Err(_) => {
            problems.push(Problem::new(at_interval, format!("{millis} milliseconds is less than nothing")));
            Duration::ZERO
        }
    };
    RetryPolicy { max_retries, min_interval, on_timeout: task.retry_on_timeout }
}

/// Tasks that wait for each other, told where the first of them does.
pub(super) fn cycle_problem(spec: &WorkflowSpec, cycle: &[usize]) -> Problem {
    let key = |task: &usize| spec.tasks.get(*task).map_or("", |task| task.task_key.as_str());
    let names: Vec<&str> = cycle.iter().map(key).collect();
    let (first, second) = (cycle.first().copied().unwrap_or_default(), names.get(1).copied().unwrap_or_default());
    let depends_on = spec.tasks.get(first).map(|task| task.depends_on.as_slice()).unwrap_or_default();
    let place = depends_on.iter().position(|dependency| dependency.task_key == second).unwrap_or_default();
    Problem::new(
        format!("tasks/{first}/depends_on/{place}/task_key"),
        format!("these tasks wait for each other for ever: {}; remove one of the dependencies", names.join(" -> ")),
    )
}
