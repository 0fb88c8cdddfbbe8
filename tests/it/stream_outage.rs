//! A lake that fails for a while under a stream: it goes on by itself, and every message is where it belongs, once.
//!
//! `MEDALLION_OUTAGE` says how many seconds the lake fails at least; `MEDALLION_SEED` repeats the random numbers of an
//! earlier test.

use std::time::{Duration, Instant};

use serde_json::Value;

use crate::broker::Broker;
use crate::gateway::{Fault, Gateway};
use crate::orders_topic::{PARTITIONS, Producer, TABLES, TOPIC, project};
use crate::place::Place;
use crate::project::Project;
use crate::soak::{number, seed};
use crate::streaming::Streaming;
use crate::waiting::wait_for;

/// What is promised of a stream that is told to stop.
const HALF_A_MINUTE: Duration = Duration::from_secs(30);
const BRONZE: &str = "shop.bronze.orders";

/// The same project, whose lake is behind the gateway.
fn behind(gateway: &Gateway, project: Project) -> Project {
    let settings = std::fs::read_to_string(project.path("medallion.toml")).unwrap();
    project.with("medallion.toml", &format!("{settings}[lake.s3]\nendpoint = \"{}\"\n", gateway.url()))
}

fn wait_until_all_are_well(stream: &Streaming) {
    let is_well = |table: &Value| table["consecutive_failures"] == 0 && table["state"] != "retrying";
    wait_for("all tables to be well again", || TABLES.iter().all(|name| is_well(&stream.table(name))).then_some(()));
    assert_eq!(stream.get("/health").0, "HTTP/1.1 200 OK");
}

/// Lets the lake fail until `is_enough`, while messages come.
fn check_outage(fault: Fault, is_enough: impl Fn(&Streaming, &Gateway) -> bool) {
    let seed = seed();
    let least = Duration::from_secs(number("MEDALLION_OUTAGE", 0));
    let (broker, gateway) = (Broker::with(&[(TOPIC, PARTITIONS)]), Gateway::new());
    let project = behind(&gateway, project(Place::S3, &broker.address(), "interval = \"1s\""));
    let producer = Producer::start(&broker.address(), seed);
    let stream = Streaming::start(&project, &["shop"]);
    stream.wait_for_figure("shop.gold.spent", "batches", 1);

    gateway.set(Some(fault));
    let begun = Instant::now();
    wait_for("the lake to have failed", || is_enough(&stream, &gateway).then_some(()));
    std::thread::sleep(least.saturating_sub(begun.elapsed()));
    assert_eq!(stream.get("/health").0, "HTTP/1.1 200 OK", "{}", stream.told());
    gateway.set(None);
    println!("{fault:?} for {:?}, {} requests", begun.elapsed(), gateway.faults());

    wait_until_all_are_well(&stream);
    let written = producer.end();
    written.wait_for_all(&project);
    let ended = stream.stop();
    assert_eq!(ended.code, 0, "{ended:#?}");
    written.check(&project);
}

#[test]
fn a_stream_outlives_a_lake_that_refuses_writes() {
    check_outage(Fault::RefusesWrites, |stream, _| stream.figure(BRONZE, "failures") >= 2);
}

#[test]
fn a_stream_outlives_a_lake_that_hangs_up() {
    check_outage(Fault::HangsUp, |stream, _| stream.figure(BRONZE, "failures") >= 2);
}

#[test]
fn a_commit_whose_answer_is_lost_is_made_once() {
    check_outage(Fault::LosesAnswers, |_, gateway| gateway.faults() >= 10);
}

/// Tells a stream to stop while its lake fails; another one goes on once the lake is back.
fn check_stop(fault: Fault) {
    let seed = seed();
    let (broker, gateway) = (Broker::with(&[(TOPIC, PARTITIONS)]), Gateway::new());
    let project = behind(&gateway, project(Place::S3, &broker.address(), "interval = \"1s\""));
    let producer = Producer::start(&broker.address(), seed);
    let stream = Streaming::start(&project, &["shop"]);
    stream.wait_for_figure("shop.gold.spent", "batches", 1);
    gateway.set(Some(fault));
    wait_for("the lake to fail", || (gateway.faults() > 0).then_some(()));
    let begun = Instant::now();
    let ended = stream.stop();
    println!("{fault:?}: stopped within {:?}", begun.elapsed());
    assert_eq!(ended.code, 0, "{ended:#?}");
    assert!(begun.elapsed() < HALF_A_MINUTE, "it took {:?} to stop: {ended:#?}", begun.elapsed());
    gateway.set(None);
    let stream = Streaming::start(&project, &["shop"]);
    let written = producer.end();
    written.wait_for_all(&project);
    assert_eq!(stream.stop().code, 0);
    written.check(&project);
}

#[test]
fn a_stream_stops_in_time_though_its_lake_hangs_up() {
    check_stop(Fault::HangsUp);
}

#[test]
fn a_stream_stops_in_time_though_its_lake_says_nothing() {
    check_stop(Fault::SaysNothing);
}

/// Partitions and messages of each, of so many bytes: more than the program may use, and less than the stand-in keeps.
const BACKLOG: (i32, usize, usize) = (28, 200, 20_000);
const MEMORY: usize = 64_000_000;
const MAX_BYTES: usize = 4_000_000;

#[test]
fn what_a_lake_does_not_take_stays_with_the_broker() {
    let (partitions, messages, length) = BACKLOG;
    let (broker, gateway) = (Broker::with(&[("events", partitions)]), Gateway::new());
    let source = format!(
        "[source.kafka]\nbrokers = \"{}\"\ntopics = [\"events\"]\nformat = \"json\"\nmax_bytes = {MAX_BYTES}\n",
        broker.address()
    );
    let project = behind(&gateway, Project::new(Place::S3)).with("pipelines/p/bronze/events.toml", &source);
    let settings = std::fs::read_to_string(project.path("medallion.toml")).unwrap();
    project.write("medallion.toml", &settings.replace("[project]\n", &format!("[project]\nmemory = \"{MEMORY}B\"\n")));
    broker.write("events", 0, ["{\"id\":0,\"text\":\"first\"}"]);
    let stream = Streaming::start(&project, &["p"]);
    stream.wait_for_figure("p.bronze.events", "batches", 1);

    gateway.set(Some(Fault::RefusesWrites));
    let before = stream.resident_bytes();
    let mut random = fastrand::Rng::with_seed(7);
    for partition in 0..partitions {
        let mut noise = || std::iter::repeat_with(|| random.alphanumeric()).take(length).collect::<String>();
        broker.write("events", partition, (0..messages).map(|id| format!("{{\"id\":{id},\"text\":\"{}\"}}", noise())));
    }
    let mut most = before;
    wait_for("the lake to have refused often", || {
        most = most.max(stream.resident_bytes());
        (stream.figure("p.bronze.events", "failures") >= 3).then_some(())
    });
    let backlog = (partitions as usize * messages * length) as f64;
    println!("{:.0} MB grew to {:.0} MB under a backlog of {:.0} MB", before / 1e6, most / 1e6, backlog / 1e6);
    assert!(most - before < MEMORY as f64, "{before} bytes grew to {most} under a backlog of {backlog}");

    gateway.set(None);
    let all = partitions as usize * messages + 1;
    wait_for("all of the backlog", || {
        (stream.table("p.bronze.events")["progress"]["rows_written"].as_u64()? == all as u64).then_some(())
    });
    let ended = stream.stop();
    assert_eq!(ended.code, 0, "{ended:#?}");
    let origins = "SELECT COUNT(*) AS n FROM (SELECT DISTINCT _source, _position FROM p.bronze.events)";
    assert_eq!((project.count("p.bronze.events"), project.number(origins)), (all as i64, all as i64));
}
