//! Runs that something else than the clock starts: files, commits, the run before, somebody.

use std::collections::BTreeMap;

use super::{EVERY_TEN_SECONDS, Event, Rig, SeenFile, SeenTable};
use crate::request::Again;
use crate::{CauseKind, ResultState};

const FILES: &str = r#""trigger": {"file_arrival": {"url": "landing"}}"#;
const TABLES: &str = r#""trigger": {"table_update": {"table_names": ["p.bronze.b"]}}"#;

fn file(rig: &Rig, path: &str) -> SeenFile {
    SeenFile { path: path.to_owned(), modified: rig.clock.start }
}

fn table(rig: &Rig, version: u64) -> BTreeMap<String, SeenTable> {
    BTreeMap::from([("p.bronze.b".to_owned(), SeenTable { version, committed: rig.clock.start })])
}

#[tokio::test(start_paused = true)]
async fn a_file_that_arrives_starts_one_run_and_those_before_none() {
    let rig = Rig::new(&[FILES]);
    rig.change(|world| world.files = vec![file(&rig, "old")]);
    rig.serve_and(60, |_| async {
        rig.pass(15).await;
        rig.change(|world| world.files.push(file(&rig, "new")));
    })
    .await;
    assert_eq!(rig.looks("w0").await, [(20, "SUCCESS")]);
    let cause = &rig.records("w0").await[0].cause;
    assert_eq!((cause.kind, cause.location.as_deref()), (CauseKind::FileArrival, Some("landing")));
}

#[tokio::test(start_paused = true)]
async fn a_file_that_arrives_while_no_scheduler_runs_or_the_schedule_is_paused_starts_a_run_afterwards() {
    let rig = Rig::new(&[FILES]);
    rig.serve(5).await;
    rig.change(|world| world.files.push(file(&rig, "one")));
    rig.pass(100).await;
    rig.serve(5).await;
    assert_eq!(rig.looks("w0").await.len(), 1);
    rig.serve_and(5, |scheduler| async move {
        scheduler.pause("w0").await.unwrap();
        rig_pass(30).await;
    })
    .await;
    rig.change(|world| world.files.push(file(&rig, "two")));
    rig.history.set_paused("w0", false).await.unwrap();
    rig.serve(5).await;
    assert_eq!(rig.looks("w0").await.len(), 2);
}

async fn rig_pass(seconds: u64) {
    tokio::time::sleep(std::time::Duration::from_secs(seconds)).await;
}

#[tokio::test(start_paused = true)]
async fn a_commit_to_a_table_starts_a_run_that_knows_its_version() {
    let rig = Rig::new(&[TABLES]);
    rig.serve_and(30, |_| async {
        rig.pass(5).await;
        rig.change(|world| world.tables = table(&rig, 0));
    })
    .await;
    let run = &rig.records("w0").await[0];
    assert_eq!(rig.looks("w0").await.len(), 1);
    assert_eq!((run.cause.kind, run.cause.tables["p.bronze.b"].0), (CauseKind::TableUpdate, 0));
}

#[tokio::test(start_paused = true)]
async fn a_location_that_cannot_be_listed_is_told_of_once_and_keeps_no_other_workflow_from_its_runs() {
    let rig = Rig::new(&[FILES, EVERY_TEN_SECONDS]);
    rig.change(|world| world.is_blind = true);
    rig.serve(45).await;
    assert_eq!(rig.looks("w1").await.len(), 4);
    let troubles = rig.events();
    assert!(matches!(&troubles[..], [Event::Trouble { workflow: Some(name), .. }] if name == "w0"), "{troubles:?}");
}

#[tokio::test(start_paused = true)]
async fn continuous_runs_follow_each_other_and_idle_ones_not_sooner_than_a_second() {
    let rig = Rig::new(&[r#""continuous": {}"#]);
    rig.serve_and(3, |_| async {}).await;
    let idle = rig.looks("w0").await;
    assert!((3..=5).contains(&idle.len()), "{idle:?}");
    rig.change(|world| world.takes = std::time::Duration::from_secs(7));
    let before = idle.len();
    rig.serve(20).await;
    let dues: Vec<i64> = rig.looks("w0").await[before..].iter().map(|look| look.0).collect();
    assert!(dues.windows(2).all(|pair| pair[1] - pair[0] == 7), "{dues:?}");
}

#[tokio::test(start_paused = true)]
async fn continuous_runs_that_fail_come_later_and_later() {
    let rig = Rig::new(&[r#""continuous": {}"#]);
    rig.change(|world| world.fails = true);
    rig.serve(80).await;
    let failed = "FAILED";
    assert_eq!(rig.looks("w0").await, [(0, failed), (10, failed), (30, failed), (70, failed)]);
}

#[tokio::test(start_paused = true)]
async fn a_run_that_somebody_asks_for_starts_at_once_with_its_parameters() {
    let rig = Rig::new(&[r#""description": "by hand only""#]);
    rig.serve_and(1, |scheduler| async move {
        let day = |name: &str| BTreeMap::from([(name.to_owned(), "monday".to_owned())]);
        assert_eq!(scheduler.run_now("w0", day("day")).await.unwrap(), 1);
        assert!(scheduler.run_now("w0", day("dya")).await.unwrap_err().message().contains("`day`"));
        assert!(scheduler.run_now("w1", BTreeMap::new()).await.unwrap_err().message().contains("no workflow `w1`"));
    })
    .await;
    let run = &rig.records("w0").await[0];
    assert_eq!((run.state, run.parameters["day"].as_str()), (Some(ResultState::Success), "monday"));
    assert_eq!(run.cause.kind, CauseKind::Manual);
}

#[tokio::test(start_paused = true)]
async fn a_run_is_canceled_while_it_goes_and_while_it_waits_and_repaired() {
    let rig = Rig::new(&[r#""description": "by hand only""#]);
    rig.change(|world| world.takes = std::time::Duration::from_secs(1000));
    rig.serve_and(5, |scheduler| async move {
        let going = scheduler.run_now("w0", BTreeMap::new()).await.unwrap();
        let waiting = scheduler.run_now("w0", BTreeMap::new()).await.unwrap();
        rig_pass(5).await;
        let status = scheduler.status().await.unwrap().remove(0);
        assert_eq!((status.running, status.queued), (vec![going], vec![waiting]));
        scheduler.cancel(waiting).await.unwrap();
        scheduler.cancel(going).await.unwrap();
        rig_pass(5).await;
        let refused = scheduler.cancel(going).await.unwrap_err();
        assert!(refused.message().contains("it has ended as CANCELED"), "{refused}");
    })
    .await;
    assert_eq!(rig.looks("w0").await, [(-1, "CANCELED"), (-1, "CANCELED")]);
    rig.change(|world| world.takes = std::time::Duration::ZERO);
    rig.serve_and(5, |scheduler| async move {
        scheduler.repair(1, Vec::new(), false).await.unwrap();
        assert!(scheduler.repair(1, vec!["b".into()], false).await.is_err());
        assert!(scheduler.go_on(9, Again::Resume, BTreeMap::new()).await.is_err());
    })
    .await;
    let run = &rig.records("w0").await[0];
    assert_eq!((run.state, run.repairs), (Some(ResultState::Success), 1));
}
