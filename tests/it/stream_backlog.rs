//! A stream that is told to stop while it drains a backlog: it ends soon and well, and loses and doubles nothing.

use std::time::{Duration, Instant};

use crate::broker::Broker;
use crate::orders_topic::{PARTITIONS, TOPIC, project, write_backlog};
use crate::place::Place;
use crate::soak::seed;
use crate::streaming::Streaming;

const MESSAGES: i64 = 60_000;
/// How often it is told to stop.
const STOPS: u64 = 3;
/// An open batch is small, and finished or dropped well within what is promised.
const SOON: Duration = Duration::from_secs(15);

#[test]
fn a_stream_that_drains_a_backlog_stops_when_it_is_told_to() {
    let seed = seed();
    let mut random = fastrand::Rng::with_seed(seed);
    let broker = Broker::with(&[(TOPIC, PARTITIONS)]);
    let project = project(Place::Folder, &broker.address(), "");
    let written = write_backlog(&broker.address(), seed, MESSAGES);
    for stop in 0..STOPS {
        let stream = Streaming::start(&project, &["shop"]);
        stream.wait_for_figure("shop.bronze.orders", "batches", random.u64(1..4));
        let begun = Instant::now();
        let ended = stream.stop();
        assert_eq!(ended.code, 0, "{ended:#?}");
        assert!(begun.elapsed() < SOON, "it took {:?} to stop", begun.elapsed());
        let rows = project.count("shop.bronze.orders");
        println!("stop {stop} after {rows} rows, within {:?}", begun.elapsed());
        assert!(rows < MESSAGES / 2, "the backlog must not be drained by then");
    }
    written.check(&project);
    written.check_rebuilt(&project);
}
