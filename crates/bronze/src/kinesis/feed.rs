//! An open source: what was read, and where the table stands.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use lake::Table;
use serde_json::Value;
use stage::{Checkpoint, Context, Error, Gauge, OffsetRange, Result};
use tokio::time::Instant;

use super::buffer::{Buffer, Limits};
use super::client::{Client, Stream};
use super::piece::Piece;
use super::reader::{self, PATIENCE_AT_FIRST, Reading, patiently};
use super::shards::{ShardState, StreamState, first, go_on};
use super::spec::KinesisSpec;
use crate::messages::values::NO_TIME;

/// How long one look at the buffer waits, so that a stop is noticed.
const LOOK: Duration = Duration::from_millis(200);

/// An open source. Dropping it ends the reading.
pub(crate) struct Feed {
    buffer: Arc<Buffer>,
    stream: Stream,
    /// The number of the next batch.
    number: i64,
    /// What the table holds; nothing before its first batch.
    held: Option<StreamState>,
    /// Where the shards are begun: what the table holds, brought up to the shards there are.
    state: StreamState,
    /// Up to which moment a run that is not a stream reads; `None` until it begins.
    until: Option<Instant>,
    /// When the newest record that was committed had come.
    newest: Option<DateTime<Utc>>,
    _reading: Reading,
}

/// What is gathered for one batch.
#[derive(Default)]
pub(crate) struct Gathered {
    rows: u64,
    bytes: u64,
    /// What of it are bytes of records.
    pub(crate) message_bytes: u64,
    /// How far the shards were read with it.
    reached: BTreeMap<String, ShardState>,
    /// When the newest record had come, in microseconds since 1970.
    newest: Option<i64>,
    /// Whether nothing is left that belongs to the run.
    pub(crate) is_last: bool,
}

impl Feed {
    /// Looks the stream up and begins to read where the table stands.
    ///
    /// # Errors
    /// When the service does not answer, the stream does not exist, or records are gone that were not read.
    pub(crate) async fn open(client: Arc<dyn Client>, spec: &KinesisSpec, memory: u64, table: &Table) -> Result<Feed> {
        let stream = patiently(PATIENCE_AT_FIRST, || client.stream()).await?;
        let listed = patiently(PATIENCE_AT_FIRST, || client.shards()).await?;
        let number = table.position(&stream.position).await?;
        let held = held(table, &stream, number)?;
        let (state, warnings) = match &held {
            Some(held) => go_on(spec.on_data_loss, &stream, &listed, held)?,
            None => (first(spec, &stream, &listed)?, Vec::new()),
        };
        warnings.iter().for_each(|warning| tracing::warn!("{warning}"));
        let limits = Limits { held_bytes: memory, max_rows: spec.max_rows, max_bytes: spec.max_bytes };
        let buffer = Arc::new(Buffer::new(limits, &stream.name, state.shards.clone()));
        let reading = reader::start(client, Arc::clone(&buffer), &stream.name, spec.on_data_loss, memory, listed);
        let until = Some(Instant::now());
        Ok(Feed { buffer, stream, number, held, state, until, newest: None, _reading: reading })
    }

    /// The number of the next batch.
    pub(crate) fn number(&self) -> i64 {
        self.number
    }

    /// Makes sure that the table stands where this source left it.
    ///
    /// # Errors
    /// [`stage::Kind::Conflict`] when another writer has read the same stream.
    pub(crate) async fn check_held(&self, table: &Table) -> Result<()> {
        if table.position(&self.stream.position).await? == self.number {
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
        let until = *self.until.get_or_insert_with(Instant::now);
        loop {
            context.check()?;
            let (pieces, is_full) = self.take(gathered, false)?;
            if !pieces.is_empty() || is_full {
                return Ok(pieces);
            }
            if self.buffer.lock().has_reached(until) {
                let (pieces, is_full) = self.take(gathered, true)?;
                if !is_full {
                    gathered.is_last = true;
                    self.until = None;
                }
                return Ok(pieces);
            }
            // A time-out only means to look again.
            let _ = tokio::time::timeout(LOOK, self.buffer.news()).await;
        }
    }

    fn take(&self, gathered: &mut Gathered, unfinished: bool) -> Result<(Vec<Piece>, bool)> {
        let taken = self.buffer.take(gathered.rows, gathered.bytes, unfinished)?;
        gathered.rows += taken.pieces.iter().map(|piece| piece.rows() as u64).sum::<u64>();
        gathered.bytes += taken.pieces.iter().map(|piece| piece.bytes() as u64).sum::<u64>();
        gathered.message_bytes += taken.pieces.iter().map(|piece| piece.message_bytes() as u64).sum::<u64>();
        let times = taken.pieces.iter().flat_map(|piece| &piece.messages.timestamps);
        gathered.newest = gathered.newest.max(times.copied().filter(|time| *time != NO_TIME).max());
        gathered.reached.extend(taken.reached);
        Ok((taken.pieces, taken.is_full))
    }

    /// Whether a batch without rows must be committed all the same: a start that another moment would choose
    /// differently is kept, and so is what became of the shards.
    pub(crate) fn is_worth_a_commit(&self, gathered: &Gathered, start: &str) -> bool {
        match &self.held {
            None => start != "trim_horizon" && !self.state.shards.is_empty(),
            Some(held) => held.is_outdated_by(&gathered.reached, self.stream.retention_hours),
        }
    }

    /// How long until there is a batch for a stream: at once when there is enough, or when the table should be told
    /// what became of the shards; never when there is nothing.
    pub(crate) fn due_in(&self, trigger: Duration) -> Option<Duration> {
        let retention_hours = self.stream.retention_hours;
        let is_outdated =
            self.held.as_ref().is_some_and(|held| held.is_outdated_by(&self.buffer.lock().reached, retention_hours));
        if is_outdated { Some(Duration::ZERO) } else { self.buffer.due_in(trigger) }
    }

    /// Ends when something may have changed since the last time.
    pub(crate) async fn news(&self) {
        self.buffer.news().await;
    }

    /// The positions that a batch moves: the number of the batch.
    pub(crate) fn range(&self) -> OffsetRange {
        let id = &self.stream.position;
        OffsetRange { from: Checkpoint::of(id, self.number), to: Checkpoint::of(id, self.number + 1) }
    }

    /// What the commit of a batch says of the shards.
    ///
    /// # Errors
    /// [`stage::Kind::Bug`] when it cannot be written.
    pub(crate) fn states(&self, gathered: &Gathered) -> Result<BTreeMap<String, Value>> {
        let state = serde_json::to_value(self.state.advanced_by(&gathered.reached))
            .map_err(|error| Error::bug("could not write where shards stand").with_source(error))?;
        Ok(BTreeMap::from([(self.stream.position.clone(), state)]))
    }

    /// Notes that a batch was committed.
    pub(crate) fn committed(&mut self, gathered: &Gathered) {
        self.number += 1;
        self.state = self.state.advanced_by(&gathered.reached);
        self.held = Some(self.state.clone());
        self.newest = gathered.newest.and_then(DateTime::from_timestamp_micros).max(self.newest);
    }

    /// How new the table is.
    pub(crate) fn gauges(&self) -> Vec<Gauge> {
        self.newest.map(Gauge::EventTime).into_iter().collect()
    }
}

/// What the table holds of a stream.
///
/// # Errors
/// [`stage::Kind::Data`] when it has read batches and its log no longer tells where the shards stand.
fn held(table: &Table, stream: &Stream, number: i64) -> Result<Option<StreamState>> {
    let unknown = |why: &str| {
        let name = table.name();
        Error::data(format!(
            "where the shards of {} stand is no longer known: {name} has read {number} batches of it, but {why}; delete \
             the folder {} in the lake, then run again, which reads what the stream still keeps",
            stream.name,
            name.path()
        ))
    };
    let state = table.record().and_then(|(_, record)| record.states.get(&stream.position));
    match state {
        Some(state) => {
            let read = serde_json::from_value(state.clone());
            read.map(Some).map_err(|error| unknown("its record cannot be read").with_source(error))
        }
        None if number == 0 => Ok(None),
        None => Err(unknown("its log was cleaned by another program")),
    }
}

#[cfg(test)]
mod tests;
