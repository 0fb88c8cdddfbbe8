//! From a spec to a workflow: everything wrong with it is found at once, and what passes can be trusted.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use stage::{Layer, Problem, TableName};

use crate::dag::Dag;
use crate::definition::{Body, DEFAULT_PARALLEL_TASKS, RetryPolicy, Task, Workflow};
use crate::nearest::hint;
use crate::spec::{TableTaskSpec, TaskSpec, WorkflowSpec};

/// Checks a workflow. `known` says of a body whether what it names exists, and if not, why in words for the user.
///
/// # Errors
/// Every problem, each with its place such as `tasks/3/depends_on/0/task_key`.
pub fn check(spec: &WorkflowSpec, known: &dyn Fn(&Body) -> Result<(), String>) -> Result<Workflow, Vec<Problem>> {
    let mut problems = Vec::new();
    if spec.name.trim().is_empty() {
        problems.push(Problem::new("name", "a workflow needs a name"));
    }
    let max_parallel_tasks = parallel_tasks(spec, &mut problems);
    let timeout = seconds(spec.timeout_seconds, "timeout_seconds", &mut problems);
    let parameters = parameters(spec, &mut problems);
    if spec.tasks.is_empty() {
        problems.push(Problem::new("tasks", "a workflow needs at least one task"));
    }
    let keys = keys(spec, &mut problems);
    let mut tasks = Vec::new();
    let mut dependencies = Vec::new();
    for (index, task) in spec.tasks.iter().enumerate() {
        let at = format!("tasks/{index}");
        dependencies.push(dependencies_of(task, &at, &keys, &mut problems));
        tasks.extend(checked_task(task, &at, known, &mut problems));
    }
    let dag = Dag::new(dependencies).map_err(|cycles| {
        problems.extend(cycles.iter().map(|cycle| cycle_problem(spec, cycle)));
    });
    match dag {
        Ok(dag) if problems.is_empty() => Ok(Workflow {
            name: spec.name.clone(),
            description: spec.description.clone(),
            tasks,
            dag,
            max_parallel_tasks,
            timeout,
            parameters,
            tags: spec.tags.clone(),
        }),
        _ => Err(problems),
    }
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

/// Ten years: far more than anyone waits, and far less than what clocks can add without overflow.
const MOST_SECONDS: u64 = 10 * 366 * 24 * 3600;

fn parameters(spec: &WorkflowSpec, problems: &mut Vec<Problem>) -> BTreeMap<String, String> {
    let mut parameters = BTreeMap::new();
    for (index, parameter) in spec.parameters.iter().enumerate() {
        let at = format!("parameters/{index}/name");
        let name = &parameter.name;
        if name.is_empty() || !name.chars().all(|one| one.is_ascii_alphanumeric() || "_.-".contains(one)) {
            let message = format!("`{name}` cannot be the name of a parameter; use letters, digits, _, . and -");
            problems.push(Problem::new(&at, message));
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
        } else if let Some(bad) = key.chars().find(|one| *one == ',' || one.is_whitespace() || one.is_control()) {
            let message = format!("the task_key `{key}` holds {bad:?}; leave out commas and white space");
            problems.push(Problem::new(at, message));
        } else {
            keys.insert(key, index);
        }
    }
    keys
}

fn dependencies_of(task: &TaskSpec, at: &str, keys: &HashMap<&str, usize>, problems: &mut Vec<Problem>) -> Vec<usize> {
    let mut found = Vec::new();
    for (place, dependency) in task.depends_on.iter().enumerate() {
        let key = dependency.task_key.as_str();
        let at = format!("{at}/depends_on/{place}/task_key");
        match keys.get(key) {
            Some(index) if found.contains(index) => {
                problems.push(Problem::new(at, format!("the dependency on `{key}` stands here twice")));
            }
            Some(index) => found.push(*index),
            None => {
                let mut names: Vec<&str> = keys.keys().copied().filter(|name| *name != task.task_key).collect();
                names.sort_unstable();
                let message = format!("there is no task `{key}` in this workflow{}", hint(key, names));
                problems.push(Problem::new(at, message));
            }
        }
    }
    found
}

fn checked_task(
    task: &TaskSpec,
    at: &str,
    known: &dyn Fn(&Body) -> Result<(), String>,
    problems: &mut Vec<Problem>,
) -> Option<Task> {
    let retry = retry_policy(task, at, problems);
    let timeout = seconds(task.timeout_seconds, &format!("{at}/timeout_seconds"), problems);
    let body = match checked_body(task, at, known) {
        Ok(body) => body,
        Err(problem) => {
            problems.push(problem);
            return None;
        }
    };
    Some(Task { key: task.task_key.clone(), description: task.description.clone(), body, retry, timeout })
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

fn checked_body(task: &TaskSpec, at: &str, known: &dyn Fn(&Body) -> Result<(), String>) -> Result<Body, Problem> {
    let (body, at) = only_body(task, at)?;
    known(&body).map_err(|message| Problem::new(at, message))?;
    Ok(body)
}

/// The one body of a task, and the place of the name in it.
fn only_body(task: &TaskSpec, at: &str) -> Result<(Body, String), Problem> {
    let tables = [
        ("bronze_task", &task.bronze_task),
        ("silver_task", &task.silver_task),
        ("gold_task", &task.gold_task),
        ("quality_task", &task.quality_task),
    ];
    let written: Vec<(&str, &TableTaskSpec)> =
        tables.into_iter().filter_map(|(field, body)| body.as_ref().map(|body| (field, body))).collect();
    match (written.as_slice(), &task.pipeline_task) {
        ([(field, body)], None) => {
            let at = format!("{at}/{field}/table");
            let body = table_body(field, &body.table).map_err(|message| Problem::new(&at, message))?;
            Ok((body, at))
        }
        ([], Some(body)) => {
            let layer = body.layer.map(Layer::from);
            let full_refresh = body.full_refresh;
            let body = Body::Pipeline { pipeline: body.pipeline.clone(), layer, full_refresh };
            Ok((body, format!("{at}/pipeline_task/pipeline")))
        }
        ([], None) => Err(Problem::new(at, format!("the task `{}` has no body; it needs {BODIES}", task.task_key))),
        (several, pipeline) => {
            let fields = several.iter().map(|(field, _)| *field).chain(pipeline.iter().map(|_| "pipeline_task"));
            let fields: Vec<&str> = fields.collect();
            let message = format!("the task `{}` has {}; it needs {BODIES}", task.task_key, fields.join(" and "));
            Err(Problem::new(at, message))
        }
    }
}

const BODIES: &str = "exactly one of bronze_task, silver_task, gold_task, quality_task and pipeline_task";

fn table_body(field: &str, table: &str) -> Result<Body, String> {
    let table: TableName = table.parse().map_err(|error: stage::Error| error.message().to_owned())?;
    let layer = table.layer();
    if !Layer::OF_USERS.contains(&layer) {
        return Err(format!("`{table}` is written by medallion itself; name a bronze, silver or gold table"));
    }
    match (field, layer) {
        ("quality_task", _) => Ok(Body::Quality(table)),
        ("bronze_task", Layer::Bronze) => Ok(Body::Bronze(table)),
        ("silver_task", Layer::Silver) => Ok(Body::Silver(table)),
        ("gold_task", Layer::Gold) => Ok(Body::Gold(table)),
        _ => Err(format!("`{table}` is a {layer} table; {field} cannot work on it, use {layer}_task")),
    }
}

fn cycle_problem(spec: &WorkflowSpec, cycle: &[usize]) -> Problem {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::parse;

    fn problems(text: &str) -> Vec<(String, String)> {
        let known = |body: &Body| match body {
            Body::Pipeline { pipeline, .. } if pipeline != "shop" => Err(format!("there is no pipeline `{pipeline}`")),
            _ => Ok(()),
        };
        let problems = check(&parse(text).unwrap(), &known).err().unwrap_or_default();
        problems.into_iter().map(|problem| (problem.at, problem.message)).collect()
    }

    #[test]
    fn all_problems_are_found_at_once_with_their_places() {
        let found = problems(
            r#"{"name": " ", "max_parallel_tasks": 0, "timeout_seconds": -1,
            "parameters": [{"name": "a b", "default": ""}, {"name": "day", "default": ""}, {"name": "day", "default": ""}],
            "tasks": [
                {"task_key": "orders", "bronze_task": {"table": "shop.bronze.orders"}},
                {"task_key": "orders", "bronze_task": {"table": "shop.silver.orders"}},
                {"task_key": "kpi", "depends_on": [{"task_key": "ordres"}], "max_retries": -2, "timeout_seconds": -5,
                 "min_retry_interval_millis": -1},
                {"task_key": "two", "gold_task": {"table": "a.gold.b"}, "pipeline_task": {"pipeline": "shop"}},
                {"task_key": "pipe", "pipeline_task": {"pipeline": "shpo"}},
                {"task_key": "", "quality_task": {"table": "nonsense"}}
            ]}"#,
        );
        let places: Vec<&str> = found.iter().map(|(at, _)| at.as_str()).collect();
        assert_eq!(
            places,
            [
                "name",
                "max_parallel_tasks",
                "timeout_seconds",
                "parameters/0/name",
                "parameters/2/name",
                "tasks/1/task_key",
                "tasks/5/task_key",
                "tasks/1/bronze_task/table",
                "tasks/2/depends_on/0/task_key",
                "tasks/2/max_retries",
                "tasks/2/min_retry_interval_millis",
                "tasks/2/timeout_seconds",
                "tasks/2",
                "tasks/3",
                "tasks/4/pipeline_task/pipeline",
                "tasks/5/quality_task/table",
            ]
        );
        assert!(found[7].1.contains("use silver_task"), "{}", found[7].1);
        assert_eq!(found[8].1, "there is no task `ordres` in this workflow; did you mean `orders`?");
        assert!(found[13].1.contains("gold_task and pipeline_task"), "{}", found[13].1);
    }

    #[test]
    fn a_cycle_is_named_by_the_way_around_it() {
        let found = problems(
            r#"{"name": "w", "tasks": [
                {"task_key": "a", "depends_on": [{"task_key": "b"}], "pipeline_task": {"pipeline": "shop"}},
                {"task_key": "b", "depends_on": [{"task_key": "a"}], "pipeline_task": {"pipeline": "shop"}}]}"#,
        );
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].0, "tasks/0/depends_on/0/task_key");
        assert!(found[0].1.contains("a -> b -> a"), "{}", found[0].1);
    }

    #[test]
    fn a_right_spec_becomes_a_workflow_with_its_order() {
        let spec = parse(
            r#"{"name": "w", "timeout_seconds": 60, "parameters": [{"name": "day", "default": "today"}], "tasks": [
                {"task_key": "b", "depends_on": [{"task_key": "a"}], "max_retries": -1, "timeout_seconds": 5,
                 "silver_task": {"table": "shop.silver.orders"}},
                {"task_key": "a", "bronze_task": {"table": "shop.bronze.orders"}}]}"#,
        );
        let workflow = check(&spec.unwrap(), &|_| Ok(())).unwrap();
        assert_eq!(workflow.dag().levels(), vec![vec![1], vec![0]]);
        assert_eq!(workflow.max_parallel_tasks(), DEFAULT_PARALLEL_TASKS);
        assert_eq!(workflow.timeout(), Some(Duration::from_secs(60)));
        assert_eq!(workflow.tasks()[0].timeout(), Some(Duration::from_secs(5)));
        assert_eq!(workflow.tasks()[0].retry().max_retries, None);
        let given = BTreeMap::from([("day".to_owned(), "monday".to_owned())]);
        assert_eq!(workflow.parameters_with(&given).unwrap(), given);
        let wrong = BTreeMap::from([("dya".to_owned(), String::new())]);
        assert!(workflow.parameters_with(&wrong).unwrap_err().message().contains("did you mean `day`?"));
    }

    #[test]
    fn an_empty_workflow_is_a_problem() {
        assert_eq!(problems(r#"{"name": "w", "tasks": []}"#)[0].0, "tasks");
    }
}
