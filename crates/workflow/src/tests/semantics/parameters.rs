//! Parameters of a run: defaults, what is given, and what wins.

use std::collections::BTreeMap;

use serde_json::json;

use super::lab::Lab;
use crate::ResultState::{Failed, Success};
use crate::{Again, Work};

fn given(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

#[tokio::test(start_paused = true)]
async fn defaults_may_refer_to_the_run_and_are_overridden_by_what_is_given() {
    let workflow = json!({"name": "w", "parameters": [
        {"name": "day", "default": "{{job.start_time.iso_date}}"}, {"name": "run", "default": "{{job.run_id}}"},
        {"name": "run-date", "default": "x"}],
        "tasks": [{"task_key": "a", "shell_task": {"command":
            ["ok", "{{job.parameters.day}} {{job.parameters.run}} {{job.parameters.`run-date`}}"]}}]});
    let mut lab = Lab::new(&[workflow]);
    assert_eq!(lab.run("w").await.state, Success);
    lab.context.parameters = given(&[("day", "of {{job.name}}"), ("run-date", "y")]);
    assert_eq!(lab.run("w").await.state, Success);
    assert_eq!(lab.started_words(), ["ok 2026-03-01 1 x", "ok of w 2 y"]);
    assert_eq!(lab.details(2).await.run.parameters["run-date"], "y");
    lab.context.parameters = given(&[("dya", "")]);
    assert!(lab.try_run("w").await.unwrap_err().message().contains("did you mean `day`?"));
}

#[tokio::test(start_paused = true)]
async fn parameters_of_the_run_win_over_those_of_a_query() {
    let workflow = json!({"name": "w", "parameters": [{"name": "day", "default": "of the run"}], "tasks": [
        {"task_key": "a", "sql_task": {"file": {"path": "a.sql"}, "parameters": {"day": "of the task", "own": "1"}}}]});
    let lab = Lab::new(&[workflow]);
    assert_eq!(lab.run("w").await.state, Success);
    let expected = given(&[("day", "of the run"), ("own", "1")]);
    assert_eq!(lab.works(), [Work::Sql { file: "a.sql".into(), parameters: expected }]);
}

#[tokio::test(start_paused = true)]
async fn a_parameter_that_cannot_be_filled_fails_the_tasks_that_refer_to_anything() {
    let workflow = json!({"name": "w", "parameters": [{"name": "day", "default": "{{backfill.iso_date}}"}], "tasks": [
        {"task_key": "a", "shell_task": {"command": ["ok", "{{job.parameters.day}}"]}}]});
    let mut lab = Lab::new(&[workflow]);
    let outcome = lab.run("w").await;
    assert_eq!(outcome.state, Failed);
    assert!(outcome.first_error().unwrap().message().starts_with("parameter `day`: "));
    lab.request.backfill = Some("2026-01-02T00:00:00Z".parse().unwrap());
    assert_eq!(lab.run("w").await.state, Success);
    assert_eq!(lab.started_words(), ["ok 2026-01-02"]);
}

#[tokio::test(start_paused = true)]
async fn a_run_that_goes_on_keeps_its_parameters_its_start_its_backfill_and_what_it_was_asked() {
    let workflow = json!({"name": "w",
        "parameters": [{"name": "day", "default": "{{job.start_time.iso_date}}"}, {"name": "given", "default": ""}],
        "tasks": [{"task_key": "a", "shell_task": {"command": ["fail-first", "1", "data",
            "{{job.parameters.day}} {{job.parameters.given}} {{backfill.iso_date}}"]}}]});
    let mut lab = Lab::new(&[workflow]);
    lab.context.parameters = given(&[("given", "by hand")]);
    lab.request.backfill = Some("2026-01-02T00:00:00Z".parse().unwrap());
    lab.context.full_refresh = true;
    assert_eq!(lab.run("w").await.state, Failed);
    let started = lab.details(1).await.run.started_at.unwrap();
    // The next day, without a word about any of it. The history dates by the clock of the machine.
    lab.context.fixed_now = Some(started + chrono::TimeDelta::days(1));
    lab.context.parameters = BTreeMap::new();
    (lab.request.backfill, lab.context.full_refresh) = (None, false);
    let outcome = lab.run_again(1, &Again::Repair { tasks: vec![], dependents: false }).await.unwrap();
    assert_eq!(outcome.state, Failed, "another day is another program here, which fails once too");
    let words = lab.started_words();
    assert_eq!(words[1], format!("fail-first 1 data {} by hand 2026-01-02", started.format("%Y-%m-%d")));
    assert!(lab.details(1).await.run.cause.full_refresh);
}
