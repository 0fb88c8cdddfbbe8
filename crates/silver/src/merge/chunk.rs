//! Rows in memory that take part in a merge, and where each stands.

use std::sync::Arc;

use ::stage::{Error, Result};
use arrow::array::{ArrayRef, AsArray as _, RecordBatch};
use arrow::compute::{interleave, interleave_record_batch};
use arrow::datatypes::DataType;
use arrow::row::{Row, Rows};

use super::layout::Layout;

/// Rows with the columns of the table, and what orders them.
#[derive(Debug)]
pub(crate) struct Chunk {
    pub(crate) rows: RecordBatch,
    sequences: Rows,
    /// Hashes of the tracked columns, in a history.
    tracked: Vec<u128>,
    /// Hashes of the first column of the sequence, in a history.
    firsts: Vec<u128>,
}

impl Chunk {
    pub(crate) fn new(layout: &Layout, rows: RecordBatch) -> Result<Chunk> {
        let sequences = layout.sequences(&rows)?;
        let (tracked, firsts) = match layout.is_history() {
            true => (layout.tracked(&rows)?, layout.firsts(&rows)?),
            false => (Vec::new(), Vec::new()),
        };
        Ok(Chunk { rows, sequences, tracked, firsts })
    }

    /// About how much memory it takes.
    pub(crate) fn bytes(&self) -> usize {
        self.rows.get_array_memory_size() + self.sequences.size() + self.tracked.len() * 2 * size_of::<u128>()
    }
}

/// A row of a chunk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) chunk: u32,
    pub(crate) row: u32,
}

/// What a row says of its key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Change,
    Delete,
    /// The row of this sequence is no longer there upstream.
    Retract,
}

/// Where a row was found. Of equal ones the first of these is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Origin {
    Shown,
    Remembered,
    New,
}

/// Something that happened to a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Event {
    pub(crate) place: Place,
    pub(crate) kind: Kind,
    pub(crate) origin: Origin,
}

/// All rows that a part of a merge can see.
#[derive(Debug, Clone, Default)]
pub(crate) struct Chunks(Vec<Arc<Chunk>>);

impl Chunks {
    /// Adds a chunk and returns its number.
    pub(crate) fn push(&mut self, chunk: Chunk) -> Result<u32> {
        let number = u32::try_from(self.0.len()).map_err(|_| Error::bug("a merge has too many batches"))?;
        self.0.push(Arc::new(chunk));
        Ok(number)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Chunk> {
        self.0.iter().map(AsRef::as_ref)
    }

    pub(crate) fn at(&self, place: Place) -> (&RecordBatch, usize) {
        (&self.0[place.chunk as usize].rows, place.row as usize)
    }

    pub(crate) fn sequence(&self, place: Place) -> Row<'_> {
        self.0[place.chunk as usize].sequences.row(place.row as usize)
    }

    pub(crate) fn tracked(&self, place: Place) -> u128 {
        self.0[place.chunk as usize].tracked[place.row as usize]
    }

    pub(crate) fn first(&self, place: Place) -> u128 {
        self.0[place.chunk as usize].firsts[place.row as usize]
    }

    /// The rows at these places.
    pub(crate) fn rows(&self, places: &[Place]) -> Result<RecordBatch> {
        let batches: Vec<&RecordBatch> = self.0.iter().map(|chunk| &chunk.rows).collect();
        let indices: Vec<(usize, usize)> = places.iter().map(indices).collect();
        interleave_record_batch(&batches, &indices).map_err(unjoinable)
    }

    /// The values of a column at these places, null where there is none.
    pub(crate) fn column(
        &self,
        column: usize,
        data_type: &DataType,
        places: impl Iterator<Item = Option<Place>>,
    ) -> Result<ArrayRef> {
        let nothing = arrow::array::new_null_array(data_type, 1);
        let mut arrays: Vec<&dyn arrow::array::Array> =
            self.0.iter().map(|chunk| chunk.rows.column(column).as_ref()).collect();
        let null = (arrays.len(), 0);
        arrays.push(nothing.as_ref());
        let indices: Vec<(usize, usize)> = places.map(|place| place.as_ref().map_or(null, indices)).collect();
        interleave(&arrays, &indices).map_err(unjoinable)
    }
}

fn indices(place: &Place) -> (usize, usize) {
    (place.chunk as usize, place.row as usize)
}

fn unjoinable(error: arrow::error::ArrowError) -> Error {
    Error::bug("rows of a merge could not be put together").with_source(error)
}

/// The rows without what they share with others: a view of a text keeps the whole batch it was cut from in memory.
pub(crate) fn compacted(rows: &RecordBatch) -> Result<RecordBatch> {
    let columns = rows.columns().iter().map(|column| match column.data_type() {
        DataType::Utf8View => Arc::new(column.as_string_view().gc()) as ArrayRef,
        _ => column.clone(),
    });
    RecordBatch::try_new(rows.schema(), columns.collect())
        .map_err(|error| Error::bug("could not compact rows").with_source(error))
}
