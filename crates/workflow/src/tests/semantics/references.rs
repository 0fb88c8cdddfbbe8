//! References in a running workflow: each has the value that the run makes for it.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use stage::Kind;

use super::lab::{Lab, noon};
use super::task;
use crate::ResultState::{Failed, Success};
use crate::action::MOST_VALUE_BYTES;
use crate::reference::Workspace;
use crate::{Cause, CauseKind};

/// A workflow whose last task says what the text becomes, after a query, a program, a failure and a task that is left out.
fn telling(text: &str) -> Value {
    let mut tell = task("tell: query values failed excluded | if ALL_DONE");
    tell["shell_task"] = json!({"command": ["say", "text", text]});
    json!({"name": "w", "parameters": [{"name": "day", "default": "monday"}, {"name": "p-1", "default": "odd"}], "tasks": [
        {"task_key": "query", "shell_task": {"command": ["rows", r#"[{"n": 1, "s": "x"}, {"n": 2, "s": "y"}]"#]}},
        {"task_key": "values", "shell_task": {"command": ["publish", r#"{"n": 7, "s": "text", "o": {"f": [1, true]}}"#]}},
        task("failed | do fail-first 9 quality"),
        task("question | when 1 EQUAL_TO 2"),
        task("excluded: question=true"),
        tell,
    ]})
}

#[tokio::test(start_paused = true)]
async fn every_reference_has_its_value_in_a_running_workflow() {
    let rows = [
        ("{{job.id}}, {{job.name}}", "w, w"),
        ("{{job.run_id}}, {{job.repair_count}}", "1, 0"),
        ("{{job.start_time.iso_date}}", "2026-03-01"),
        ("{{job.start_time.iso_datetime}}", "2026-03-01T12:00:00Z"),
        ("{{job.start_time.iso_weekday}} {{job.start_time.is_weekday}}", "7 false"),
        ("{{job.start_time.year}}-{{job.start_time.month}}-{{job.start_time.day}}", "2026-3-1"),
        ("{{job.start_time.hour}}:{{job.start_time.minute}}:{{job.start_time.second}}", "12:0:0"),
        ("{{job.start_time.timestamp_ms}}", "1772366400000"),
        ("{{job.parameters.day}} {{job.parameters.`p-1`}}", "monday odd"),
        ("{{job.trigger.type}} {{job.trigger.time.iso_date}}", "table_update 2026-02-28"),
        ("{{job.trigger.file_arrival.location}}", "s3://landing"),
        ("{{job.trigger.table_update.updated_tables}}", "[\"shop.silver.orders\"]"),
        ("{{job.trigger.table_update.`shop.silver.orders`.version}}", "5"),
        ("{{task.name}} {{task.run_id}} {{task.execution_count}}", "tell 1/tell 1"),
        ("{{tasks.values.values.n}} {{tasks.values.values.s}}", "7 text"),
        ("{{tasks.values.values.o}} {{tasks.values.values.o.f}}", "{\"f\":[1,true]} [1,true]"),
        ("{{tasks.query.output.first_row.n}} {{tasks.query.output.first_row.s}}", "1 x"),
        ("{{tasks.query.output.rows}}", "[{\"n\":1,\"s\":\"x\"},{\"n\":2,\"s\":\"y\"}]"),
        ("{{tasks.values.run_id}} {{tasks.values.execution_count}}", "1/values 1"),
        ("{{tasks.values.result_state}} [{{tasks.values.error_code}}]", "success []"),
        ("{{tasks.failed.result_state}} {{tasks.failed.error_code}}", "failed quality"),
        ("{{tasks.excluded.result_state}} {{tasks.excluded.execution_count}}", "excluded 0"),
        ("{{tasks.question.values.outcome}}", "false"),
        ("{{workspace.id}} {{workspace.url}}", "shop http://127.0.0.1:9601"),
        ("{{backfill.iso_date}}", "2026-01-02"),
        ("{{job_id}} {{run_id}} {{task_key}} {{parent_run_id}} {{task_retry_count}}", "w 1/tell tell 1 0"),
        ("{{start_date}} {{start_time}}", "2026-03-01 1772366400000"),
        ("{{ job.run_id }}", "1"),
        ("{{secrets.scope.key}} {{job.run_id + 1}} {{}}", "{{secrets.scope.key}} {{job.run_id + 1}} {{}}"),
    ];
    for (text, expected) in rows {
        let mut lab = Lab::new(&[telling(text)]);
        lab.workspace = Workspace { id: "shop".into(), url: "http://127.0.0.1:9601".into() };
        lab.request.backfill = Some("2026-01-02T00:00:00Z".parse().unwrap());
        lab.request.cause = Cause {
            due_at: Some("2026-02-28T10:00:00Z".parse().unwrap()),
            location: Some("s3://landing".into()),
            tables: BTreeMap::from([("shop.silver.orders".to_owned(), (5, noon()))]),
            ..Cause::new(CauseKind::TableUpdate)
        };
        let outcome = lab.run("w").await;
        assert_eq!(Lab::said(&outcome, "tell", "text"), expected, "{text}: {:?}", outcome.tasks[5].error);
    }
}

#[tokio::test(start_paused = true)]
async fn an_unknown_name_in_a_known_namespace_fails_the_task_and_says_what_there_is() {
    let rows = [
        ("{{tasks.values.values.m}}", "task `values` published no value `m`, and ended as SUCCESS"),
        ("{{tasks.values.values.o.g}}", "the value `o` has no field `g`"),
        ("{{tasks.query.output.first_row.m}}", "the query of task `query` returned no column `m`"),
        ("{{tasks.values.output.rows}}", "task `values` returned no rows"),
        ("{{tasks.excluded.values.n}}", "task `excluded` published no value `n`, and ended as EXCLUDED"),
        ("{{job.trigger.file_arrival.location}}", "the run was not started by the arrival of a file"),
        ("{{backfill.iso_date}}", "the run is no backfill"),
        ("{{task.notebook_path}}", "there are no notebooks here"),
    ];
    for (text, expected) in rows {
        let outcome = Lab::new(&[telling(text)]).run("w").await;
        let tell = &outcome.tasks[5];
        let error = tell.error.as_ref().unwrap();
        assert_eq!((tell.state, error.kind()), (Failed, Kind::Config), "{text}");
        assert!(error.chain().contains(expected), "{}", error.chain());
    }
}

#[test]
fn names_that_can_never_have_a_value_are_refused_by_check() {
    for (text, expected) in [
        ("{{job.parameters.dya}}", "the workflow has no parameter `dya`; did you mean `day`?"),
        ("{{tasks.valeus.values.n}}", "there is no task `valeus` in this workflow; did you mean `values`?"),
        ("{{tasks.tell.values.n}}", "`tell` need not have ended by then"),
        ("{{input.day}}", "there is an input only in the task of a for_each_task"),
        ("{{job.start_time.iso_dat}}", "did you mean `iso_date`?"),
    ] {
        let spec = crate::spec::parse(&telling(text).to_string()).unwrap();
        let problems = crate::check(&spec, &|_| Ok(())).unwrap_err();
        assert!(problems.iter().any(|problem| problem.message.contains(expected)), "{text}: {problems:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_value_may_have_as_many_bytes_as_allowed_and_none_more() {
    // As JSON a text has two bytes more.
    for (bytes, state) in [(MOST_VALUE_BYTES - 2, Success), (MOST_VALUE_BYTES - 1, Failed)] {
        let text = "x".repeat(bytes);
        let lab = Lab::new(&[json!({"name": "w", "tasks": [
            {"task_key": "a", "shell_task": {"command": ["say", "long", text]}}]})]);
        let outcome = lab.run("w").await;
        assert_eq!(outcome.state, state);
        if state == Failed {
            let error = outcome.first_error().unwrap();
            assert_eq!(error.kind(), Kind::Data);
            assert!(error.message().contains("the value `long` has 49153 bytes"), "{}", error.message());
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_value_that_looks_like_a_reference_is_not_filled_again() {
    let lab = Lab::new(&[json!({"name": "w", "tasks": [
        {"task_key": "a", "shell_task": {"command": ["publish", r#"{"text": "{{" }"#]}},
        {"task_key": "b", "depends_on": [{"task_key": "a"}], "shell_task": {"command": ["say", "text", "{{tasks.a.values.text}}job.run_id}}"]}}]})]);
    assert_eq!(Lab::said(&lab.run("w").await, "b", "text"), "{{job.run_id}}");
}

#[tokio::test(start_paused = true)]
async fn executions_count_over_retries_and_repairs_and_retries_only_since_the_last_start() {
    let text = "{{task.execution_count}} {{task_retry_count}} {{job.repair_count}}";
    let lab = Lab::new(&[json!({"name": "w", "tasks": [{"task_key": "a", "max_retries": 1,
        "shell_task": {"command": ["fail", "unavailable", text]}}]})]);
    lab.run("w").await;
    lab.run_again(1, &crate::Again::Repair { tasks: vec![], dependents: false }).await.unwrap();
    let expected = ["1 0 0", "2 1 0", "3 0 1", "4 1 1"].map(|text| format!("fail unavailable {text}"));
    assert_eq!(lab.started_words(), expected);
}
