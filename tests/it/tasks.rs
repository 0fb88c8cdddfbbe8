//! Tasks that bring no table forward: queries, programs, maintenance, and what they leave for the tasks after them.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpListener;
use std::thread::JoinHandle;

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
            "customers.sql:1:63: the parameter `not` has no value; nearest is `nott`",
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

#[test]
fn a_dry_run_fills_in_what_is_known_and_touches_nothing() {
    let project = daily();
    let told = project.succeed(&["run", "daily", "--dry-run", "--param", "least=2"]).out;
    for said in [
        "parameter least = 2\n",
        ". enough: if {{tasks.count.values.rows}} GREATER_THAN_OR_EQUAL 2\n",
        "known later: {{tasks.count.values.rows}}\n",
        "after enough (true)\n",
        "writes shop.silver.orders\n",
        "Bearer ${secret.api.token}",
    ] {
        assert!(told.contains(said), "{said}: {told}");
    }
    let plan: Value =
        serde_json::from_str(&project.succeed(&["run", "daily", "--dry-run", "--output", "json"]).out).unwrap();
    let silver = task(&plan, "silver");
    assert_eq!((&silver["writes"], &silver["reads"]), (&json!(["shop.silver.orders"]), &json!(["shop.bronze.orders"])));
    assert_eq!(task(&plan, "count")["reads"], json!(["shop.silver.orders"]));
    assert!(!project.path(".medallion").exists() && !project.path("lake").exists());
}

/// Takes one request and keeps its body.
fn listener() -> (String, JoinHandle<Value>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let body = std::thread::spawn(move || {
        let mut reader = BufReader::new(listener.accept().unwrap().0);
        let mut length = 0;
        loop {
            let mut line = String::new();
            reader.read_line(&mut line).unwrap();
            if line.trim().is_empty() {
                break;
            }
            if let Some(value) = line.to_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse().unwrap();
            }
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body).unwrap();
        reader.get_mut().write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n").unwrap();
        serde_json::from_slice(&body).unwrap()
    });
    (format!("http://{address}/hook"), body)
}

/// A project whose workflow fails and tells a webhook of it.
fn telling(url: &str) -> Project {
    let project = daily();
    let settings = std::fs::read_to_string(project.path("medallion.toml")).unwrap();
    project.write(
        "medallion.toml",
        &format!("{settings}[notifications.webhooks.ops]\nkind = \"generic\"\nurl = \"{url}\"\n"),
    );
    let workflow = json!({
        "name": "daily", "webhook_notifications": {"on_failure": [{"id": "ops"}]},
        "tasks": [{"task_key": "only", "shell_task": {"command": "echo no luck >&2; exit 2"}}],
    });
    project.with("workflows/daily.json", &workflow.to_string())
}

#[test]
fn a_webhook_hears_of_a_run_that_failed_and_of_a_test() {
    let (url, body) = listener();
    telling(&url).fail(&["run", "daily"], 2, "exit code 2");
    let body = body.join().unwrap();
    assert_eq!(
        (body["event"].as_str(), body["workflow"].as_str(), body["run"].as_i64()),
        (Some("failure"), Some("daily"), Some(1))
    );
    assert!(body.to_string().contains("task only: `sh` ended with exit code 2: no luck"), "{body}");

    let (url, body) = listener();
    let project = telling(&url);
    project.succeed(&["notify", "ops"]);
    assert_eq!(body.join().unwrap()["event"], "test");
    project.fail(&["notify", "opps"], 2, "unknown webhook `opps`");
    project.fail(&["notify", "a@example.com"], 2, "[notifications.mail]");
}
