//! The changes of a batch in memory, by key: all of them, or, where they are too many, one range of keys after the other.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use ::stage::{Error, Result};
use arrow::array::{AsArray as _, BooleanArray, RecordBatch};
use arrow::compute::filter_record_batch;
use arrow::datatypes::Int64Type;
use arrow::row::{OwnedRow, Row};
use futures::StreamExt as _;
use lake::Add;
use sql::{KeyMap, RowStream, TABLE_COLUMN};

use super::chunk::{Chunk, Chunks, Event, Kind, Origin, Place, compacted};
use super::job::Job;
use super::layout::{hashes, projected};
use super::rules::holds;
use super::streams::each;

/// How far the changes of a single key may go beyond the share of the memory.
const TOLERANCE: usize = 4;
/// What a row may take at the most, where rows are taken a few at a time so as not to overshoot.
const BYTES_OF_A_ROW: usize = 1024;
/// How much larger rows are in memory than in their files, about.
const UNPACKED: usize = 4;
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

/// Some rows with what they are.
struct Piece {
    chunk: Chunk,
    keys: Vec<u128>,
    deletes: Option<BooleanArray>,
}

/// Changes in the order of their keys, taken as many at a time as the memory holds.
pub(crate) struct Ranges {
    rows: RowStream,
    /// Rows that were read and belong to the next range.
    waiting: VecDeque<RecordBatch>,
    from: Option<OwnedRow>,
    is_at_end: bool,
}

impl Incoming {
    /// All changes; `None` when they take more than about `limit` bytes.
    pub(crate) async fn load(job: &Arc<Job>, staging: Staging<'_>, limit: usize) -> Result<Option<Incoming>> {
        if staging.estimated_bytes() > limit {
            return Ok(None);
        }
        let loaded = Arc::new(AtomicUsize::new(0));
        let mut incoming = Incoming::default();
        for (files, is_retracted) in [(staging.changes, false), (staging.retracted, true)] {
            let (work, loaded) = (job.clone(), loaded.clone());
            let load = move |rows| {
                if loaded.load(Ordering::Relaxed) > limit {
                    return Ok(None);
                }
                let piece = work.piece(rows, is_retracted)?;
                loaded.fetch_add(piece.as_ref().map_or(0, Piece::bytes), Ordering::Relaxed);
                Ok(piece)
            };
            let streams = job.read_staged(files, &job.layout.schema).await?;
            for piece in each(streams, &job.context, load).await? {
                incoming.push(piece, is_retracted)?;
            }
        }
        Ok((loaded.load(Ordering::Relaxed) <= limit).then_some(incoming))
    }

    /// Takes in rows that tell themselves which of them are retracted, and returns about how much memory they take.
    fn add(&mut self, job: &Job, rows: RecordBatch) -> Result<usize> {
        let table = rows.column_by_name(TABLE_COLUMN).map(|number| number.as_primitive::<Int64Type>().clone());
        let table = table.ok_or_else(|| Error::bug("rows in order do not tell where they are from"))?;
        let rows = projected(&rows, &job.layout.schema)?;
        let mut bytes = 0;
        for is_retracted in [false, true] {
            let own: BooleanArray = table.iter().map(|number| Some((number != Some(0)) == is_retracted)).collect();
            if let Some(piece) = job.piece(filtered(&rows, &own)?, is_retracted)? {
                bytes += piece.bytes();
                self.push(piece, is_retracted)?;
            }
        }
        Ok(bytes)
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

impl Ranges {
    /// Puts all changes in the order of their keys.
    pub(crate) async fn open(job: &Job, staging: Staging<'_>) -> Result<Ranges> {
        let retracted = Some(staging.retracted).filter(|files| !files.is_empty());
        let tables = std::iter::once(staging.changes).chain(retracted);
        let tables = tables.map(|files| job.table.scan(files, &job.layout.schema, &[])).collect::<Result<Vec<_>>>()?;
        let keys: Vec<String> = job.layout.key_columns().fields().iter().map(|key| key.name().clone()).collect();
        let rows = sql::sorted(&job.engine, tables, &keys, &job.layout.schema).await?;
        Ok(Ranges { rows, waiting: VecDeque::new(), from: None, is_at_end: false })
    }

    /// The changes of the next range of keys, of about `limit` bytes; `None` after the last.
    pub(crate) async fn next(&mut self, job: &Job, limit: usize) -> Result<Option<(KeyRange, Incoming)>> {
        if self.is_at_end {
            return Ok(None);
        }
        let mut incoming = Incoming::default();
        let (mut bytes, mut last): (usize, Option<OwnedRow>) = (0, None);
        let from = self.from.take();
        while let Some(rows) = self.rows(limit / BYTES_OF_A_ROW).await? {
            job.context.check()?;
            let keys = job.layout.keys(&rows)?;
            let is_other = |last: &OwnedRow| (0..rows.num_rows()).find(|row| keys.row(*row) != last.row());
            let next = last.as_ref().filter(|_| bytes > limit).map(is_other);
            if let Some(None) = next
                && bytes > limit.saturating_mul(TOLERANCE)
            {
                return Err(too_many_of_a_key(job));
            }
            let next = next.flatten();
            bytes += incoming.add(job, rows.slice(0, next.unwrap_or(rows.num_rows())))?;
            if let Some(next) = next {
                self.from = Some(keys.row(next).owned());
                self.wait(rows.slice(next, rows.num_rows() - next));
                return Ok(Some((KeyRange { from, to: self.from.clone() }, incoming)));
            }
            last = rows.num_rows().checked_sub(1).map(|row| keys.row(row).owned());
        }
        self.is_at_end = true;
        Ok(Some((KeyRange { from, to: None }, incoming)))
    }

    /// At most so many rows.
    async fn rows(&mut self, count: usize) -> Result<Option<RecordBatch>> {
        let rows = match self.waiting.pop_front() {
            Some(rows) => Some(rows),
            None => self.rows.next().await.transpose()?,
        };
        let Some(rows) = rows else { return Ok(None) };
        let count = count.clamp(1, rows.num_rows().max(1));
        self.wait(rows.slice(count.min(rows.num_rows()), rows.num_rows().saturating_sub(count)));
        Ok(Some(rows.slice(0, count.min(rows.num_rows()))))
    }

    /// Puts rows before those that wait already.
    fn wait(&mut self, rows: RecordBatch) {
        if rows.num_rows() > 0 {
            self.waiting.push_front(rows);
        }
    }
}

impl Job {
    /// Those of the rows that count, ready to be folded.
    fn piece(&self, rows: RecordBatch, is_retracted: bool) -> Result<Option<Piece>> {
        let truncates = if is_retracted { None } else { self.conditions.truncates(&rows)? };
        let sequences = self.layout.sequences(&rows)?;
        let is_of_snapshot = |row: usize| self.snapshot.as_ref().is_none_or(|newest| newest.is_of(sequences.row(row)));
        let counts = |row: usize| !holds(truncates.as_ref(), row) && is_of_snapshot(row);
        let wanted: BooleanArray = (0..rows.num_rows()).map(|row| Some(counts(row))).collect();
        let rows = filtered(&rows, &wanted)?;
        if rows.num_rows() == 0 {
            return Ok(None);
        }
        let rows = compacted(&rows)?;
        let deletes = if is_retracted { None } else { self.conditions.deletes(&rows)? };
        let keys = hashes(&self.layout.keys(&rows)?);
        let chunk = Chunk::new(&self.layout, rows)?;
        Ok(Some(Piece { chunk, keys, deletes }))
    }
}

impl Piece {
    /// About how much memory it takes.
    fn bytes(&self) -> usize {
        self.chunk.bytes() + self.keys.len() * BYTES_PER_EVENT
    }
}

impl Staging<'_> {
    fn estimated_bytes(&self) -> usize {
        let files = self.changes.iter().chain(self.retracted);
        let bytes = |file: &Add| {
            let rows = usize::try_from(lake::rows_told(file).unwrap_or_default()).unwrap_or(usize::MAX);
            usize::try_from(file.size).unwrap_or(0) * UNPACKED + rows.saturating_mul(BYTES_PER_EVENT)
        };
        files.map(bytes).sum()
    }
}

fn filtered(rows: &RecordBatch, keep: &BooleanArray) -> Result<RecordBatch> {
    filter_record_batch(rows, keep)
        .map_err(|error| Error::bug("could not choose the rows of a merge").with_source(error))
}

fn too_many_of_a_key(job: &Job) -> Error {
    Error::data(format!(
        "a batch for {} has more changes of one key than fit into the memory; raise `memory` in medallion.toml",
        job.table.name()
    ))
}
