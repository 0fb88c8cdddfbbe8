//! The changes of a batch in memory, by key: all of them, or those of a range of keys.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use ::stage::{Error, Result};
use arrow::array::{BooleanArray, RecordBatch};
use arrow::compute::filter_record_batch;
use arrow::row::{OwnedRow, Row};
use lake::Add;
use sql::KeyMap;

use super::chunk::{Chunk, Chunks, Event, Kind, Origin, Place, compacted};
use super::job::Job;
use super::layout::hashes;
use super::rules::holds;
use super::streams::each;

/// How far a range may be above its share of the memory, as ranges are cut by a sample.
const TOLERANCE: usize = 4;
/// Memory of a change beside its row: its place among those of its key, and the key.
const BYTES_PER_EVENT: usize = 120;

/// Keys from one on, up to another; to the end where that is `None`.
#[derive(Debug, Clone, Default)]
pub(crate) struct KeyRange {
    pub(crate) from: Option<OwnedRow>,
    pub(crate) to: Option<OwnedRow>,
}

impl KeyRange {
    pub(crate) fn contains(&self, key: Row<'_>) -> bool {
        self.from.as_ref().is_none_or(|from| key >= from.row()) && self.to.as_ref().is_none_or(|to| key < to.row())
    }

    pub(crate) fn is_everything(&self) -> bool {
        self.from.is_none() && self.to.is_none()
    }
}

/// Files with the rows of a batch.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Staging<'a> {
    /// Rows that came.
    pub(crate) changes: &'a [Add],
    /// Rows that are gone upstream.
    pub(crate) retracted: &'a [Add],
}

/// Changes by key.
#[derive(Debug, Default)]
pub(crate) struct Incoming {
    pub(crate) chunks: Chunks,
    pub(crate) events: KeyMap<Vec<Event>>,
}

/// Changes as far as memory held them.
pub(crate) enum Loaded {
    Whole(Incoming),
    /// Too many for the memory: about so many bytes for each row.
    TooMany {
        bytes_per_row: usize,
    },
}

/// Some rows with what they are.
struct Piece {
    chunk: Chunk,
    keys: Vec<u128>,
    deletes: Option<BooleanArray>,
}

/// How much was loaded, counted by all workers.
#[derive(Debug, Default)]
struct Tally {
    rows: AtomicUsize,
    bytes: AtomicUsize,
}

impl Incoming {
    /// Reads the changes of a range of keys into at most about `limit` bytes.
    pub(crate) async fn load(job: &Arc<Job>, staging: Staging<'_>, range: &KeyRange, limit: usize) -> Result<Loaded> {
        let tally = Arc::new(Tally::default());
        let mut incoming = Incoming::default();
        for (files, is_retracted) in [(staging.changes, false), (staging.retracted, true)] {
            let (work, counted, wanted) = (job.clone(), tally.clone(), range.clone());
            let limit = if range.is_everything() { limit } else { limit * TOLERANCE };
            let load = move |rows| match counted.bytes.load(Ordering::Relaxed) > limit {
                true => Ok(None),
                false => work.piece(rows, &wanted, &counted, is_retracted),
            };
            let streams = job.read_staged(files, &job.layout.schema).await?;
            for piece in each(streams, &job.context, load).await? {
                incoming.push(piece, is_retracted)?;
            }
        }
        let (rows, bytes) = (tally.rows.load(Ordering::Relaxed), tally.bytes.load(Ordering::Relaxed));
        match bytes > limit && range.is_everything() {
            true => Ok(Loaded::TooMany { bytes_per_row: bytes / rows.max(1) }),
            false if bytes > limit * TOLERANCE => Err(too_uneven(job)),
            false => Ok(Loaded::Whole(incoming)),
        }
    }

    fn push(&mut self, piece: Piece, is_retracted: bool) -> Result<()> {
        let chunk = self.chunks.push(piece.chunk)?;
        for (row, key) in piece.keys.into_iter().enumerate() {
            let kind = match (is_retracted, holds(piece.deletes.as_ref(), row)) {
                (true, _) => Kind::Retract,
                (false, true) => Kind::Delete,
                (false, false) => Kind::Change,
            };
            let place = Place { chunk, row: u32::try_from(row).unwrap_or(u32::MAX) };
            self.events.entry(key).or_default().push(Event { place, kind, origin: Origin::New });
        }
        Ok(())
    }
}

impl Job {
    /// Those of the rows that count, ready to be folded.
    fn piece(&self, rows: RecordBatch, range: &KeyRange, tally: &Tally, is_retracted: bool) -> Result<Option<Piece>> {
        let keys = self.layout.keys(&rows)?;
        let truncates = if is_retracted { None } else { self.conditions.truncates(&rows)? };
        let sequences = self.layout.sequences(&rows)?;
        let is_of_snapshot = |row: usize| self.snapshot.as_ref().is_none_or(|newest| newest.is_of(sequences.row(row)));
        let counts =
            |row: usize| range.contains(keys.row(row)) && !holds(truncates.as_ref(), row) && is_of_snapshot(row);
        let wanted: BooleanArray = (0..rows.num_rows()).map(|row| Some(counts(row))).collect();
        let failed = |error| Error::bug("could not choose the rows of a merge").with_source(error);
        let rows = filter_record_batch(&rows, &wanted).map_err(failed)?;
        if rows.num_rows() == 0 {
            return Ok(None);
        }
        let rows = compacted(&rows)?;
        let deletes = if is_retracted { None } else { self.conditions.deletes(&rows)? };
        let keys = hashes(&self.layout.keys(&rows)?);
        let chunk = Chunk::new(&self.layout, rows)?;
        tally.rows.fetch_add(keys.len(), Ordering::Relaxed);
        tally.bytes.fetch_add(chunk.bytes() + keys.len() * BYTES_PER_EVENT, Ordering::Relaxed);
        Ok(Some(Piece { chunk, keys, deletes }))
    }
}

fn too_uneven(job: &Job) -> Error {
    Error::data(format!(
        "a batch for {} has more changes of a few keys than fit into the memory; raise `memory` in medallion.toml",
        job.table.name()
    ))
}
