//! `run_if`: every value against every way in which one to three tasks before can end.

use serde_json::json;

use super::lab::Lab;
use super::{check_rows, task};
use crate::ResultState::{
    self, Disabled, Excluded, Failed, Success, SuccessWithFailures, UpstreamCanceled, UpstreamFailed,
};

/// The ways in which what a task waits for can end, each with the tasks that end so. `{n}` makes several of each.
const WAYS: [(&str, &[&str]); 7] = [
    ("succeeded", &["succeeded{n}"]),
    ("failed", &["failed{n} | do fail data"]),
    ("blocked", &["blocked_by{n} | do fail data", "blocked{n}: blocked_by{n}"]),
    ("canceled", &["canceled{n} | do cancel"]),
    ("excluded", &["question{n} | when 1 EQUAL_TO 2", "excluded{n}: question{n}=true"]),
    ("disabled", &["disabled{n} | disabled"]),
    ("not_chosen", &["not_chosen{n} | when 1 EQUAL_TO 2"]),
];

const RUN_IFS: [&str; 6] =
    ["ALL_SUCCESS", "AT_LEAST_ONE_SUCCESS", "NONE_FAILED", "ALL_DONE", "AT_LEAST_ONE_FAILED", "ALL_FAILED"];

/// What becomes of a task by the documented rules, from how many of those before ended in which way. It is written apart
/// from the program, by cases of the result rather than of the condition.
fn expected(run_if: &str, ways: &[&str]) -> ResultState {
    let count = |names: &[&str]| ways.iter().filter(|way| names.contains(way)).count();
    let good = count(&["succeeded", "excluded"]);
    let (broken, stopped) = (count(&["failed", "blocked"]), count(&["canceled"]));
    let (disabled, not_chosen) = (count(&["disabled"]), count(&["not_chosen"]));
    if count(&["excluded"]) + not_chosen == ways.len() {
        return Excluded;
    }
    let bad = broken + stopped;
    let upstream = if broken > 0 { UpstreamFailed } else { UpstreamCanceled };
    let only_disabled = disabled == ways.len();
    match run_if {
        "ALL_DONE" => Success,
        _ if only_disabled => Disabled,
        "ALL_SUCCESS" if bad > 0 => upstream,
        "ALL_SUCCESS" if not_chosen > 0 => Excluded,
        "ALL_SUCCESS" if disabled > 0 => Disabled,
        "ALL_SUCCESS" => Success,
        "AT_LEAST_ONE_SUCCESS" if good > 0 => Success,
        "NONE_FAILED" if bad == 0 && good > 0 => Success,
        "AT_LEAST_ONE_SUCCESS" | "NONE_FAILED" if bad > 0 => upstream,
        "AT_LEAST_ONE_FAILED" if bad > 0 => Success,
        "ALL_FAILED" if bad == ways.len() => Success,
        "ALL_FAILED" if bad > 0 && bad + disabled == ways.len() => Disabled,
        _ => Excluded,
    }
}

/// Every choice of one to three ways, in order.
fn choices() -> Vec<Vec<usize>> {
    let mut choices: Vec<Vec<usize>> = (0..WAYS.len()).map(|way| vec![way]).collect();
    let mut last = choices.clone();
    for _ in 1..3 {
        let longer = |choice: &Vec<usize>| {
            let choice = choice.clone();
            (choice[choice.len() - 1]..WAYS.len()).map(move |way| [choice.clone(), vec![way]].concat())
        };
        last = last.iter().flat_map(longer).collect();
        choices.extend(last.clone());
    }
    choices
}

#[tokio::test(start_paused = true)]
async fn every_run_if_decides_as_documented_for_every_end_of_up_to_three_tasks() {
    let mut tasks = Vec::new();
    for (_, before) in WAYS {
        for number in 0..3 {
            tasks.extend(before.iter().map(|text| task(&text.replace("{n}", &number.to_string()))));
        }
    }
    let mut asked = Vec::new();
    for run_if in RUN_IFS {
        for choice in choices() {
            let ways: Vec<&str> = choice.iter().map(|way| WAYS[*way].0).collect();
            let key = format!("{run_if}-{}", ways.join("-"));
            let before = ways.iter().enumerate().map(|(number, way)| match *way {
                "not_chosen" => format!("not_chosen{number}=true"),
                way => format!("{way}{number}"),
            });
            tasks.push(task(&format!("{key}: {} | if {run_if}", before.collect::<Vec<_>>().join(" "))));
            asked.push((key, expected(run_if, &ways)));
        }
    }
    assert_eq!(asked.len(), 6 * (7 + 28 + 84));
    let lab = Lab::new(&[json!({"name": "w", "max_parallel_tasks": 1000, "tasks": tasks})]);
    let outcome = lab.run("w").await;
    for (key, expected) in asked {
        let ended = outcome.tasks.iter().find(|task| task.task_key == key).unwrap();
        assert_eq!(ended.state, expected, "{key}");
        assert_eq!(ended.executions, u32::from(expected == Success), "{key}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_task_waits_for_every_end_before_it_decides() {
    let rows: [super::Row<'_>; 3] = [
        (
            "one success is not enough while others go on",
            &["a", "b | do take 5", "c: a b | if AT_LEAST_ONE_SUCCESS"],
            "a=SUCCESS b=SUCCESS c=SUCCESS",
            Success,
        ),
        (
            "one failure is not enough while others go on",
            &["a | do fail data", "b | do take 5", "c: a b | if AT_LEAST_ONE_FAILED"],
            "a=FAILED b=SUCCESS c=SUCCESS",
            SuccessWithFailures,
        ),
        (
            "running out of time is a failure like others",
            &["a | do serve | timeout 5", "b: a", "c: a | if ALL_FAILED", "d: a | if NONE_FAILED"],
            "a=TIMEDOUT b=UPSTREAM_FAILED c=SUCCESS d=UPSTREAM_FAILED",
            Failed,
        ),
    ];
    let outcome = Lab::new(&[super::workflow("w", rows[0].1)]).run("w").await;
    assert!(outcome.seconds >= 5.0);
    check_rows(&rows[..2]).await;
    let outcome = Lab::new(&[super::workflow("w", rows[2].1)]).run("w").await;
    assert_eq!((super::ended(&outcome).as_str(), outcome.state), (rows[2].2, ResultState::TimedOut));
}
