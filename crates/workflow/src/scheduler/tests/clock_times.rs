//! Runs that the clock starts.

use super::{EVERY_TEN_SECONDS, Event, Rig};
use crate::CauseKind;
use crate::schedule::Missed;

#[tokio::test(start_paused = true)]
async fn each_time_of_an_expression_has_one_run() {
    let rig = Rig::new(&[EVERY_TEN_SECONDS]);
    rig.serve(35).await;
    assert_eq!(rig.looks("w0").await, [(10, "SUCCESS"), (20, "SUCCESS"), (30, "SUCCESS")]);
    let run = &rig.records("w0").await[0];
    assert_eq!((run.cause.kind, run.parameters["day"].as_str()), (CauseKind::Schedule, "today"));
    assert_eq!(rig.events(), []);
}

#[tokio::test(start_paused = true)]
async fn an_interval_is_counted_from_when_it_was_first_seen_over_restarts() {
    let rig = Rig::new(&[r#""trigger": {"periodic": {"interval": 1, "unit": "MINUTES"}}"#]);
    rig.serve(90).await;
    rig.serve(60).await;
    assert_eq!(rig.looks("w0").await, [(60, "SUCCESS"), (120, "SUCCESS")]);
}

#[tokio::test(start_paused = true)]
async fn a_nightly_run_whose_hour_the_clock_skips_comes_after_the_gap() {
    // In Berlin 01:59:59 is followed by 03:00:00 on that day.
    let nightly = r#""schedule": {"quartz_cron_expression": "0 30 2 * * ?", "timezone_id": "Europe/Berlin"}"#;
    let rig = Rig::at("2026-03-29T00:59:00Z", &[nightly]);
    rig.serve(45 * 60).await;
    assert_eq!(rig.looks("w0").await, [(60, "SUCCESS")]);
}

#[tokio::test(start_paused = true)]
async fn an_hourly_run_goes_on_through_the_hour_that_the_clock_shows_twice() {
    let hourly = r#""schedule": {"quartz_cron_expression": "0 0 * * * ?", "timezone_id": "Europe/Berlin"}"#;
    let rig = Rig::at("2026-10-24T23:59:00Z", &[hourly]);
    rig.serve(2 * 3600 + 120).await;
    assert_eq!(rig.looks("w0").await, [(60, "SUCCESS"), (3660, "SUCCESS"), (7260, "SUCCESS")]);
}

async fn after_three_minutes_away(catch_up: &str) -> Rig {
    let rig = Rig::new(&[&format!(r#"{EVERY_TEN_SECONDS}, "catch_up": "{catch_up}""#)]);
    rig.serve(15).await;
    rig.pass(175).await;
    rig.serve(5).await;
    rig
}

fn missed(rig: &Rig, count: u64, first: i64, last: i64) -> bool {
    let at = |seconds| rig.clock.start + chrono::TimeDelta::seconds(seconds);
    let expected = Missed { count, first: at(first), last: at(last) };
    rig.events().iter().any(|event| matches!(event, Event::Missed { missed, .. } if *missed == expected))
}

#[tokio::test(start_paused = true)]
async fn after_an_absence_the_newest_run_is_made_up_for() {
    let rig = after_three_minutes_away("latest").await;
    assert_eq!(rig.looks("w0").await, [(10, "SUCCESS"), (180, "MISSED"), (190, "SUCCESS")]);
    assert!(missed(&rig, 17, 20, 180), "{:?}", rig.events());
    let record = &rig.records("w0").await[1];
    assert_eq!(record.cause.missed.unwrap().count, 17);
    assert!(record.error.as_ref().unwrap().message.contains("17 runs, from 2026-01-05 00:00:20 UTC"));
}

#[tokio::test(start_paused = true)]
async fn after_an_absence_nothing_is_made_up_for_when_runs_are_skipped() {
    let rig = after_three_minutes_away("skip").await;
    // The run of that very moment is on time.
    assert_eq!(rig.looks("w0").await, [(10, "SUCCESS"), (180, "MISSED"), (190, "SUCCESS")]);
    rig.pass(5 + 65).await;
    // What is a minute old is not.
    rig.write(&[
        r#""schedule": {"quartz_cron_expression": "0 0/10 * * * ?", "timezone_id": "UTC"}, "catch_up": "skip""#,
    ]);
    rig.serve(5).await;
    rig.pass(600).await;
    rig.serve(1).await;
    assert_eq!(rig.looks("w0").await[3..], [(600, "MISSED")]);
}

#[tokio::test(start_paused = true)]
async fn after_an_absence_every_run_is_made_up_for_in_order() {
    let rig = after_three_minutes_away("all").await;
    let expected: Vec<_> = (1..=19).map(|time| (time * 10, "SUCCESS")).collect();
    assert_eq!(rig.looks("w0").await, expected);
    let records = rig.records("w0").await;
    assert!(records.windows(2).all(|pair| pair[0].started_at < pair[1].started_at));
    assert_eq!(rig.events().iter().filter(|event| matches!(event, Event::Missed { .. })).count(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_schedule_that_was_changed_begins_anew() {
    let rig = Rig::new(&[r#""schedule": {"quartz_cron_expression": "0 0 0 * * ?", "timezone_id": "UTC"}"#]);
    rig.serve(5).await;
    rig.pass(100).await;
    rig.write(&[&format!(r#"{EVERY_TEN_SECONDS}, "catch_up": "all""#)]);
    rig.serve(10).await;
    assert_eq!(rig.looks("w0").await, [(110, "SUCCESS")]);
}
