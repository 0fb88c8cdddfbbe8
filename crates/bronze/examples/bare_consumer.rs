//! Reads messages from Kafka as fast as the client library allows and counts their bytes: the floor that draining a topic
//! into a table is measured against.
//!
//! usage: `bare_consumer BROKERS TOPIC COUNT`

use std::error::Error;
use std::time::{Duration, Instant};

use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::{Offset, TopicPartitionList};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [brokers, topic, count] = arguments.as_slice() else {
        return Err("usage: bare_consumer BROKERS TOPIC COUNT".into());
    };
    let count: u64 = count.parse()?;
    let started = Instant::now();
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", brokers)
        .set("group.id", "bare")
        .set("enable.auto.commit", "false")
        .set("fetch.queue.backoff.ms", "2")
        .create()?;
    let metadata = consumer.fetch_metadata(Some(topic), Duration::from_secs(10))?;
    let mut partitions = TopicPartitionList::new();
    for partition in metadata.topics().iter().flat_map(|topic| topic.partitions()) {
        partitions.add_partition_offset(topic, partition.id(), Offset::Beginning)?;
    }
    consumer.assign(&partitions)?;
    let (mut read, mut bytes) = (0, 0);
    while read < count {
        if let Some(message) = consumer.poll(Duration::from_secs(1)) {
            bytes += message?.payload_len();
            read += 1;
        }
    }
    eprintln!("{read} messages, {bytes} bytes in {:.2} s", started.elapsed().as_secs_f64());
    Ok(())
}
