//! The late rows of one batch, named by where they came from.
//!
//! Rows are named by number, so they are kept as bitmaps: a million late rows in a row take a few kilobytes.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use ::stage::{Error, Result};
use arrow::array::{BooleanBufferBuilder, RecordBatch};
use arrow::buffer::BooleanBuffer;
use roaring::RoaringTreemap;

use super::times::Origins;

/// Bytes of one row at most, and of the first in each block of 65,536 positions; each row is named twice.
const BYTES_PER_ROW: usize = 2 * 4;
const BYTES_PER_BLOCK: usize = 2 * 64;
const BLOCK_BITS: u32 = 16;
/// Bytes of a source besides its name.
const BYTES_PER_SOURCE: usize = 2 * 128;

/// Rows by source and batch; a file that was read again has the same positions in another batch.
type Named = BTreeMap<String, BTreeMap<i64, RoaringTreemap>>;

/// The late rows of a batch, and which of them were not met yet. A query may read a row twice, or not at all.
#[derive(Debug, Default)]
pub(super) struct LateRows {
    rows: Named,
    unmet: Mutex<Named>,
    /// The most that these rows may take.
    limit_bytes: usize,
    bytes: usize,
}

/// The late ones among some rows.
#[derive(Debug)]
pub(crate) struct Marked {
    /// All that are late.
    pub(crate) rows: BooleanBuffer,
    /// Those that are met for the first time.
    pub(crate) unmet: BooleanBuffer,
}

impl LateRows {
    pub(super) fn new(limit_bytes: usize) -> LateRows {
        LateRows { limit_bytes, ..LateRows::default() }
    }

    /// Whether every late row was met.
    pub(super) fn are_all_met(&self) -> bool {
        self.unmet().is_empty()
    }

    /// Adds rows of one source and batch, in order.
    ///
    /// # Errors
    /// [`stage::Kind::Data`] when there are more than memory holds.
    pub(super) fn add(&mut self, source: &str, batch: i64, positions: &[u64]) -> Result<()> {
        if positions.is_empty() {
            return Ok(());
        }
        if !self.rows.contains_key(source) {
            self.bytes += 2 * source.len() + BYTES_PER_SOURCE;
        }
        let rows = self.rows.entry(source.to_owned()).or_default().entry(batch).or_default();
        let mut last_block = rows.max().map(|position| position >> BLOCK_BITS);
        for position in positions {
            let block = Some(position >> BLOCK_BITS);
            self.bytes += if block == last_block { BYTES_PER_ROW } else { BYTES_PER_BLOCK };
            last_block = block;
            rows.insert(*position);
        }
        let mut unmet = self.unmet.lock().unwrap_or_else(PoisonError::into_inner);
        unmet.entry(source.to_owned()).or_default().entry(batch).or_default().extend(positions);
        drop(unmet);
        match self.bytes > self.limit_bytes {
            true => Err(Error::data(
                "more rows are late than memory can name; raise `memory`, or the delay of the watermark",
            )),
            false => Ok(()),
        }
    }

    /// The late ones among some upstream rows; `None` when none is. They count as met from then on.
    pub(super) fn meet(&self, rows: &RecordBatch) -> Result<Option<Marked>> {
        if self.rows.is_empty() {
            return Ok(None);
        }
        let origins = Origins::of(rows)?;
        let (mut late, mut unmet) = (Vec::new(), Vec::new());
        for run in origins.runs()? {
            let (source, batch) = (origins.source(run.start), origins.batch(run.start));
            let Some(known) = self.rows.get(source).and_then(|batches| batches.get(&batch)) else { continue };
            let here = run.filter(|row| known.contains(origins.position(*row))).collect::<Vec<usize>>();
            unmet.extend(here.iter().copied().filter(|row| self.take_unmet(source, batch, origins.position(*row))));
            late.extend(here);
        }
        let mask = |marked: &[usize]| {
            let mut mask = BooleanBufferBuilder::new(rows.num_rows());
            mask.append_n(rows.num_rows(), false);
            marked.iter().for_each(|row| mask.set_bit(*row, true));
            mask.finish()
        };
        Ok((!late.is_empty()).then(|| Marked { rows: mask(&late), unmet: mask(&unmet) }))
    }

    /// Whether a row was not met yet; it is from then on.
    fn take_unmet(&self, source: &str, batch: i64, position: u64) -> bool {
        let mut unmet = self.unmet();
        let Some(batches) = unmet.get_mut(source) else { return false };
        let Some(positions) = batches.get_mut(&batch) else { return false };
        let is_first = positions.remove(position);
        if positions.is_empty() {
            batches.remove(&batch);
        }
        if batches.is_empty() {
            unmet.remove(source);
        }
        is_first
    }

    fn unmet(&self) -> MutexGuard<'_, Named> {
        self.unmet.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
