//! Rows out of what was folded: those of the table, and those that are remembered.

use std::sync::Arc;

use ::stage::{Error, Result};
use arrow::array::{ArrayRef, BooleanArray, Int8Array, RecordBatch, TimestampMicrosecondArray};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};

use super::chunk::{Chunks, Event, Kind, Place};
use super::fold::Shown;
use super::layout::{HISTORY_COLUMNS, Layout};

/// What a remembered row is: see [`Memory`].
pub(crate) const KIND_COLUMN: &str = "_kind";
/// When a row was remembered.
pub(crate) const AT_COLUMN: &str = "_at";

/// What a remembered row is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(i8)]
pub(crate) enum Memory {
    /// Nothing is remembered of the key any more.
    Nothing = 0,
    Change = 1,
    Delete = 2,
}

/// Rows to remember, with what they are.
#[derive(Debug, Default)]
pub(crate) struct Memories {
    pub(crate) places: Vec<Place>,
    pub(crate) kinds: Vec<i8>,
}

impl Memories {
    /// Adds what is remembered of a key from now on. Where that is nothing, `key` is any row of it.
    pub(crate) fn push(&mut self, events: &[Event], key: Place) {
        for event in events {
            self.places.push(event.place);
            self.kinds.push(if event.kind == Kind::Delete { Memory::Delete } else { Memory::Change } as i8);
        }
        if events.is_empty() {
            self.places.push(key);
            self.kinds.push(Memory::Nothing as i8);
        }
    }

    /// The rows as they are stored.
    pub(crate) fn rows(self, layout: &Layout, chunks: &Chunks, at_micros: i64) -> Result<RecordBatch> {
        let rows = chunks.rows(&self.places)?;
        let rows = rows.project(&layout.remembered_columns()).map_err(misfit)?;
        let at = TimestampMicrosecondArray::from(vec![at_micros; rows.num_rows()]).with_timezone("UTC");
        let mut columns: Vec<ArrayRef> = rows.columns().to_vec();
        columns.push(Arc::new(Int8Array::from(self.kinds)));
        columns.push(Arc::new(at));
        RecordBatch::try_new(remembered_schema(layout), columns).map_err(misfit)
    }
}

/// The columns of remembered rows.
pub(crate) fn remembered_schema(layout: &Layout) -> SchemaRef {
    let mut fields: Vec<Arc<Field>> =
        layout.remembered_columns().into_iter().map(|place| layout.schema.fields()[place].clone()).collect();
    fields.push(Arc::new(Field::new(KIND_COLUMN, DataType::Int8, true)));
    fields.push(Arc::new(Field::new(AT_COLUMN, DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())), true)));
    Arc::new(Schema::new(fields))
}

/// The rows of the table that were folded.
pub(crate) fn shown_rows(layout: &Layout, chunks: &Chunks, shown: &[Shown]) -> Result<RecordBatch> {
    let places: Vec<Place> = shown.iter().map(|shown| shown.base).collect();
    let rows = chunks.rows(&places)?;
    let mut columns: Vec<ArrayRef> = rows.columns().to_vec();
    if shown.first().is_some_and(|shown| shown.filled.is_some()) {
        for (number, column) in layout.fillable.iter().enumerate() {
            let sources = shown.iter().map(|shown| shown.filled.as_ref().and_then(|sources| sources[number]));
            columns[*column] = chunks.column(*column, layout.schema.field(*column).data_type(), sources)?;
        }
    }
    if let Some(first) = layout.first_of_sequence().filter(|_| layout.is_history()) {
        let data_type = layout.schema.field(first).data_type();
        let [from, to, current] = history_places(layout)?;
        columns[from] = chunks.column(first, data_type, shown.iter().map(|shown| Some(shown.from)))?;
        columns[to] = chunks.column(first, data_type, shown.iter().map(|shown| shown.to))?;
        let is_current: BooleanArray = shown.iter().map(|shown| Some(shown.to.is_none())).collect();
        columns[current] = Arc::new(is_current);
    }
    RecordBatch::try_new(layout.schema.clone(), columns).map_err(misfit)
}

/// Where the columns of a history stand.
pub(crate) fn history_places(layout: &Layout) -> Result<[usize; 3]> {
    let mut places = [0; 3];
    for (place, name) in places.iter_mut().zip(HISTORY_COLUMNS) {
        *place = layout.schema.index_of(name).map_err(misfit)?;
    }
    Ok(places)
}

fn misfit(error: arrow::error::ArrowError) -> Error {
    Error::bug("folded rows do not fit their table").with_source(error)
}
