//! Loops: a task for each item of a list.

use serde_json::{Value, json};

use super::lab::{Lab, Started};
use super::task;
use crate::ResultState::{Failed, Success, TimedOut};
use crate::{Again, ResultState, RunOutcome};

/// A workflow with a loop over the items, whose task is written in short.
fn looped(inputs: &Value, concurrency: Option<u32>, inner: &str, outer: &str) -> Value {
    let mut each = task(outer);
    each.as_object_mut().unwrap().remove("shell_task");
    each["for_each_task"] = json!({"inputs": inputs.to_string(), "task": task(inner)});
    if let Some(concurrency) = concurrency {
        each["for_each_task"]["concurrency"] = concurrency.into();
    }
    json!({"name": "w", "max_parallel_tasks": 100, "tasks": [each]})
}

async fn items(lab: &Lab) -> Vec<(String, Option<ResultState>, u32)> {
    let tasks = lab.details(1).await.tasks;
    let items = tasks.into_iter().filter(|task| task.input.is_some());
    items.map(|task| (task.task_key, task.state, task.executions)).collect()
}

fn counts(outcome: &RunOutcome) -> (u64, u64) {
    let values = &outcome.tasks[0].output.values;
    (values["items"].as_u64().unwrap(), values["failed"].as_u64().unwrap())
}

/// The most programs that ran at the same time, when each takes that many seconds.
fn at_once(started: &[Started], seconds: u64) -> usize {
    let window = std::time::Duration::from_secs(seconds);
    let during =
        |one: &Started| started.iter().filter(|other| other.at <= one.at && other.at + window > one.at).count();
    started.iter().map(during).max().unwrap_or(0)
}

#[tokio::test(start_paused = true)]
async fn items_run_one_after_another_or_as_many_at_a_time_as_asked() {
    for (concurrency, expected) in [(None, 1), (Some(3), 3), (Some(100), 10)] {
        let list: Value = (0..10).collect();
        let lab = Lab::new(&[looped(&list, concurrency, "one | do take 5 {{input}}", "each")]);
        let outcome = lab.run("w").await;
        assert_eq!((outcome.state, counts(&outcome)), (Success, (10, 0)));
        assert_eq!(at_once(&lab.started(), 5), expected, "{concurrency:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn items_share_the_places_of_the_run() {
    let mut json = looped(&(0..6).collect(), Some(100), "one | do take 5 {{input}}", "each");
    json["max_parallel_tasks"] = 2.into();
    let lab = Lab::new(&[json]);
    assert_eq!(lab.run("w").await.state, Success);
    assert_eq!(at_once(&lab.started(), 5), 2);
}

#[tokio::test(start_paused = true)]
async fn a_failed_item_lets_the_others_go_on_and_fails_the_loop() {
    let list = json!([{"times": 0, "name": "a"}, {"times": 9, "name": "b"}, {"times": 0, "name": "c"}]);
    let json = looped(&list, None, "one | do fail-first {{input.times}} data {{input.name}}", "each");
    let lab = Lab::new(&[json]);
    let outcome = lab.run("w").await;
    assert_eq!((outcome.state, counts(&outcome)), (Failed, (3, 1)));
    let message = outcome.first_error().unwrap().chain();
    assert_eq!(message, "1 of 3 items did not succeed (each[1]): it would not go");
    let expected = [("each[0]", Success, 1), ("each[1]", Failed, 1), ("each[2]", Success, 1)]
        .map(|(key, state, times)| (key.to_owned(), Some(state), times));
    assert_eq!(items(&lab).await, expected);
}

#[tokio::test(start_paused = true)]
async fn items_that_succeeded_are_kept_over_attempts_and_repairs_of_the_loop() {
    let inner = "one | do fail-first {{input.times}} unavailable {{input.name}}";
    let list = json!([{"times": 0, "name": "a"}, {"times": 2, "name": "b"}, {"times": 0, "name": "c"}]);
    // The loop is tried again once, which is one too few.
    let lab = Lab::new(&[looped(&list, None, inner, "each | retries 1")]);
    assert_eq!(lab.run("w").await.state, Failed);
    let outcome = lab.run_again(1, &Again::Repair { tasks: vec![], dependents: false }).await.unwrap();
    assert_eq!((outcome.state, counts(&outcome)), (Success, (3, 0)));
    let times = |name: &str| lab.started_words().iter().filter(|words| words.ends_with(name)).count();
    assert_eq!((times(" a"), times(" b"), times(" c")), (1, 3, 1));
    // One that is named runs again, all of its items too.
    let again = Again::Repair { tasks: vec!["each".into()], dependents: false };
    assert_eq!(lab.run_again(1, &again).await.unwrap().state, Success);
    assert_eq!((times(" a"), times(" b"), times(" c")), (2, 4, 2));
}

#[tokio::test(start_paused = true)]
async fn an_item_has_retries_and_a_time_limit_of_its_own() {
    let list = json!([0, 2]);
    let lab = Lab::new(&[looped(&list, None, "one | do fail-first {{input}} unavailable | retries 2", "each")]);
    assert_eq!(lab.run("w").await.state, Success);
    assert_eq!(items(&lab).await.iter().map(|(_, _, times)| *times).collect::<Vec<_>>(), [1, 3]);
    let lab = Lab::new(&[looped(&list, Some(2), "one | do serve {{input}} | timeout 3", "each")]);
    let outcome = lab.run("w").await;
    assert_eq!((outcome.state, outcome.exit_code()), (Failed, 75));
    assert!(outcome.seconds < 4.0, "{}", outcome.seconds);
    let states: Vec<_> = items(&lab).await.into_iter().map(|(_, state, _)| state).collect();
    assert_eq!(states, [Some(TimedOut), Some(TimedOut)]);
}

#[tokio::test(start_paused = true)]
async fn the_time_of_a_loop_ends_all_of_its_items() {
    let lab = Lab::new(&[looped(&(0..3).collect(), Some(2), "one | do serve {{input}}", "each | timeout 5")]);
    let outcome = lab.run("w").await;
    assert_eq!((outcome.state, super::ended(&outcome).as_str()), (TimedOut, "each=TIMEDOUT"));
    assert_eq!(lab.started().len(), 2, "the third item never had its turn");
    assert!((outcome.seconds - 5.0).abs() < 0.5);
}

#[tokio::test(start_paused = true)]
async fn an_empty_list_is_a_success() {
    let lab = Lab::new(&[looped(&json!([]), None, "one | do fail data", "each")]);
    let outcome = lab.run("w").await;
    assert_eq!((outcome.state, counts(&outcome), lab.started().len()), (Success, (0, 0), 0));
}

#[tokio::test(start_paused = true)]
async fn items_come_from_what_a_task_before_published() {
    let mut each = task("each: list");
    each.as_object_mut().unwrap().remove("shell_task");
    each["for_each_task"] = json!({
        "inputs": "{{tasks.list.values.days}}",
        "task": {"task_key": "one", "shell_task": {"command": ["ok", "{{input.day}}", "{{task.name}}", "{{tasks.list.result_state}}"]}},
    });
    let list = json!({"task_key": "list", "shell_task": {"command": ["publish", r#"{"days": [{"day": "mon"}, {"day": "tue"}]}"#]}});
    let lab = Lab::new(&[json!({"name": "w", "tasks": [list, each]})]);
    assert_eq!(lab.run("w").await.state, Success);
    assert_eq!(lab.started_words()[1..], ["ok mon each[0] success", "ok tue each[1] success"]);
}

#[tokio::test(start_paused = true)]
async fn inputs_that_are_no_list_fail_the_loop() {
    let mut json = looped(&json!([]), None, "one", "each");
    json["parameters"] = json!([{"name": "list", "default": "{\"a\": 1}"}]);
    json["tasks"][0]["for_each_task"]["inputs"] = "{{job.parameters.list}}".into();
    let outcome = Lab::new(&[json]).run("w").await;
    assert_eq!(outcome.state, Failed);
    assert!(outcome.first_error().unwrap().message().contains("are no JSON array: `{\"a\": 1}`"));
}
