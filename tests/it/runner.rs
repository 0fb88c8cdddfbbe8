//! Workflows: order, failures, signals and what the history keeps of them.

use std::net::{TcpListener, TcpStream};
use std::time::Duration;

use serde_json::Value;

use crate::place::Place;
use crate::project::{Ended, Project};
use crate::running::Running;
use crate::shop;
use crate::waiting::wait_for;

/// Two branches; the landing folder of the second is missing.
const BRANCHES: &str = r#"{ "name": "branches", "tasks": [
    { "task_key": "orders", "bronze_task": { "table": "shop.bronze.orders" } },
    { "task_key": "silver", "depends_on": [{ "task_key": "orders" }], "silver_task": { "table": "shop.silver.orders" } },
    { "task_key": "broken", "bronze_task": { "table": "shop.bronze.missing" } },
    { "task_key": "after", "depends_on": [{ "task_key": "broken" }], "silver_task": { "table": "shop.silver.missing" } },
    { "task_key": "both", "depends_on": [{ "task_key": "after" }, { "task_key": "silver" }],
      "gold_task": { "table": "shop.gold.spent" } }
] }"#;

fn branches() -> Project {
    let project = shop::project(Place::Folder)
        .with(
            "pipelines/shop/bronze/missing.toml",
            "[source.files]\npath = \"${var.landing}/missing\"\nformat = \"ndjson\"\n[schema]\nid = \"long\"\n",
        )
        .with("pipelines/shop/silver/missing.toml", "from = \"bronze.missing\"\n")
        .with("workflows/branches.json", BRANCHES);
    project.land("orders/1.json", shop::orders(1..=3));
    project
}

fn states(told: &Value) -> Vec<String> {
    let tasks = told["tasks"].as_array().unwrap();
    tasks
        .iter()
        .map(|task| format!("{} {}", task["task_key"].as_str().unwrap(), task["state"].as_str().unwrap()))
        .collect()
}

#[test]
fn a_failed_task_skips_what_comes_after_it_and_nothing_else() {
    let project = branches();
    let ended = project.fail(&["run", "branches", "--output", "json"], 2, "task `broken` failed");
    let told: Value = serde_json::from_str(&ended.out).unwrap();
    assert_eq!(told["state"], "FAILED");
    let expected =
        ["orders SUCCESS", "silver SUCCESS", "broken FAILED", "after UPSTREAM_FAILED", "both UPSTREAM_FAILED"];
    assert_eq!(states(&told), expected);
    assert_eq!(project.count("shop.silver.orders"), 3);

    std::fs::create_dir_all(project.path("landing/missing")).unwrap();
    project.land("missing/1.json", "{\"id\":1}\n");
    project.succeed(&["run", "branches", "--from", "broken"]);
    assert_eq!(project.count("shop.gold.spent"), 3);
}

#[test]
fn only_the_named_tasks_run() {
    let project = branches();
    let ended = project.succeed(&["run", "branches", "--only", "orders", "--output", "json"]);
    let told: Value = serde_json::from_str(&ended.out).unwrap();
    assert!(states(&told).contains(&"orders SUCCESS".to_owned()), "{told}");
    assert_eq!(project.versions().get("shop.silver.orders"), None);
}

#[test]
fn the_history_tells_of_every_run_and_of_the_errors_in_it() {
    let project = branches();
    project.run(&["run", "branches"]);
    project.succeed(&["run", "branches", "--only", "orders"]);
    let listed: Value = serde_json::from_str(&project.succeed(&["runs", "--output", "json"]).out).unwrap();
    let listed: Vec<(i64, &str)> = listed
        .as_array()
        .unwrap()
        .iter()
        .map(|run| (run["number"].as_i64().unwrap(), run["state"].as_str().unwrap()))
        .collect();
    assert_eq!(listed, [(2, "SUCCESS"), (1, "FAILED")]);
    let shown = project.succeed(&["runs", "show", "1"]).out;
    assert!(shown.starts_with("run 1 of branches, FAILED"), "{shown}");
    assert!(shown.contains("config: the landing folder") && shown.contains("UPSTREAM_FAILED"), "{shown}");
    let record = project.log("shop.bronze.orders").concat();
    let info = record.iter().find_map(|action| action.get("commitInfo")).unwrap();
    assert_eq!(info["medallion"]["run"], "branches-1");
}

/// A run that waits for a server which takes every request and answers none; it waits as long as the server is kept.
fn waiting_for_a_silent_server() -> (Project, Running, (TcpListener, TcpStream)) {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    silent.set_nonblocking(true).unwrap();
    let project = shop::project(Place::S3);
    project.land("orders/1.json", shop::orders(1..=3));
    let mut command = project.command(&["run", "shop"]);
    command.env("AWS_ENDPOINT_URL", format!("http://{}", silent.local_addr().unwrap()));
    let running = Running::of(&mut command);
    let (connection, _) = wait_for("the run to ask the server", || silent.accept().ok());
    (project, running, (silent, connection))
}

/// Signals a run that waits for a server which never answers: the first asks for an end, the second ends it at once.
fn stopped_twice_while_waiting(name: &str) -> Ended {
    let (project, running, _server) = waiting_for_a_silent_server();
    running.signal(name);
    let told = wait_for("an answer to the signal", || Some(running.told()).filter(|told| !told.is_empty()));
    assert!(told.starts_with("stopping; what is not committed is dropped"), "{told}");
    running.signal(name);
    let ended = running.kill_after(Duration::from_secs(10));
    project.succeed(&["run", "shop"]);
    assert_eq!(project.count("shop.silver.orders"), 3);
    ended
}

#[test]
fn a_second_interrupt_ends_a_run_at_once_even_while_it_waits_for_a_server() {
    let ended = stopped_twice_while_waiting("INT");
    assert_eq!(ended.code, 130, "{ended:#?}");
}

#[test]
fn a_second_request_to_terminate_ends_a_run_at_once_even_while_it_waits_for_a_server() {
    let ended = stopped_twice_while_waiting("TERM");
    assert_eq!(ended.code, 143, "{ended:#?}");
}

/// Signals a run once while a server which accepts every request never answers.
fn check_stopped_while_waiting(name: &str, code: i32) {
    let (project, running, _server) = waiting_for_a_silent_server();
    running.signal(name);
    // Two seconds, and some for a busy machine.
    let ended = running.kill_after(Duration::from_secs(8));
    assert_eq!(ended.code, code, "{ended:#?}");
    assert!(ended.out.contains("CANCELED"), "{ended:#?}");
    project.succeed(&["run", "shop"]);
    assert_eq!(project.count("shop.silver.orders"), 3);
}

#[test]
fn a_first_interrupt_ends_a_run_that_waits_for_a_silent_server_within_seconds() {
    check_stopped_while_waiting("INT", 130);
}

#[test]
fn a_first_request_to_terminate_ends_a_run_that_waits_for_a_silent_server_within_seconds() {
    check_stopped_while_waiting("TERM", 143);
}

/// Signals a run while it reads, and then lets another come to its end.
fn check_stopped_while_reading(name: &str, code: i32) {
    const ORDERS: i64 = 200_000;
    let project = shop::project(Place::Folder);
    project.land("orders/1.json", shop::orders(1..=ORDERS));
    let running = Running::start(&project, &["run", "shop"]);
    wait_for("the run to begin", || project.path(".medallion/history.sqlite").exists().then_some(()));
    running.signal(name);
    let ended = running.ended();
    assert_eq!(ended.code, code, "{ended:#?}");
    assert!(ended.err.contains("stopping; what is not committed is dropped"), "{ended:#?}");
    assert!(project.versions().values().all(|versions| *versions == 1), "{:?}", project.versions());
    let listed: Value = serde_json::from_str(&project.succeed(&["runs", "--output", "json"]).out).unwrap();
    assert_eq!(listed[0]["state"], "CANCELED");
    project.succeed(&["run", "shop"]);
    assert_eq!((project.count("shop.bronze.orders"), project.count("shop.silver.orders")), (ORDERS, ORDERS));
}

#[test]
fn an_interrupted_run_leaves_nothing_half_done_and_a_later_run_completes() {
    check_stopped_while_reading("INT", 130);
}

#[test]
fn a_terminated_run_leaves_nothing_half_done_and_a_later_run_completes() {
    check_stopped_while_reading("TERM", 143);
}
