//! Time limits, signals and stages that would rather go on.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use stage::{Error, Kind, Progress};

use super::fakes::{Rig, Script, check_states, script, takes, until_stopped};
use crate::ResultState::{Canceled, Failed, Success, TimedOut, UpstreamCanceled, UpstreamFailed};
use crate::history::NewRun;
use crate::{History, PATIENCE, RunOutcome, STOPPING_TIME};

const SECOND: Duration = Duration::from_secs(1);

/// Runs the rig and cancels it after that time.
async fn run_cancelled_after(rig: &Rig, time: Duration) -> RunOutcome {
    let signal = rig.context.cancellation.clone();
    let stop = async {
        tokio::time::sleep(time).await;
        signal.cancel();
    };
    futures::join!(rig.run(), stop).0
}

/// Never ends by itself, and says when it was dropped.
fn stubborn(dropped: &Arc<AtomicBool>) -> Script {
    struct Flag(Arc<AtomicBool>);
    impl Drop for Flag {
        fn drop(&mut self) {
            self.0.store(true, Ordering::SeqCst);
        }
    }
    let dropped = Arc::clone(dropped);
    script(move |_, _| {
        let flag = Flag(Arc::clone(&dropped));
        async move {
            let _flag = flag;
            std::future::pending().await
        }
    })
}

#[tokio::test(start_paused = true)]
async fn the_end_of_the_time_stops_a_stage_that_only_watches_its_context() {
    let mut rig = Rig::new(&["a", "b: a"]);
    rig.task("a").timeout_seconds = 5;
    rig.does("a", until_stopped());
    let outcome = rig.run().await;
    check_states(&outcome, &[("a", TimedOut), ("b", UpstreamFailed)]);
    assert!(outcome.seconds >= 5.0 && outcome.seconds < 5.5, "{}", outcome.seconds);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_end_of_the_time_stops_work_on_a_blocking_thread() {
    let mut rig = Rig::new(&["a"]);
    rig.task("a").timeout_seconds = 1;
    rig.does(
        "a",
        script(|_, context| async move {
            let work = move || {
                loop {
                    context.check()?;
                    std::thread::yield_now();
                }
            };
            tokio::task::spawn_blocking(work).await.map_err(|error| Error::bug(error.to_string()))?
        }),
    );
    assert_eq!(rig.run().await.state, TimedOut);
}

#[tokio::test(start_paused = true)]
async fn a_stage_that_does_not_stop_is_dropped_in_the_end() {
    let mut rig = Rig::new(&["a"]);
    let dropped = Arc::default();
    rig.task("a").timeout_seconds = 5;
    rig.does("a", stubborn(&dropped));
    let outcome = rig.run().await;
    assert_eq!(outcome.state, TimedOut);
    assert!(dropped.load(Ordering::SeqCst));
    let error = outcome.first_error().unwrap().chain();
    assert!(error.contains("the stage of test.bronze.a did not stop in 2s and was dropped"), "{error}");
    assert!(outcome.seconds >= (5 * SECOND + PATIENCE).as_secs_f64());
}

#[tokio::test(start_paused = true)]
async fn work_that_finishes_in_spite_of_the_time_is_a_success() {
    let mut rig = Rig::new(&["a"]);
    rig.task("a").timeout_seconds = 5;
    rig.does("a", takes(6 * SECOND));
    assert_eq!(rig.run().await.state, Success);
}

#[tokio::test(start_paused = true)]
async fn an_error_of_its_own_is_not_taken_for_the_end_of_the_time() {
    let mut rig = Rig::new(&["a"]);
    rig.task("a").timeout_seconds = 5;
    rig.does(
        "a",
        script(|_, context| async move {
            context.cancellation.cancelled().await;
            Err(Error::quality("too many rows failed"))
        }),
    );
    let outcome = rig.run().await;
    assert_eq!((outcome.state, outcome.exit_code()), (Failed, 3));
}

#[tokio::test(start_paused = true)]
async fn a_signal_stops_what_runs_and_nothing_new_starts() {
    let mut rig = Rig::new(&["a", "b", "c: a", "d: b", "late"]);
    rig.spec.max_parallel_tasks = Some(2);
    rig.task("a").max_retries = -1;
    rig.does("a", until_stopped());
    rig.does("b", takes(60 * SECOND));
    let outcome = run_cancelled_after(&rig, SECOND).await;
    // The work of b does not watch; it has time to finish, but not the 59 s that it wants.
    check_states(
        &outcome,
        &[("a", Canceled), ("b", Canceled), ("c", UpstreamCanceled), ("d", UpstreamCanceled), ("late", Canceled)],
    );
    assert_eq!((outcome.state, outcome.exit_code()), (Canceled, 130));
    assert_eq!((rig.calls("a"), rig.calls("late")), (1, 0));
    assert!((outcome.seconds - 3.0).abs() < 0.5, "{}", outcome.seconds);
    let history = rig.history.run(outcome.number).await.unwrap().unwrap();
    assert!(history.attempts.iter().all(|attempt| attempt.state == Some(Canceled) && attempt.ended_at.is_some()));
}

/// Commits for that long, whatever it is told.
fn commits_for(time: Duration) -> Script {
    script(move |_, context| async move {
        let _committing = context.begin_commit()?;
        tokio::time::sleep(time).await;
        Ok(Progress { rows_written: 7, ..Progress::default() })
    })
}

#[tokio::test(start_paused = true)]
async fn a_commit_that_has_begun_is_waited_for_after_a_signal() {
    let mut rig = Rig::new(&["a"]);
    rig.does("a", commits_for(20 * SECOND));
    let outcome = run_cancelled_after(&rig, SECOND).await;
    assert_eq!((outcome.state, outcome.progress.rows_written, rig.calls("a")), (Canceled, 7, 1));
    assert!((outcome.seconds - 20.0).abs() < 0.5, "{}", outcome.seconds);
}

#[tokio::test(start_paused = true)]
async fn a_commit_that_does_not_end_is_dropped_in_the_end() {
    let mut rig = Rig::new(&["a"]);
    rig.does("a", commits_for(3600 * SECOND));
    let outcome = run_cancelled_after(&rig, SECOND).await;
    assert_eq!((outcome.state, outcome.progress.rows_written), (Canceled, 0));
    let expected = (SECOND + STOPPING_TIME).as_secs_f64();
    assert!((outcome.seconds - expected).abs() < 0.5, "{}", outcome.seconds);
}

#[tokio::test(start_paused = true)]
async fn a_signal_ends_the_waiting_for_the_next_attempt() {
    let mut rig = Rig::new(&["a"]);
    rig.task("a").max_retries = -1;
    rig.task("a").min_retry_interval_millis = 3_600_000;
    rig.does("a", super::fakes::fails(Kind::Unavailable, 9));
    let outcome = run_cancelled_after(&rig, SECOND).await;
    assert_eq!((outcome.state, rig.calls("a")), (Canceled, 1));
    assert!(outcome.seconds < 2.0);
}

#[tokio::test(start_paused = true)]
async fn a_lost_connection_while_stopping_is_part_of_the_stopping() {
    let mut rig = Rig::new(&["a"]);
    rig.task("a").max_retries = -1;
    rig.does(
        "a",
        script(|_, context| async move {
            context.cancellation.cancelled().await;
            Err(Error::unavailable("the connection was closed"))
        }),
    );
    assert_eq!(run_cancelled_after(&rig, SECOND).await.state, Canceled);
}

#[tokio::test(start_paused = true)]
async fn a_run_that_was_done_before_the_signal_took_effect_is_a_success() {
    let mut rig = Rig::new(&["a"]);
    rig.does("a", takes(2 * SECOND));
    assert_eq!(run_cancelled_after(&rig, SECOND).await.state, Success);
}

#[tokio::test(start_paused = true)]
async fn a_run_cancelled_before_it_begins_starts_nothing() {
    let rig = Rig::new(&["a", "b: a"]);
    rig.context.cancellation.cancel();
    let outcome = rig.run().await;
    check_states(&outcome, &[("a", Canceled), ("b", UpstreamCanceled)]);
    assert_eq!((outcome.state, rig.calls("a")), (Canceled, 0));
}

#[tokio::test(start_paused = true)]
async fn the_time_of_the_whole_run_ends_every_task() {
    let mut rig = Rig::new(&["a", "b: a", "x"]);
    rig.spec.timeout_seconds = 5;
    rig.task("a").timeout_seconds = 60;
    rig.task("a").max_retries = -1;
    rig.task("a").retry_on_timeout = true;
    rig.does("a", until_stopped());
    let outcome = rig.run().await;
    check_states(&outcome, &[("a", TimedOut), ("b", UpstreamFailed), ("x", Success)]);
    assert_eq!((outcome.state, outcome.exit_code(), rig.calls("a")), (TimedOut, 75, 1));
    assert_eq!(outcome.first_error().unwrap().message(), "the whole run ran out of time");
}

#[tokio::test(start_paused = true)]
async fn stopping_a_run_leaves_the_token_of_the_caller_alone() {
    let mut rig = Rig::new(&["a"]);
    rig.spec.timeout_seconds = 5;
    rig.does("a", until_stopped());
    rig.run().await;
    assert!(!rig.context.cancellation.is_cancelled());
}

#[tokio::test(start_paused = true)]
async fn stages_are_told_the_end_of_their_time() {
    let mut rig = Rig::new(&["a"]);
    rig.spec.timeout_seconds = 60;
    rig.task("a").timeout_seconds = 5;
    let now = tokio::time::Instant::now();
    rig.does(
        "a",
        script(move |_, context| async move {
            let left = tokio::time::Instant::from_std(context.deadline.unwrap()) - now;
            assert!(left >= 5 * SECOND && left < 6 * SECOND, "{left:?}");
            Ok(Progress::idle())
        }),
    );
    assert_eq!(rig.run().await.state, Success);
}

#[tokio::test(start_paused = true)]
async fn a_run_that_another_process_cancels_stops_within_two_seconds() {
    let mut rig = Rig::new(&["a", "b: a"]);
    rig.does("a", until_stopped());
    let other = History::open(&rig.folder.path().join("history.db")).unwrap();
    let ask = async {
        tokio::time::sleep(10 * SECOND).await;
        assert!(!other.cancel_asked(1).await.unwrap());
        assert!(other.ask_cancel(1).await.unwrap());
        assert!(other.cancel_asked(1).await.unwrap());
    };
    let (outcome, ()) = futures::join!(rig.run(), ask);
    check_states(&outcome, &[("a", Canceled), ("b", UpstreamCanceled)]);
    assert_eq!((outcome.state, outcome.exit_code()), (Canceled, 130));
    assert!(outcome.seconds >= 10.0 && outcome.seconds < 12.0, "{}", outcome.seconds);
    assert!(!other.ask_cancel(1).await.unwrap(), "it has ended");
    assert!(!other.ask_cancel(2).await.unwrap(), "it was never there");
}

#[tokio::test]
async fn a_run_that_waits_for_its_turn_is_cancelled_at_once() {
    let rig = Rig::new(&["a"]);
    let run = NewRun { workflow: "test".into(), ..NewRun::default() };
    let number = rig.history.queue_run(run).await.unwrap().unwrap();
    assert!(rig.history.ask_cancel(number).await.unwrap());
    let record = rig.history.run(number).await.unwrap().unwrap().run;
    assert_eq!((record.state, record.started_at), (Some(Canceled), None));
    assert!(!rig.history.ask_cancel(number).await.unwrap());
}
