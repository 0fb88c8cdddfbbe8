//! An open source: the consumer, what was polled, and where the table stands.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use lake::Table;
use quality::batch::next_number;
use stage::{Checkpoint, Error, Gauge, OffsetRange, Result};
use tokio::runtime::Handle;
use tokio::time::Instant;

use super::buffer::Buffer;
use super::connection::{Connection, PATIENCE, SharedConnection};
use super::kind::KIND;
use super::positions::{Partition, first_of, go_on, range};
use super::reader::Reader;
use super::scout::Scout;
use super::settings::client_config;
use super::spec::{KafkaSecrets, KafkaSpec};
use super::token::Tokens;
use crate::messages::feed::{DROPPED, Feed, Opened};
use crate::messages::kind::MessageKind;
use crate::messages::payload::TOMBSTONE;
use crate::messages::waiting::{Limits, Taken};

/// How long no message may come before the end that was found is looked at again.
const STALL: Duration = Duration::from_secs(20);

/// An open source.
pub(crate) struct KafkaFeed {
    connection: SharedConnection,
    buffer: Arc<Buffer>,
    /// The positions of the table as this source last left them.
    held: Checkpoint,
    /// Where each partition was begun.
    begun: BTreeMap<u32, i64>,
    /// Whether a start at another moment would begin elsewhere.
    depends_on_start: bool,
    /// Below which offset everything was committed.
    committed: BTreeMap<u32, i64>,
}

impl KafkaFeed {
    /// Connects and begins to read where the table stands.
    ///
    /// # Errors
    /// When the cluster does not answer, a topic does not exist, or messages are gone that were not read.
    pub(crate) async fn open(
        spec: &KafkaSpec,
        secrets: &KafkaSecrets,
        memory: u64,
        table: &Table,
    ) -> Result<Opened<KafkaFeed>> {
        let config = client_config(spec, secrets, memory)?;
        let tokens = Tokens::of(spec, secrets, &Handle::current());
        let (of_client, patience) = (spec.clone(), PATIENCE);
        let (connection, partitions) = blocking(move || {
            let connection = Connection::new(&config, &of_client, tokens)?;
            let cluster = connection.cluster_id()?;
            let found = connection.partitions(patience)?;
            let partitions = found.iter().map(|(topic, number)| Partition::new(&cluster, topic, *number));
            Ok(((connection, cluster.clone()), partitions.collect::<Vec<_>>()))
        })
        .await?;
        let (connection, cluster) = connection;
        if partitions.is_empty() {
            tracing::warn!(topics = %spec.topics_in_words(), brokers = %spec.brokers, "there is no topic to read yet");
        }
        let held = held(table, &partitions).await?;
        let limits = Limits { held_bytes: memory, max_rows: spec.max_rows, max_bytes: spec.max_bytes };
        let tombstone = if spec.format.is_single_value() { b"" } else { TOMBSTONE };
        let buffer = Arc::new(Buffer::new(limits, tombstone));
        let depends_on_start = spec.start != KIND.oldest;
        let (spec, of_reader, known) = (spec.clone(), Arc::clone(&buffer), held.clone());
        let (connection, begun, ends) = blocking(move || {
            let (begun, ends) = where_to_begin(&connection, &spec, &cluster, partitions, &known)?;
            connection.assign(&begun)?;
            let connection = Arc::new(connection);
            of_reader.lock().add(&begun);
            let on_data_loss = spec.on_data_loss;
            let of_scout = Arc::clone(&connection);
            Reader::start(Scout { connection: of_scout, buffer: of_reader, cluster, held: known, on_data_loss })?;
            Ok((connection, begun, ends))
        })
        .await?;
        let begun: BTreeMap<u32, i64> = (0..).zip(begun.into_iter().map(|(_, offset)| offset)).collect();
        let committed = begun.clone();
        Ok(Opened::new(KafkaFeed { connection, buffer, held, begun, depends_on_start, committed }, ends))
    }

    fn partitions(&self) -> Arc<Vec<Partition>> {
        Arc::clone(&self.buffer.lock().partitions)
    }

    /// Whether the table does not know where reading began, although a start at another moment would begin elsewhere.
    fn is_begin_unknown(&self) -> bool {
        self.depends_on_start && !self.begun.is_empty() && self.held.is_empty()
    }

    /// Whether the batch passes offsets of which the table does not know: those of messages that nobody sees, or that are
    /// gone. Once the table knows, nobody takes them for lost when the broker deletes them.
    fn has_passed_unknown(&self, moved: &BTreeMap<u32, i64>) -> bool {
        let partitions = self.partitions();
        moved.iter().any(|(number, next)| {
            let held = partitions.get(*number as usize).and_then(|partition| self.held.get(&partition.id));
            held.or_else(|| self.begun.get(number).copied()).is_some_and(|known| known != *next)
        })
    }
}

impl Feed for KafkaFeed {
    const KIND: MessageKind = KIND;
    /// The next offset of every partition that moved.
    type Moved = BTreeMap<u32, i64>;
    /// The end of each partition.
    type End = BTreeMap<u32, i64>;

    fn take(&self, rows: u64, bytes: u64, unfinished: bool) -> Result<Taken<BTreeMap<u32, i64>>> {
        self.buffer.take(rows, bytes, unfinished)
    }

    async fn news(&self) {
        self.buffer.news().await;
    }

    fn due_in(&self, trigger: Duration) -> Option<Duration> {
        self.buffer.due_in(trigger)
    }

    async fn find_end(&self) -> Result<BTreeMap<u32, i64>> {
        let (connection, partitions) = (Arc::clone(&self.connection), self.partitions());
        blocking(move || {
            let ends = (0..).zip(partitions.iter()).map(|(number, one)| Ok((number, connection.kept(one)?.high)));
            ends.collect()
        })
        .await
    }

    /// Whether everything below the ends was polled.
    ///
    /// # Errors
    /// When nothing comes any more although it should: that what is there cannot be had must not pass for its end.
    async fn is_at_end(&self, ends: &BTreeMap<u32, i64>, since: Instant) -> Result<bool> {
        let (short, moved) = {
            let held = self.buffer.lock();
            (held.reached(ends), held.moved)
        };
        let Err((number, polled, end)) = short else { return Ok(true) };
        if moved.map_or(since, |moved| moved.max(since)).elapsed() < STALL {
            return Ok(false);
        }
        let Some(partition) = self.partitions().get(number as usize).cloned() else { return Ok(true) };
        let (connection, name) = (Arc::clone(&self.connection), partition.name.clone());
        blocking(move || connection.kept(&partition)).await?;
        Err(Error::unavailable(format!(
            "no message of {name} came for {} s, though it goes on from offset {polled} to {end}; what came since the last \
             commit is read again",
            STALL.as_secs()
        )))
    }

    async fn check_held(&self, table: &Table) -> Result<()> {
        let partitions = self.partitions();
        let now = held(table, &partitions).await?;
        let is_held = |partition: &Partition| now.get(&partition.id) == self.held.get(&partition.id);
        if partitions.iter().all(is_held) { Ok(()) } else { Err(table.overtaken(DROPPED)) }
    }

    fn is_worth_a_commit(&self, moved: &BTreeMap<u32, i64>) -> bool {
        self.is_begin_unknown() || self.has_passed_unknown(moved)
    }

    fn number(&self, table: &Table) -> i64 {
        next_number(table)
    }

    /// Partitions that were begun and not moved are pinned where they were begun.
    fn range(&self, moved: &BTreeMap<u32, i64>) -> OffsetRange {
        let partitions = self.partitions();
        let pinned = self.begun.iter().map(|(number, offset)| (*number, *offset));
        let unknown = pinned.filter(|(number, _)| {
            partitions.get(*number as usize).is_some_and(|partition| self.held.get(&partition.id).is_none())
        });
        let mut next: BTreeMap<u32, i64> = unknown.collect();
        next.extend(moved);
        range(&partitions, &self.held, &next)
    }

    fn committed(&mut self, moved: &BTreeMap<u32, i64>) {
        self.held = self.held.advanced_by(&self.range(moved).to);
        self.committed.extend(moved);
    }

    fn lag(&self) -> Vec<Gauge> {
        let ends = self.connection.ends();
        let partitions = self.partitions();
        let lag = (0..).zip(partitions.iter()).filter_map(|(number, partition)| {
            let end = ends.get(&(partition.topic.clone(), partition.number))?;
            let behind = end - self.committed.get(&number)?;
            Some(Gauge::Lag { partition: partition.name.clone(), rows: u64::try_from(behind).unwrap_or(0) })
        });
        lag.collect()
    }
}

impl Drop for KafkaFeed {
    fn drop(&mut self) {
        self.buffer.close();
    }
}

type Begun = (Vec<(Partition, i64)>, BTreeMap<u32, i64>);

/// Where every partition is begun, and where it ends now.
fn where_to_begin(
    connection: &Connection,
    spec: &KafkaSpec,
    cluster: &str,
    partitions: Vec<Partition>,
    held: &Checkpoint,
) -> Result<Begun> {
    let (mut begun, mut ends) = (Vec::with_capacity(partitions.len()), BTreeMap::new());
    for (number, partition) in (0..).zip(partitions) {
        let kept = connection.kept(&partition)?;
        let offset = match held.get(&partition.id) {
            Some(recorded) => {
                let (offset, warning) = go_on(&partition, recorded, kept, spec.on_data_loss)?;
                if let Some(warning) = warning {
                    tracing::warn!("{warning}");
                }
                offset
            }
            None => connection.first_offset(&partition, first_of(&partition, held, cluster, spec)?, kept)?,
        };
        ends.insert(number, kept.high);
        begun.push((partition, offset));
    }
    Ok((begun, ends))
}

/// The positions of partitions that the table holds.
async fn held(table: &Table, partitions: &[Partition]) -> Result<Checkpoint> {
    let mut held = table.positions();
    for partition in partitions.iter().filter(|partition| table.positions().get(&partition.id).is_none()) {
        // Where a record is gone the log does not tell 0 from nothing, and reading begins at the same place for both.
        let position = table.position(&partition.id).await?;
        if position > 0 {
            held.set(&partition.id, position);
        }
    }
    Ok(held)
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    let joined = tokio::task::spawn_blocking(work).await;
    joined.map_err(|error| Error::bug("asking the cluster ended unexpectedly").with_source(error))?
}
