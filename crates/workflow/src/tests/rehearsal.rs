//! What a run would do.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use stage::{Context, Error, Result};

use crate::reference::Workspace;
use crate::rehearsal::{RehearsedTask, rehearse};
use crate::{Built, Request, Selection, Work, Workflow, Workshop, check, spec};

const OUTER: &str = r#"{ "name": "outer", "parameters": [{ "name": "day", "default": "{{job.trigger.type}} day" }], "tasks": [
    { "task_key": "last", "depends_on": [{ "task_key": "first" }, { "task_key": "many" }], "max_retries": -1,
      "timeout_seconds": 9, "run_job_task": { "job_id": "inner", "job_parameters":
        { "for": "{{job.parameters.day}}", "rows": "{{tasks.first.values.rows}}" } } },
    { "task_key": "first", "shell_task": { "command": ["echo", "{{job.parameters.day}} {{job.run_id}} {{task.name}}"],
      "env": { "PRICE": "5$ {{workspace.id}}" } } },
    { "task_key": "big", "condition_task": { "op": "GREATER_THAN", "left": "12.0", "right": "{{job.repair_count}}" } },
    { "task_key": "many", "depends_on": [{ "task_key": "big", "outcome": "true" }], "run_if": "ALL_DONE",
      "for_each_task": { "inputs": "[1, 2]", "task":
        { "task_key": "one", "bronze_task": { "table": "shop.bronze.{{input}}" } } } }
] }"#;

const INNER: &str = r#"{ "name": "inner", "parameters": [{ "name": "for", "default": "" }, { "name": "rows", "default": "" }],
    "tasks": [{ "task_key": "only", "sql_task": { "file": { "path": "a.sql" } } }] }"#;

struct Workflows;

impl Workshop for Workflows {
    fn build(&self, _: &Work) -> Result<Built> {
        Err(Error::bug("a rehearsal built something"))
    }

    fn workflow(&self, name: &str) -> Result<Workflow> {
        Ok(checked(if name == "inner" { INNER } else { OUTER }))
    }
}

fn checked(text: &str) -> Workflow {
    check(&spec::parse(text).unwrap(), &|_| Ok(())).unwrap()
}

fn tasks(selection: Selection) -> BTreeMap<String, RehearsedTask> {
    let request = Request { selection, ..Request::default() };
    let workspace = Workspace { id: "here".into(), url: String::new() };
    let tables = |work: &Work| (vec![format!("written by {work}")], Vec::new());
    let plan = rehearse(&Context::new("test"), &checked(OUTER), &request, &workspace, &Workflows, &tables).unwrap();
    let keys: Vec<&str> = plan.tasks.iter().map(|task| task.task_key.as_str()).collect();
    let place = |key: &str| keys.iter().position(|one| *one == key);
    assert!(place("many") < place("last") && place("big") < place("many"), "{keys:?}");
    assert_eq!(plan.parameters["day"], "onetime day");
    plan.tasks.into_iter().map(|task| (task.task_key.clone(), task)).collect()
}

#[test]
fn what_is_known_is_filled_in_and_what_is_not_is_listed() {
    let tasks = tasks(Selection::All);
    let first = &tasks["first"];
    assert_eq!(first.body["command"], json!(["echo", "onetime day {{job.run_id}} first"]));
    assert_eq!(first.body["env"], json!({"PRICE": "5$ here"}));
    assert_eq!((first.later.as_slice(), first.writes.len()), (["{{job.run_id}}".to_owned()].as_slice(), 1));
    assert_eq!((tasks["big"].holds, tasks["big"].does.as_str()), (Some(true), "if 12.0 GREATER_THAN 0"));
    let many = &tasks["many"];
    assert_eq!((many.run_if.as_str(), many.depends_on[0].outcome), (Some("ALL_DONE"), Some(true)));
    let one = many.task.as_ref().unwrap();
    assert_eq!((one.later.as_slice(), &one.body), (["{{input}}".to_owned()].as_slice(), &Value::Null));
}

#[test]
fn another_workflow_is_part_of_the_plan() {
    let tasks = tasks(Selection::Only(vec!["last".into()]));
    let last = &tasks["last"];
    assert_eq!((last.max_retries, last.timeout_seconds), (None, Some(9.0)));
    assert_eq!((last.left_out, tasks["first"].left_out), (None, Some("not selected")));
    let inner = last.run.as_ref().unwrap();
    assert_eq!(inner.parameters["for"], "onetime day");
    assert_eq!(inner.parameters["rows"], "{{tasks.first.values.rows}}");
    assert_eq!(inner.tasks[0].body["parameters"]["for"], "onetime day");
}
