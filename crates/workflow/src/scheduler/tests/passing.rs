//! What is wrong for a while: the clock, the run history, what is looked at. It passes, and the schedule goes on.

use std::collections::BTreeMap;
use std::path::PathBuf;

use chrono::TimeDelta;

use super::super::entry::Entry;
use super::{EVERY_TEN_SECONDS, Event, FakeSource, Rig, SeenFile};
use crate::history::NewRun;
use crate::scheduler::Source as _;
use crate::{Event as RunEvent, ResultState};

const FILES: &str = r#""trigger": {"file_arrival": {"url": "landing"}}"#;
const DAY: i64 = 86_400;

fn troubles(rig: &Rig) -> Vec<String> {
    let events = rig.events();
    let message = |event: &Event| match event {
        Event::Trouble { message, .. } => Some(message.clone()),
        _ => None,
    };
    events.iter().filter_map(message).collect()
}

#[tokio::test(start_paused = true)]
async fn a_schedule_goes_on_after_the_clock_was_ahead_and_says_so_once() {
    let rig = &Rig::new(&[EVERY_TEN_SECONDS, r#""continuous": {}"#, FILES]);
    rig.set_ahead(DAY);
    rig.serve_and(1, |_| async {
        rig.pass(15).await;
        assert_eq!(rig.looks("w0").await, [(DAY + 10, "SUCCESS")]);
        rig.set_ahead(0);
        rig.write(&[EVERY_TEN_SECONDS, r#""continuous": {}"#, FILES, r#""description": "new""#]);
        let continuous = rig.looks("w1").await.len();
        rig.pass(20).await;
        assert_eq!(rig.looks("w0").await[1..], [(20, "SUCCESS"), (30, "SUCCESS")]);
        assert!(rig.looks("w1").await.len() > continuous + 10);
        rig.change(|world| world.files.push(SeenFile { path: "new".into(), modified: rig.clock.start }));
        rig.pass(130).await;
        assert_eq!(rig.looks("w2").await.len(), 1);
    })
    .await;
    let about_w0 = |event: &&Event| matches!(event, Event::Trouble { workflow: Some(name), .. } if name == "w0");
    assert_eq!(rig.events().iter().filter(about_w0).count(), 1);
    assert!(troubles(rig)[0].contains("up to 2026-01-06 00:00:10 UTC"), "{:?}", troubles(rig));
    assert!(rig.events().iter().any(|event| matches!(event, Event::Reloaded { workflows: 4 })));
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_is_set_back_across_a_restart_starts_no_time_twice() {
    let rig = Rig::new(&[EVERY_TEN_SECONDS]);
    rig.set_ahead(100);
    rig.serve(15).await;
    rig.set_ahead(0);
    rig.serve(110).await;
    let mut dues: Vec<i64> = rig.looks("w0").await.iter().map(|look| look.0).collect();
    dues.sort_unstable();
    assert_eq!(dues, [20, 30, 40, 50, 60, 70, 80, 90, 100, 110, 120]);
}

/// A folder where the lock of a run belongs keeps that run from beginning.
fn block(rig: &Rig, run: i64) -> PathBuf {
    let path = rig.history.path().with_file_name(format!("history.db-run-{run}.lock"));
    std::fs::create_dir(&path).unwrap();
    path
}

#[tokio::test(start_paused = true)]
async fn a_run_that_cannot_begin_for_a_moment_waits_and_keeps_its_turn() {
    let rig = &Rig::new(&[EVERY_TEN_SECONDS]);
    let blocked = block(rig, 1);
    rig.serve_and(1, |_| async {
        rig.pass(25).await;
        assert_eq!(rig.looks("w0").await, [(10, "QUEUED"), (20, "QUEUED")]);
        std::fs::remove_dir(&blocked).unwrap();
        rig.pass(40).await;
    })
    .await;
    assert!(rig.looks("w0").await.iter().all(|(_, state)| *state == "SUCCESS"), "{:?}", rig.looks("w0").await);
    let records = rig.records("w0").await;
    assert!(records.windows(2).all(|pair| pair[0].started_at < pair[1].started_at));
    assert_eq!(troubles(rig).len(), 1, "{:?}", troubles(rig));
}

#[tokio::test(start_paused = true)]
async fn a_look_that_panics_is_told_of_and_the_next_one_takes_place() {
    let rig = &Rig::new(&[FILES]);
    rig.serve_and(1, |_| async {
        rig.pass(5).await;
        rig.change(|world| world.panics = true);
        rig.pass(20).await;
        rig.change(|world| {
            world.panics = false;
            world.files.push(SeenFile { path: "new".into(), modified: rig.clock.start });
        });
        rig.pass(20).await;
    })
    .await;
    assert_eq!(rig.looks("w0").await.len(), 1);
    assert!(matches!(&rig.events()[..], [Event::Trouble { workflow: Some(name), .. }] if name == "w0"));
}

#[tokio::test(start_paused = true)]
async fn a_look_that_took_long_is_followed_by_one_within_two_minutes() {
    let rig = Rig::new(&[FILES]);
    let project = FakeSource(std::sync::Arc::clone(&rig.world)).load().unwrap();
    let workflow = &project.workflows["w0"];
    let (mut entry, _) = Entry::begin(workflow, &workflow.schedule().unwrap().trigger, None, None, rig.clock.start);
    for (took, rest) in [(0, 10), (1, 10), (5, 50), (600, 120), (i64::MAX / 1000, 120)] {
        entry.looked(TimeDelta::seconds(took), rig.clock.start);
        assert_eq!(entry.wakes_at(), Some(rig.clock.start + TimeDelta::seconds(rest)), "{took}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_interrupted_run_whose_workflow_is_gone_is_told_of_and_stays() {
    let rig = Rig::new(&[EVERY_TEN_SECONDS]);
    rig.change(|world| world.takes = std::time::Duration::from_secs(1000));
    rig.serve(15).await;
    rig.change(|world| world.workflows.clear());
    rig.serve(15).await;
    let told = troubles(&rig);
    assert!(told.len() == 1 && told[0].contains("run 1 was interrupted") && told[0].contains("`w0`"), "{told:?}");
    assert_eq!(rig.looks("w0").await, [(10, "INTERRUPTED")]);
}

#[tokio::test(start_paused = true)]
async fn a_run_is_gone_on_with_once_however_often_it_is_asked_for() {
    let rig = Rig::new(&[r#""description": "by hand only""#]);
    rig.change(|world| world.fails = true);
    rig.serve_and(5, |scheduler| async move {
        let number = scheduler.run_now("w0", BTreeMap::new()).await.unwrap();
        tokio::time::sleep(std::time::Duration::from_secs(5)).await;
        scheduler.repair(number, Vec::new(), false).await.unwrap();
        let refused = scheduler.repair(number, Vec::new(), false).await.unwrap_err();
        assert_eq!(refused.kind(), stage::Kind::Conflict);
    })
    .await;
    assert_eq!(rig.records("w0").await[0].repairs, 1);
}

#[tokio::test(start_paused = true)]
async fn a_run_that_cannot_begin_at_all_has_failed_and_is_told_of() {
    let rig = Rig::new(&[r#""description": "by hand only""#]);
    // A history that refuses the start, and not for a moment.
    let connection = rusqlite::Connection::open(rig.history.path()).unwrap();
    let new = NewRun { workflow: "w0".to_owned(), ..NewRun::default() };
    rig.history.queue_run(new).await.unwrap();
    let trigger = "CREATE TRIGGER refuse BEFORE UPDATE OF started_at ON runs BEGIN SELECT RAISE(ABORT, 'no'); END";
    connection.execute_batch(trigger).unwrap();
    rig.serve(5).await;
    assert_eq!(rig.looks("w0").await, [(-1, "FAILED")]);
    let ended = rig.events.lock().unwrap().iter().any(|event| {
        matches!(event, Event::Run { number: 1, event: RunEvent::RunEnded { state: ResultState::Failed, .. }, .. })
    });
    assert!(ended);
}
