//! What runs after, beside and instead of what.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use stage::{Error, Kind, Progress};

use super::fakes::{Rig, Script, check_states, fails, script, takes};
use crate::ResultState::{Excluded, Failed, Success, UpstreamFailed};
use crate::{Event, Selection};

const SECOND: Duration = Duration::from_secs(1);

/// The tasks that ended, in that order.
fn ended(events: &[Event]) -> Vec<&str> {
    let mut keys = Vec::new();
    for event in events {
        if let Event::TaskEnded { task_key, .. } = event {
            keys.push(task_key.as_str());
        }
    }
    keys
}

#[tokio::test(start_paused = true)]
async fn a_task_starts_after_all_it_depends_on() {
    let mut rig = Rig::new(&["d: b c", "b: a", "c: a", "a"]);
    rig.does("b", takes(SECOND));
    rig.does("c", takes(2 * SECOND));
    let outcome = rig.run().await;
    assert_eq!(outcome.state, Success);
    assert_eq!(outcome.exit_code(), 0);
    assert_eq!(ended(&rig.events()), ["a", "b", "c", "d"]);
    assert!(outcome.seconds >= 2.0 && outcome.seconds < 2.5, "{}", outcome.seconds);
}

#[tokio::test(start_paused = true)]
async fn a_failure_skips_its_descendants_and_the_rest_goes_on() {
    let mut rig = Rig::new(&["a", "b: a", "c: b", "x", "y: x", "both: c y"]);
    rig.does("a", fails(Kind::Data, 1));
    rig.does("x", takes(SECOND));
    let outcome = rig.run().await;
    check_states(
        &outcome,
        &[
            ("a", Failed),
            ("b", UpstreamFailed),
            ("c", UpstreamFailed),
            ("x", Success),
            ("y", Success),
            ("both", UpstreamFailed),
        ],
    );
    assert_eq!((outcome.state, outcome.exit_code()), (Failed, 1));
    assert_eq!(outcome.first_failure().unwrap().task_key, "a");
    assert_eq!((rig.calls("b"), rig.calls("y")), (0, 1));
}

/// A stage that knows how many like it run at the same time.
fn counted(running: &Arc<AtomicUsize>, most: &Arc<AtomicUsize>) -> Script {
    let (running, most) = (Arc::clone(running), Arc::clone(most));
    script(move |_, _| {
        let (running, most) = (Arc::clone(&running), Arc::clone(&most));
        async move {
            most.fetch_max(running.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            tokio::time::sleep(SECOND).await;
            running.fetch_sub(1, Ordering::SeqCst);
            Ok(Progress::idle())
        }
    })
}

#[tokio::test(start_paused = true)]
async fn no_more_tasks_run_at_the_same_time_than_allowed() {
    for (limit, expected) in [(None, 4), (Some(1), 1), (Some(3), 3), (Some(100), 9)] {
        let mut rig = Rig::new(&["a", "b", "c", "d", "e", "f", "g", "h", "i"]);
        rig.spec.max_parallel_tasks = limit;
        let (running, most) = (Arc::default(), Arc::default());
        for key in ["a", "b", "c", "d", "e", "f", "g", "h", "i"] {
            rig.does(key, counted(&running, &most));
        }
        assert_eq!(rig.run().await.state, Success);
        assert_eq!(most.load(Ordering::SeqCst), expected);
    }
}

#[tokio::test(start_paused = true)]
async fn a_task_that_waits_for_its_next_attempt_leaves_its_place_to_others() {
    let mut rig = Rig::new(&["a", "b"]);
    rig.spec.max_parallel_tasks = Some(1);
    rig.task("a").max_retries = 1;
    rig.task("a").min_retry_interval_millis = 60_000;
    rig.does("a", fails(Kind::Unavailable, 1));
    assert_eq!(rig.run().await.state, Success);
    assert_eq!(ended(&rig.events()), ["b", "a"]);
}

#[tokio::test(start_paused = true)]
async fn waves_run_one_after_another_and_their_stages_together() {
    let mut rig = Rig::new(&["a"]);
    rig.has_waves("a", vec![vec![("b1", takes(SECOND)), ("b2", takes(SECOND))], vec![("s1", takes(SECOND))]]);
    let outcome = rig.run().await;
    assert_eq!(outcome.state, Success);
    assert!(outcome.seconds >= 2.0 && outcome.seconds < 2.5, "{}", outcome.seconds);
}

#[tokio::test(start_paused = true)]
async fn a_failed_stage_lets_its_wave_finish_and_keeps_the_next_from_starting() {
    let mut rig = Rig::new(&["a"]);
    let bad = fails(Kind::Data, 1);
    rig.has_waves("a", vec![vec![("b1", bad), ("b2", takes(SECOND))], vec![("s1", takes(SECOND))]]);
    let outcome = rig.run().await;
    assert_eq!(outcome.state, Failed);
    assert_eq!((rig.calls("b2"), rig.calls("s1")), (1, 0));
    let events = rig.events();
    let failed = |event: &&Event| matches!(event, Event::StageFailed { table, .. } if table.table() == "b1");
    assert_eq!(events.iter().filter(failed).count(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_stage_is_advanced_until_it_is_idle_and_its_progress_added_up() {
    let mut rig = Rig::new(&["a"]);
    rig.does(
        "a",
        script(|calls, _| async move {
            if calls < 3 {
                Ok(Progress { rows_read: 10, rows_written: 9, rows_dropped: 1, ..Progress::default() })
            } else {
                Ok(Progress::idle())
            }
        }),
    );
    let outcome = rig.run().await;
    assert_eq!(rig.calls("a"), 4);
    assert_eq!((outcome.progress.rows_read, outcome.progress.rows_written), (30, 27));
    let advanced = rig.events().iter().filter(|event| matches!(event, Event::StageAdvanced { .. })).count();
    assert_eq!(advanced, 4);
}

#[tokio::test(start_paused = true)]
async fn full_refresh_is_told_once_even_when_a_later_attempt_goes_on() {
    let mut rig = Rig::new(&["a"]);
    rig.task("a").max_retries = 1;
    rig.context.full_refresh = true;
    let told = Arc::new(std::sync::Mutex::new(Vec::new()));
    let seen = Arc::clone(&told);
    rig.does(
        "a",
        script(move |calls, context| {
            seen.lock().unwrap().push(context.full_refresh);
            async move {
                match calls {
                    0 => Ok(Progress::default()),
                    1 => Err(Error::unavailable("the network is down")),
                    _ => Ok(Progress::idle()),
                }
            }
        }),
    );
    assert_eq!(rig.run().await.state, Success);
    assert_eq!(*told.lock().unwrap(), [true, false, false]);
}

#[tokio::test(start_paused = true)]
async fn only_runs_the_named_tasks_and_takes_the_others_as_done() {
    let mut rig = Rig::new(&["a", "b: a", "c: b", "d: c"]);
    rig.selection = Selection::Only(vec!["d".into(), "b".into()]);
    let outcome = rig.run().await;
    check_states(&outcome, &[("a", Excluded), ("b", Success), ("c", Excluded), ("d", Success)]);
    assert_eq!(outcome.state, Success);
    assert_eq!((rig.calls("a"), rig.calls("c")), (0, 0));
    assert_eq!(ended(&rig.events()), ["b", "d"]);
}

#[tokio::test(start_paused = true)]
async fn selected_tasks_keep_their_order_through_excluded_ones() {
    let mut rig = Rig::new(&["a", "b: a", "c: b"]);
    rig.selection = Selection::Only(vec!["a".into(), "c".into()]);
    rig.does("a", fails(Kind::Data, 1));
    let outcome = rig.run().await;
    check_states(&outcome, &[("a", Failed), ("b", Excluded), ("c", UpstreamFailed)]);
    assert_eq!(outcome.state, Failed);
}

#[tokio::test(start_paused = true)]
async fn from_runs_a_task_and_everything_downstream() {
    let mut rig = Rig::new(&["a", "b: a", "c: b", "x: a"]);
    rig.selection = Selection::From(vec!["b".into()]);
    let outcome = rig.run().await;
    check_states(&outcome, &[("a", Excluded), ("b", Success), ("c", Success), ("x", Excluded)]);
}

#[test]
fn an_unknown_task_in_a_selection_is_refused_with_the_nearest_name() {
    let rig = Rig::new(&["orders", "kpi: orders"]);
    let error = Selection::Only(vec!["ordres".into()]).resolve(&rig.workflow()).unwrap_err();
    assert_eq!(error.kind(), Kind::Config);
    assert!(error.message().ends_with("did you mean `orders`?"), "{}", error.message());
    assert!(Selection::Only(vec![]).resolve(&rig.workflow()).is_err());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_tasks_side_by_side_and_in_a_row_all_succeed() {
    let wide: Vec<String> = (0..500).map(|number| format!("wide{number}")).collect();
    let chain = (0..500).map(|number| match number {
        0 => "chain0".to_owned(),
        _ => format!("chain{number}: chain{}", number - 1),
    });
    let tasks: Vec<String> = wide.into_iter().chain(chain).collect();
    let rig = Rig::new(&tasks.iter().map(String::as_str).collect::<Vec<_>>());
    let outcome = rig.run().await;
    assert_eq!(outcome.state, Success);
    assert!(outcome.tasks.iter().all(|task| task.state == Success));
}
