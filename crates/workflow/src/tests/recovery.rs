//! What the history makes of runs that were cancelled, died, or are opened once more.

use std::collections::BTreeSet;

use crate::ResultState::{Canceled, Failed, Interrupted, Success};
use crate::history::{Execution, NewRun, PlannedTask, RowCounts, RunEnd, TaskEnd};
use crate::{History, ResultState};

fn new_run() -> NewRun {
    NewRun { workflow: "shop".into(), ..NewRun::default() }
}

fn planned(keys: &[&str]) -> Vec<PlannedTask> {
    keys.iter().map(|key| PlannedTask { task_key: (*key).to_owned(), ..PlannedTask::default() }).collect()
}

fn execution(run: i64, task_key: &str) -> Execution {
    Execution { run, repair: 0, task_key: task_key.to_owned(), position: 0, input: None }
}

fn ended(state: ResultState) -> RunEnd {
    RunEnd { state, error: None, rows: RowCounts::default() }
}

async fn end_task(history: &History, run: i64, task_key: &str, state: ResultState) {
    let end = TaskEnd { state, output: Default::default(), error: None, rows: RowCounts::default() };
    history.end_task(&execution(run, task_key), end).await.unwrap();
}

async fn task_states(history: &History, run: i64) -> Vec<(String, Option<ResultState>)> {
    let tasks = history.run(run).await.unwrap().unwrap().tasks;
    let mut states: Vec<_> = tasks.into_iter().map(|task| (task.task_key, task.state)).collect();
    states.sort_by(|one, other| one.0.cmp(&other.0));
    states
}

#[tokio::test]
async fn a_run_that_was_cancelled_is_canceled_even_if_its_process_dies_first() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("history.db");
    let dying = History::open(&path).unwrap();
    let run = dying.begin_run(new_run(), planned(&["a", "b", "c"])).await.unwrap();
    end_task(&dying, run, "a", Success).await;
    dying.begin_attempt(&execution(run, "b"), 0).await.unwrap();
    assert!(dying.ask_cancel(run).await.unwrap());
    drop(dying);
    let other = History::open(&path).unwrap();
    let details = other.run(run).await.unwrap().unwrap();
    assert_eq!((details.run.state, details.run.ended_at.is_some()), (Some(Canceled), true));
    assert_eq!((details.attempts[0].state, details.attempts[0].ended_at.is_some()), (Some(Canceled), true));
    let states: Vec<_> = details.tasks.iter().map(|task| task.state).collect();
    assert_eq!(states, [Some(Success), Some(Canceled), Some(Canceled)]);
}

#[tokio::test]
async fn a_run_that_is_left_is_canceled_when_somebody_asked_for_its_end_before_or_after() {
    let folder = tempfile::tempdir().unwrap();
    let history = History::open(&folder.path().join("history.db")).unwrap();
    let mut states = Vec::new();
    for (before, after) in [(false, false), (true, false), (false, true)] {
        let run = history.begin_run(new_run(), Vec::new()).await.unwrap();
        if before {
            history.ask_cancel(run).await.unwrap();
        }
        assert_eq!(history.leave(run).await.unwrap(), !before);
        if after {
            history.ask_cancel(run).await.unwrap();
        }
        history.end_run(run, ended(Canceled)).await.unwrap();
        states.push(history.run(run).await.unwrap().unwrap().run.state);
    }
    assert_eq!(states, [Some(Interrupted), Some(Canceled), Some(Canceled)]);
}

#[tokio::test]
async fn a_run_that_is_opened_once_more_has_its_new_parameters_and_keeps_what_is_no_longer_planned() {
    let folder = tempfile::tempdir().unwrap();
    let history = History::open(&folder.path().join("history.db")).unwrap();
    let run = history.begin_run(new_run(), planned(&["a", "gone", "each"])).await.unwrap();
    for (key, state) in [
        ("a", Failed),
        ("gone", Failed),
        ("each", Failed),
        ("each[0]", Success),
        ("each[1]", Failed),
        ("gone[0]", Success),
    ] {
        end_task(&history, run, key, state).await;
    }
    history.end_run(run, ended(Failed)).await.unwrap();
    let before = history.run(run).await.unwrap().unwrap().run;
    let parameters = [("day".to_owned(), "monday".to_owned())].into();
    let reopened = history.reopen(&before, true, parameters, planned(&["a", "each"]), BTreeSet::new()).await.unwrap();
    assert_eq!(reopened, Some(1));
    let key = str::to_owned;
    let expected = [
        (key("a"), None),
        (key("each"), None),
        (key("each[0]"), None),
        (key("each[1]"), Some(Failed)),
        (key("gone"), Some(Failed)),
        (key("gone[0]"), Some(Success)),
    ];
    assert_eq!(task_states(&history, run).await, expected);
    assert_eq!(history.run(run).await.unwrap().unwrap().run.parameters["day"], "monday");
}

#[tokio::test]
async fn a_log_that_cannot_be_removed_keeps_its_run_and_no_other() {
    let folder = tempfile::tempdir().unwrap();
    let history = History::open(&folder.path().join("history.db")).unwrap();
    for _ in 0..3 {
        let run = history.begin_run(new_run(), Vec::new()).await.unwrap();
        history.logs().task(run, "a").line("it was here");
        history.end_run(run, ended(Success)).await.unwrap();
    }
    // A file in the place of the folder cannot be removed as one.
    let logs = folder.path().join("logs/2");
    std::fs::remove_dir_all(&logs).unwrap();
    std::fs::write(&logs, "").unwrap();
    let later = chrono::Utc::now() + chrono::TimeDelta::days(1);
    assert!(history.prune(later, 0).await.unwrap_err().message().contains("logs"));
    let left: Vec<i64> = history.runs(None, 9).await.unwrap().iter().map(|run| run.number).collect();
    assert_eq!(left, [2]);
    std::fs::remove_file(&logs).unwrap();
    assert_eq!(history.prune(later, 0).await.unwrap(), 1);
}

#[tokio::test]
async fn the_logs_of_a_history_that_is_gone_are_set_aside() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("history.db");
    let history = History::open(&path).unwrap();
    history.logs().task(1, "a").line("of the old history");
    drop(history);
    assert_ne!(History::open(&path).unwrap().logs().read(1, "a", 0).unwrap(), "", "the history is still there");
    for name in ["history.db", "history.db-wal", "history.db-shm"] {
        let _ = std::fs::remove_file(folder.path().join(name));
    }
    assert_eq!(History::open(&path).unwrap().logs().read(1, "a", 0).unwrap(), "");
    let names = std::fs::read_dir(folder.path()).unwrap().map(|file| file.unwrap().file_name().into_string().unwrap());
    let aside: Vec<String> = names.filter(|name| name.starts_with("logs-before-")).collect();
    assert_eq!(aside.len(), 1);
    assert!(folder.path().join(&aside[0]).join("1/a.log").exists());
}
