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

#[tokio::test(start_paused = true)]
async fn a_run_that_always_takes_the_scheduler_with_it_is_given_up() {
    let rig = Rig::new(&[r#""schedule": {"quartz_cron_expression": "10 0 * * * ?", "timezone_id": "UTC"}"#]);
    rig.change(|world| world.takes = Duration::from_secs(1000));
    for _ in 0..=MOST_RESUMES {
        rig.serve(15).await;
        assert!(rig.events().is_empty(), "{:?}", rig.events());
    }
    rig.change(|world| world.takes = Duration::ZERO);
    rig.serve(15).await;
    assert_eq!(rig.looks("w0").await, [(10, "FAILED")]);
    assert!(matches!(&rig.events()[..], [Event::Trouble { workflow: Some(_), .. }]));
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
