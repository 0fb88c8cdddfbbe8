//! Writes messages to a topic and sees each of them confirmed: the other side of the source, for data to try it with.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::ClientConfig;
use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::DeliveryResult;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _, ProducerContext};
use stage::{Error, Result};

use super::connection::{PATIENCE, REFUSED};
use super::failure::{code_of, failure, is_away, is_connection};

/// How long one question to the brokers may take.
const ASK: Duration = Duration::from_secs(2);
/// How long a full queue, or a topic that is about to be there, is waited for before it is looked at again.
const PAUSE: Duration = Duration::from_millis(20);
/// The most letters in the name of a topic.
const LONGEST_NAME: usize = 249;
/// How long the brokers may take to confirm a message.
const CONFIRMED_WITHIN: Duration = Duration::from_secs(30);

/// Somebody who writes to one topic. Every call may block, up to half a minute when brokers do not answer.
pub struct Producer {
    producer: BaseProducer<Deliveries>,
    brokers: String,
    topic: String,
}

/// What the library tells of messages that were sent.
#[derive(Default)]
struct Deliveries(Mutex<Told>);

#[derive(Default)]
struct Told {
    confirmed: u64,
    /// Why the first message that was given up could not be delivered.
    refused: Option<KafkaError>,
}

impl Producer {
    /// Connects to a cluster without encryption or login, and makes sure of the topic. One that is not there is made
    /// if the cluster makes topics by itself.
    ///
    /// # Errors
    /// [`stage::Kind::Unavailable`] when no broker answers, [`stage::Kind::Config`] when there is no such topic, or
    /// cannot be.
    pub fn connect(brokers: &str, topic: &str) -> Result<Producer> {
        check_topic(topic)?;
        let mut config = ClientConfig::new();
        let confirmed_within = CONFIRMED_WITHIN.as_millis().to_string();
        for (name, value) in [
            ("bootstrap.servers", brokers),
            ("client.id", "medallion"),
            // Neither lost nor doubled nor out of order when the library sends something again.
            ("enable.idempotence", "true"),
            ("compression.type", "lz4"),
            // The partition that a client in Java would choose for the same key.
            ("partitioner", "murmur2_random"),
            ("message.timeout.ms", &confirmed_within),
        ] {
            config.set(name, value);
        }
        let doing = format!("could not write to {brokers}");
        let producer =
            config.create_with_context(Deliveries::default()).map_err(|error| failure(&doing, &error, ""))?;
        let producer = Producer { producer, brokers: brokers.to_owned(), topic: topic.to_owned() };
        producer.find_topic()?;
        Ok(producer)
    }

    /// Sends a message. Those of the same key stay in order. Waits while too many are on their way.
    ///
    /// # Errors
    /// When this message cannot be sent, or an earlier one was given up.
    pub fn send(&self, key: &[u8], payload: &[u8]) -> Result<()> {
        let mut record = BaseRecord::to(&self.topic).key(key).payload(payload);
        while let Err((error, again)) = self.producer.send(record) {
            if code_of(&error) != Some(RDKafkaErrorCode::QueueFull) {
                return Err(self.failure(&error));
            }
            self.look(PAUSE)?;
            record = again;
        }
        Ok(())
    }

    /// Takes what the library has to tell for as long as `patience`. It wants to be called often.
    ///
    /// # Errors
    /// When a message was given up.
    pub fn look(&self, patience: Duration) -> Result<()> {
        self.producer.poll(patience);
        match self.told().refused.take() {
            Some(error) => Err(self.failure(&error)),
            None => Ok(()),
        }
    }

    /// How many messages the brokers have confirmed.
    pub fn confirmed(&self) -> u64 {
        self.told().confirmed
    }

    /// Waits until every message is confirmed, and returns how many there were.
    ///
    /// # Errors
    /// When a message was given up.
    pub fn finish(self) -> Result<u64> {
        // A message is confirmed or given up within its own time, so this ends.
        self.producer.flush(CONFIRMED_WITHIN + PATIENCE).map_err(|error| self.failure(&error))?;
        self.look(Duration::ZERO)?;
        Ok(self.confirmed())
    }

    fn find_topic(&self) -> Result<()> {
        let begun = Instant::now();
        loop {
            let error = match self.producer.client().fetch_metadata(Some(&self.topic), ASK) {
                Ok(metadata) => match metadata.topics().iter().find_map(|topic| topic.error()) {
                    None => return Ok(()),
                    Some(error) => KafkaError::MetadataFetch(error.into()),
                },
                Err(error) => error,
            };
            let code = code_of(&error);
            let may_come =
                code.is_some_and(|code| is_connection(code) || code == RDKafkaErrorCode::UnknownTopicOrPartition);
            let patience = if code.is_some_and(is_away) { REFUSED } else { PATIENCE };
            if !may_come || begun.elapsed() > patience {
                return Err(self.failure(&error));
            }
            self.producer.poll(PAUSE);
        }
    }

    fn failure(&self, error: &KafkaError) -> Error {
        let doing = format!("could not write to topic `{}` at {}", self.topic, self.brokers);
        match code_of(error) {
            Some(RDKafkaErrorCode::UnknownTopicOrPartition | RDKafkaErrorCode::UnknownTopic) => Error::config(format!(
                "{doing}: there is no such topic, and the cluster does not make it; create it first"
            )),
            _ => failure(&doing, error, ""),
        }
    }

    fn told(&self) -> MutexGuard<'_, Told> {
        self.producer.context().told()
    }
}

/// Refuses what Kafka does not take for the name of a topic (`org.apache.kafka.common.internals.Topic`).
pub(super) fn check_topic(name: &str) -> Result<()> {
    let is_allowed = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '.' | '_' | '-');
    if (1..=LONGEST_NAME).contains(&name.len()) && !matches!(name, "." | "..") && name.chars().all(is_allowed) {
        return Ok(());
    }
    Err(Error::config(format!(
        "`{name}` cannot be the name of a topic; use up to {LONGEST_NAME} letters, digits, `.`, `_` and `-`"
    )))
}

impl Deliveries {
    fn told(&self) -> MutexGuard<'_, Told> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ClientContext for Deliveries {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        tracing::debug!(target: "librdkafka", ?level, facility, "{message}");
    }

    fn error(&self, error: KafkaError, reason: &str) {
        // What matters comes with the message that could not be delivered.
        tracing::debug!(target: "librdkafka", %error, "{reason}");
    }
}

impl ProducerContext for Deliveries {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        let mut told = self.told();
        match result {
            Ok(_) => told.confirmed += 1,
            Err((error, _)) => {
                told.refused.get_or_insert(error.clone());
            }
        }
    }
}
