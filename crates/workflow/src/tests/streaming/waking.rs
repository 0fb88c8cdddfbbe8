//! What makes a table advance, and what does not.

use std::time::Duration;

use chrono::Utc;
use stage::{Gauge, Progress};

use super::tables::{SECOND, Tables, arrival};
use crate::ResultState;
use crate::spec::{PipelineTaskSpec, TableTaskSpec, TaskSpec};
use crate::stream::TableState::Idle;
use crate::tests::fakes::script;

#[tokio::test(start_paused = true)]
async fn a_commit_wakes_what_reads_the_table_and_nothing_else() {
    let mut tables = Tables::new();
    let source = tables.source("a");
    tables.follower("b", "a", Duration::ZERO);
    tables.follower("c", "b", Duration::ZERO);
    tables.follower("apart", "elsewhere", Duration::ZERO);
    let (going, counts) = tables.start();
    going.after(SECOND).await;
    source.put(7);
    let moment = Duration::from_millis(1);
    assert_eq!(going.after(moment).await.of("c").progress.rows_written, 7);
    source.put(5);
    assert_eq!(going.after(moment).await.of("c").progress.rows_written, 12);
    assert_eq!(counts.advances("apart"), 1);
    // Idle once at first, then for each commit the batch and the look that finds no more.
    assert_eq!((counts.advances("a"), counts.advances("b"), counts.advances("c")), (5, 5, 5));
    assert_eq!(going.states(), [Idle; 4]);
    let outcome = going.stop().await;
    assert_eq!((outcome.state, outcome.exit_code()), (ResultState::Success, 0));
    assert_eq!(outcome.progress.rows_written, 36);
}

#[tokio::test(start_paused = true)]
async fn nothing_is_polled_but_for_a_look_now_and_then() {
    let mut tables = Tables::new();
    tables.source("a");
    tables.follower("b", "a", Duration::ZERO);
    let (going, counts) = tables.start();
    going.after(29 * SECOND).await;
    assert_eq!((counts.advances("a"), counts.advances("b")), (1, 1));
    going.after(40 * SECOND).await;
    assert_eq!((counts.advances("a"), counts.advances("b")), (3, 3));
    going.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_commit_during_a_batch_is_not_missed_and_many_are_one() {
    let mut tables = Tables::new();
    let source = tables.source("a");
    tables.follower("b", "a", 5 * SECOND);
    let (going, counts) = tables.start();
    for _ in 0..10 {
        going.after(SECOND / 4).await;
        source.put(1);
    }
    going.after(20 * SECOND).await;
    let status = going.of("b");
    assert_eq!((status.progress.rows_written, status.batches), (10, 2));
    assert!(counts.advances("b") <= 5, "{}", counts.advances("b"));
    going.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_slow_table_does_not_hold_up_its_source() {
    let mut tables = Tables::new();
    let source = tables.source("a");
    tables.follower("b", "a", 60 * SECOND);
    let (going, _) = tables.start();
    for _ in 0..10 {
        source.put(1);
        going.after(SECOND).await;
    }
    assert_eq!(going.of("a").batches, 10);
    going.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_source_that_calls_for_nothing_does_not_keep_a_core_busy() {
    let mut tables = Tables::new();
    let idle = script(|_, _| async { Ok(Progress::idle()) });
    tables.table("a", &[], idle, arrival(|_| async { Ok(()) }));
    let (going, counts) = tables.start();
    going.after(SECOND).await;
    assert!(counts.advances("a") <= 60, "{}", counts.advances("a"));
    going.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_table_named_by_two_tasks_is_kept_once_and_audits_are_left_to_runs() {
    let mut tables = Tables::new();
    tables.source("a");
    tables.task("again", "a");
    let quality_task = Some(TableTaskSpec { table: "test.bronze.a".into() });
    tables.spec.tasks.push(TaskSpec { task_key: "audit".into(), quality_task, ..TaskSpec::default() });
    let (going, counts) = tables.start();
    going.after(SECOND).await;
    assert_eq!((going.states().len(), counts.advances("a")), (1, 1));
    going.stop().await;
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_streamed_is_refused() {
    let mut tables = Tables::new();
    let pipeline_task =
        Some(PipelineTaskSpec { pipeline: Some("test".into()), full_refresh: true, ..PipelineTaskSpec::default() });
    tables.spec.tasks = vec![TaskSpec { task_key: "all".into(), pipeline_task, ..TaskSpec::default() }];
    let error = tables.open().err().unwrap();
    assert!(error.message().starts_with("task `all` asks for a full refresh"), "{error}");
    let quality_task = Some(TableTaskSpec { table: "test.bronze.a".into() });
    tables.spec.tasks = vec![TaskSpec { task_key: "audit".into(), quality_task, ..TaskSpec::default() }];
    assert_eq!(tables.open().err().unwrap().message(), "`test` has no table that can be streamed");
}

#[tokio::test(start_paused = true)]
async fn lag_is_that_of_the_stage_and_event_time_flows_down_with_the_rows() {
    let mut tables = Tables::new();
    let source = tables.source("a");
    tables.follower("b", "a", Duration::ZERO);
    let event = Utc::now() - chrono::TimeDelta::seconds(90);
    let lag = |partition: &str, rows| Gauge::Lag { partition: partition.into(), rows };
    tables.gauges("a", vec![lag("orders/0", 3), lag("orders/1", 4), Gauge::EventTime(event)]);
    let (going, _) = tables.start();
    source.put(1);
    going.after(SECOND).await;
    let (a, b) = (going.of("a"), going.of("b"));
    assert_eq!((a.total_lag(), b.total_lag()), (Some(7), None));
    assert_eq!((a.event_time, b.event_time), (Some(event), Some(event)));
    assert!((90.0..95.0).contains(&b.delay_seconds.unwrap()), "{b:?}");
    assert!((a.is_entry, b.is_entry) == (true, false) && going.status.is_ready());
    assert_eq!(b.last_commit.map(|commit| (commit.version, commit.rows)), Some((0, 1)));
    going.stop().await;
}
