//! A cluster inside this process, to try streaming without Kafka: librdkafka's own stand-in behind a port of this
//! machine.

use rdkafka::mocking::MockCluster;
use rdkafka::producer::DefaultProducerContext;
use stage::{Error, Result};

use super::producer::check_topic;

/// A cluster of one broker that any client on this machine can use. It goes with all its messages when this is dropped.
///
/// It keeps the newest messages only: 5 MiB of each partition, as they were sent (compressed or not).
pub struct StandIn {
    cluster: MockCluster<'static, DefaultProducerContext>,
}

impl StandIn {
    /// Starts a cluster that has one topic.
    ///
    /// # Errors
    /// [`stage::Kind::Config`] when the name cannot be that of a topic.
    pub fn start(topic: &str, partitions: i32) -> Result<StandIn> {
        check_topic(topic)?;
        let doing = "could not start a stand-in for a Kafka cluster";
        let cluster = MockCluster::new(1).map_err(|error| Error::unavailable(doing).with_source(error))?;
        let made = cluster.create_topic(topic, partitions, 1);
        made.map_err(|error| Error::config(format!("{doing} with the topic `{topic}`")).with_source(error))?;
        Ok(StandIn { cluster })
    }

    /// Where it is reached, as `host:port`.
    pub fn brokers(&self) -> String {
        self.cluster.bootstrap_servers()
    }
}

#[cfg(test)]
mod tests {
    use super::super::Producer;
    use super::*;

    #[test]
    fn it_confirms_every_message_that_is_sent_to_it() {
        let stand_in = StandIn::start("events", 3).unwrap();
        let producer = Producer::connect(&stand_in.brokers(), "events").unwrap();
        for number in 0..1_000 {
            producer.send(b"key", format!("{{\"id\":{number}}}").as_bytes()).unwrap();
        }
        assert_eq!(producer.finish().unwrap(), 1_000);
    }

    #[test]
    fn a_name_that_no_topic_can_have_is_refused() {
        for name in ["", "..", "a b", "a/b", &"x".repeat(250)] {
            assert_eq!(StandIn::start(name, 1).err().unwrap().kind(), stage::Kind::Config, "{name}");
            assert!(Producer::connect("127.0.0.1:1", name).is_err(), "{name}");
        }
    }
}
