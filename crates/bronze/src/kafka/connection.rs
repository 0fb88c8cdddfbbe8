//! A consumer and what is asked of the cluster through it. Every call here blocks, up to a stated time.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::client::{ClientContext, OAuthToken};
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::metadata::MetadataTopic;
use rdkafka::{ClientConfig, Offset, Statistics, TopicPartitionList};
use regex::Regex;
use stage::{Error, Kind, Result};

use super::failure::{code_of, failure, is_away, is_connection, is_too_large, is_unknown_topic, may_pass};
use super::positions::{Kept, Partition};
use super::spec::KafkaSpec;
use super::token::Tokens;
use crate::messages::start::Start;

/// How long brokers may be silent before a start gives up.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);
/// How long brokers may all refuse the connection before a start gives up.
pub(crate) const REFUSED: Duration = Duration::from_secs(2);
/// How long one question may take before events of the client are looked at.
const ASK: Duration = Duration::from_secs(2);
/// How long a broker may not know its own topics after it has started.
const STARTING: Duration = Duration::from_secs(3);

/// What the library tells besides messages.
pub(crate) struct Watch {
    tokens: Option<Tokens>,
    told: Mutex<Told>,
}

#[derive(Default)]
struct Told {
    /// Why there is no token for a login.
    no_token: Option<(Kind, String)>,
    /// The last error and the library's words for it.
    error: Option<(RDKafkaErrorCode, String)>,
    /// How far committed messages go, by topic and partition.
    ends: BTreeMap<(String, i32), i64>,
}

/// A consumer that joins no group, and what it reads.
pub(crate) struct Connection {
    consumer: Arc<BaseConsumer<Watch>>,
    /// Stands behind the consumer, so that the thread which waits for its end is the last to own that.
    _end: Sender<Infallible>,
    spec: KafkaSpec,
    pattern: Option<Regex>,
    /// Whether the reader's polls serve what the library has to tell.
    is_read: AtomicBool,
}

impl Connection {
    /// A consumer that is about to connect.
    ///
    /// # Errors
    /// [`stage::Kind::Config`] when the library does not accept its properties.
    pub(crate) fn new(config: &ClientConfig, spec: &KafkaSpec, tokens: Option<Tokens>) -> Result<Connection> {
        let doing = format!("could not connect to {}", spec.brokers);
        let pattern = spec.pattern.as_ref().map(|pattern| Regex::new(&format!("^(?:{pattern})$"))).transpose();
        let pattern =
            pattern.map_err(|error| Error::config(format!("{doing}: the pattern is wrong")).with_source(error))?;
        let watch = Watch { tokens, told: Mutex::default() };
        let consumer: BaseConsumer<Watch> =
            config.create_with_context(watch).map_err(|error| failure(&doing, &error, ""))?;
        let consumer = Arc::new(consumer);
        // An answer of the library's own thread. A question that comes before it runs starts no connection, and the next try
        // is a second later.
        let _ = consumer.assignment();
        let end = drop_aside(&consumer)?;
        Ok(Connection { consumer, _end: end, spec: spec.clone(), pattern, is_read: AtomicBool::new(false) })
    }

    /// The consumer, for the thread that reads.
    pub(crate) fn consumer(&self) -> &BaseConsumer<Watch> {
        &self.consumer
    }

    /// From now on, what the library has to tell is served by the polls of the reader.
    pub(crate) fn leave_events_to_reader(&self) {
        self.is_read.store(true, Ordering::Release);
    }

    /// The cluster's identity, which stays when brokers are replaced.
    pub(crate) fn cluster_id(&self) -> Result<String> {
        let mut id = None;
        self.ask("could not connect to", PATIENCE, || {
            id = self.consumer.client().fetch_cluster_id(ASK);
            id.as_ref().map(|_| ()).ok_or(KafkaError::MetadataFetch(RDKafkaErrorCode::OperationTimedOut))
        })?;
        Ok(id.unwrap_or_default())
    }

    /// The partitions of every topic that is read. It blocks for `patience` at most when there is no answer.
    ///
    /// # Errors
    /// [`stage::Kind::Config`] when a topic does not exist.
    pub(crate) fn partitions(&self, patience: Duration) -> Result<Vec<(String, i32)>> {
        let mut found = Vec::new();
        match &self.pattern {
            Some(pattern) => self.ask("could not list the topics of", patience, || {
                let metadata = self.consumer.fetch_metadata(None, ASK)?;
                let fits = metadata.topics().iter().filter(|topic| pattern.is_match(topic.name()));
                found = fits.filter(|topic| topic.error().is_none()).flat_map(numbered).collect();
                Ok(())
            })?,
            None => {
                for topic in &self.spec.topics {
                    self.ask(&format!("could not look up topic `{topic}` at"), patience, || {
                        let metadata = self.consumer.fetch_metadata(Some(topic), ASK)?;
                        for topic in metadata.topics() {
                            if let Some(error) = topic.error() {
                                return Err(KafkaError::MetadataFetch(error.into()));
                            }
                            found.extend(numbered(topic));
                        }
                        Ok(())
                    })?;
                }
            }
        }
        found.sort();
        found.dedup();
        Ok(found)
    }

    /// The messages there are of a partition; only committed ones count.
    pub(crate) fn kept(&self, partition: &Partition) -> Result<Kept> {
        let mut kept = Kept { low: 0, high: 0 };
        self.ask(&format!("could not look up the offsets of {} at", partition.name), PATIENCE, || {
            // One after the other: the library's own question for both gives one for the other when a broker fails between.
            let end =
                |offset| self.listed(partition, offset)?.ok_or(KafkaError::OffsetFetch(RDKafkaErrorCode::Unknown));
            kept = Kept { low: end(Offset::Beginning)?, high: end(Offset::End)? };
            Ok(())
        })?;
        Ok(kept)
    }

    /// The offset that a time in milliseconds, the beginning or the end stands for; `None` when there is no message then.
    fn listed(&self, partition: &Partition, wanted: Offset) -> std::result::Result<Option<i64>, KafkaError> {
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(&partition.topic, partition.number, wanted)?;
        let found = self.consumer.offsets_for_times(list, ASK)?;
        let Some(element) = found.elements().into_iter().next() else { return Ok(None) };
        element.error()?;
        match element.offset() {
            Offset::Offset(offset) => Ok(Some(offset)),
            _ => Ok(None),
        }
    }

    /// Where a partition is begun of which nothing is recorded.
    pub(crate) fn first_offset(&self, partition: &Partition, first: Start, kept: Kept) -> Result<i64> {
        let millis = match first {
            Start::Oldest => return Ok(kept.low),
            Start::Latest => return Ok(kept.high),
            Start::Since(millis) => millis,
        };
        let mut offset = kept.high;
        self.ask(&format!("could not look up a time in {} at", partition.name), PATIENCE, || {
            offset = self.listed(partition, Offset::Offset(millis))?.unwrap_or(kept.high);
            Ok(())
        })?;
        Ok(offset)
    }

    /// Begins to read partitions, beside those that are read already.
    pub(crate) fn assign(&self, begun: &[(Partition, i64)]) -> Result<()> {
        if begun.is_empty() {
            return Ok(());
        }
        let doing = || format!("could not read {} of {}", self.spec.topics_in_words(), self.spec.brokers);
        let mut list = TopicPartitionList::new();
        for (partition, offset) in begun {
            list.add_partition_offset(&partition.topic, partition.number, Offset::Offset(*offset))
                .map_err(|error| failure(&doing(), &error, ""))?;
        }
        self.consumer.incremental_assign(&list).map_err(|error| failure(&doing(), &error, ""))
    }

    /// Below which offset everything was polled of each partition, transactions and their ends included.
    pub(crate) fn polled(&self) -> Vec<((String, i32), i64)> {
        let Ok(list) = self.consumer.position() else { return Vec::new() };
        let known = list.elements().into_iter().filter_map(|element| match element.offset() {
            Offset::Offset(offset) => Some(((element.topic().to_owned(), element.partition()), offset)),
            _ => None,
        });
        known.collect()
    }

    /// How far committed messages go, as far as the library knows.
    pub(crate) fn ends(&self) -> BTreeMap<(String, i32), i64> {
        self.watch().ends.clone()
    }

    /// An error met while polling, as one of ours.
    pub(crate) fn read_failure(&self, error: &KafkaError) -> Error {
        let doing = format!("could not read {} of {}", self.spec.topics_in_words(), self.spec.brokers);
        let told = self.watch().error.clone();
        match told {
            Some((code @ RDKafkaErrorCode::MessageSizeTooLarge, _)) => self.told_failure(&doing, code, ""),
            Some((code, words)) if Some(code) == code_of(error) => self.told_failure(&doing, code, &words),
            _ => failure(&doing, error, ""),
        }
    }

    /// What the library told, as an error of ours. When a login failed for want of a token, the reason is another.
    fn told_failure(&self, doing: &str, code: RDKafkaErrorCode, words: &str) -> Error {
        let no_token = self.watch().no_token.clone();
        match no_token {
            Some((kind, why)) if code == RDKafkaErrorCode::Authentication => {
                Error::new(kind, format!("{doing}: {why}"))
            }
            _ => failure(doing, &KafkaError::MessageConsumption(code), words),
        }
    }

    /// Asks until there is an answer, an error that will not pass, or no more patience. A login that failed is only told
    /// by an event, while the question itself just gets no answer.
    fn ask(
        &self,
        doing: &str,
        patience: Duration,
        mut question: impl FnMut() -> std::result::Result<(), KafkaError>,
    ) -> Result<()> {
        let doing = format!("{doing} {}", self.spec.brokers);
        self.watch().error = None;
        let begun = Instant::now();
        let mut refused: Option<Instant> = None;
        loop {
            self.serve_events();
            let error = match question() {
                Ok(()) => return Ok(()),
                Err(error) => error,
            };
            self.serve_events();
            let code = code_of(&error);
            // A broker that has just started answers before it knows its topics.
            let may_start = code.is_some_and(is_unknown_topic) && begun.elapsed() < patience.min(STARTING);
            if !may_start && !code.is_some_and(may_pass) {
                return Err(failure(&doing, &error, ""));
            }
            let told = self.watch().error.clone();
            let is_away = told.as_ref().is_some_and(|(code, _)| is_away(*code));
            let will_pass = told.as_ref().is_none_or(|(code, _)| is_connection(*code));
            let since = is_away.then(|| *refused.get_or_insert(begun));
            let is_over = begun.elapsed() > patience || since.is_some_and(|since| since.elapsed() > REFUSED);
            match told {
                Some((code, words)) if !will_pass || (is_over && is_away) => {
                    return Err(self.told_failure(&doing, code, &words));
                }
                _ if is_over => return Err(failure(&doing, &error, "")),
                _ => {}
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Lets the library tell what it has to tell. Nothing is assigned before somebody reads, so no message is lost.
    fn serve_events(&self) {
        if self.is_read.load(Ordering::Acquire) {
            return;
        }
        // A poll that gives nothing may have served a line of the log, so it does not mean that the queue is empty.
        for _ in 0..100 {
            self.consumer.poll(Duration::ZERO);
        }
    }

    fn watch(&self) -> std::sync::MutexGuard<'_, Told> {
        self.consumer.context().told()
    }
}

/// Lets a thread of its own drop the consumer, once its other owners and what is returned are gone: the library takes
/// up to seconds for that, which no worker may be held up for.
fn drop_aside(consumer: &Arc<BaseConsumer<Watch>>) -> Result<Sender<Infallible>> {
    let (end, ended) = channel();
    let consumer = Arc::clone(consumer);
    let wait = move || {
        // Nothing is ever sent, so this ends when the sender is gone.
        let _ = ended.recv();
        drop(consumer);
    };
    let thread = std::thread::Builder::new().name("kafka end".to_owned()).spawn(wait);
    thread
        .map(|_| end)
        .map_err(|error| Error::unavailable("could not start a thread for a consumer").with_source(error))
}

fn numbered(topic: &MetadataTopic) -> Vec<(String, i32)> {
    topic.partitions().iter().map(|partition| (topic.name().to_owned(), partition.id())).collect()
}

impl Watch {
    fn told(&self) -> std::sync::MutexGuard<'_, Told> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ClientContext for Watch {
    const ENABLE_REFRESH_OAUTH_TOKEN: bool = true;

    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        // What matters comes as an error too; that is told in our words.
        tracing::debug!(target: "librdkafka", ?level, facility, "{message}");
    }

    fn error(&self, error: KafkaError, reason: &str) {
        tracing::debug!(target: "librdkafka", %error, "{reason}");
        let Some(code) = code_of(&error) else { return };
        let code = if is_too_large(reason) { RDKafkaErrorCode::MessageSizeTooLarge } else { code };
        let mut told = self.told();
        // That all brokers are away follows from a login that was refused, and must not hide it.
        let hides = told.error.as_ref().is_some_and(|(known, _)| !is_connection(*known)) && is_connection(code);
        if !hides {
            told.error = Some((code, reason.to_owned()));
        }
    }

    fn stats(&self, statistics: Statistics) {
        let mut told = self.told();
        for (name, topic) in statistics.topics {
            for (number, partition) in topic.partitions {
                let end = if partition.ls_offset >= 0 { partition.ls_offset } else { partition.hi_offset };
                if number >= 0 && end >= 0 {
                    told.ends.insert((name.clone(), number), end);
                }
            }
        }
    }

    fn generate_oauth_token(
        &self,
        _configuration: Option<&str>,
    ) -> std::result::Result<OAuthToken, Box<dyn std::error::Error>> {
        let Some(tokens) = &self.tokens else { return Err("no token was configured".into()) };
        let token = tokens.token();
        self.told().no_token = token.as_ref().err().map(|error| (error.kind(), error.chain()));
        Ok(token.map_err(|error| error.chain())?)
    }
}

impl ConsumerContext for Watch {}

/// A connection that the reader's thread and the stage share.
pub(crate) type SharedConnection = Arc<Connection>;
