//! `medallion generate behavior --to kafka`: the shop's events as they happen, at a steady rate.
//!
//! Without a cluster to write to, one is started in this process, so that streaming can be tried with nothing but this
//! binary. It says where it is reached before it begins, and stays until it is told to stop, for readers that are behind.

use std::time::{Duration, Instant, SystemTime};

use ::stage::{Error, Result};
use bronze::kafka::{Producer, StandIn};
use chrono::Utc;
use generate::{LiveEvents, LiveOptions, Summary, TokenBucket};
use serde_json::json;
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;

use super::generate::disorder;
use crate::args::{GenerateArguments, OutputFormat};
use crate::output::{self, counted, thousands};
use crate::signals::Signals;

const RATE: u64 = 5_000;
const TOPIC: &str = "behavior";
/// Partitions of the topic of a stand-in.
const PARTITIONS: i32 = 8;
/// How often it is looked whether events are due.
const TICK: Duration = Duration::from_millis(5);
/// How often it is said how far it is.
const NOTE: Duration = Duration::from_secs(10);
const STOPPING: &str = "stopping; events on their way are confirmed, press ctrl-c again to end at once";

/// What is to be sent, and where to.
struct Production {
    options: LiveOptions,
    rate: u64,
    rows: u64,
    duration: Duration,
    brokers: Option<String>,
    topic: String,
    output: OutputFormat,
    stop: CancellationToken,
}

/// Sends events until there are enough, the time is over, or a signal comes.
pub(super) async fn run(arguments: &GenerateArguments, output: OutputFormat) -> Result<u8> {
    let stop = Signals::listen_and_say(STOPPING).cancellation;
    let production = Production::new(arguments, output, stop);
    let runtime = Handle::current();
    // The library blocks, and a stand-in stays on the thread it was made on.
    let joined = tokio::task::spawn_blocking(move || production.run(&runtime)).await;
    joined.map_err(|error| Error::bug("sending events ended unexpectedly").with_source(error))??;
    Ok(0)
}

impl Production {
    fn new(arguments: &GenerateArguments, output: OutputFormat, stop: CancellationToken) -> Production {
        let defaults = LiveOptions::default();
        let disorder = disorder(arguments, &defaults.disorder);
        let seed = arguments.seed.unwrap_or_else(new_seed);
        Production {
            options: LiveOptions { seed, disorder, ..defaults },
            rate: arguments.rate.unwrap_or(RATE),
            rows: arguments.rows.unwrap_or(u64::MAX),
            duration: arguments.duration.map_or(Duration::MAX, frame::TimeSpan::duration),
            brokers: arguments.brokers.clone(),
            topic: arguments.topic.clone().unwrap_or_else(|| TOPIC.to_owned()),
            output,
            stop,
        }
    }

    fn run(&self, runtime: &Handle) -> Result<()> {
        let mut events = LiveEvents::new(&self.options)?;
        let stand_in = match self.brokers {
            Some(_) => None,
            None => Some(StandIn::start(&self.topic, PARTITIONS)?),
        };
        let brokers = stand_in.as_ref().map(StandIn::brokers).or_else(|| self.brokers.clone()).unwrap_or_default();
        let producer = Producer::connect(&brokers, &self.topic)?;
        if stand_in.is_some() {
            self.announce(&brokers);
        }
        let took = self.send(&mut events, &producer)?;
        let confirmed = producer.finish()?;
        output::print(&self.told(events.summary(), confirmed, took, &brokers));
        if stand_in.is_some() && !self.stop.is_cancelled() {
            output::note("all events are sent; the stand-in for the cluster goes on until ctrl-c");
            runtime.block_on(self.stop.cancelled());
        }
        Ok(())
    }

    /// Says where a stand-in is, on stdout, because a program that started this one has to know.
    fn announce(&self, brokers: &str) {
        output::print(&match super::is_for_programs(self.output) {
            true => json!({ "brokers": brokers, "topic": self.topic }).to_string(),
            false => format!("brokers: {brokers}"),
        });
        output::note(&format!(
            "a stand-in for a Kafka cluster runs in this process and keeps the newest 5 MiB of each of {PARTITIONS} \
             partitions of the topic {}; follow it with --var brokers={brokers}",
            self.topic
        ));
    }

    /// Sends what is due until the end, and returns how long that took.
    fn send(&self, events: &mut LiveEvents, producer: &Producer) -> Result<Duration> {
        let begun = Instant::now();
        let mut bucket = TokenBucket::new(self.rate);
        let mut next_note = NOTE;
        while !self.stop.is_cancelled() && events.summary().rows < self.rows {
            let passed = begun.elapsed().min(self.duration);
            for _ in 0..bucket.take(passed).min(self.rows - events.summary().rows) {
                let event = events.next(Utc::now());
                producer.send(event.key, event.payload)?;
            }
            if passed >= next_note {
                output::note(&format!("{} sent", counted(events.summary().rows, "event")));
                next_note += NOTE;
            }
            if passed == self.duration {
                break;
            }
            producer.look(TICK)?;
        }
        Ok(begun.elapsed())
    }

    fn told(&self, summary: &Summary, confirmed: u64, took: Duration, brokers: &str) -> String {
        let seconds = took.as_secs_f64();
        if super::is_for_programs(self.output) {
            let told = json!({
                "rows": summary.rows, "confirmed": confirmed, "bad": summary.bad, "truncated": summary.truncated,
                "duplicates": summary.duplicates, "late": summary.late, "bytes": summary.bytes,
                "seed": self.options.seed, "brokers": brokers, "topic": self.topic, "seconds": seconds,
            });
            return told.to_string();
        }
        format!(
            "{} ({} bad, {} repeated, {} late) to the topic {} at {brokers} in {seconds:.1} s, {} a second, seed {}",
            counted(confirmed, "event"),
            thousands(summary.bad),
            thousands(summary.duplicates),
            thousands(summary.late),
            self.topic,
            thousands((confirmed as f64 / seconds.max(0.001)).round() as u64),
            self.options.seed
        )
    }
}

/// Another seed each time: events that are sent again to a topic would otherwise repeat those of the last time.
fn new_seed() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_micros() as u64)
}
