//! Workflows that run workflows.

use serde_json::{Value, json};

use super::lab::Lab;
use super::{ended, task, workflow};
use crate::ResultState::{Canceled, Failed, Success, SuccessWithFailures, TimedOut};
use crate::{CauseKind, check_jobs};

/// A workflow with one task that runs another.
fn runs(name: &str, other: &str) -> Value {
    json!({"name": name, "tasks": [{"task_key": "go", "run_job_task": {"job_id": other}}]})
}

#[tokio::test(start_paused = true)]
async fn the_end_of_the_inner_run_is_that_of_the_task() {
    let rows: &[(&str, &[&str], &str, crate::ResultState, &str)] = &[
        ("success", &["a"], "go=SUCCESS", Success, "SUCCESS"),
        ("with failures", &["a | do fail data", "b: a | if ALL_DONE"], "go=SUCCESS", Success, "SUCCESS_WITH_FAILURES"),
        ("failure", &["a | do fail data"], "go=FAILED", Failed, "FAILED"),
        ("out of time", &["a | do serve | timeout 2"], "go=FAILED", Failed, "TIMEDOUT"),
        ("cancelled", &["a | do cancel"], "go=CANCELED", Canceled, "CANCELED"),
    ];
    for (name, tasks, ends, state, inner) in rows {
        let lab = Lab::new(&[runs("outer", "inner"), workflow("inner", tasks)]);
        let outcome = lab.run("outer").await;
        assert_eq!((ended(&outcome).as_str(), outcome.state), (*ends, *state), "{name}");
        let inner_run = lab.details(2).await.run;
        assert_eq!(inner_run.state.map(crate::ResultState::name), Some(*inner), "{name}");
        assert_eq!((inner_run.parent, inner_run.cause.kind), (Some(1), CauseKind::RunJob), "{name}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_inner_run_gets_its_parameters_and_tells_its_number_and_state() {
    let outer = json!({"name": "outer", "parameters": [{"name": "day", "default": "monday"}], "tasks": [
        {"task_key": "go", "run_job_task": {"job_id": "inner", "job_parameters": {"when": "on {{job.parameters.day}}"}}},
        {"task_key": "after", "depends_on": [{"task_key": "go"}], "shell_task": {"command":
            ["say", "heard", "{{tasks.go.values.run_id}} {{tasks.go.values.result_state}}"]}}]});
    let inner = json!({"name": "inner", "tasks": [
        {"task_key": "a", "shell_task": {"command": ["ok", "{{job.parameters.when}} {{job.parameters.else}} {{job.trigger.type}}"]}}],
        "parameters": [{"name": "when", "default": "never"}, {"name": "else", "default": "x"}]});
    let lab = Lab::new(&[outer, inner]);
    let outcome = lab.run("outer").await;
    assert_eq!(outcome.state, Success);
    assert_eq!(lab.started_words()[0], "ok on monday x run_job_task");
    assert_eq!(Lab::said(&outcome, "after", "heard"), "2 SUCCESS");
}

#[tokio::test(start_paused = true)]
async fn three_workflows_may_be_nested_and_the_fourth_is_refused_by_check_and_by_the_runner() {
    let lab = Lab::new(&[runs("one", "two"), runs("two", "three"), workflow("three", &["a"])]);
    assert!(check_jobs(&lab.workflows).is_empty());
    assert_eq!((lab.run("one").await.state, lab.started().len()), (Success, 1));

    let lab = Lab::new(&[runs("one", "two"), runs("two", "three"), runs("three", "four"), workflow("four", &["a"])]);
    let problems = check_jobs(&lab.workflows);
    assert_eq!(
        (problems.len(), problems[0].0.as_str(), problems[0].1.at.as_str()),
        (1, "one", "tasks/0/run_job_task/job_id")
    );
    assert!(problems[0].1.message.contains("at most 3 workflows may be nested, found one -> two -> three -> four"));
    let outcome = lab.run("one").await;
    assert_eq!((outcome.state, lab.started().len()), (Failed, 0));
    assert!(outcome.first_error().unwrap().chain().contains("one -> two -> three -> four"));
    assert_eq!(lab.run("two").await.state, Success, "from the second on there are three");
}

#[tokio::test(start_paused = true)]
async fn workflows_that_run_each_other_are_refused_by_check_and_by_the_runner() {
    for circle in [vec![runs("one", "one")], vec![runs("one", "two"), runs("two", "one")]] {
        let lab = Lab::new(&circle);
        let problems = check_jobs(&lab.workflows);
        assert_eq!(problems.len(), circle.len());
        assert!(problems[0].1.message.contains("run each other for ever"), "{}", problems[0].1.message);
        assert_eq!(lab.run("one").await.state, Failed);
    }
}

#[tokio::test(start_paused = true)]
async fn an_inner_run_stops_with_the_task_and_with_the_outer_run() {
    let mut outer = runs("outer", "inner");
    outer["tasks"][0]["timeout_seconds"] = 5.into();
    let lab = Lab::new(&[outer, workflow("inner", &["a | do serve", "b: a"])]);
    let outcome = lab.run("outer").await;
    assert_eq!((ended(&outcome).as_str(), outcome.state), ("go=TIMEDOUT", TimedOut));
    assert_eq!(lab.details(2).await.run.state, Some(TimedOut));

    let lab = Lab::new(&[runs("outer", "inner"), workflow("inner", &["a | do serve", "b: a"])]);
    let stop = async {
        tokio::time::sleep(std::time::Duration::from_secs(5)).await;
        assert!(lab.history.ask_cancel(1).await.unwrap());
    };
    let (outcome, ()) = futures::join!(lab.run("outer"), stop);
    assert_eq!((ended(&outcome).as_str(), outcome.state), ("go=CANCELED", Canceled));
    assert_eq!(lab.details(2).await.run.state, Some(Canceled));
}

#[tokio::test(start_paused = true)]
async fn an_inner_run_that_is_cancelled_alone_lets_the_outer_one_clean_up() {
    let mut outer = runs("outer", "inner");
    outer["tasks"].as_array_mut().unwrap().push(task("clean: go | if AT_LEAST_ONE_FAILED"));
    let lab = Lab::new(&[outer, workflow("inner", &["a | do serve"])]);
    let stop = async {
        tokio::time::sleep(std::time::Duration::from_secs(5)).await;
        assert!(lab.history.ask_cancel(2).await.unwrap());
    };
    let (outcome, ()) = futures::join!(lab.run("outer"), stop);
    assert_eq!((ended(&outcome).as_str(), outcome.state), ("go=CANCELED clean=SUCCESS", SuccessWithFailures));
}

#[tokio::test(start_paused = true)]
async fn a_workflow_that_is_missing_or_takes_no_such_parameter_fails_the_task() {
    let mut wrong = runs("one", "inner");
    wrong["tasks"][0]["run_job_task"]["job_parameters"] = json!({"dya": "x"});
    let inner = json!({"name": "inner", "parameters": [{"name": "day", "default": ""}], "tasks": [task("a")]});
    for (outer, message) in [(wrong, "did you mean `day`?"), (runs("one", "innr"), "there is no workflow `innr`")] {
        let lab = Lab::new(&[outer, inner.clone()]);
        let problems = check_jobs(&lab.workflows);
        assert_eq!(problems.len(), 1);
        let outcome = lab.run("one").await;
        assert_eq!(outcome.state, Failed);
        let error = outcome.first_error().unwrap();
        assert_eq!(error.kind(), stage::Kind::Config);
        assert!(error.chain().contains(message), "{}", error.chain());
    }
}
