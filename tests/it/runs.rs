//! Runs as people and programs see them, and how they go on: repaired, resumed after a kill, cancelled.

use std::net::TcpListener;
use std::time::Duration;

use serde_json::Value;

use crate::golden::check_golden;
use crate::place::Place;
use crate::project::Project;
use crate::running::Running;
use crate::shop;
use crate::waiting::wait_for;

/// Orders and what is late; the landing folder of the second is missing at first.
const WORKFLOW: &str = r#"{ "name": "daily", "description": "Orders, and what comes late",
  "parameters": [{ "name": "day", "default": "2024-03-01" }],
  "tasks": [
    { "task_key": "orders", "bronze_task": { "table": "shop.bronze.orders" } },
    { "task_key": "is_march", "condition_task": { "op": "EQUAL_TO", "left": "{{job.parameters.day}}", "right": "2024-03-01" } },
    { "task_key": "late", "depends_on": [{ "task_key": "is_march", "outcome": "true" }],
      "bronze_task": { "table": "shop.bronze.late" } },
    { "task_key": "silver", "depends_on": [{ "task_key": "orders" }, { "task_key": "late" }],
      "silver_task": { "table": "shop.silver.orders" } }
] }"#;

fn late(path: &str) -> String {
    format!("[source.files]\npath = \"{path}\"\nformat = \"ndjson\"\n[schema]\nid = \"long\"\n")
}

fn project() -> Project {
    let project = shop::project(Place::Folder)
        .with("pipelines/shop/bronze/late.toml", &late("${var.landing}/late"))
        .with("workflows/daily.json", WORKFLOW);
    project.land("orders/1.json", shop::orders(1..=3));
    project
}

fn json(project: &Project, arguments: &[&str]) -> Value {
    let arguments = [arguments, &["--output", "json"]].concat();
    serde_json::from_str(&project.succeed(&arguments).out).unwrap()
}

/// Each task with its state, how often it was started, and the rows it wrote in its last attempt.
fn tasks(project: &Project, run: &str) -> Vec<String> {
    let shown = json(project, &["runs", "show", run]);
    let told = |task: &Value| {
        let text = |field: &str| task[field].as_str().unwrap().to_owned();
        format!("{} {} {} {}", text("task_key"), text("state"), task["executions"], task["rows"]["written"])
    };
    shown["tasks"].as_array().unwrap().iter().map(told).collect()
}

/// As people see it in 80 columns, with times replaced by words.
fn told(project: &Project, arguments: &[&str]) -> String {
    let output = project.command(arguments).env("COLUMNS", "80").output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
    let text = text.replace(project.path("").to_str().unwrap(), "<project>/");
    let masks = [
        (r" +\d+\.\d\d s( -> \d+\.\d\d s)?", " <seconds>"),
        (r"<seconds> +\d+\.\d\d ", "<seconds> <ratio> "),
        // How far columns are apart depends on the times in them.
        (r"(time|->|-|<seconds>|<ratio>) {3,}", "$1  "),
        (r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", "<time>"),
        // Where a line is broken depends on how long the path of the project is.
        (r"\n    ", " "),
    ];
    let mask = |text: String, (pattern, word): (&str, &str)| {
        regex::Regex::new(pattern).unwrap().replace_all(&text, word).into_owned()
    };
    masks.into_iter().fold(text, mask)
}

#[test]
fn a_repair_runs_only_what_did_not_succeed_again_and_under_the_same_number() {
    let project = project();
    project.fail(&["run", "daily"], 2, "task `late` failed");
    assert_eq!(
        tasks(&project, "1"),
        ["orders SUCCESS 1 3", "is_march SUCCESS 1 0", "late FAILED 1 0", "silver UPSTREAM_FAILED 0 0"]
    );
    project.fail(&["runs", "resume", "1"], 2, "`medallion runs repair` runs what did not succeed");
    project.land("late/1.json", "{\"id\":1}\n");
    let repaired = json(&project, &["runs", "repair", "1"]);
    assert_eq!((&repaired["run"], &repaired["state"]), (&1.into(), &"SUCCESS".into()));
    assert_eq!(
        tasks(&project, "1"),
        ["orders SUCCESS 1 3", "is_march SUCCESS 1 0", "late SUCCESS 2 1", "silver SUCCESS 1 3"]
    );
    assert_eq!((project.count("shop.bronze.orders"), project.count("shop.silver.orders")), (3, 3));
    assert_eq!(project.versions()["shop.bronze.orders"], 1);
    let listed = json(&project, &["runs"]);
    assert_eq!(listed.as_array().unwrap().len(), 1);
    assert_eq!((&listed[0]["repairs"], &listed[0]["rows"]["written"]), (&1.into(), &7.into()));
    project.fail(&["runs", "repair", "1"], 2, "succeeded, so nothing is to be repaired");
    project.fail(&["runs", "repair", "1", "--tasks", "ordrs"], 2, "`orders`");
    project.succeed(&["runs", "repair", "1", "--tasks", "late", "--dependents"]);
    assert_eq!(tasks(&project, "1")[2..], ["late SUCCESS 3 0", "silver SUCCESS 2 0"]);
}

#[test]
fn a_repair_takes_other_parameters_and_says_so() {
    let project = project();
    project.fail(&["run", "daily"], 2, "task `late` failed");
    project.succeed(&["runs", "repair", "1", "--tasks", "is_march", "--dependents", "--param", "day=2024-04-01"]);
    assert_eq!(tasks(&project, "1")[1..3], ["is_march SUCCESS 2 0", "late EXCLUDED 1 0"]);
    assert_eq!(json(&project, &["runs", "show", "1"])["run"]["parameters"]["day"], "2024-04-01");
}

#[test]
fn a_command_for_one_table_is_run_again_rather_than_repaired() {
    let project = project();
    project.fail(&["bronze", "shop.bronze.late"], 2, "the landing folder");
    project.fail(&["runs", "repair", "1"], 2, "run `medallion bronze shop.bronze.late` again");
    project.fail(&["runs", "repair", "7"], 2, "there is no run 7");
}

/// A run whose task `late` waits for a server that never answers, while `orders` is done.
fn waiting(project: &Project) -> (Running, TcpListener) {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    project.write("pipelines/shop/bronze/late.toml", &late("s3://somewhere/late"));
    let mut command = project.command(&["run", "daily"]);
    command.env("AWS_ENDPOINT_URL", format!("http://{}", silent.local_addr().unwrap()));
    for (name, value) in [("ACCESS_KEY_ID", "k"), ("SECRET_ACCESS_KEY", "s"), ("REGION", "r"), ("ALLOW_HTTP", "true")] {
        command.env(format!("AWS_{name}"), value);
    }
    let running = Running::of(&mut command);
    wait_for("the first tasks", || {
        let ended = project.run(&["runs", "show", "1", "--output", "json"]);
        let shown: Value = serde_json::from_str(&ended.out).ok()?;
        let state = |task: usize| shown["tasks"][task]["state"].clone();
        (state(0) == "SUCCESS" && state(2) == "RUNNING").then_some(())
    });
    (running, silent)
}

#[test]
fn a_killed_run_is_interrupted_and_goes_on_where_it_stood() {
    let project = project();
    let (running, _silent) = waiting(&project);
    assert_eq!(json(&project, &["runs", "--state", "running"])[0]["state"], "RUNNING");
    running.kill_after(Duration::ZERO);
    let listed = json(&project, &["runs", "--state", "INTERRUPTED", "--workflow", "daily"]);
    assert_eq!(listed[0]["number"], 1);
    assert_eq!(tasks(&project, "1")[2..], ["late INTERRUPTED 1 0", "silver BLOCKED 0 0"]);
    project.write("pipelines/shop/bronze/late.toml", &late("${var.landing}/late"));
    project.land("late/1.json", "{\"id\":1}\n");
    project.succeed(&["runs", "resume", "1"]);
    assert_eq!(
        tasks(&project, "1"),
        ["orders SUCCESS 1 3", "is_march SUCCESS 1 0", "late SUCCESS 2 1", "silver SUCCESS 1 3"]
    );
    assert_eq!((project.count("shop.bronze.orders"), project.count("shop.silver.orders")), (3, 3));
    project.fail(&["runs", "resume", "1"], 2, "nothing is left to do");
}

#[test]
fn a_run_is_cancelled_from_another_process_and_can_be_gone_on_with() {
    let project = project();
    let (running, _silent) = waiting(&project);
    project.fail(&["runs", "repair", "1"], 2, "has not ended");
    assert!(project.succeed(&["runs", "cancel", "1"]).out.contains("is asked to stop"));
    let ended = running.ended();
    assert!(ended.out.contains("CANCELED"), "{ended:#?}");
    project.fail(&["runs", "cancel", "1"], 2, "has ended already: CANCELED");
    project.write("pipelines/shop/bronze/late.toml", &late("${var.landing}/late"));
    project.land("late/1.json", "{\"id\":1}\n");
    project.succeed(&["runs", "resume", "1"]);
    assert_eq!(project.count("shop.silver.orders"), 3);
}

#[test]
fn logs_of_all_tasks_stand_in_the_order_of_time_and_one_task_can_be_chosen() {
    let project = project();
    project.fail(&["run", "daily"], 2, "task `late` failed");
    let all = json(&project, &["runs", "logs", "1"]);
    let times: Vec<&str> = all.as_array().unwrap().iter().map(|said| said["time"].as_str().unwrap()).collect();
    assert!(times.len() >= 2 && times.is_sorted(), "{all}");
    let one = project.succeed(&["runs", "logs", "1", "--task", "orders", "--follow"]).out;
    assert!(one.contains("shop.bronze.orders: 3 rows read, 3 written") && !one.contains("late"), "{one}");
    project.fail(&["runs", "logs", "1", "--task", "ordrs"], 2, "`orders`");
}

#[test]
fn logs_are_followed_until_the_run_ends() {
    let project = project();
    let (running, _silent) = waiting(&project);
    let following = Running::start(&project, &["runs", "logs", "1", "--follow"]);
    wait_for("a first line", || following.printed().contains("3 written").then_some(()));
    running.stop();
    let ended = following.ended();
    assert_eq!(ended.code, 0, "{ended:#?}");
    assert!(ended.out.contains("attempt 0 ended as CANCELED"), "{ended:#?}");
}

#[test]
fn old_runs_are_deleted_but_the_newest_stay() {
    let project = project();
    for _ in 0..3 {
        project.succeed(&["bronze", "shop.bronze.orders"]);
    }
    assert_eq!(json(&project, &["runs", "prune", "--older-than", "1d", "--keep", "0"])["deleted"], 0);
    assert_eq!(json(&project, &["runs", "prune", "--older-than", "0s", "--keep", "1"])["deleted"], 2);
    let left = json(&project, &["runs"]);
    assert_eq!((left.as_array().unwrap().len(), &left[0]["number"]), (1, &3.into()));
}

#[test]
fn two_runs_are_held_side_by_side() {
    let project = project();
    project.fail(&["run", "daily"], 2, "task `late` failed");
    project.succeed(&["run", "daily", "--param", "day=2024-04-01"]);
    let compared = json(&project, &["runs", "compare", "1", "2"]);
    assert_eq!(compared["parameters"]["day"], serde_json::json!(["2024-03-01", "2024-04-01"]));
    let late = &compared["tasks"][2];
    assert_eq!((&late["first"]["state"], &late["second"]["state"]), (&"FAILED".into(), &"EXCLUDED".into()));
    assert_eq!(compared["tasks"][1]["values"]["outcome"], serde_json::json!([true, false]));
    let csv = project.succeed(&["runs", "compare", "1", "2", "--output", "csv"]).out;
    assert!(csv.starts_with("task_key,first_state,second_state,"), "{csv}");
}

#[test]
fn what_people_read_of_workflows_and_runs_fits_into_80_columns() {
    let project = project();
    let show = told(&project, &["show", "daily"]);
    project.run(&["run", "daily"]);
    project.run(&["run", "daily", "--param", "day=2024-04-01"]);
    let texts = [
        ("show daily", show),
        ("runs", told(&project, &["runs"])),
        ("runs show 1", told(&project, &["runs", "show", "1"])),
        ("runs compare 1 2", told(&project, &["runs", "compare", "1", "2"])),
    ];
    let text: String = texts.iter().map(|(command, text)| format!("$ medallion {command}\n{text}\n")).collect();
    check_golden("runs.txt", &text);
}

#[test]
fn a_workflow_is_drawn_for_documentation_and_browsers() {
    let project = project();
    let mermaid = project.succeed(&["show", "daily", "--format", "mermaid"]).out;
    assert!(mermaid.contains("flowchart LR") && mermaid.contains("shop.bronze.late"), "{mermaid}");
    let svg = project.succeed(&["show", "daily", "--format", "svg"]).out;
    assert!(svg.starts_with("<svg ") && svg.trim_end().ends_with("</svg>"), "{svg}");
    project.fail(&["show", "shop.bronze.orders", "--format", "svg"], 2, "--format is for workflows");
}
