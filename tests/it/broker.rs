//! A Kafka cluster inside the test: librdkafka's own stand-in, which speaks the protocol on ports of this machine.

use std::ops::Deref;
use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::mocking::MockCluster;
use rdkafka::producer::{BaseProducer, BaseRecord, DefaultProducerContext, Producer as _};

const PATIENCE: Duration = Duration::from_secs(60);

/// A cluster and somebody who writes to it. It goes when this is dropped.
pub struct Broker {
    pub cluster: MockCluster<'static, DefaultProducerContext>,
    writer: Writer,
}

/// Somebody who writes to a cluster.
pub struct Writer(pub BaseProducer);

/// A message to be written.
#[derive(Default)]
pub struct Message<'a> {
    pub key: Option<&'a [u8]>,
    pub payload: Option<&'a [u8]>,
    pub headers: &'a [(&'a str, &'a str)],
    pub timestamp: Option<i64>,
}

impl Broker {
    /// A cluster of one broker with these topics, each with a number of partitions.
    pub fn with(topics: &[(&str, i32)]) -> Broker {
        Broker::several(1, topics)
    }

    /// A cluster of several brokers. Each partition is kept by one of them.
    pub fn several(brokers: i32, topics: &[(&str, i32)]) -> Broker {
        let cluster = MockCluster::new(brokers).unwrap();
        for (topic, partitions) in topics {
            cluster.create_topic(topic, *partitions, 1).unwrap();
        }
        let writer = Writer::to(&cluster.bootstrap_servers(), &[]);
        Broker { cluster, writer }
    }

    pub fn address(&self) -> String {
        self.cluster.bootstrap_servers()
    }
}

impl Deref for Broker {
    type Target = Writer;

    fn deref(&self) -> &Writer {
        &self.writer
    }
}

impl Writer {
    /// Somebody who writes to the cluster at this address, with further properties of the library.
    pub fn to(address: &str, more: &[(&str, &str)]) -> Writer {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", address).set("linger.ms", "0");
        for (name, value) in more {
            config.set(*name, *value);
        }
        Writer(config.create().unwrap())
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
        while let Err((error, again)) = self.0.send(record) {
            assert_eq!(error.rdkafka_error_code(), Some(rdkafka::error::RDKafkaErrorCode::QueueFull));
            self.0.poll(Duration::from_millis(10));
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
        self.0.flush(PATIENCE).unwrap();
    }
}
