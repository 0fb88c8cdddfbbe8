//! Workflows that run other workflows: whether those are there, take the parameters, and come to an end.

use std::collections::BTreeMap;

use stage::Problem;

use crate::definition::{Body, Task, Workflow};
use crate::nearest::hint;

/// How many workflows may be nested in each other, the outermost included.
pub(crate) const MOST_LEVELS: usize = 3;

/// What is wrong between the workflows of a project, with the name of the workflow in which it stands.
pub fn check_jobs(workflows: &BTreeMap<String, Workflow>) -> Vec<(String, Problem)> {
    let mut problems = Vec::new();
    for workflow in workflows.values() {
        for (at, name, parameters) in jobs_of(workflow) {
            let Some(target) = workflows.get(name) else {
                let hint = hint(name, workflows.keys().map(String::as_str));
                let message = format!("there is no workflow `{name}` in this project{hint}");
                problems.push((workflow.name().to_owned(), Problem::new(format!("{at}/job_id"), message)));
                continue;
            };
            for parameter in parameters.keys().filter(|name| !target.parameters().contains_key(*name)) {
                let hint = hint(parameter, target.parameters().keys().map(String::as_str));
                let message = format!("workflow `{name}` has no parameter `{parameter}`{hint}");
                let at = format!("{at}/job_parameters/{parameter}");
                problems.push((workflow.name().to_owned(), Problem::new(at, message)));
            }
            if let Some(way) = too_deep(workflows, vec![workflow.name(), name]) {
                let message = match way.first() == way.last() {
                    true => format!("these workflows run each other for ever: {}", way.join(" -> ")),
                    false => format!("at most {MOST_LEVELS} workflows may be nested, found {}", way.join(" -> ")),
                };
                problems.push((workflow.name().to_owned(), Problem::new(format!("{at}/job_id"), message)));
            }
        }
    }
    problems
}

type Job<'a> = (String, &'a str, &'a BTreeMap<String, crate::reference::Template>);

fn jobs_of(workflow: &Workflow) -> Vec<Job<'_>> {
    let tasks = workflow.tasks().iter().enumerate();
    tasks.filter_map(|(index, task)| job_of(task, format!("tasks/{index}"))).collect()
}

fn job_of(task: &Task, at: String) -> Option<Job<'_>> {
    match task.body() {
        Body::RunJob { workflow, parameters } => Some((format!("{at}/run_job_task"), workflow, parameters)),
        Body::ForEach { task, .. } => job_of(task, format!("{at}/for_each_task/task")),
        _ => None,
    }
}

/// A way that comes back to where it began, or has too many levels.
fn too_deep<'a>(workflows: &'a BTreeMap<String, Workflow>, way: Vec<&'a str>) -> Option<Vec<&'a str>> {
    if way.len() > MOST_LEVELS || way.first() == way.last() {
        return Some(way);
    }
    let last = workflows.get(*way.last()?)?;
    jobs_of(last).into_iter().find_map(|(_, next, _)| {
        let longer = way.iter().copied().chain([next]).collect();
        too_deep(workflows, longer)
    })
}
