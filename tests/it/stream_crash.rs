//! kill -9 at a random moment of a stream, again and again, while messages are written: each is where it belongs, once.
//!
//! `MEDALLION_CRASHES` says how many crashes each test has; `MEDALLION_SEED` repeats the random numbers of an earlier one.

use std::time::{Duration, Instant};

use crate::broker::Broker;
use crate::orders_topic::{PARTITIONS, Producer, TABLES, TOPIC, project};
use crate::place::Place;
use crate::project::Project;
use crate::running::Running;
use crate::soak::{number, seed};
use crate::streaming::Streaming;

/// After this many crashes all is counted and a new project begins, so that tables are created under fire too.
const CRASHES_PER_PROJECT: u64 = 4;
/// How long a stream may go on at most once rows are in gold.
const STEADY: Duration = Duration::from_millis(1500);
/// However slow the machine is, it is killed within this time.
const LONGEST: Duration = Duration::from_secs(5);
/// How often tables are looked after: all the time. Nothing that a batch has staged may be that old.
const MAINTENANCE: &str = "interval = \"250ms\"\nretention = \"60s\"\nlog_retention = \"1s\"";

/// Writes the small files of a table together beside the stream, and is killed with it.
fn optimize_and_kill(project: &Project, table: &str, stream: Streaming, delay: Duration) -> String {
    let has_begun = project.table(table).join(format!("_delta_log/{:020}.json", 0)).exists();
    let beside = has_begun.then(|| Running::start(project, &["optimize", table]));
    let told = stream.kill_after(delay);
    if let Some(beside) = beside {
        let ended = beside.kill_after(Duration::ZERO);
        assert!([0, -9].contains(&ended.code), "{ended:#?}");
    }
    told
}

/// How long a stream takes from its start until rows are in gold.
fn time_to_gold(project: &Project) -> Duration {
    let begun = Instant::now();
    let stream = Streaming::start(project, &["shop"]);
    stream.wait_for_figure("shop.gold.spent", "batches", 1);
    let duration = begun.elapsed();
    stream.kill_after(Duration::ZERO);
    duration
}

/// Kills the streams of one project, counts in the end, and returns how many messages there were.
fn check_project(place: Place, crashes: u64, random: &mut fastrand::Rng) -> i64 {
    let broker = Broker::with(&[(TOPIC, PARTITIONS)]);
    let project = project(place, &broker.address(), MAINTENANCE);
    let producer = Producer::start(&broker.address(), random.u64(..));
    let mut span = STEADY;
    for crash in 0..crashes {
        let delay = span.mul_f64(random.f64());
        let table = TABLES[random.usize(..TABLES.len())];
        println!("crash {crash} of {crashes} after {delay:?} of {span:?}, {table} being optimized");
        let stream = Streaming::start(&project, &["shop"]);
        let told = optimize_and_kill(&project, table, stream, delay);
        assert!(!told.contains(" stopped: ") && !told.contains(" failed: "), "{told}");
        if crash == 0 {
            span = (time_to_gold(&project) + STEADY).min(LONGEST);
        }
    }
    let stream = Streaming::start(&project, &["shop"]);
    let written = producer.end();
    written.wait_for_all(&project);
    let ended = stream.stop();
    assert_eq!(ended.code, 0, "{ended:#?}");
    assert!(!ended.err.contains("warning: ") && !ended.err.contains(" failed: "), "{ended:#?}");
    written.check(&project);
    written.check_rebuilt(&project);
    written.messages()
}

fn check_each_message_once(place: Place) {
    let mut random = fastrand::Rng::with_seed(seed());
    let mut left = number("MEDALLION_CRASHES", CRASHES_PER_PROJECT);
    while left > 0 {
        let crashes = left.min(CRASHES_PER_PROJECT);
        let messages = check_project(place, crashes, &mut random);
        left -= crashes;
        println!("{messages} messages, each once; {left} crashes are left");
    }
}

#[test]
fn a_killed_stream_loses_and_doubles_nothing_in_a_folder() {
    check_each_message_once(Place::Folder);
}

#[test]
fn a_killed_stream_loses_and_doubles_nothing_on_s3() {
    check_each_message_once(Place::S3);
}
