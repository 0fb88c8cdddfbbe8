//! Results: which end of the tasks makes which end of the run; conditions, excluded branches and disabled tasks.

use super::lab::Lab;
use super::{Row, check_rows, workflow};
use crate::ResultState::{Canceled, Failed, Success, SuccessWithFailures, TimedOut};
use crate::{Again, Selection};

#[tokio::test(start_paused = true)]
async fn leaf_tasks_decide_the_result_of_a_run() {
    let rows: &[Row<'_>] = &[
        ("all succeeded", &["a", "b: a"], "a=SUCCESS b=SUCCESS", Success),
        ("a leaf failed", &["a", "b: a | do fail data"], "a=SUCCESS b=FAILED", Failed),
        ("a leaf was kept from running", &["a | do fail data", "b: a"], "a=FAILED b=UPSTREAM_FAILED", Failed),
        (
            "a leaf that handles failures succeeded",
            &["a | do fail data", "b: a | if ALL_DONE"],
            "a=FAILED b=SUCCESS",
            SuccessWithFailures,
        ),
        (
            "one of two leaves failed",
            &["a | do fail data", "b: a | if ALL_DONE", "c: a"],
            "a=FAILED b=SUCCESS c=UPSTREAM_FAILED",
            Failed,
        ),
        ("a leaf alone failed", &["a | do fail data", "b"], "a=FAILED b=SUCCESS", Failed),
        ("a leaf ran out of time", &["a | do serve | timeout 1"], "a=TIMEDOUT", TimedOut),
        ("a leaf was cancelled on its own", &["a | do cancel"], "a=CANCELED", Canceled),
        (
            "a cleanup after what was cancelled",
            &["a | do cancel", "b: a", "c: b | if AT_LEAST_ONE_FAILED"],
            "a=CANCELED b=UPSTREAM_CANCELED c=SUCCESS",
            SuccessWithFailures,
        ),
        (
            "a handler that had nothing to handle",
            &["a", "b: a | if AT_LEAST_ONE_FAILED", "c: a | if ALL_FAILED"],
            "a=SUCCESS b=EXCLUDED c=EXCLUDED",
            Success,
        ),
        (
            "a failure after which only a disabled task comes is not hidden by it",
            &["a | do fail data", "b: a | disabled"],
            "a=FAILED b=DISABLED",
            Failed,
        ),
    ];
    check_rows(rows).await;
}

#[tokio::test(start_paused = true)]
async fn a_condition_chooses_the_branch_and_what_is_not_chosen_is_excluded() {
    let rows: &[Row<'_>] = &[
        (
            "true",
            &["c | when 2 GREATER_THAN 1", "yes: c=true", "no: c=false", "after: no"],
            "c=SUCCESS yes=SUCCESS no=EXCLUDED after=EXCLUDED",
            Success,
        ),
        (
            "false",
            &["c | when 2 LESS_THAN 1", "yes: c=true", "no: c=false", "after: yes"],
            "c=SUCCESS yes=EXCLUDED no=SUCCESS after=EXCLUDED",
            Success,
        ),
        (
            "excluded flows down, whatever run_if says, and ends where branches meet",
            &[
                "c | when 1 EQUAL_TO 2",
                "yes: c=true",
                "then: yes | if ALL_DONE",
                "no: c=false",
                "all: then no",
                "none: then no | if NONE_FAILED",
                "one: then no | if AT_LEAST_ONE_SUCCESS",
            ],
            "c=SUCCESS yes=EXCLUDED then=EXCLUDED no=SUCCESS all=SUCCESS none=SUCCESS one=SUCCESS",
            Success,
        ),
        (
            "the chosen branch failed",
            &["c | when 1 EQUAL_TO 1", "yes: c=true | do fail data", "no: c=false", "end: yes no | if NONE_FAILED"],
            "c=SUCCESS yes=FAILED no=EXCLUDED end=UPSTREAM_FAILED",
            Failed,
        ),
        (
            "a dependency without an outcome takes both",
            &["c | when 1 EQUAL_TO 2", "after: c"],
            "c=SUCCESS after=SUCCESS",
            Success,
        ),
        (
            "a condition that cannot be decided fails",
            &["c | when one LESS_THAN 2", "yes: c=true", "no: c=false"],
            "c=FAILED yes=UPSTREAM_FAILED no=UPSTREAM_FAILED",
            Failed,
        ),
        ("12.0 is not the text 12", &["c | when 12.0 EQUAL_TO 12", "yes: c=true"], "c=SUCCESS yes=EXCLUDED", Success),
        (
            "12.0 is not less than the number 12",
            &["c | when 12.0 GREATER_THAN_OR_EQUAL 12", "yes: c=true"],
            "c=SUCCESS yes=SUCCESS",
            Success,
        ),
        (
            "an outcome and a success, of which only the success came",
            &["c | when 1 EQUAL_TO 2", "a", "both: a c=true", "one: a c=true | if AT_LEAST_ONE_SUCCESS"],
            "c=SUCCESS a=SUCCESS both=EXCLUDED one=SUCCESS",
            Success,
        ),
    ];
    check_rows(rows).await;
}

#[tokio::test(start_paused = true)]
async fn a_disabled_task_does_not_run_and_counts_as_ended_without_success() {
    let rows: &[Row<'_>] = &[
        (
            "alone before others",
            &[
                "a | disabled",
                "all: a",
                "one: a | if AT_LEAST_ONE_SUCCESS",
                "none: a | if NONE_FAILED",
                "done: a | if ALL_DONE",
                "failed: a | if AT_LEAST_ONE_FAILED",
                "failures: a | if ALL_FAILED",
            ],
            "a=DISABLED all=DISABLED one=DISABLED none=DISABLED done=SUCCESS failed=DISABLED failures=DISABLED",
            Success,
        ),
        (
            "beside a success",
            &["a | disabled", "b", "all: a b", "one: a b | if AT_LEAST_ONE_SUCCESS", "none: a b | if NONE_FAILED"],
            "a=DISABLED b=SUCCESS all=DISABLED one=SUCCESS none=SUCCESS",
            Success,
        ),
        (
            "beside a failure",
            &["a | disabled", "b | do fail data", "all: a b", "one: a b | if AT_LEAST_ONE_FAILED"],
            "a=DISABLED b=FAILED all=UPSTREAM_FAILED one=SUCCESS",
            Failed,
        ),
        ("disabled flows down", &["a | disabled", "b: a", "c: b"], "a=DISABLED b=DISABLED c=DISABLED", Success),
    ];
    check_rows(rows).await;
}

#[tokio::test(start_paused = true)]
async fn tasks_that_are_not_selected_are_as_if_they_were_not_there() {
    let mut lab = Lab::new(&[workflow("w", &["c | when 1 EQUAL_TO 2", "a: c=true", "b: a", "z: b | do fail data"])]);
    lab.request.selection = Selection::Only(vec!["a".into(), "b".into()]);
    let outcome = lab.run("w").await;
    assert_eq!(super::ended(&outcome), "c=EXCLUDED a=SUCCESS b=SUCCESS z=EXCLUDED");
    assert_eq!(outcome.state, Success);
}

#[tokio::test(start_paused = true)]
async fn the_end_of_a_whole_run_starts_no_cleanup() {
    let mut json = workflow("w", &["a | do serve", "b: a | if ALL_DONE"]);
    json["timeout_seconds"] = 5.into();
    let outcome = Lab::new(&[json]).run("w").await;
    assert_eq!((super::ended(&outcome).as_str(), outcome.state), ("a=TIMEDOUT b=CANCELED", TimedOut));
}

#[tokio::test(start_paused = true)]
async fn a_task_that_is_no_longer_disabled_runs_in_a_repair() {
    let mut lab = Lab::new(&[workflow("w", &["a | disabled", "b: a", "c"])]);
    assert_eq!(super::ended(&lab.run("w").await), "a=DISABLED b=DISABLED c=SUCCESS");
    lab.workflows = Lab::new(&[workflow("w", &["a", "b: a", "c"])]).workflows;
    let outcome = lab.run_again(1, &Again::Repair { tasks: vec![], dependents: false }).await.unwrap();
    assert_eq!(super::ended(&outcome), "a=SUCCESS b=SUCCESS c=SUCCESS");
    assert_eq!(lab.started_words(), ["ok c", "ok a", "ok b"]);
}
