//! The one body of a task.

use std::collections::BTreeMap;

use stage::Problem;

use super::task;
use crate::definition::{Body, Referring, Work, work};
use crate::reference::Template;
use crate::spec::{CommandSpec, ConditionTaskSpec, ForEachTaskSpec, JobIdSpec, RunJobTaskSpec, TaskSpec};

/// The most items of a loop at the same time. Sources name 20 and 100; the larger one refuses no job that ran elsewhere.
const MOST_CONCURRENT_ITEMS: i64 = 100;

const BODIES: &str = "exactly one of bronze_task, silver_task, gold_task, quality_task, optimize_task, vacuum_task, \
    pipeline_task, sql_task, shell_task, condition_task, for_each_task and run_job_task";

/// The body of a task, or nothing after what is wrong with it was noted.
pub(super) fn checked(
    task: &TaskSpec,
    at: &str,
    known: &dyn Fn(&Work) -> Result<(), String>,
    problems: &mut Vec<Problem>,
) -> Option<Body> {
    let fields = written(task);
    if fields.len() != 1 {
        let what = if fields.is_empty() { "no body".to_owned() } else { fields.join(" and ") };
        problems.push(Problem::new(at, format!("the task `{}` has {what}; it needs {BODIES}", task.task_key)));
        return None;
    }
    let before = problems.len();
    let body = match (&task.condition_task, &task.for_each_task, &task.run_job_task) {
        (Some(body), ..) => condition(body, at, problems),
        (_, Some(body), _) => for_each(body, at, known, problems),
        (.., Some(body)) => run_job(body, at, problems),
        _ => of_workshop(task, at, known, problems),
    };
    body.filter(|_| problems.len() == before)
}

fn written(task: &TaskSpec) -> Vec<&'static str> {
    let fields = [
        ("bronze_task", task.bronze_task.is_some()),
        ("silver_task", task.silver_task.is_some()),
        ("gold_task", task.gold_task.is_some()),
        ("quality_task", task.quality_task.is_some()),
        ("optimize_task", task.optimize_task.is_some()),
        ("vacuum_task", task.vacuum_task.is_some()),
        ("pipeline_task", task.pipeline_task.is_some()),
        ("sql_task", task.sql_task.is_some()),
        ("shell_task", task.shell_task.is_some()),
        ("condition_task", task.condition_task.is_some()),
        ("for_each_task", task.for_each_task.is_some()),
        ("run_job_task", task.run_job_task.is_some()),
    ];
    fields.into_iter().filter(|(_, is_written)| *is_written).map(|(name, _)| name).collect()
}

fn template(text: &str, at: String, problems: &mut Vec<Problem>) -> Template {
    Template::parse(text).unwrap_or_else(|problem| {
        problems.push(Problem::new(at, problem.to_string()));
        Template::default()
    })
}

fn condition(spec: &ConditionTaskSpec, at: &str, problems: &mut Vec<Problem>) -> Option<Body> {
    let at = format!("{at}/condition_task");
    let left = template(&spec.left, format!("{at}/left"), problems);
    let right = template(&spec.right, format!("{at}/right"), problems);
    Some(Body::Condition { operator: spec.op, left, right })
}

fn for_each(
    spec: &ForEachTaskSpec,
    at: &str,
    known: &dyn Fn(&Work) -> Result<(), String>,
    problems: &mut Vec<Problem>,
) -> Option<Body> {
    let at = format!("{at}/for_each_task");
    let inputs = template(&spec.inputs, format!("{at}/inputs"), problems);
    if inputs.is_literal() && serde_json::from_str::<Vec<serde_json::Value>>(&spec.inputs).is_err() {
        let message = "expected a JSON array as text, such as \"[1, 2]\", or a reference to one";
        problems.push(Problem::new(format!("{at}/inputs"), message));
    }
    let concurrency = match spec.concurrency.unwrap_or(1) {
        number @ 1..=MOST_CONCURRENT_ITEMS => usize::try_from(number).unwrap_or(1),
        number => {
            let message = format!("expected 1 to {MOST_CONCURRENT_ITEMS} items at the same time, found {number}");
            problems.push(Problem::new(format!("{at}/concurrency"), message));
            1
        }
    };
    let inner = &spec.task;
    let at = format!("{at}/task");
    if inner.for_each_task.is_some() {
        let message = "a for_each_task cannot hold another one; run a workflow with run_job_task instead";
        problems.push(Problem::new(format!("{at}/for_each_task"), message));
        return None;
    }
    if !inner.depends_on.is_empty() {
        let message = "the task of a for_each_task depends on nothing; write depends_on outside of it";
        problems.push(Problem::new(format!("{at}/depends_on"), message));
    }
    let task = task::checked(inner, BTreeMap::new(), &at, known, problems)?;
    Some(Body::ForEach { inputs, concurrency, task: Box::new(task) })
}

fn run_job(spec: &RunJobTaskSpec, at: &str, problems: &mut Vec<Problem>) -> Option<Body> {
    let at = format!("{at}/run_job_task");
    let workflow = match &spec.job_id {
        JobIdSpec::Name(name) => name.clone(),
        JobIdSpec::Number(number) => {
            let message = format!("{number} is the number of a job in a workspace; write the name of a workflow here");
            problems.push(Problem::new(format!("{at}/job_id"), message));
            return None;
        }
    };
    let parameters = spec.job_parameters.iter();
    let parameters = parameters
        .map(|(name, text)| (name.clone(), template(text, format!("{at}/job_parameters/{name}"), problems)))
        .collect();
    Some(Body::RunJob { workflow, parameters })
}

/// Work for a workshop. References keep it from being understood before the task starts.
fn of_workshop(
    task: &TaskSpec,
    at: &str,
    known: &dyn Fn(&Work) -> Result<(), String>,
    problems: &mut Vec<Problem>,
) -> Option<Body> {
    if let Some(CommandSpec::Text(text)) = task.shell_task.as_ref().map(|body| &body.command)
        && text.contains("{{")
    {
        let message = "what is filled in here would be read as a command; put the reference into `env` and write \
            \"$NAME\", or write the command as a list";
        problems.push(Problem::new(format!("{at}/shell_task/command"), message));
        return None;
    }
    let mut spec = bare(task);
    let mut refers = false;
    for text in spec.texts_mut() {
        match Template::parse(text) {
            Ok(template) => refers |= !template.is_literal(),
            Err(problem) => problems.push(Problem::new(at, problem.to_string())),
        }
    }
    if refers {
        return Some(Body::Referring(Box::new(Referring { spec })));
    }
    let place = |at: &str, within: &str| if within.is_empty() { at.to_owned() } else { format!("{at}/{within}") };
    match work(&spec) {
        Ok(work) => {
            if let Err(message) = known(&work) {
                problems.push(Problem::new(place(at, named_at(&spec)), message));
            }
            Some(Body::Work(work))
        }
        Err(problem) => {
            problems.push(Problem::new(place(at, &problem.at), problem.message));
            None
        }
    }
}

/// The task with nothing but its body.
fn bare(task: &TaskSpec) -> TaskSpec {
    TaskSpec {
        bronze_task: task.bronze_task.clone(),
        silver_task: task.silver_task.clone(),
        gold_task: task.gold_task.clone(),
        quality_task: task.quality_task.clone(),
        optimize_task: task.optimize_task.clone(),
        vacuum_task: task.vacuum_task.clone(),
        pipeline_task: task.pipeline_task.clone(),
        sql_task: task.sql_task.clone(),
        shell_task: task.shell_task.clone(),
        ..TaskSpec::default()
    }
}

/// Where a body names what it works on.
fn named_at(task: &TaskSpec) -> &'static str {
    let places = [
        (task.bronze_task.is_some(), "bronze_task/table"),
        (task.silver_task.is_some(), "silver_task/table"),
        (task.gold_task.is_some(), "gold_task/table"),
        (task.quality_task.is_some(), "quality_task/table"),
        (task.optimize_task.is_some(), "optimize_task/table"),
        (task.vacuum_task.is_some(), "vacuum_task/table"),
        (task.pipeline_task.as_ref().is_some_and(|body| body.pipeline.is_some()), "pipeline_task/pipeline"),
        (task.pipeline_task.is_some(), "pipeline_task/pipeline_id"),
        (task.sql_task.is_some(), "sql_task/file/path"),
        (task.shell_task.is_some(), "shell_task/working_folder"),
    ];
    places.into_iter().find(|(is_it, _)| *is_it).map_or("", |(_, place)| place)
}
