//! The thread that polls: it moves messages from the library into the buffer, waits when that is full, and looks for new
//! partitions and topics.

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rdkafka::Message;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::BorrowedMessage;
use stage::{Checkpoint, Error, Kind, Result};

use super::buffer::Buffer;
use super::connection::SharedConnection;
use super::failure::{code_of, is_connection, is_of_group};
use super::positions::{Partition, go_on};
use super::spec::OnDataLoss;

/// How long one poll waits for a message.
const WAIT: Duration = Duration::from_millis(100);
/// How long one poll waits while positions are not noted yet.
const SHORT: Duration = Duration::from_millis(2);
/// How many messages are moved before others get at the buffer.
const BURST: usize = 1_000;
/// How often new partitions and topics are looked for.
const REFRESH: Duration = Duration::from_secs(3);
/// How long brokers may all be away while reading goes on. The library connects again by itself until then.
const AWAY: Duration = Duration::from_secs(10);

/// The reader, before it runs.
pub(crate) struct Reader {
    connection: SharedConnection,
    buffer: Arc<Buffer>,
    cluster: String,
    /// The positions of the table when reading began. A topic that could not be looked up then may stand among them.
    held: Checkpoint,
    on_data_loss: OnDataLoss,
    /// The number of each partition that is read.
    numbers: HashMap<(String, i32), u32>,
    /// The partition of the last message, which mostly is that of the next.
    last: Option<(String, i32, u32)>,
    refreshed: Instant,
    noted: Instant,
    away_since: Option<Instant>,
}

impl Reader {
    /// Starts the thread. It ends when the buffer is closed.
    ///
    /// # Errors
    /// When no thread can be had.
    pub(crate) fn start(
        connection: SharedConnection,
        buffer: Arc<Buffer>,
        cluster: &str,
        held: Checkpoint,
        on_data_loss: OnDataLoss,
    ) -> Result<()> {
        let partitions = buffer.lock().partitions.clone();
        let now = Instant::now();
        let mut reader = Reader {
            connection,
            buffer,
            cluster: cluster.to_owned(),
            held,
            on_data_loss,
            numbers: HashMap::new(),
            last: None,
            refreshed: now,
            noted: now,
            away_since: None,
        };
        reader.number(&partitions);
        let thread = std::thread::Builder::new().name("kafka reader".to_owned()).spawn(move || reader.run());
        thread.map(|_| ()).map_err(|error| Error::unavailable("could not start a thread that reads").with_source(error))
    }

    fn number(&mut self, partitions: &[Partition]) {
        let numbered = (0..).zip(partitions);
        self.numbers = numbered.map(|(index, one)| ((one.topic.clone(), one.number), index)).collect();
    }

    fn run(mut self) {
        let buffer = Arc::clone(&self.buffer);
        let ended = catch_unwind(AssertUnwindSafe(move || {
            while self.buffer.wait_for_room() {
                self.step()?;
            }
            Ok(())
        }));
        // Whoever waits for messages must learn that none will come.
        if let Err(error) = ended.unwrap_or_else(|_| Err(Error::bug("the thread that reads from Kafka panicked"))) {
            buffer.fail(error);
        }
    }

    /// Moves what there is, or waits a moment for it.
    fn step(&mut self) -> Result<()> {
        let connection = Arc::clone(&self.connection);
        let is_noted = self.noted > self.buffer.lock().moved.unwrap_or(self.refreshed);
        match connection.consumer.poll(if is_noted { WAIT } else { SHORT }) {
            Some(Ok(message)) => self.burst(&connection, &message)?,
            Some(Err(error)) => self.heed(&error)?,
            None => self.note_polled(),
        }
        if self.away_since.is_some_and(|since| since.elapsed() > AWAY) {
            let error = KafkaError::MessageConsumption(RDKafkaErrorCode::AllBrokersDown);
            return Err(connection.read_failure(&error));
        }
        if self.refreshed.elapsed() > REFRESH { self.refresh() } else { Ok(()) }
    }

    /// Moves the first message and those that wait behind it.
    fn burst(&mut self, connection: &SharedConnection, first: &BorrowedMessage<'_>) -> Result<()> {
        self.away_since = None;
        let buffer = Arc::clone(&self.buffer);
        let mut held = buffer.lock();
        let mut failed = None;
        let number = self.number_of(first)?;
        buffer.push(&mut held, first, number);
        for _ in 1..BURST {
            match connection.consumer.poll(Duration::ZERO) {
                Some(Ok(message)) => {
                    let number = self.number_of(&message)?;
                    buffer.push(&mut held, &message, number);
                }
                Some(Err(error)) => {
                    failed = Some(error);
                    break;
                }
                None => break,
            }
        }
        held.moved = Some(Instant::now());
        drop(held);
        buffer.notify();
        failed.map_or(Ok(()), |error| self.heed(&error))
    }

    fn number_of(&mut self, message: &BorrowedMessage<'_>) -> Result<u32> {
        let (topic, partition) = (message.topic(), message.partition());
        if let Some((known, number, index)) = &self.last
            && *number == partition
            && known == topic
        {
            return Ok(*index);
        }
        let key = (topic.to_owned(), partition);
        let index = self.numbers.get(&key).copied();
        let index =
            index.ok_or_else(|| Error::bug(format!("a message of {topic}/{partition} came, which is not read")))?;
        self.last = Some((key.0, key.1, index));
        Ok(index)
    }

    /// What an event between messages means.
    fn heed(&mut self, error: &KafkaError) -> Result<()> {
        match code_of(error) {
            Some(code) if is_of_group(code) => Ok(()),
            Some(RDKafkaErrorCode::AllBrokersDown) => {
                self.away_since.get_or_insert_with(Instant::now);
                Ok(())
            }
            Some(code) if is_connection(code) => Ok(()),
            // A login or a topic may be refused for a moment. The source is opened anew, and that decides whether it stays.
            _ => {
                let failure = self.connection.read_failure(error);
                Err(match failure.kind() {
                    Kind::Config => Error::unavailable(failure.chain()),
                    _ => failure,
                })
            }
        }
    }

    /// Messages that nobody sees move the position too, so it is looked up once nothing waits any more.
    fn note_polled(&mut self) {
        // Looking up takes longer the more partitions there are.
        let rest = Duration::from_millis(5) + Duration::from_micros(20) * self.numbers.len().min(50_000) as u32;
        if self.noted.elapsed() < rest {
            return;
        }
        let polled = self.connection.polled();
        let numbered = polled.iter().filter_map(|(key, offset)| Some((*self.numbers.get(key)?, *offset)));
        self.buffer.note_polled(numbered);
        self.noted = Instant::now();
    }

    /// Begins to read partitions and topics that were made since. What cannot be looked up now is looked up the next time.
    ///
    /// # Errors
    /// When messages of a partition that the table holds a position of are gone.
    fn refresh(&mut self) -> Result<()> {
        self.refreshed = Instant::now();
        let found = match self.connection.partitions(Duration::ZERO) {
            Ok(found) => found,
            Err(error) => {
                tracing::debug!(error = %error.chain(), "could not look for new partitions");
                return Ok(());
            }
        };
        self.away_since = None;
        let new = found.into_iter().filter(|key| !self.numbers.contains_key(key));
        let new: Vec<Partition> = new.map(|(topic, number)| Partition::new(&self.cluster, &topic, number)).collect();
        let mut begun = Vec::new();
        for partition in new {
            match self.connection.kept(&partition) {
                Ok(kept) => {
                    let offset = match self.held.get(&partition.id) {
                        Some(recorded) => go_on(&partition, recorded, kept, self.on_data_loss)?.0,
                        // It was made while this ran, so all of its messages are new.
                        None => kept.low,
                    };
                    begun.push((partition, offset));
                }
                Err(error) => tracing::debug!(error = %error.chain(), "could not look up a new partition"),
            }
        }
        if begun.is_empty() {
            return Ok(());
        }
        if let Err(error) = self.connection.assign(&begun) {
            tracing::warn!(error = %error.chain(), "could not begin to read new partitions; trying again");
            return Ok(());
        }
        for (partition, offset) in &begun {
            tracing::info!(partition = %partition.name, offset, "reading a new partition");
        }
        let mut held = self.buffer.lock();
        held.add(&begun);
        let partitions = held.partitions.clone();
        drop(held);
        self.number(&partitions);
        Ok(())
    }
}
