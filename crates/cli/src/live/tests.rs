//! A run as it is drawn, at several sizes of the terminal.

use std::time::{Duration, Instant};

use stage::{Kind, Meter, Progress};
use workflow::{Event, ResultState, Workflow};

use super::board::Board;

fn workflow(json: &str) -> Workflow {
    workflow::check(&workflow::spec::parse(json).unwrap(), &|_| Ok(())).unwrap()
}

fn started(task: &str) -> Event {
    Event::TaskStarted { task_key: task.into() }
}

fn ended(task: &str, state: ResultState, rows: u64) -> Event {
    let progress = Progress { rows_written: rows, ..Progress::default() };
    Event::TaskEnded { task_key: task.into(), state, progress, seconds: 1.5 }
}

fn stage(task: &str, table: &str, rows: u64) -> Event {
    let meter = Meter::default();
    meter.add_rows(rows);
    meter.expect(100);
    meter.did(50);
    Event::StageStarted { task_key: task.into(), table: table.parse().unwrap(), meter }
}

fn failed(task: &str, wait: Option<Duration>) -> Event {
    Event::AttemptFailed {
        task_key: task.into(),
        attempt_number: 0,
        state: ResultState::Failed,
        kind: Kind::Unavailable,
        message: "no answer".into(),
        will_retry_in: wait,
        is_in_vain: false,
    }
}

/// A board after some events at the time it began, looked at two seconds later.
fn drawn(workflow: &Workflow, events: &[Event], width: usize, height: usize) -> Vec<String> {
    let start = Instant::now();
    let mut board = Board::new(workflow);
    let run = Event::RunStarted { number: 7, run_id: "w-7".into(), workflow: "w".into(), tasks: 1 };
    board.follow(&run, start);
    events.iter().for_each(|event| board.follow(event, start));
    let lines = board.lines(width, height, false, start + Duration::from_secs(2));
    assert!(lines.len() < height.max(2), "{lines:#?}");
    assert!(lines.iter().all(|line| console::measure_text_width(line) < width), "{lines:#?}");
    lines
}

fn shop() -> Workflow {
    workflow(
        r#"{"name": "w", "tasks": [
        {"task_key": "orders", "bronze_task": {"table": "shop.bronze.orders"}},
        {"task_key": "clean", "depends_on": [{"task_key": "orders"}], "silver_task": {"table": "shop.silver.orders"}},
        {"task_key": "days", "depends_on": [{"task_key": "orders"}], "for_each_task": {"inputs": "[1,2,3]",
          "task": {"task_key": "day", "shell_task": {"command": "day"}}}},
        {"task_key": "rest", "depends_on": [{"task_key": "clean"}, {"task_key": "days"}],
          "pipeline_task": {"pipeline": "shop"}}]}"#,
    )
}

#[test]
fn tasks_show_their_order_rows_time_retries_and_items() {
    let events = [
        started("orders"),
        stage("orders", "shop.bronze.orders", 10),
        ended("orders", ResultState::Success, 1234),
        started("clean"),
        failed("clean", Some(Duration::from_secs(5))),
        started("days"),
        Event::ItemsCounted { task_key: "days".into(), items: 3 },
        started("days[0]"),
        ended("days[0]", ResultState::Success, 0),
        ended("days[1]", ResultState::Failed, 0),
    ];
    assert_eq!(
        drawn(&shop(), &events, 90, 24),
        [
            "✓ orders      SUCCESS            1.50 s  1,234 rows                       shop.bronze.or…",
            "├─↻ clean     WAITING_FOR_RETRY  2.00 s                 retry 1 in 3.0 s  shop.silver.or…",
            "└─│─● days    RUNNING            2.00 s              2/3 items, 1 failed  for each of [1…",
            "  └─┴─◌ rest  BLOCKED                                                     shop",
            "run 7 of w, 2.00 s: 1/4 tasks done, 1 running, 1 to be tried again",
        ]
    );
}

#[test]
fn several_tables_of_a_task_and_tasks_of_another_workflow_stand_below_it() {
    let events = [
        started("rest"),
        stage("rest", "shop.silver.a", 10),
        stage("rest", "shop.silver.b", 20),
        started("rest/inner"),
        stage("rest/inner", "shop.gold.c", 30),
        started("rest/done"),
        ended("rest/done", ResultState::Success, 5),
    ];
    let lines = drawn(&shop(), &events, 90, 24);
    let below: Vec<&str> = lines[4..7].iter().map(|line| line.trim()).collect();
    assert_eq!(
        below,
        [
            "● inner  2.00 s  30 rows  [######------]  50%",
            "shop.silver.a  10 rows  [######------]  50%",
            "shop.silver.b  20 rows  [######------]  50%",
        ]
    );
    // Where there is no room for them, they go before any task does.
    assert_eq!(drawn(&shop(), &events, 90, 7).len(), 5);
}

#[test]
fn where_not_all_tasks_fit_those_at_work_are_shown_then_those_that_failed_and_all_are_counted() {
    let tasks: Vec<String> =
        (0..300).map(|task| format!(r#"{{"task_key": "t{task}", "shell_task": {{"command": "t"}}}}"#)).collect();
    let many = workflow(&format!(r#"{{"name": "w", "tasks": [{}]}}"#, tasks.join(",")));
    let mut events: Vec<Event> = (0..100).map(|task| ended(&format!("t{task}"), ResultState::Success, 0)).collect();
    events.extend([started("t100"), ended("t100", ResultState::Failed, 0), started("t101"), started("t200")]);
    let lines = drawn(&many, &events, 60, 8);
    let keys: Vec<&str> = lines[..3].iter().filter_map(|line| line.split_whitespace().nth(1)).collect();
    assert_eq!(keys, ["t101", "t200", "t100"]);
    assert_eq!(lines[3], "run 7 of w, 2.00 s: 101/300 tasks done, 2 running, 1 failed");
    for (width, height) in [(1, 1), (5, 2), (20, 3), (200, 60)] {
        drawn(&many, &events, width, height);
    }
}
