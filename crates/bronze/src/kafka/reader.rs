//! The thread that polls: it moves messages from the library into the buffer and waits when that is full.
//!
//! Polling also serves what the library calls back for, such as a new token, and that may take long. So a burst is
//! polled first and handed to the buffer as a whole, and nothing is locked while the library is at work.

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::Receiver;
use std::time::{Duration, Instant};

use rdkafka::Message;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::BorrowedMessage;
use stage::{Error, Kind, Result};

use super::buffer::Buffer;
use super::connection::SharedConnection;
use super::failure::{code_of, is_connection, is_of_broker, is_of_group, is_seen_when_opening};
use super::positions::Partition;
use super::scout::{Found, Scout};

/// How long one poll waits for a message.
const WAIT: Duration = Duration::from_millis(100);
/// How long one poll waits while positions are not noted yet.
const SHORT: Duration = Duration::from_millis(2);
/// How many messages, and of how many bytes, are moved at once.
const BURST: (usize, usize) = (1_000, 4 << 20);
/// How long brokers may all be away, or not answer for a partition, while reading goes on. The library tries again by
/// itself until then.
const AWAY: Duration = Duration::from_secs(10);
/// After how long without trouble the next is not a part of it.
const CALM: Duration = Duration::from_secs(5);

/// The reader, before it runs.
pub(crate) struct Reader {
    connection: SharedConnection,
    buffer: Arc<Buffer>,
    found: Receiver<Found>,
    /// The partitions that are read, by their numbers.
    partitions: Arc<Vec<Partition>>,
    /// The number of each partition, by its topic and its number there.
    numbers: HashMap<String, HashMap<i32, u32>>,
    /// The partition of the last message, which mostly is that of the next.
    last: u32,
    moved: Instant,
    noted: Instant,
    away_since: Option<Instant>,
    /// When a broker first and last could not answer for a partition.
    trouble: Option<(Instant, Instant)>,
}

impl Reader {
    /// Starts the thread, and that of the scout. They end when the buffer is closed.
    ///
    /// # Errors
    /// When no thread can be had.
    pub(crate) fn start(scout: Scout) -> Result<()> {
        let (connection, buffer) = (Arc::clone(&scout.connection), Arc::clone(&scout.buffer));
        connection.leave_events_to_reader();
        let now = Instant::now();
        let mut reader = Reader {
            connection,
            buffer,
            found: scout.start()?,
            partitions: Arc::default(),
            numbers: HashMap::new(),
            last: 0,
            moved: now,
            noted: now,
            away_since: None,
            trouble: None,
        };
        reader.number();
        let thread = std::thread::Builder::new().name("kafka reader".to_owned()).spawn(move || reader.run());
        thread.map(|_| ()).map_err(|error| Error::unavailable("could not start a thread that reads").with_source(error))
    }

    fn number(&mut self) {
        self.partitions = Arc::clone(&self.buffer.lock().partitions);
        self.numbers.clear();
        for (index, partition) in (0..).zip(self.partitions.iter()) {
            self.numbers.entry(partition.topic.clone()).or_default().insert(partition.number, index);
        }
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
        self.begin_found()?;
        let connection = Arc::clone(&self.connection);
        match connection.consumer().poll(if self.noted > self.moved { WAIT } else { SHORT }) {
            Some(Ok(first)) => self.burst(&connection, first)?,
            Some(Err(error)) => self.heed(&error)?,
            None => self.note_polled(),
        }
        match self.away_since {
            Some(since) if since.elapsed() > AWAY => {
                let error = KafkaError::MessageConsumption(RDKafkaErrorCode::AllBrokersDown);
                Err(connection.read_failure(&error))
            }
            _ => Ok(()),
        }
    }

    /// Begins to read what the scout found. That it looked at all means that the cluster answers.
    fn begin_found(&mut self) -> Result<()> {
        while let Ok(found) = self.found.try_recv() {
            self.away_since = None;
            if found.is_empty() {
                continue;
            }
            // Known before the first message can come.
            self.buffer.lock().add(&found);
            self.number();
            self.connection.assign(&found)?;
            for (partition, offset) in &found {
                tracing::info!(partition = %partition.name, offset, "reading a new partition");
            }
        }
        Ok(())
    }

    /// Moves the first message and those that wait behind it.
    fn burst<'a>(&mut self, connection: &'a SharedConnection, first: BorrowedMessage<'a>) -> Result<()> {
        self.away_since = None;
        let (most, most_bytes) = BURST;
        let mut bytes = first.payload_len();
        let mut burst = vec![(self.number_of(&first)?, first)];
        let mut failed = None;
        while burst.len() < most && bytes < most_bytes {
            match connection.consumer().poll(Duration::ZERO) {
                Some(Ok(message)) => {
                    bytes += message.payload_len();
                    burst.push((self.number_of(&message)?, message));
                }
                Some(Err(error)) => {
                    failed = Some(error);
                    break;
                }
                None => break,
            }
        }
        self.buffer.extend(burst)?;
        self.moved = Instant::now();
        failed.map_or(Ok(()), |error| self.heed(&error))
    }

    fn number_of(&mut self, message: &BorrowedMessage<'_>) -> Result<u32> {
        let (topic, partition) = (message.topic(), message.partition());
        let last = self.partitions.get(self.last as usize);
        if last.is_some_and(|last| last.number == partition && last.topic == topic) {
            return Ok(self.last);
        }
        let number = self.numbers.get(topic).and_then(|numbers| numbers.get(&partition)).copied();
        self.last =
            number.ok_or_else(|| Error::bug(format!("a message of {topic}/{partition} came, which is not read")))?;
        Ok(self.last)
    }

    /// What an event between messages means.
    fn heed(&mut self, error: &KafkaError) -> Result<()> {
        let failure = self.connection.read_failure(error);
        match code_of(error) {
            Some(code) if is_of_group(code) => Ok(()),
            // The connection also breaks when an answer is larger than the client takes, and that does not pass.
            _ if failure.kind() == Kind::Data => Err(failure),
            Some(RDKafkaErrorCode::AllBrokersDown) => {
                self.away_since.get_or_insert_with(Instant::now);
                Ok(())
            }
            Some(code) if is_connection(code) => Ok(()),
            // The source is opened anew, and that decides whether it stays so.
            Some(code) if is_seen_when_opening(code) => Err(Error::unavailable(failure.chain())),
            Some(code) if is_of_broker(code) && failure.kind() == Kind::Unavailable => self.endure(failure),
            _ => Err(failure),
        }
    }

    /// What a broker cannot give at the moment, the library asks for again while other partitions go on. Only trouble
    /// that lasts ends reading.
    fn endure(&mut self, failure: Error) -> Result<()> {
        let now = Instant::now();
        let begun = match self.trouble {
            Some((first, last)) if now - last < CALM => first,
            _ => {
                tracing::warn!(error = %failure.chain(), "a broker cannot answer at the moment");
                now
            }
        };
        self.trouble = Some((begun, now));
        if now - begun > AWAY { Err(failure) } else { Ok(()) }
    }

    /// Messages that nobody sees move the position too, so it is looked up once nothing waits any more.
    fn note_polled(&mut self) {
        // Looking up takes longer the more partitions there are.
        let rest = Duration::from_millis(5) + Duration::from_micros(20) * self.partitions.len().min(50_000) as u32;
        if self.noted.elapsed() < rest {
            return;
        }
        let polled = self.connection.polled();
        let number = |topic: &str, partition| self.numbers.get(topic).and_then(|numbers| numbers.get(&partition));
        let numbered =
            polled.iter().filter_map(|((topic, partition), offset)| Some((*number(topic, *partition)?, *offset)));
        self.buffer.note_polled(numbered);
        self.noted = Instant::now();
    }
}
