//! Tasks that bring no table forward: queries, programs, maintenance, and what they leave for the tasks after them.

use serde_json::{Value, json};

use crate::place::Place;
use crate::project::{Ended, Project};
use crate::shop;

/// Loads orders, asks how many there are, and does something for each customer only when there are enough.
const DAILY: &str = r#"{ "name": "daily", "parameters": [{ "name": "least", "default": "3" }], "tasks": [
    { "task_key": "orders", "bronze_task": { "table": "shop.bronze.orders" } },
    { "task_key": "silver", "depends_on": [{ "task_key": "orders" }], "silver_task": { "table": "shop.silver.orders" } },
    { "task_key": "count", "depends_on": [{ "task_key": "silver" }],
      "sql_task": { "file": { "path": "queries/customers.sql" }, "parameters": { "not": "nobody' OR '1'='1" } } },
    { "task_key": "enough", "depends_on": [{ "task_key": "count" }], "condition_task":
      { "op": "GREATER_THAN_OR_EQUAL", "left": "{{tasks.count.values.rows}}", "right": "{{job.parameters.least}}" } },
    { "task_key": "each", "depends_on": [{ "task_key": "enough", "outcome": "true" }], "for_each_task":
      { "inputs": "{{tasks.count.output.rows}}", "concurrency": 2, "task": { "task_key": "tell", "shell_task":
        { "command": ["sh", "-c", "echo \"$0\" >> told.txt", "{{input.customer}}"], "working_folder": "landing" } } } },
    { "task_key": "few", "depends_on": [{ "task_key": "enough", "outcome": "false" }],
      "shell_task": { "command": "echo few > landing/few.txt" } },
    { "task_key": "report", "depends_on": [{ "task_key": "silver" }], "shell_task":
      { "command": "echo \"run $MEDALLION_RUN_ID of $MEDALLION_WORKFLOW, task $MEDALLION_TASK_KEY, $WRITTEN, $TOKEN\"; echo '{\"values\": {\"answer\": 42}}'",
        "env": { "WRITTEN": "{{tasks.silver.values.rows_written}} rows", "TOKEN": "Bearer ${secret.api.token}" } } },
    { "task_key": "optimize", "depends_on": [{ "task_key": "silver" }], "optimize_task": { "table": "shop.silver.orders" } },
    { "task_key": "vacuum", "depends_on": [{ "task_key": "optimize" }],
      "vacuum_task": { "table": "shop.silver.orders", "retain": "8d" } }
] }"#;

const CUSTOMERS: &str = "SELECT DISTINCT customer FROM silver.orders WHERE customer <> :not ORDER BY customer\n";

fn daily() -> Project {
    let project =
        shop::project(Place::Folder).with("queries/customers.sql", CUSTOMERS).with("workflows/daily.json", DAILY);
    let settings = std::fs::read_to_string(project.path("medallion.toml")).unwrap();
    project.write("medallion.toml", &(settings + "[secrets.api]\nprovider = \"env\"\nprefix = \"API_\"\n"));
    project.land("orders/1.json", shop::orders(1..=4));
    project
}

/// What a run tells programs, and its exit code.
fn ran(project: &Project, arguments: &[&str]) -> (Value, i32) {
    let mut command = project.command(&[&["run", "daily", "--output", "json"], arguments].concat());
    let ended = Ended::of(command.env("API_token", "t0p-s3cret").output().unwrap());
    (serde_json::from_str(&ended.out).unwrap_or_else(|_| panic!("{ended:#?}")), ended.code)
}

fn task<'a>(told: &'a Value, key: &str) -> &'a Value {
    told["tasks"].as_array().unwrap().iter().find(|task| task["task_key"] == key).unwrap()
}

#[test]
fn queries_programs_and_maintenance_leave_values_for_what_comes_after() {
    let project = daily();
    project.succeed(&["check"]);
    let (told, code) = ran(&project, &[]);
    assert_eq!((told["state"].as_str(), code), (Some("SUCCESS"), 0), "{told:#}");
    let count = task(&told, "count");
    assert_eq!(count["values"], json!({"customer": "customer 1", "rows": 4}));
    assert_eq!(count["rows"].as_array().unwrap().len(), 4);
    assert_eq!(
        (task(&told, "enough")["values"]["outcome"].as_bool(), &task(&told, "few")["state"]),
        (Some(true), &json!("EXCLUDED"))
    );
    let mut customers: Vec<String> =
        std::fs::read_to_string(project.path("landing/told.txt")).unwrap().lines().map(str::to_owned).collect();
    customers.sort();
    assert_eq!(customers, ["customer 1", "customer 2", "customer 3", "customer 4"]);
    assert_eq!(task(&told, "report")["values"], json!({"answer": 42}));
    let log = std::fs::read_to_string(project.path(".medallion/logs/1/report.log")).unwrap();
    assert!(log.contains("stdout: run daily-1 of daily, task report, 4 rows, Bearer ***\n"), "{log}");
    assert_eq!(task(&told, "optimize")["values"]["files_removed"], 0);
    assert_eq!(task(&told, "vacuum")["values"]["files"], 0);
    let log = std::fs::read_to_string(project.path(".medallion/logs/1/count.log")).unwrap();
    assert!(log.contains("| customer   |") && log.ends_with("4 rows\n"), "{log}");
}

#[test]
fn the_other_outcome_of_a_condition_leaves_the_loop_out() {
    let project = daily();
    let (told, code) = ran(&project, &["--param", "least=5"]);
    assert_eq!((told["state"].as_str(), code), (Some("SUCCESS"), 0), "{told:#}");
    assert_eq!((&task(&told, "each")["state"], &task(&told, "few")["state"]), (&json!("EXCLUDED"), &json!("SUCCESS")));
    assert!(project.path("landing/few.txt").exists());
}

/// A task of one shell command that is tried three times.
fn trying(command: &str) -> String {
    let task = json!({"task_key": "only", "max_retries": 2, "shell_task": {"command": command}});
    json!({"name": "daily", "tasks": [task]}).to_string()
}

#[test]
fn a_program_is_tried_again_unless_its_exit_code_says_that_it_is_in_vain() {
    let project = daily().with("workflows/daily.json", &trying("echo no luck >&2; exit 1"));
    let (told, code) = ran(&project, &[]);
    let only = task(&told, "only");
    assert_eq!((only["executions"].as_i64(), only["error_kind"].as_str(), code), (Some(3), Some("unavailable"), 75));
    assert_eq!(only["error"], "`sh` ended with exit code 1: no luck");

    let project = project.with("workflows/daily.json", &trying("exit 2"));
    let ended = project.fail(&["run", "daily"], 2, "not tried again");
    assert!(ended.err.contains("exit code 2"), "{ended:#?}");

    let project = project.with("workflows/daily.json", &trying("[ -e done ] || { touch done; exit 1; }"));
    let (told, code) = ran(&project, &[]);
    assert_eq!((task(&told, "only")["executions"].as_i64(), code), (Some(2), 0));
}

#[test]
fn mistakes_in_queries_and_maintenance_are_told_in_one_line() {
    let project = daily();
    project.succeed(&["run", "shop"]);
    let query = |parameters: Value| json!({"file": {"path": "queries/customers.sql"}, "parameters": parameters});
    for (field, body, said) in [
        (
            "sql_task",
            query(json!({"nott": "x"})),
            "line 1, column 62: the parameter `not` has no value; nearest is `nott`",
        ),
        ("vacuum_task", json!({"table": "shop.silver.orders", "retain": "1h"}), "less than the retention of 7d"),
        ("shell_task", json!({"command": ["no-such-program"]}), "could not start `no-such-program`"),
        ("shell_task", json!({"command": "true", "env": {"A": "${secret.api.token}"}}), "`API_token` is not set"),
    ] {
        let task = json!({"task_key": "only", field: body});
        let project = &project;
        project.write("workflows/daily.json", &json!({"name": "daily", "tasks": [task]}).to_string());
        project.fail(&["run", "daily"], 2, said);
    }
}
