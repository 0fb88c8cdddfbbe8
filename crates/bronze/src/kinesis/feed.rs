//! An open source: what was read, and where the table stands.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use lake::Table;
use serde_json::Value;
use stage::{Checkpoint, Error, OffsetRange, Result};
use tokio::time::Instant;

use super::buffer::{Buffer, Reached};
use super::client::{Client, Stream};
use super::kind::KIND;
use super::reader::{self, PATIENCE_AT_FIRST, Reading, patiently};
use super::shards::{StreamState, first, go_on};
use super::spec::KinesisSpec;
use crate::messages::feed::{DROPPED, Feed, Opened};
use crate::messages::kind::MessageKind;
use crate::messages::waiting::{Limits, Taken};

/// An open source.
pub(crate) struct KinesisFeed {
    buffer: Arc<Buffer>,
    stream: Stream,
    /// The number of the next batch.
    number: i64,
    /// What the table holds; nothing before its first batch.
    held: Option<StreamState>,
    /// Where the shards are begun: what the table holds, brought up to the shards there are.
    state: StreamState,
    /// Whether a start at another moment would begin elsewhere.
    depends_on_start: bool,
    _reading: Reading,
}

impl KinesisFeed {
    /// Looks the stream up and begins to read where the table stands.
    ///
    /// # Errors
    /// When the service does not answer, the stream does not exist, or records are gone that were not read.
    pub(crate) async fn open(
        client: Arc<dyn Client>,
        spec: &KinesisSpec,
        memory: u64,
        table: &Table,
    ) -> Result<Opened<KinesisFeed>> {
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
        let depends_on_start = spec.start != KIND.oldest;
        let feed = KinesisFeed { buffer, stream, number, held, state, depends_on_start, _reading: reading };
        Ok(Opened::new(feed, Instant::now()))
    }
}

impl Feed for KinesisFeed {
    const KIND: MessageKind = KIND;
    type Moved = Reached;
    /// The moment up to which records are read.
    type End = Instant;

    fn take(&self, rows: u64, bytes: u64, unfinished: bool) -> Result<Taken<Reached>> {
        self.buffer.take(rows, bytes, unfinished)
    }

    async fn news(&self) {
        self.buffer.news().await;
    }

    /// At once also when the table should be told what became of the shards.
    fn due_in(&self, trigger: Duration) -> Option<Duration> {
        let retention_hours = self.stream.retention_hours;
        let is_outdated =
            self.held.as_ref().is_some_and(|held| held.is_outdated_by(&self.buffer.lock().reached, retention_hours));
        if is_outdated { Some(Duration::ZERO) } else { self.buffer.due_in(trigger) }
    }

    async fn find_end(&self) -> Result<Instant> {
        Ok(Instant::now())
    }

    async fn is_at_end(&self, end: &Instant, _since: Instant) -> Result<bool> {
        Ok(self.buffer.lock().has_reached(*end))
    }

    async fn check_held(&self, table: &Table) -> Result<()> {
        let is_held = table.position(&self.stream.position).await? == self.number;
        if is_held { Ok(()) } else { Err(table.overtaken(DROPPED)) }
    }

    /// A start that another moment would choose differently is kept, and so is what became of the shards.
    fn is_worth_a_commit(&self, moved: &Reached) -> bool {
        match &self.held {
            None => self.depends_on_start && !self.state.shards.is_empty(),
            Some(held) => held.is_outdated_by(moved, self.stream.retention_hours),
        }
    }

    fn number(&self, _table: &Table) -> i64 {
        self.number
    }

    /// The position is the number of the batch.
    fn range(&self, _moved: &Reached) -> OffsetRange {
        let id = &self.stream.position;
        OffsetRange { from: Checkpoint::of(id, self.number), to: Checkpoint::of(id, self.number + 1) }
    }

    /// Where the shards stand.
    fn states(&self, moved: &Reached) -> Result<BTreeMap<String, Value>> {
        let state = serde_json::to_value(self.state.advanced_by(moved))
            .map_err(|error| Error::bug("could not write where shards stand").with_source(error))?;
        Ok(BTreeMap::from([(self.stream.position.clone(), state)]))
    }

    fn committed(&mut self, moved: &Reached) {
        self.number += 1;
        self.state = self.state.advanced_by(moved);
        self.held = Some(self.state.clone());
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
