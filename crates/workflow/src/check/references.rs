//! Whether the references of each task can have a value when it starts.

use std::collections::{BTreeMap, BTreeSet};

use stage::Problem;

use crate::dag::Dag;
use crate::definition::{Body, Task};
use crate::nearest::hint;
use crate::reference::Reference;

/// What is wrong with the references of a workflow's tasks.
pub(super) fn problems(tasks: &[Task], dag: &Dag, parameters: &BTreeMap<String, String>) -> Vec<Problem> {
    let keys: BTreeMap<&str, usize> = tasks.iter().enumerate().map(|(index, task)| (task.key(), index)).collect();
    let mut problems = Vec::new();
    for (index, task) in tasks.iter().enumerate() {
        let before = upstream(dag, index);
        let mut look = |task: &Task, at: &str, in_loop: bool| {
            for reference in task.body().templates().iter().flat_map(|template| template.references()) {
                let wrong = match reference {
                    Reference::OtherTask { task: key, .. } => other_task(key, &keys, &before),
                    Reference::JobParameter(name) if !parameters.contains_key(name) => {
                        let hint = hint(name, parameters.keys().map(String::as_str));
                        Some(format!("the workflow has no parameter `{name}`{hint}"))
                    }
                    Reference::Input(_) if !in_loop => {
                        Some("there is an input only in the task of a for_each_task".to_owned())
                    }
                    _ => None,
                };
                problems.extend(wrong.map(|why| Problem::new(at, format!("`{reference}` has no value: {why}"))));
            }
        };
        look(task, &format!("tasks/{index}"), false);
        if let Body::ForEach { task: inner, .. } = task.body() {
            look(inner, &format!("tasks/{index}/for_each_task/task"), true);
        }
    }
    problems
}

fn other_task(key: &str, keys: &BTreeMap<&str, usize>, before: &BTreeSet<usize>) -> Option<String> {
    match keys.get(key) {
        Some(index) if before.contains(index) => None,
        Some(_) => Some(format!("`{key}` need not have ended by then; add it to depends_on")),
        None => Some(format!("there is no task `{key}` in this workflow{}", hint(key, keys.keys().copied()))),
    }
}

/// Every task that has ended before a task starts.
fn upstream(dag: &Dag, task: usize) -> BTreeSet<usize> {
    let mut found = BTreeSet::new();
    let mut open = dag.dependencies(task).to_vec();
    while let Some(task) = open.pop() {
        if found.insert(task) {
            open.extend(dag.dependencies(task));
        }
    }
    found
}
