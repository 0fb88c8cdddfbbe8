//! Attempts: how often, when, and what they are called.

use std::time::Duration;

use super::lab::Lab;
use super::{ended, workflow};
use crate::ResultState::{self, Failed, Success, TimedOut};

const SECOND: Duration = Duration::from_secs(1);

#[tokio::test(start_paused = true)]
async fn attempts_are_numbered_from_0_to_max_retries() {
    let rows = [
        ("no retries", "a | do fail unavailable", 1, Failed),
        ("all used up", "a | do fail unavailable | retries 3", 4, Failed),
        ("the last one succeeds", "a | do fail-first 3 unavailable | retries 3", 4, Success),
        ("one too few", "a | do fail-first 3 unavailable | retries 2", 3, Failed),
        ("for ever", "a | do fail-first 40 conflict | retries -1", 41, Success),
        ("an error that stays", "a | do fail quality | retries -1", 1, Failed),
        ("out of time, without retry_on_timeout", "a | do serve | timeout 2 | retries 2", 1, TimedOut),
        ("out of time, with it", "a | do serve | timeout 2 | retries 2 | retry_on_timeout", 3, TimedOut),
        ("retry_on_timeout alone allows none", "a | do serve | timeout 2 | retry_on_timeout", 1, TimedOut),
        ("cancelled on its own", "a | do cancel | retries -1", 1, ResultState::Canceled),
    ];
    for (name, task, attempts, state) in rows {
        let lab = Lab::new(&[workflow("w", &[task])]);
        let outcome = lab.run("w").await;
        assert_eq!(outcome.state, state, "{name}");
        assert_eq!(outcome.tasks[0].executions, attempts, "{name}");
        let recorded = lab.details(1).await.attempts;
        let numbers: Vec<u32> = recorded.iter().map(|attempt| attempt.attempt_number).collect();
        assert_eq!(numbers, (0..attempts).collect::<Vec<u32>>(), "{name}");
        let (last, before) = recorded.split_last().unwrap();
        assert_eq!(last.state, Some(state), "{name}");
        assert!(before.iter().all(|attempt| attempt.state.is_some_and(ResultState::is_failure)), "{name}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_interval_runs_from_start_to_start_and_a_growing_delay_comes_on_top() {
    // What an attempt takes, the interval, and the least time between starts: the longer of the two.
    for (takes, interval, least) in [(0, 0, 0), (0, 10, 10), (3, 10, 10), (30, 10, 30)] {
        let serve = format!("a | do serve | timeout {takes} | retry_on_timeout | retries 3 | interval {interval}000");
        let fail = format!("a | do fail unavailable | retries 3 | interval {interval}000");
        let lab = Lab::new(&[workflow("w", &[if takes == 0 { &fail } else { &serve }])]);
        lab.run("w").await;
        let starts = lab.started();
        assert_eq!(starts.len(), 4);
        for (number, pair) in starts.windows(2).enumerate() {
            let apart = pair[1].at - pair[0].at;
            let delay = Duration::from_millis(500 << number);
            assert!(apart >= least * SECOND + delay / 2, "{number}: {apart:?}");
            assert!(apart <= least * SECOND + delay + SECOND / 10, "{number}: {apart:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn the_time_of_an_attempt_does_not_count_the_waiting_between_attempts() {
    let task = "a | do fail-first 3 unavailable | timeout 1 | retries 3 | interval 60000";
    let outcome = Lab::new(&[workflow("w", &[task])]).run("w").await;
    assert_eq!(outcome.state, Success);
    assert!(outcome.seconds > 180.0);
}

#[tokio::test(start_paused = true)]
async fn the_time_of_the_whole_run_counts_everything_and_ends_all_retries() {
    // Waiting for the next attempt, waiting for a turn, and working when the time is over.
    let mut json = workflow(
        "w",
        &["waiting | do fail unavailable | retries -1 | interval 60000", "working | do serve", "next: working"],
    );
    json["timeout_seconds"] = 10.into();
    let outcome = Lab::new(&[json]).run("w").await;
    assert_eq!(ended(&outcome), "waiting=CANCELED working=TIMEDOUT next=UPSTREAM_FAILED");
    assert_eq!(outcome.state, TimedOut);
    assert!((outcome.seconds - 10.0).abs() < 0.5, "{}", outcome.seconds);
}

#[tokio::test(start_paused = true)]
async fn an_attempt_that_notices_the_end_of_the_run_by_itself_is_not_tried_again() {
    let mut json = workflow("w", &["a | do take 3600 | retries -1 | retry_on_timeout"]);
    json["timeout_seconds"] = 10.into();
    let lab = Lab::new(&[json]);
    let outcome = lab.run("w").await;
    assert_eq!((ended(&outcome).as_str(), outcome.state), ("a=TIMEDOUT", TimedOut));
}
