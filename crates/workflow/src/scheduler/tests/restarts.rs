//! What the next scheduler makes of what the last one left.

use std::time::Duration;

use super::super::MOST_RESUMES;
use super::{EVERY_TEN_SECONDS, Event, Rig};
use crate::{Event as RunEvent, ResultState};

#[tokio::test(start_paused = true)]
async fn a_run_that_is_stopped_with_the_scheduler_is_resumed_by_the_next_one() {
    let rig = Rig::new(&[EVERY_TEN_SECONDS]);
    rig.change(|world| world.takes = Duration::from_secs(1000));
    rig.serve(15).await;
    assert_eq!(rig.looks("w0").await, [(10, "INTERRUPTED")]);
    let told = rig.events.lock().unwrap().iter().any(|event| {
        let Event::Run { event: RunEvent::RunEnded { state, .. }, .. } = event else { return false };
        *state == ResultState::Interrupted
    });
    assert!(told);
    rig.change(|world| world.takes = Duration::ZERO);
    rig.serve(2).await;
    assert_eq!(rig.looks("w0").await, [(10, "SUCCESS")]);
    assert_eq!(rig.records("w0").await[0].repairs, 0);
}

/// Makes runs that were left look like those of a process that died.
fn die(rig: &Rig, more: &str) {
    let history = rusqlite::Connection::open(rig.folder.path().join("history.db")).unwrap();
    let changed = history.execute(&format!("UPDATE runs SET state = NULL {more} WHERE state = 'INTERRUPTED'"), []);
    assert_eq!(changed.unwrap(), 1);
}

const ONCE: &str = r#""schedule": {"quartz_cron_expression": "10 0 * * * ?", "timezone_id": "UTC"}"#;

#[tokio::test(start_paused = true)]
async fn a_run_that_always_takes_the_scheduler_with_it_is_given_up() {
    let rig = Rig::new(&[ONCE]);
    rig.change(|world| world.takes = Duration::from_secs(1000));
    for _ in 0..=MOST_RESUMES {
        rig.serve(15).await;
        assert!(rig.events().is_empty(), "{:?}", rig.events());
        die(&rig, "");
    }
    rig.change(|world| world.takes = Duration::ZERO);
    rig.serve(15).await;
    assert_eq!(rig.looks("w0").await, [(10, "FAILED")]);
    assert!(matches!(&rig.events()[..], [Event::Trouble { workflow: Some(_), .. }]));
    // Who repairs it begins to count anew.
    rig.change(|world| world.takes = Duration::from_secs(1000));
    rig.serve_and(5, |scheduler| async move { scheduler.repair(1, Vec::new(), false).await.unwrap() }).await;
    die(&rig, "");
    rig.change(|world| world.takes = Duration::ZERO);
    rig.serve(15).await;
    assert_eq!(rig.looks("w0").await, [(10, "SUCCESS")]);
}

#[tokio::test(start_paused = true)]
async fn a_scheduler_may_be_stopped_as_often_as_one_likes() {
    let rig = Rig::new(&[ONCE]);
    rig.change(|world| world.takes = Duration::from_secs(1000));
    for _ in 0..MOST_RESUMES + 3 {
        rig.serve(15).await;
        assert_eq!(rig.looks("w0").await, [(10, "INTERRUPTED")]);
    }
    rig.change(|world| world.takes = Duration::ZERO);
    rig.serve(15).await;
    assert_eq!(rig.looks("w0").await, [(10, "SUCCESS")]);
}

#[tokio::test(start_paused = true)]
async fn a_run_whose_end_was_asked_for_before_the_scheduler_died_is_not_resumed() {
    let rig = Rig::new(&[ONCE]);
    rig.change(|world| world.takes = Duration::from_secs(1000));
    rig.serve(15).await;
    die(&rig, ", cancel_asked_at = 1");
    rig.change(|world| world.takes = Duration::ZERO);
    rig.serve(15).await;
    assert_eq!(rig.looks("w0").await, [(10, "CANCELED")]);
}

#[tokio::test(start_paused = true)]
async fn a_canceled_run_says_so_in_the_history_before_it_stops() {
    let rig = Rig::new(&[ONCE]);
    rig.change(|world| world.takes = Duration::from_secs(1000));
    let history = rig.history.clone();
    rig.serve_and(5, |scheduler| async move {
        tokio::time::sleep(Duration::from_secs(15)).await;
        assert!(!history.cancel_asked(1).await.unwrap());
        scheduler.cancel(1).await.unwrap();
    })
    .await;
    let asked: Option<i64> = rusqlite::Connection::open(rig.folder.path().join("history.db"))
        .unwrap()
        .query_row("SELECT cancel_asked_at FROM runs", [], |row| row.get(0))
        .unwrap();
    assert!(asked.is_some());
    assert_eq!(rig.looks("w0").await, [(10, "CANCELED")]);
}

#[tokio::test(start_paused = true)]
async fn runs_that_wait_start_after_a_restart() {
    let rig = Rig::new(&[EVERY_TEN_SECONDS]);
    rig.change(|world| world.takes = Duration::from_secs(1000));
    rig.serve(25).await;
    assert_eq!(rig.looks("w0").await, [(10, "INTERRUPTED"), (20, "QUEUED")]);
    rig.change(|world| world.takes = Duration::ZERO);
    rig.serve(3).await;
    assert_eq!(rig.looks("w0").await, [(10, "SUCCESS"), (20, "SUCCESS")]);
}

#[tokio::test(start_paused = true)]
async fn there_is_one_scheduler_at_a_time() {
    let rig = Rig::new(&[EVERY_TEN_SECONDS]);
    let first = rig.open().unwrap();
    assert_eq!(rig.open().err().unwrap().kind(), stage::Kind::Unavailable);
    drop(first);
    rig.open().unwrap();
}
