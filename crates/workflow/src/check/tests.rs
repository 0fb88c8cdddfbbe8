//! What is wrong with a workflow, and how it is told.

use super::*;
use crate::definition::Work;
use crate::spec::parse;

fn problems(text: &str) -> Vec<(String, String)> {
    let known = |work: &Work| match work {
        Work::Pipeline { pipeline, .. } if pipeline != "shop" => Err(format!("there is no pipeline `{pipeline}`")),
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

#[test]
fn what_is_longer_than_jobs_json_allows_is_a_problem() {
    let tasks: Vec<String> =
        (0..1001).map(|n| format!("{{\"task_key\": \"t{n}\", \"shell_task\": {{\"command\": \"true\"}}}}")).collect();
    let tags: Vec<String> = (0..26).map(|n| format!("\"t{n}\": \"\"")).collect();
    let found = problems(&format!(
        "{{\"name\": \"{}\", \"description\": \"{}\", \"tasks\": [{}], \"tags\": {{{}}}}}",
        "n".repeat(4097),
        "ä".repeat(27_701),
        tasks.join(","),
        tags.join(",")
    ));
    let places: Vec<&str> = found.iter().map(|(at, _)| at.as_str()).collect();
    assert_eq!(places, ["name", "description", "tasks", "tags"]);
    assert_eq!(found[2].1, "at most 1000 tasks, found 1001");
}
