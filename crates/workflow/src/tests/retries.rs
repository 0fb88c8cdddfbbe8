//! Which failures are followed by another attempt, and when.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use stage::{Error, Kind, Progress};
use tokio::time::Instant;

use super::fakes::{Rig, fails, script, until_stopped};
use crate::Event;
use crate::ResultState::{Failed, Success, TimedOut};

#[tokio::test(start_paused = true)]
async fn a_transient_error_is_tried_again_as_often_as_allowed() {
    for kind in [Kind::Unavailable, Kind::Conflict] {
        for (failures, max_retries, expected, calls) in
            [(2, 2, Success, 3), (3, 2, Failed, 3), (1, 0, Failed, 1), (30, -1, Success, 31)]
        {
            let mut rig = Rig::new(&["a"]);
            rig.task("a").max_retries = max_retries;
            rig.does("a", fails(kind, failures));
            let outcome = rig.run().await;
            assert_eq!((outcome.state, rig.calls("a")), (expected, calls), "{kind}, {max_retries} retries");
            assert_eq!(outcome.exit_code(), if expected == Success { 0 } else { 75 });
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_permanent_error_is_never_tried_again() {
    for (kind, exit_code) in [(Kind::Config, 2), (Kind::Data, 1), (Kind::Quality, 3), (Kind::Bug, 1)] {
        let mut rig = Rig::new(&["a"]);
        rig.task("a").max_retries = -1;
        rig.does("a", fails(kind, 1));
        let outcome = rig.run().await;
        assert_eq!((outcome.state, rig.calls("a")), (Failed, 1), "{kind}");
        assert_eq!(outcome.exit_code(), exit_code);
    }
}

#[tokio::test(start_paused = true)]
async fn a_permanent_error_beside_a_transient_one_decides() {
    let mut rig = Rig::new(&["a"]);
    rig.task("a").max_retries = 5;
    rig.has_waves("a", vec![vec![("b1", fails(Kind::Unavailable, 9)), ("b2", fails(Kind::Quality, 9))]]);
    let outcome = rig.run().await;
    assert_eq!((outcome.exit_code(), rig.calls("b1")), (3, 1));
}

#[tokio::test(start_paused = true)]
async fn a_panic_is_a_bug_of_that_task_alone() {
    let mut rig = Rig::new(&["a", "b"]);
    rig.task("a").max_retries = -1;
    rig.does("a", script(|_, _| async { panic!("the sky fell") }));
    let outcome = rig.run().await;
    let error = outcome.first_error().unwrap();
    assert_eq!(error.kind(), Kind::Bug);
    assert_eq!(error.message(), "the stage of test.bronze.a panicked: the sky fell");
    assert_eq!(rig.calls("b"), 1);
}

#[tokio::test(start_paused = true)]
async fn the_interval_runs_from_start_to_start_with_a_delay_on_top() {
    // An attempt of 3 s with an interval of 10 s waits 7 s and a delay; one of 30 s waits only the delay.
    for (takes, least) in [(3, 10.0), (30, 30.0)] {
        let starts = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&starts);
        let mut rig = Rig::new(&["a"]);
        rig.task("a").max_retries = 1;
        rig.task("a").min_retry_interval_millis = 10_000;
        rig.does(
            "a",
            script(move |calls, _| {
                seen.lock().unwrap().push(Instant::now());
                async move {
                    tokio::time::sleep(Duration::from_secs(takes)).await;
                    if calls == 0 { Err(Error::unavailable("busy")) } else { Ok(Progress::idle()) }
                }
            }),
        );
        assert_eq!(rig.run().await.state, Success);
        let starts = starts.lock().unwrap();
        let apart = (starts[1] - starts[0]).as_secs_f64();
        assert!(apart >= least + 0.25 && apart <= least + 0.6, "{apart}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_failed_attempt_is_told_with_the_time_of_the_next() {
    let mut rig = Rig::new(&["a"]);
    rig.task("a").max_retries = 1;
    rig.does("a", fails(Kind::Conflict, 2));
    rig.run().await;
    let told: Vec<(u32, bool, String)> = rig
        .events()
        .into_iter()
        .filter_map(|event| match event {
            Event::AttemptFailed { attempt_number, will_retry_in, message, .. } => {
                Some((attempt_number, will_retry_in.is_some(), message))
            }
            _ => None,
        })
        .collect();
    assert_eq!(told, [(0, true, "it would not go".to_owned()), (1, false, "it would not go".to_owned())]);
}

#[tokio::test(start_paused = true)]
async fn running_out_of_time_is_tried_again_only_when_asked() {
    for (retry_on_timeout, calls) in [(false, 1), (true, 3)] {
        let mut rig = Rig::new(&["a"]);
        let task = rig.task("a");
        (task.timeout_seconds, task.max_retries, task.retry_on_timeout) = (5, 2, retry_on_timeout);
        rig.does("a", until_stopped());
        let outcome = rig.run().await;
        assert_eq!((outcome.state, rig.calls("a")), (TimedOut, calls));
        assert_eq!(outcome.exit_code(), 75);
        assert_eq!(outcome.first_error().unwrap().message(), "the attempt ran out of time after 5s");
    }
}

#[tokio::test(start_paused = true)]
async fn the_time_limit_is_that_of_each_attempt() {
    let mut rig = Rig::new(&["a"]);
    let task = rig.task("a");
    (task.timeout_seconds, task.max_retries) = (5, 3);
    rig.does(
        "a",
        script(|calls, _| async move {
            tokio::time::sleep(Duration::from_secs(4)).await;
            if calls < 3 { Err(Error::unavailable("busy")) } else { Ok(Progress::idle()) }
        }),
    );
    let outcome = rig.run().await;
    assert_eq!(outcome.state, Success);
    assert!(outcome.seconds > 16.0);
}

#[tokio::test(start_paused = true)]
async fn a_source_that_keeps_failing_is_left_alone_and_asked_again_when_its_rest_is_over() {
    let mut rig = Rig::new(&["a"]);
    rig.breakers = Some(crate::Breakers::default());
    rig.task("a").max_retries = 6;
    rig.does("a", fails(Kind::Unavailable, 6));
    let outcome = rig.run().await;
    assert_eq!(outcome.state, Success);
    // Five failures, the probe after 30 s, and the success after 60 s more; nothing was asked in between.
    assert_eq!(rig.calls("a"), 7);
    assert!(outcome.seconds > 90.0 && outcome.seconds < 150.0, "{}", outcome.seconds);
}

#[tokio::test(start_paused = true)]
async fn a_task_of_a_source_that_is_left_alone_fails_at_once_without_asking_it() {
    let mut rig = Rig::new(&["a", "b: a"]);
    rig.breakers = Some(crate::Breakers::default());
    rig.task("a").max_retries = 4;
    rig.task("b").run_if = crate::RunIf::AllDone;
    rig.does("a", fails(Kind::Unavailable, usize::MAX));
    let outcome = rig.run().await;
    assert_eq!((rig.calls("a"), rig.calls("b")), (5, 0));
    let error = outcome.tasks[1].error.as_ref().unwrap();
    assert_eq!(error.kind(), Kind::Unavailable);
    assert!(error.message().starts_with("the test failed 5 times in a row and is not asked again before "), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_run_that_goes_on_counts_its_retries_anew() {
    let mut rig = Rig::new(&["a"]);
    rig.task("a").max_retries = 1;
    rig.does("a", script(|_, _| async { Err(stage::Error::data("no date")) }));
    let history = rig.history.clone();
    let plan = vec![crate::history::PlannedTask { task_key: "a".into(), ..Default::default() }];
    let new = crate::history::NewRun { workflow: "test".into(), ..Default::default() };
    let run = history.begin_run(new, plan).await.unwrap();
    let execution = crate::history::Execution { run, repair: 0, task_key: "a".into(), position: 0, input: None };
    for number in 0..2 {
        history.begin_attempt(&execution, number).await.unwrap();
    }
    history.abandon(run);
    let (events, workspace) = (std::sync::Mutex::default(), crate::reference::Workspace::default());
    let tell = |event| {
        std::sync::Mutex::lock(&events)
            .map(|mut events: std::sync::MutexGuard<'_, Vec<Event>>| events.push(event))
            .unwrap()
    };
    let surroundings = crate::Surroundings { workshop: &rig, history: &history, workspace: &workspace, events: &tell };
    crate::run_again(&rig.context, &rig.workflow(), run, &crate::Again::Resume, &surroundings).await.unwrap();
    let events = events.into_inner().unwrap();
    let failed = events.iter().find_map(|event| match event {
        Event::AttemptFailed { attempt_number, is_in_vain, .. } => Some((*attempt_number, *is_in_vain)),
        _ => None,
    });
    // It would have been allowed another one, which an error in the data makes pointless.
    assert_eq!(failed, Some((2, true)));
}
