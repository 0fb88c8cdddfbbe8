//! A Kafka cluster inside the test: librdkafka's own stand-in, which speaks the protocol on a port of this machine.

use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::mocking::MockCluster;
use rdkafka::producer::{BaseProducer, BaseRecord, DefaultProducerContext, Producer as _};

const PATIENCE: Duration = Duration::from_secs(30);

/// A cluster of one broker and somebody who writes to it. It goes when this is dropped.
pub struct Broker {
    pub cluster: MockCluster<'static, DefaultProducerContext>,
    producer: BaseProducer,
}

/// A message to be written.
#[derive(Default)]
pub struct Message<'a> {
    pub key: Option<&'a [u8]>,
    pub payload: Option<&'a [u8]>,
    pub headers: &'a [(&'a str, &'a str)],
    pub timestamp: Option<i64>,
}

impl Broker {
    /// A cluster with these topics, each with a number of partitions.
    pub fn with(topics: &[(&str, i32)]) -> Broker {
        let cluster = MockCluster::new(1).unwrap();
        for (topic, partitions) in topics {
            cluster.create_topic(topic, *partitions, 1).unwrap();
        }
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", cluster.bootstrap_servers()).set("linger.ms", "0");
        Broker { producer: config.create().unwrap(), cluster }
    }

    pub fn address(&self) -> String {
        self.cluster.bootstrap_servers()
    }

    /// Writes one message.
    pub fn send(&self, topic: &str, partition: i32, message: &Message<'_>) {
        let mut headers = OwnedHeaders::new();
        for (key, value) in message.headers {
            headers = headers.insert(Header { key, value: Some(*value) });
        }
        let mut record: BaseRecord<'_, [u8], [u8]> = BaseRecord::to(topic).partition(partition);
        record.key = message.key;
        record.payload = message.payload;
        record.timestamp = message.timestamp;
        if !message.headers.is_empty() {
            record = record.headers(headers);
        }
        while let Err((error, again)) = self.producer.send(record) {
            assert_eq!(error.rdkafka_error_code(), Some(rdkafka::error::RDKafkaErrorCode::QueueFull));
            self.producer.poll(Duration::from_millis(10));
            record = again;
        }
    }

    /// Writes payloads one after the other and waits until the broker has them.
    pub fn write(&self, topic: &str, partition: i32, payloads: impl IntoIterator<Item = impl AsRef<[u8]>>) {
        for payload in payloads {
            self.send(topic, partition, &Message { payload: Some(payload.as_ref()), ..Message::default() });
        }
        self.flush();
    }

    pub fn flush(&self) {
        self.producer.flush(PATIENCE).unwrap();
    }
}
