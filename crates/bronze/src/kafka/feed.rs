//! An open source: the consumer, what was polled, and where the table stands.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use lake::Table;
use stage::{Checkpoint, Context, Error, Gauge, OffsetRange, Result};
use tokio::runtime::Handle;

use super::batch::Piece;
use super::buffer::{Buffer, Limits};
use super::connection::{Connection, PATIENCE, SharedConnection};
use super::positions::{Partition, first_of, go_on, range};
use super::reader::Reader;
use super::scout::Scout;
use super::settings::client_config;
use super::spec::{KafkaSecrets, KafkaSpec};
use super::token::Tokens;
use crate::messages::payload::TOMBSTONE;
use crate::messages::values::NO_TIME;

/// How long no message may come before the end that was found is looked at again.
const STALL: Duration = Duration::from_secs(20);
/// How long one look at the buffer waits, so that a stop is noticed.
const LOOK: Duration = Duration::from_millis(200);

/// An open source. Dropping it ends the reader.
pub(crate) struct Feed {
    connection: SharedConnection,
    pub(crate) buffer: Arc<Buffer>,
    /// The positions of the table as this source last left them.
    held: Checkpoint,
    /// Where each partition was begun.
    begun: BTreeMap<u32, i64>,
    /// Where a run that is not a stream ends; `None` until it begins.
    ends: Option<BTreeMap<u32, i64>>,
    /// Below which offset everything was committed.
    committed: BTreeMap<u32, i64>,
    /// The time of the newest message that was committed.
    newest: Option<DateTime<Utc>>,
}

/// What is gathered for one batch.
#[derive(Default)]
pub(crate) struct Gathered {
    rows: u64,
    bytes: u64,
    /// What of it are bytes of messages.
    pub(crate) message_bytes: u64,
    /// The next offset of every partition that moved.
    next: BTreeMap<u32, i64>,
    newest: Option<i64>,
    /// Whether nothing is left that belongs to the run.
    pub(crate) is_last: bool,
}

impl Feed {
    /// Connects and begins to read where the table stands.
    ///
    /// # Errors
    /// When the cluster does not answer, a topic does not exist, or messages are gone that were not read.
    pub(crate) async fn open(spec: &KafkaSpec, secrets: &KafkaSecrets, memory: u64, table: &Table) -> Result<Feed> {
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
        let (committed, ends) = (begun.clone(), Some(ends));
        Ok(Feed { connection, buffer, held, begun, ends, committed, newest: None })
    }

    /// Makes sure that the table stands where this source left it.
    ///
    /// # Errors
    /// [`stage::Kind::Conflict`] when another writer has read the same partitions.
    pub(crate) async fn check_held(&self, table: &Table) -> Result<()> {
        let partitions = self.buffer.lock().partitions.clone();
        let now = held(table, &partitions).await?;
        if partitions.iter().all(|partition| now.get(&partition.id) == self.held.get(&partition.id)) {
            return Ok(());
        }
        let winner = table.record().map_or("unknown", |(_, record)| record.run.as_str());
        Err(Error::conflict(format!(
            "another writer of the same source was faster on {}: run {winner} committed version {}; what was read \
             since was dropped",
            table.name(),
            table.version().unwrap_or_default()
        )))
    }

    /// The next pieces of a batch; none when it is complete. A stream takes what has come and does not wait.
    ///
    /// # Errors
    /// When reading failed or is to stop.
    pub(crate) async fn gather(&mut self, gathered: &mut Gathered, context: &Context) -> Result<Vec<Piece>> {
        if gathered.is_last {
            return Ok(Vec::new());
        }
        if context.streaming {
            gathered.is_last = true;
            return self.take(gathered, true).map(|(pieces, _)| pieces);
        }
        if self.ends.is_none() {
            self.ends = Some(self.look_for_ends().await?);
        }
        let mut moved = Instant::now();
        loop {
            context.check()?;
            let (pieces, is_full) = self.take(gathered, false)?;
            if !pieces.is_empty() || is_full {
                return Ok(pieces);
            }
            if self.is_at_end(&mut moved).await? {
                let (pieces, is_full) = self.take(gathered, true)?;
                if !is_full {
                    gathered.is_last = true;
                    self.ends = None;
                }
                return Ok(pieces);
            }
            // A time-out only means to look again.
            let _ = tokio::time::timeout(LOOK, self.buffer.news()).await;
        }
    }

    fn take(&self, gathered: &mut Gathered, unfinished: bool) -> Result<(Vec<Piece>, bool)> {
        let taken = self.buffer.take(gathered.rows, gathered.bytes, unfinished)?;
        for piece in &taken.pieces {
            gathered.rows += piece.rows() as u64;
            gathered.bytes += piece.bytes() as u64;
            gathered.message_bytes += piece.message_bytes() as u64;
            let newest = piece.timestamps.iter().copied().filter(|time| *time != NO_TIME).max();
            gathered.newest = gathered.newest.max(newest);
        }
        gathered.next.extend(taken.next);
        Ok((taken.pieces, taken.is_full))
    }

    /// Whether everything below the ends was polled.
    ///
    /// # Errors
    /// When nothing comes any more although it should: that what is there cannot be had must not pass for its end.
    async fn is_at_end(&mut self, moved: &mut Instant) -> Result<bool> {
        let ends = self.ends.clone().unwrap_or_default();
        let (short, last, partitions) = {
            let held = self.buffer.lock();
            (held.reached(&ends), held.moved, held.partitions.clone())
        };
        let Err((number, polled, end)) = short else { return Ok(true) };
        *moved = (*moved).max(last.unwrap_or(*moved));
        if moved.elapsed() < STALL {
            return Ok(false);
        }
        *moved = Instant::now();
        let Some(partition) = partitions.get(number as usize).cloned() else { return Ok(true) };
        let (connection, name) = (Arc::clone(&self.connection), partition.name.clone());
        blocking(move || connection.kept(&partition)).await?;
        Err(Error::unavailable(format!(
            "no message of {name} came for {} s, though it goes on from offset {polled} to {end}; what came since the last \
             commit is read again",
            STALL.as_secs()
        )))
    }

    async fn look_for_ends(&self) -> Result<BTreeMap<u32, i64>> {
        let connection = Arc::clone(&self.connection);
        let partitions = self.buffer.lock().partitions.clone();
        blocking(move || {
            let ends = (0..).zip(partitions.iter()).map(|(number, one)| Ok((number, connection.kept(one)?.high)));
            ends.collect()
        })
        .await
    }

    /// Whether the table knows where reading began.
    pub(crate) fn is_pinned(&self) -> bool {
        self.begun.is_empty() || !self.held.is_empty()
    }

    /// Whether the batch passes offsets of which the table does not know: those of messages that nobody sees, or that are
    /// gone. Once the table knows, nobody takes them for lost when the broker deletes them.
    pub(crate) fn has_passed_unknown(&self, gathered: &Gathered) -> bool {
        let partitions = self.buffer.lock().partitions.clone();
        gathered.next.iter().any(|(number, next)| {
            let held = partitions.get(*number as usize).and_then(|partition| self.held.get(&partition.id));
            held.or_else(|| self.begun.get(number).copied()).is_some_and(|known| known != *next)
        })
    }

    /// The range of a batch. Partitions that were begun and not moved are pinned where they were begun.
    pub(crate) fn range(&self, gathered: &Gathered) -> OffsetRange {
        let partitions = self.buffer.lock().partitions.clone();
        let pinned = self.begun.iter().map(|(number, offset)| (*number, *offset));
        let unknown = pinned.filter(|(number, _)| {
            partitions.get(*number as usize).is_some_and(|partition| self.held.get(&partition.id).is_none())
        });
        let mut next: BTreeMap<u32, i64> = unknown.collect();
        next.extend(&gathered.next);
        range(&partitions, &self.held, &next)
    }

    /// Notes that a batch was committed.
    pub(crate) fn committed(&mut self, gathered: &Gathered, range: &OffsetRange) {
        self.held = self.held.advanced_by(&range.to);
        self.committed.extend(&gathered.next);
        self.newest = gathered.newest.and_then(DateTime::from_timestamp_micros).max(self.newest);
    }

    /// How far behind the table is, and how new.
    pub(crate) fn gauges(&self) -> Vec<Gauge> {
        let ends = self.connection.ends();
        let partitions = self.buffer.lock().partitions.clone();
        let lag = (0..).zip(partitions.iter()).filter_map(|(number, partition)| {
            let end = ends.get(&(partition.topic.clone(), partition.number))?;
            let behind = end - self.committed.get(&number)?;
            Some(Gauge::Lag { partition: partition.name.clone(), rows: u64::try_from(behind).unwrap_or(0) })
        });
        lag.chain(self.newest.map(Gauge::EventTime)).collect()
    }
}

impl Drop for Feed {
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
