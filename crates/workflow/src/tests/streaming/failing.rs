//! Failures: which are tried again, when, and that the other tables go on.

use std::time::Duration;

use stage::{Error, Kind, Progress};
use tokio::time::Instant;

use super::tables::{Going, SECOND, Tables, arrival, committed};
use crate::ResultState::{Failed, Success, SuccessWithFailures};
use crate::stream::StreamEvent;
use crate::stream::TableState::{self, Idle, Retrying};
use crate::tests::fakes::{Script, fails, script};

fn never() -> super::tables::Arrival {
    arrival(|_| std::future::pending())
}

fn panics(times: usize) -> Script {
    script(move |calls, _| async move {
        assert!(calls >= times, "the sky fell");
        Ok(Progress::idle())
    })
}

/// The delays between the tries of a table, as they were told.
fn delays(going: &Going) -> Vec<f64> {
    let delays = going.events().into_iter().filter_map(|event| match event {
        StreamEvent::Failed { will_retry_in, .. } => will_retry_in,
        _ => None,
    });
    delays.map(|delay| delay.as_secs_f64()).collect()
}

#[tokio::test(start_paused = true)]
async fn a_table_that_fails_is_tried_again_with_growing_delay_while_the_others_go_on() {
    let mut tables = Tables::new();
    tables.table("broken", &[], fails(Kind::Unavailable, 5), never());
    let source = tables.source("well");
    let (going, counts) = tables.start();
    let started = Instant::now();
    for _ in 0..3 {
        source.put(1);
        going.after(SECOND / 10).await;
    }
    let broken = going.of("broken");
    assert_eq!((broken.state, broken.last_error.as_deref()), (Retrying, Some("it would not go")));
    assert!(broken.consecutive_failures > 0 && going.status.is_healthy());
    assert_eq!(going.of("well").batches, 3);
    while going.of("broken").state == Retrying {
        going.after(SECOND / 10).await;
    }
    let delays = delays(&going);
    for (number, delay) in delays.iter().enumerate() {
        let whole = 0.5 * f64::from(1 << number);
        assert!((whole / 2.0..=whole).contains(delay), "{delays:?}");
    }
    assert!((started.elapsed().as_secs_f64() - delays.iter().sum::<f64>()).abs() < 0.3);
    assert_eq!((delays.len(), counts.advances("broken"), counts.builds("broken")), (5, 6, 1));
    let broken = going.of("broken");
    assert_eq!((broken.state, broken.consecutive_failures, broken.failures), (Idle, 0, 5));
    let recovered = going.events().into_iter().filter(|event| matches!(event, StreamEvent::Recovered { .. })).count();
    assert_eq!((recovered, going.stop().await.state), (1, Success));
}

#[tokio::test(start_paused = true)]
async fn a_table_stops_after_so_many_failures_in_a_row_and_health_says_so() {
    let mut tables = Tables::new();
    tables.options.max_failures = 4;
    tables.table("broken", &[], fails(Kind::Unavailable, 1000), never());
    let source = tables.source("well");
    let (going, counts) = tables.start();
    going.after(3600 * SECOND).await;
    assert_eq!((going.of("broken").state, counts.advances("broken")), (TableState::Failed, 4));
    assert!(!going.status.is_healthy() && going.status.is_ready());
    source.put(3);
    going.after(SECOND).await;
    assert_eq!(going.of("well").progress.rows_written, 3);
    let history = going.history.clone();
    let outcome = going.stop().await;
    assert_eq!((outcome.state, outcome.exit_code()), (SuccessWithFailures, 0));
    let recorded = history.run(outcome.number).await.unwrap().unwrap();
    assert_eq!((recorded.run.state, recorded.run.rows.written), (Some(SuccessWithFailures), 3));
    let attempts: Vec<_> = recorded
        .attempts
        .iter()
        .map(|attempt| (attempt.task_key.as_str(), attempt.state, attempt.rows.written))
        .collect();
    assert_eq!(attempts, [("test.bronze.broken", Some(Failed), 0), ("test.bronze.well", Some(Success), 3)]);
}

#[tokio::test(start_paused = true)]
async fn failures_with_a_success_between_them_are_not_in_a_row() {
    let mut tables = Tables::new();
    tables.options.max_failures = 2;
    let flaps = script(|calls, _| async move {
        if calls % 2 == 0 { Err(Error::unavailable("busy")) } else { Ok(committed(calls as u64, 1)) }
    });
    tables.table("a", &[], flaps, never());
    let (going, _) = tables.start();
    going.after(60 * SECOND).await;
    let status = going.of("a");
    assert!(status.failures > 50 && status.batches > 50 && going.status.is_healthy(), "{status:?}");
    going.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_source_that_cannot_be_watched_stops_its_table_although_advances_go_well() {
    let mut tables = Tables::new();
    tables.options.max_failures = 3;
    let idle = script(|_, _| async { Ok(Progress::idle()) });
    tables.table("a", &[], idle, arrival(|_| async { Err(Error::unavailable("no listing")) }));
    let (going, _) = tables.start();
    let started = Instant::now();
    let outcome = going.ended().await;
    assert!(started.elapsed() > Duration::from_millis(750), "{:?}", started.elapsed());
    assert_eq!((outcome.state, outcome.exit_code()), (Failed, 75));
}

#[tokio::test(start_paused = true)]
async fn an_error_that_stays_stops_its_table_at_once() {
    for (kind, exit_code) in [(Kind::Config, 2), (Kind::Data, 1), (Kind::Quality, 3), (Kind::Bug, 1)] {
        let mut tables = Tables::new();
        tables.table("a", &[], fails(kind, 1), never());
        let (going, counts) = tables.start();
        let outcome = going.ended().await;
        assert_eq!((outcome.state, outcome.exit_code(), counts.advances("a")), (Failed, exit_code, 1), "{kind}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_stream_whose_tables_all_failed_ends_with_the_worst_error() {
    let mut tables = Tables::new();
    tables.options.max_failures = 1;
    tables.table("a", &[], fails(Kind::Unavailable, 9), never());
    tables.table("b", &[], fails(Kind::Quality, 9), never());
    let (going, _) = tables.start();
    let outcome = going.ended().await;
    assert_eq!((outcome.exit_code(), outcome.worst_error().map(Error::kind)), (3, Some(Kind::Quality)));
}

#[tokio::test(start_paused = true)]
async fn a_stage_that_panicked_is_built_anew() {
    let mut tables = Tables::new();
    tables.table("a", &[], panics(2), never());
    let (going, counts) = tables.start();
    going.after(10 * SECOND).await;
    let status = going.of("a");
    assert_eq!((status.state, status.failures, counts.builds("a")), (Idle, 2, 3));
    assert_eq!(status.last_error.as_deref(), Some("the stage of test.bronze.a panicked: the sky fell"));
    going.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_stage_that_panics_each_time_stops_in_the_end() {
    let mut tables = Tables::new();
    tables.options.max_failures = 3;
    tables.table("a", &[], panics(1000), never());
    let (going, counts) = tables.start();
    let outcome = going.ended().await;
    assert_eq!((outcome.exit_code(), counts.advances("a")), (1, 3));
}
