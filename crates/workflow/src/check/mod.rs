//! From a spec to a workflow: everything wrong with it is found at once, and what passes can be trusted.

mod body;
mod jobs;
mod limits;
mod notifications;
mod references;
mod start;
mod task;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use stage::Problem;

use crate::dag::Dag;
use crate::definition::{DEFAULT_CONCURRENT_RUNS, DEFAULT_PARALLEL_TASKS, Work, Workflow};
use crate::reference::Template;
use crate::spec::WorkflowSpec;

pub(crate) use jobs::MOST_LEVELS;
pub use jobs::check_jobs;

/// The most runs of a workflow at the same time that can be asked for.
const MOST_CONCURRENT_RUNS: i64 = 1000;
/// Ten years: far more than anyone waits, and far less than what clocks can add without overflow.
const MOST_SECONDS: u64 = 10 * 366 * 24 * 3600;

/// Checks a workflow. `known` says of work whether what it names exists, and if not, why in words for the user.
///
/// What it says of other workflows is checked by [`check_jobs`] when all of them are there.
///
/// # Errors
/// Every problem, each with its place such as `tasks/3/depends_on/0/task_key`.
pub fn check(spec: &WorkflowSpec, known: &dyn Fn(&Work) -> Result<(), String>) -> Result<Workflow, Vec<Problem>> {
    let mut problems = Vec::new();
    if spec.name.trim().is_empty() {
        problems.push(Problem::new("name", "a workflow needs a name"));
    }
    problems.extend(limits::exceeded(spec));
    let max_parallel_tasks = parallel_tasks(spec, &mut problems);
    let max_concurrent_runs = concurrent_runs(spec, &mut problems);
    let timeout = seconds(spec.timeout_seconds, "timeout_seconds", &mut problems);
    let parameters = parameters(spec, &mut problems);
    let notifications = notifications::of_workflow(spec, &mut problems);
    if spec.tasks.is_empty() {
        problems.push(Problem::new("tasks", "a workflow needs at least one task"));
    }
    let keys = keys(spec, &mut problems);
    let mut tasks = Vec::new();
    let mut dependencies = Vec::new();
    for (index, task) in spec.tasks.iter().enumerate() {
        let at = format!("tasks/{index}");
        let (before, outcomes) = task::dependencies(task, &at, &keys, &spec.tasks, &mut problems);
        dependencies.push(before);
        tasks.extend(task::checked(task, outcomes, &at, known, &mut problems));
    }
    let dag = Dag::new(dependencies).map_err(|cycles| {
        problems.extend(cycles.iter().map(|cycle| task::cycle_problem(spec, cycle)));
    });
    let schedule = start::schedule(spec, known, &mut problems);
    if schedule.as_ref().is_some_and(start::ignores_retries) {
        tasks.iter_mut().for_each(start::never_retry);
    }
    let Ok(dag) = dag else { return Err(problems) };
    if problems.is_empty() {
        problems.extend(references::problems(&tasks, &dag, &parameters));
    }
    if !problems.is_empty() {
        return Err(problems);
    }
    Ok(Workflow {
        name: spec.name.clone(),
        description: spec.description.clone(),
        tasks,
        dag,
        max_parallel_tasks,
        timeout,
        parameters,
        tags: spec.tags.clone(),
        max_concurrent_runs,
        queues: spec.queue.as_ref().is_none_or(|queue| queue.enabled),
        notifications,
        schedule,
        catch_up: spec.catch_up.unwrap_or_default(),
    })
}

fn parallel_tasks(spec: &WorkflowSpec, problems: &mut Vec<Problem>) -> usize {
    let Some(number) = spec.max_parallel_tasks else { return DEFAULT_PARALLEL_TASKS };
    match usize::try_from(number) {
        Ok(number) if number > 0 => number,
        _ => {
            problems.push(Problem::new("max_parallel_tasks", format!("{number} tasks at a time is not at least 1")));
            DEFAULT_PARALLEL_TASKS
        }
    }
}

fn concurrent_runs(spec: &WorkflowSpec, problems: &mut Vec<Problem>) -> usize {
    let Some(number) = spec.max_concurrent_runs else { return DEFAULT_CONCURRENT_RUNS };
    match usize::try_from(number) {
        Ok(runs) if number <= MOST_CONCURRENT_RUNS => runs,
        _ => {
            let message = format!("expected 0 to {MOST_CONCURRENT_RUNS} runs at the same time, found {number}");
            problems.push(Problem::new("max_concurrent_runs", message));
            DEFAULT_CONCURRENT_RUNS
        }
    }
}

/// A limit in seconds, where 0 is none as in Jobs JSON.
fn seconds(number: i64, at: &str, problems: &mut Vec<Problem>) -> Option<Duration> {
    match u64::try_from(number) {
        Ok(0) => None,
        Ok(number) if number <= MOST_SECONDS => Some(Duration::from_secs(number)),
        Ok(number) => {
            let message = format!("{number} seconds is more than ten years; 0 or leaving it out is no limit");
            problems.push(Problem::new(at, message));
            None
        }
        Err(_) => {
            let message = format!("{number} seconds is less than nothing; 0 or leaving it out is no limit");
            problems.push(Problem::new(at, message));
            None
        }
    }
}

fn parameters(spec: &WorkflowSpec, problems: &mut Vec<Problem>) -> BTreeMap<String, String> {
    let mut parameters = BTreeMap::new();
    for (index, parameter) in spec.parameters.iter().enumerate() {
        let at = format!("parameters/{index}/name");
        let name = &parameter.name;
        if name.is_empty() || !name.chars().all(|one| one.is_ascii_alphanumeric() || "_.-".contains(one)) {
            let message = format!("`{name}` cannot be the name of a parameter; use letters, digits, _, . and -");
            problems.push(Problem::new(&at, message));
        }
        if let Err(problem) = Template::parse_parameter(&parameter.default) {
            problems.push(Problem::new(format!("parameters/{index}/default"), problem.to_string()));
        }
        if parameters.insert(name.clone(), parameter.default.clone()).is_some() {
            problems.push(Problem::new(at, format!("the parameter `{name}` stands here twice")));
        }
    }
    parameters
}

/// The index of each task key; of a key that stands twice, the first.
fn keys<'a>(spec: &'a WorkflowSpec, problems: &mut Vec<Problem>) -> HashMap<&'a str, usize> {
    let mut keys = HashMap::new();
    for (index, task) in spec.tasks.iter().enumerate() {
        let key = task.task_key.as_str();
        let at = format!("tasks/{index}/task_key");
        if key.is_empty() {
            problems.push(Problem::new(at, "a task needs a task_key"));
        } else if let Some(first) = keys.get(key) {
            let message = format!("the task_key `{key}` is already that of tasks/{first}; each task needs its own");
            problems.push(Problem::new(at, message));
        } else if let Some(bad) =
            key.chars().find(|one| ",[]".contains(*one) || one.is_whitespace() || one.is_control())
        {
            let message =
                format!("the task_key `{key}` holds {bad:?}; leave out commas, square brackets and white space");
            problems.push(Problem::new(at, message));
        } else {
            keys.insert(key, index);
        }
    }
    keys
}
