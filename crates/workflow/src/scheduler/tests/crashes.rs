//! kill -9 of a scheduler at random moments: every due time has its run, once, or is told as missed.
//!
//! The scheduler is a process of its own, whose clock goes [`FASTER`] times as fast as that of the system.
//! `MEDALLION_CRASHES` says how many crashes there are, `MEDALLION_SEED` repeats the random numbers of an earlier test.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use futures::FutureExt as _;
use futures::future::BoxFuture;
use tokio_util::sync::CancellationToken;

use super::super::{Clock, Scheduler};
use super::{FakeSource, World, text};
use crate::history::{History, RunRecord};
use crate::schedule::{Cron, Missed, Periodic, PeriodicUnit, Recurrence};
use crate::{CauseKind, ResultState};

const FASTER: i32 = 20;
/// How long a run takes.
const RUN: Duration = Duration::from_millis(120);
/// The longest that a scheduler lives, and that there is none.
const LONGEST_LIFE: u64 = 1500;
const LONGEST_ABSENCE: u64 = 800;
const CHILDS_HISTORY: &str = "WORKFLOW_TEST_SCHEDULERS_HISTORY";
const CHILDS_EPOCH: &str = "WORKFLOW_TEST_SCHEDULERS_EPOCH";
const EVERY_TEN_SECONDS: &str = "0/10 * * * * ?";

/// What starts the workflows `w0` to `w3`, and whether times of theirs may be missed.
const STARTS: [(&str, bool); 4] = [
    (r#""schedule": {"quartz_cron_expression": "0/10 * * * * ?", "timezone_id": "UTC"}"#, true),
    (r#""catch_up": "all", "schedule": {"quartz_cron_expression": "0/10 * * * * ?", "timezone_id": "UTC"}"#, false),
    (r#""catch_up": "skip", "schedule": {"quartz_cron_expression": "0/10 * * * * ?", "timezone_id": "UTC"}"#, true),
    (r#""catch_up": "all", "trigger": {"periodic": {"interval": 1, "unit": "MINUTES"}}"#, false),
];

/// A clock that was right at some time and is fast.
#[derive(Clone, Copy)]
struct FastClock {
    epoch: DateTime<Utc>,
}

impl Clock for FastClock {
    fn now(&self) -> DateTime<Utc> {
        self.epoch + (Utc::now() - self.epoch) * FASTER
    }

    fn sleep(&self, time: TimeDelta) -> BoxFuture<'static, ()> {
        tokio::time::sleep((time / FASTER).to_std().unwrap_or_default()).boxed()
    }
}

async fn scheduler(history: &Path, epoch: DateTime<Utc>) -> (Scheduler, History) {
    let world = World { takes: RUN, workflows: texts(), ..World::default() };
    let world = Arc::new(Mutex::new(world));
    let history = History::open(history).unwrap();
    let scheduler =
        Scheduler::open(Box::new(FakeSource(world)), history.clone(), Box::new(FastClock { epoch }), Box::new(|_| {}));
    (scheduler.unwrap(), history)
}

fn texts() -> Vec<String> {
    STARTS.iter().enumerate().map(|(index, (start, _))| text(index, start)).collect()
}

/// Not a test of its own: the process that the next test kills.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "runs only as the child of another test"]
async fn a_scheduler_that_runs_until_it_is_killed() {
    let (Some(path), Ok(epoch)) = (std::env::var_os(CHILDS_HISTORY), std::env::var(CHILDS_EPOCH)) else { return };
    let (scheduler, _) = scheduler(path.as_ref(), epoch.parse().unwrap()).await;
    scheduler.serve(CancellationToken::new()).await.unwrap();
}

fn child(history: &Path, epoch: DateTime<Utc>) -> Child {
    let name = "scheduler::tests::crashes::a_scheduler_that_runs_until_it_is_killed";
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", name, "--ignored"])
        .env(CHILDS_HISTORY, history)
        .env(CHILDS_EPOCH, epoch.to_rfc3339())
        .stdout(Stdio::null())
        .spawn()
        .unwrap()
}

fn number(variable: &str, otherwise: u64) -> u64 {
    std::env::var(variable).map_or(otherwise, |text| text.parse().unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_kills_every_due_time_has_its_run_once_or_is_told_as_missed() {
    let seed = number("MEDALLION_SEED", fastrand::u64(..));
    println!("MEDALLION_SEED={seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("history.db");
    let epoch = Utc::now();
    let kills = number("MEDALLION_CRASHES", 8);
    for _ in 0..kills {
        let mut child = child(&path, epoch);
        tokio::time::sleep(Duration::from_millis(random.u64(50..LONGEST_LIFE))).await;
        assert!(child.try_wait().unwrap().is_none(), "the scheduler ended by itself");
        child.kill().unwrap();
        child.wait().unwrap();
        tokio::time::sleep(Duration::from_millis(random.u64(0..LONGEST_ABSENCE))).await;
    }
    let history = to_the_end(&path, epoch).await;
    let mut told = (0, 0, 0);
    for (index, (_, may_miss)) in STARTS.iter().enumerate() {
        let name = format!("w{index}");
        let mut runs = history.runs(Some(&name), 100_000).await.unwrap();
        runs.reverse();
        let last_due = last_due(&history, &name).await.unwrap();
        let missed = check_every_time(&name, &runs, last_due);
        assert!(*may_miss || missed == 0, "{name} missed {missed} times");
        told = (told.0 + runs.len(), told.1 + missed, told.2 + resumed(&history, &runs).await);
    }
    let (runs, missed, resumed) = told;
    println!("{kills} kills: {runs} runs recorded, {resumed} of them interrupted, {missed} times missed");
}

/// Lets a scheduler catch up, and ends when nothing is left to do.
async fn to_the_end(path: &Path, epoch: DateTime<Utc>) -> History {
    let (scheduler, history) = scheduler(path, epoch).await;
    let stop = CancellationToken::new();
    let serving = tokio::spawn({
        let (scheduler, stop) = (scheduler.clone(), stop.clone());
        async move { scheduler.serve(stop).await }
    });
    let begun = Utc::now();
    // All of them have been looked at when one more time of the clock is dealt with.
    while history
        .schedules()
        .await
        .unwrap()
        .get("w0")
        .and_then(|record| record.last_due_at)
        .is_none_or(|due| due <= now_at(epoch, begun))
    {
        wait(begun).await;
    }
    for index in 0..STARTS.len() {
        history.set_paused(&format!("w{index}"), true).await.unwrap();
    }
    while !history.open_runs().await.unwrap().is_empty() || !history.interrupted_runs().await.unwrap().is_empty() {
        wait(begun).await;
    }
    stop.cancel();
    serving.await.unwrap().unwrap();
    history
}

async fn last_due(history: &History, workflow: &str) -> Option<DateTime<Utc>> {
    history.schedules().await.unwrap().get(workflow).and_then(|record| record.last_due_at)
}

fn now_at(epoch: DateTime<Utc>, real: DateTime<Utc>) -> DateTime<Utc> {
    epoch + (real - epoch) * FASTER
}

async fn wait(begun: DateTime<Utc>) {
    assert!(Utc::now() - begun < TimeDelta::seconds(60), "the runs do not come to an end");
    tokio::time::sleep(Duration::from_millis(20)).await;
}

/// Each time of the schedule up to `last_due` is that of one run that succeeded, or of one record of missed ones. Returns
/// how many were missed.
fn check_every_time(name: &str, runs: &[RunRecord], last_due: DateTime<Utc>) -> usize {
    let mut dealt_with: BTreeMap<DateTime<Utc>, usize> = BTreeMap::new();
    let mut missed = 0;
    let first = runs.iter().map(|run| run.cause.missed.map_or(run.cause.due_at.unwrap(), |missed| missed.first)).min();
    let before = first.unwrap() - TimeDelta::seconds(1);
    let times = |after, until| match runs[0].cause.kind {
        CauseKind::Periodic => {
            let minutes =
                Periodic::new(1, PeriodicUnit::Minutes).unwrap().since(first.unwrap() - TimeDelta::minutes(1));
            all(&minutes, after, until)
        }
        _ => all(&Cron::new(EVERY_TEN_SECONDS, "UTC").unwrap(), after, until),
    };
    for run in runs {
        match (run.state, run.cause.missed) {
            (Some(ResultState::Success), None) => *dealt_with.entry(run.cause.due_at.unwrap()).or_default() += 1,
            (Some(ResultState::Missed), Some(Missed { count, first, last })) => {
                let within = times(first - TimeDelta::seconds(1), last);
                assert_eq!(within.len() as u64, count, "{name}: {run:?}");
                missed += within.len();
                within.into_iter().for_each(|time| *dealt_with.entry(time).or_default() += 1);
            }
            _ => panic!("{name}: {run:?}"),
        }
    }
    let expected: BTreeMap<DateTime<Utc>, usize> = times(before, last_due).into_iter().map(|time| (time, 1)).collect();
    assert_eq!(dealt_with, expected, "{name}");
    missed
}

fn all(times: &impl Recurrence, after: DateTime<Utc>, until: DateTime<Utc>) -> Vec<DateTime<Utc>> {
    std::iter::successors(times.next_after(after), |time| times.next_after(*time))
        .take_while(|time| *time <= until)
        .collect()
}

/// How many of the runs were begun more than once.
async fn resumed(history: &History, runs: &[RunRecord]) -> usize {
    let mut resumed = 0;
    for run in runs {
        let attempts = history.run(run.number).await.unwrap().unwrap().tasks;
        resumed += usize::from(attempts.iter().any(|task| task.executions > 1));
    }
    resumed
}
