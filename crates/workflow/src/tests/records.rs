//! What the history keeps of runs.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::time::Duration;

use stage::{Kind, Progress};

use super::fakes::{Rig, fails, script, takes};
use crate::ResultState::{Failed, Interrupted, Success, UpstreamFailed};
use crate::history::{Execution, NewRun, RowCounts, RunEnd};
use crate::reference::Workspace;
use crate::spec::ParameterSpec;
use crate::{History, Request, Surroundings, Work, Workflow, run};

fn new_run(workflow: &str) -> NewRun {
    NewRun { workflow: workflow.to_owned(), ..NewRun::default() }
}

fn execution(run: i64, task_key: &str) -> Execution {
    Execution { run, repair: 0, task_key: task_key.to_owned(), position: 0, input: None }
}

fn surroundings<'a>(rig: &'a Rig, history: &'a History, workspace: &'a Workspace) -> Surroundings<'a> {
    Surroundings { workshop: rig, history, workspace, events: &|_| () }
}

#[tokio::test(start_paused = true)]
async fn a_run_is_kept_with_its_tasks_attempts_and_rows() {
    let mut rig = Rig::new(&["a", "b: a"]);
    rig.spec.parameters = vec![ParameterSpec { name: "day".into(), default: "today".into() }];
    rig.context.parameters = BTreeMap::from([("day".to_owned(), "monday".to_owned())]);
    rig.task("a").max_retries = 1;
    rig.does(
        "a",
        script(|calls, context| async move {
            assert_eq!(context.run_id, "test-1");
            assert_eq!(context.parameters["day"], "monday");
            match calls {
                0 => Ok(Progress {
                    rows_read: 7,
                    rows_written: 4,
                    rows_quarantined: 2,
                    rows_dropped: 1,
                    ..Progress::default()
                }),
                _ => {
                    Err(stage::Error::unavailable("could not read the bucket")
                        .with_source(stage::Error::data("no route")))
                }
            }
        }),
    );
    let outcome = rig.run().await;
    assert_eq!(outcome.run_id, "test-1");
    drop(rig.history);

    // A copy that is opened anew tells the same.
    let history = History::open(&rig.folder.path().join("history.db")).unwrap();
    let details = history.run(1).await.unwrap().unwrap();
    assert_eq!((details.run.workflow.as_str(), details.run.state), ("test", Some(Failed)));
    assert_eq!(details.run.parameters["day"], "monday");
    assert_eq!(details.run.rows.quarantined, 2);
    let error = details.run.error.unwrap();
    assert_eq!((error.kind.as_str(), error.message.as_str()), ("unavailable", "could not read the bucket: no route"));
    let tasks: Vec<_> = details.tasks.iter().map(|task| (task.task_key.as_str(), task.state)).collect();
    assert_eq!(tasks, [("a", Some(Failed)), ("b", Some(UpstreamFailed))]);
    let attempts: Vec<_> = details.attempts.iter().map(|attempt| (attempt.attempt_number, attempt.rows.read)).collect();
    assert_eq!(attempts, [(0, 7), (1, 0)]);
    assert!(details.attempts.iter().all(|attempt| attempt.ended_at >= Some(attempt.started_at)));
    assert!(history.run(2).await.unwrap().is_none());
}

#[tokio::test(start_paused = true)]
async fn runs_are_listed_newest_first_and_numbers_go_on_after_reopening() {
    let rig = Rig::new(&["a"]);
    for _ in 0..3 {
        rig.run().await;
    }
    let again = History::open(&rig.folder.path().join("history.db")).unwrap();
    assert_eq!(again.begin_run(new_run("other"), Vec::new()).await.unwrap(), 4);
    let numbers = |runs: Vec<crate::history::RunRecord>| runs.iter().map(|run| run.number).collect::<Vec<_>>();
    assert_eq!(numbers(again.runs(None, 2).await.unwrap()), [4, 3]);
    assert_eq!(numbers(rig.history.runs(None, 100).await.unwrap()), [4, 3, 2, 1]);
}

#[tokio::test]
async fn a_run_is_going_on_while_its_process_lives_and_interrupted_after() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("deep/er/history.db");
    let dying = History::open(&path).unwrap();
    let run = dying.begin_run(new_run("shop"), Vec::new()).await.unwrap();
    dying.begin_attempt(&execution(run, "a"), 0).await.unwrap();

    let other = History::open(&path).unwrap();
    let details = other.run(run).await.unwrap().unwrap();
    assert_eq!((details.run.state, details.attempts[0].state), (None, None));

    // The end of a process takes its connection and its lock, without a word to the history.
    drop(dying);
    assert_eq!(other.runs(None, 1).await.unwrap()[0].state, Some(Interrupted));
    let details = other.run(run).await.unwrap().unwrap();
    assert_eq!((details.attempts[0].state, details.attempts[0].ended_at), (Some(Interrupted), None));
    let left: Vec<_> =
        std::fs::read_dir(path.parent().unwrap()).unwrap().map(|file| file.unwrap().file_name()).collect();
    assert!(left.iter().all(|name| !name.to_string_lossy().ends_with(".lock")), "{left:?}");
}

/// Not a test of its own: the process that the next test kills.
#[tokio::test]
#[ignore = "runs only as the child of another test"]
async fn a_process_that_begins_a_run_and_waits() {
    let Some(path) = std::env::var_os(CHILDS_HISTORY) else { return };
    let history = History::open(path.as_ref()).unwrap();
    history.begin_run(new_run("shop"), Vec::new()).await.unwrap();
    println!("{BEGUN}");
    std::io::stdin().read_line(&mut String::new()).unwrap();
}

const CHILDS_HISTORY: &str = "WORKFLOW_TEST_HISTORY";
const BEGUN: &str = "the run has begun";

#[tokio::test]
async fn a_run_whose_process_was_killed_is_interrupted() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("history.db");
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "tests::records::a_process_that_begins_a_run_and_waits", "--ignored", "--nocapture"])
        .env(CHILDS_HISTORY, &path)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert!(lines.map_while(Result::ok).any(|line| line.contains(BEGUN)));
    let history = History::open(&path).unwrap();
    let run = history.runs(None, 1).await.unwrap().remove(0);
    assert_eq!((run.state, run.process), (None, child.id()));
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(history.runs(None, 1).await.unwrap()[0].state, Some(Interrupted));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn several_processes_can_write_at_the_same_time() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("history.db");
    let writers = (0..4).map(|_| {
        let history = History::open(&path).unwrap();
        async move {
            for _ in 0..25 {
                let run = history.begin_run(new_run("shop"), Vec::new()).await.unwrap();
                history.begin_attempt(&execution(run, "a"), 0).await.unwrap();
                assert_eq!(history.run(run).await.unwrap().unwrap().run.state, None);
                let end = RunEnd { state: Success, error: None, rows: RowCounts::default() };
                history.end_run(run, end).await.unwrap();
            }
        }
    });
    futures::future::join_all(writers.map(tokio::spawn)).await.into_iter().for_each(|writer| writer.unwrap());
    let runs = History::open(&path).unwrap().runs(None, 1000).await.unwrap();
    assert_eq!(runs.len(), 100);
    assert!(runs.iter().all(|run| run.state == Some(Success)));
}

#[test]
fn many_can_open_a_new_history_at_the_same_time() {
    for _ in 0..10 {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("history.db");
        std::thread::scope(|scope| {
            let openers: Vec<_> = (0..8).map(|_| scope.spawn(|| History::open(&path).map(|_| ()))).collect();
            for opener in openers {
                opener.join().unwrap().map_err(|error| error.chain()).unwrap();
            }
        });
    }
}

#[test]
fn a_file_that_is_no_history_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("history.db");
    std::fs::write(&path, "hello, I am a text file and certainly not a database").unwrap();
    let error = History::open(&path).unwrap_err();
    assert_eq!(error.kind(), Kind::Config);
    assert!(error.chain().contains("history.db"), "{}", error.chain());
}

#[test]
fn a_history_of_a_newer_layout_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("history.db");
    drop(History::open(&path).unwrap());
    rusqlite::Connection::open(&path).unwrap().pragma_update(None, "user_version", 99).unwrap();
    assert!(History::open(&path).unwrap_err().message().contains("newer medallion"));
}

#[tokio::test(start_paused = true)]
async fn a_single_table_is_a_run_of_its_own() {
    let mut rig = Rig::new(&["orders"]);
    rig.does("orders", takes(Duration::from_secs(1)));
    let workflow = Workflow::single(Work::Bronze("test.bronze.orders".parse().unwrap()));
    let workspace = Workspace::default();
    let surroundings = surroundings(&rig, &rig.history, &workspace);
    let outcome = run(&rig.context, &workflow, &Request::default(), &surroundings).await.unwrap();
    assert_eq!((outcome.state, outcome.run_id.as_str()), (Success, "test.bronze.orders-1"));
    assert_eq!(rig.history.runs(None, 1).await.unwrap()[0].workflow, "test.bronze.orders");
}

#[tokio::test(start_paused = true)]
async fn an_unknown_parameter_is_refused_before_anything_is_recorded() {
    let mut rig = Rig::new(&["a"]);
    rig.does("a", fails(Kind::Bug, 1));
    rig.context.parameters = BTreeMap::from([("dya".to_owned(), String::new())]);
    let workspace = Workspace::default();
    let surroundings = surroundings(&rig, &rig.history, &workspace);
    let error = run(&rig.context, &rig.workflow(), &Request::default(), &surroundings).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Config);
    assert!(rig.history.runs(None, 9).await.unwrap().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_history_that_breaks_does_not_stop_the_work() {
    let mut rig = Rig::new(&["a", "b: a"]);
    let path = rig.folder.path().join("history.db");
    rig.does(
        "a",
        script(move |_, _| {
            rusqlite::Connection::open(&path).unwrap().execute_batch("DROP TABLE attempts; DROP TABLE tasks").unwrap();
            async { Ok(Progress::idle()) }
        }),
    );
    assert_eq!(rig.run().await.state, Success);
    assert_eq!(rig.calls("b"), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_idle_run_costs_milliseconds() {
    let tasks: Vec<String> = (0..20).map(|number| format!("task{number}")).collect();
    let rig = Rig::new(&tasks.iter().map(String::as_str).collect::<Vec<_>>());
    rig.run().await;
    let workflow = rig.workflow();
    let path = rig.folder.path().join("history.db");
    let started = std::time::Instant::now();
    let history = History::open(&path).unwrap();
    let opened = started.elapsed();
    let workspace = Workspace::default();
    let surroundings = surroundings(&rig, &history, &workspace);
    run(&rig.context, &workflow, &Request::default(), &surroundings).await.unwrap();
    println!("opened after {opened:?}, ran after {:?}", started.elapsed());
    assert!(started.elapsed() < Duration::from_secs(1));
}

#[tokio::test(start_paused = true)]
async fn old_runs_are_deleted_with_all_that_belongs_to_them_and_new_or_open_ones_stay() {
    let rig = Rig::new(&["a"]);
    for _ in 0..5 {
        rig.run().await;
        rig.history.logs().task(1, "a").line("it was here");
    }
    let open = rig.history.begin_run(new_run("test"), Vec::new()).await.unwrap();
    let waiting = rig.history.queue_run(new_run("test")).await.unwrap().unwrap();
    let later = chrono::Utc::now() + chrono::TimeDelta::days(1);
    assert_eq!(rig.history.prune(chrono::Utc::now() - chrono::TimeDelta::days(1), 0).await.unwrap(), 0);
    // The two that have not ended and one more are the newest three.
    assert_eq!(rig.history.prune(later, 3).await.unwrap(), 4);
    let numbers: Vec<i64> = rig.history.runs(None, 99).await.unwrap().iter().map(|run| run.number).collect();
    assert_eq!(numbers, [waiting, open, 5]);
    assert!(rig.history.run(1).await.unwrap().is_none());
    assert_eq!(rig.history.logs().read(1, "a", 0).unwrap(), "");
    assert_eq!(rig.history.run(5).await.unwrap().unwrap().attempts.len(), 1);
    assert_eq!(rig.history.prune(later, 0).await.unwrap(), 1);
    assert_eq!(rig.history.begin_run(new_run("test"), Vec::new()).await.unwrap(), waiting + 1);
}

#[tokio::test]
async fn a_run_that_ran_others_is_deleted_after_them() {
    let rig = Rig::new(&["a"]);
    let outer = rig.history.begin_run(new_run("outer"), Vec::new()).await.unwrap();
    let inner = NewRun { parent: Some(outer), ..new_run("inner") };
    let inner = rig.history.begin_run(inner, Vec::new()).await.unwrap();
    for run in [inner, outer] {
        let end = RunEnd { state: Success, error: None, rows: RowCounts::default() };
        rig.history.end_run(run, end).await.unwrap();
    }
    let later = chrono::Utc::now() + chrono::TimeDelta::days(1);
    assert_eq!(rig.history.prune(later, 1).await.unwrap(), 0, "each is the newest of its workflow");
    assert_eq!(rig.history.prune(later, 0).await.unwrap(), 2);
    assert!(rig.history.runs(None, 9).await.unwrap().is_empty());
}
