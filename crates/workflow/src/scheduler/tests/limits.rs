//! Too many runs, pauses, and changes of the project.

use std::collections::BTreeMap;
use std::time::Duration;

use chrono::TimeDelta;

use super::super::queue::{Turn, turns};
use super::super::{LONGEST_WAIT, Source as _};
use super::{EVERY_TEN_SECONDS, Event, FakeSource, Rig};
use crate::ResultState;
use crate::history::{NewRun, RowCounts, RunEnd};

#[tokio::test(start_paused = true)]
async fn a_run_that_is_one_too_many_waits_for_its_turn() {
    let rig = Rig::new(&[EVERY_TEN_SECONDS]);
    rig.change(|world| world.takes = Duration::from_secs(25));
    rig.serve_and(0, |_| async {
        rig.pass(22).await;
        assert_eq!(rig.looks("w0").await, [(10, "GOING"), (20, "QUEUED")]);
        rig.change(|world| world.takes = Duration::from_secs(1));
        rig.pass(16).await;
    })
    .await;
    assert_eq!(rig.looks("w0").await, [(10, "SUCCESS"), (20, "SUCCESS"), (30, "SUCCESS")]);
    let queued = rig.events();
    assert!(matches!(&queued[..], [Event::RunQueued { number: 2, .. }, Event::RunQueued { number: 3, .. }]));
}

#[tokio::test(start_paused = true)]
async fn a_run_that_is_one_too_many_is_skipped_when_the_workflow_does_not_queue() {
    let rig = Rig::new(&[
        &format!(r#"{EVERY_TEN_SECONDS}, "queue": {{"enabled": false}}, "max_concurrent_runs": 2"#),
        &format!(r#"{EVERY_TEN_SECONDS}, "max_concurrent_runs": 0"#),
    ]);
    rig.change(|world| world.takes = Duration::from_secs(25));
    rig.serve(32).await;
    let skipped = "MAXIMUM_CONCURRENT_RUNS_REACHED";
    assert_eq!(rig.looks("w0").await, [(10, "INTERRUPTED"), (20, "INTERRUPTED"), (30, skipped)]);
    assert_eq!(rig.looks("w1").await, [(10, skipped), (20, skipped), (30, skipped)]);
    let told = rig.events().iter().filter(|event| matches!(event, Event::RunSkipped { .. })).count();
    assert_eq!(told, 4);
    let reason = rig.records("w1").await[0].error.clone().unwrap().message;
    assert!(reason.contains("max_concurrent_runs is 0"), "{reason}");
}

#[tokio::test(start_paused = true)]
async fn a_run_that_was_started_by_hand_counts() {
    let rig = Rig::new(&[EVERY_TEN_SECONDS]);
    let new = NewRun { workflow: "w0".to_owned(), ..NewRun::default() };
    let by_hand = rig.history.begin_run(new, Vec::new()).await.unwrap();
    rig.serve_and(1, |_| async {
        rig.pass(15).await;
        assert_eq!(rig.looks("w0").await, [(-1, "GOING"), (10, "QUEUED")]);
        let end = RunEnd { state: ResultState::Success, error: None, rows: RowCounts::default() };
        rig.history.end_run(by_hand, end).await.unwrap();
        rig.pass(2).await;
    })
    .await;
    assert_eq!(rig.looks("w0").await, [(-1, "SUCCESS"), (10, "SUCCESS")]);
}

#[tokio::test(start_paused = true)]
async fn a_run_waits_two_days_at_most_and_one_of_a_workflow_that_is_gone_not_at_all() {
    let rig = Rig::new(&[r#""description": "by hand only""#]);
    let new = |name: &str| NewRun { workflow: name.to_owned(), ..NewRun::default() };
    rig.history.begin_run(new("w0"), Vec::new()).await.unwrap();
    rig.history.queue_run(new("w0")).await.unwrap();
    rig.history.queue_run(new("gone")).await.unwrap();
    let open = rig.history.open_runs().await.unwrap();
    let project = FakeSource(std::sync::Arc::clone(&rig.world)).load().unwrap();
    let turns_after = |time: TimeDelta| {
        let none = BTreeMap::new();
        let turns = turns(&open, &none, &project.workflows, open[1].queued_at + time);
        turns.into_iter().map(|(run, turn)| (run.number, turn)).collect::<Vec<_>>()
    };
    let [(2, Turn::Wait), (3, Turn::Skip(ResultState::Canceled, _))] = &turns_after(TimeDelta::zero())[..] else {
        panic!("{:?}", turns_after(TimeDelta::zero()));
    };
    let [(2, Turn::Skip(ResultState::MaximumConcurrentRunsReached, reason)), _] = &turns_after(LONGEST_WAIT)[..] else {
        panic!("{:?}", turns_after(LONGEST_WAIT));
    };
    assert!(reason.contains("it waited 48 hours"));
}

#[tokio::test(start_paused = true)]
async fn a_pause_holds_over_restarts_and_times_in_it_are_not_missed() {
    let rig = Rig::new(&[EVERY_TEN_SECONDS]);
    rig.serve_and(5, |scheduler| async move {
        tokio::time::sleep(Duration::from_secs(12)).await;
        scheduler.pause("w0").await.unwrap();
        assert!(scheduler.status().await.unwrap()[0].paused);
    })
    .await;
    rig.serve(30).await;
    // Somebody resumes it while no scheduler runs.
    rig.history.set_paused("w0", false).await.unwrap();
    rig.pass(100).await;
    rig.serve(8).await;
    assert_eq!(rig.looks("w0").await, [(10, "SUCCESS"), (150, "SUCCESS")]);
    assert!(!rig.events().iter().any(|event| matches!(event, Event::Missed { .. })));
}

#[tokio::test(start_paused = true)]
async fn what_somebody_asked_for_wins_over_the_file() {
    let paused =
        r#""schedule": {"pause_status": "PAUSED", "quartz_cron_expression": "0/10 * * * * ?", "timezone_id": "UTC"}"#;
    let rig = Rig::new(&[paused]);
    rig.serve_and(12, |scheduler| async move {
        tokio::time::sleep(Duration::from_secs(35)).await;
        scheduler.resume("w0").await.unwrap();
    })
    .await;
    assert_eq!(rig.looks("w0").await, [(40, "SUCCESS")]);
    assert!(matches!(&rig.events()[..], [Event::Paused { paused: false, .. }]));
}

#[tokio::test(start_paused = true)]
async fn a_changed_project_is_followed_and_a_broken_one_is_told_of_once_and_not() {
    let rig = &Rig::new(&[EVERY_TEN_SECONDS]);
    rig.serve_and(5, |scheduler| async move {
        rig.pass(12).await;
        rig.change(|world| (world.fingerprint, world.problems) = (7, vec!["workflows/w0.json:1: no".into()]));
        rig.pass(10).await;
        assert_eq!(scheduler.problems(), ["workflows/w0.json:1: no"]);
        rig.change(|world| world.problems.clear());
        rig.write(&[r#""description": "rests""#, EVERY_TEN_SECONDS]);
        rig.pass(10).await;
        assert!(scheduler.problems().is_empty());
        assert_eq!(rig.looks("w0").await, [(10, "SUCCESS"), (20, "SUCCESS")]);
        assert_eq!(rig.looks("w1").await, [(30, "SUCCESS")]);
        let events = rig.events();
        assert!(matches!(&events[..], [Event::ProblemsFound { .. }, Event::Reloaded { workflows: 2 }]), "{events:?}");
    })
    .await;
}
