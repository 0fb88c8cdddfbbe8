//! The sequence before which nothing counts: the newest truncation, or the newest snapshot.
//!
//! It is kept as texts in the record of the commit, so columns of a sequence have types whose values texts can hold.

use std::sync::Arc;

use ::stage::{Error, Result};
use arrow::array::{ArrayRef, AsArray as _, RecordBatch, StringArray};
use arrow::compute::{CastOptions, cast_with_options};
use arrow::datatypes::DataType;
use arrow::row::OwnedRow;
use arrow::util::display::FormatOptions;

use super::layout::Layout;

const EXACT: CastOptions<'_> = CastOptions { safe: false, format_options: FormatOptions::new() };

/// A sequence.
#[derive(Debug, Clone)]
pub(crate) struct Horizon {
    pub(crate) row: OwnedRow,
    pub(crate) texts: Vec<Option<String>>,
}

impl Horizon {
    /// The sequence of a row. The rows need no other columns than those of the sequence.
    pub(crate) fn of(layout: &Layout, rows: &RecordBatch, row: usize) -> Result<Horizon> {
        let one = rows.slice(row, 1);
        let mut texts = Vec::new();
        for field in layout.sequence_schema().fields() {
            let column = one.column_by_name(field.name()).ok_or_else(|| Error::bug("a row lacks its sequence"))?;
            let text = cast_with_options(column, &DataType::Utf8, &EXACT).map_err(unwritable)?;
            texts.push(text.as_string::<i32>().iter().next().flatten().map(str::to_owned));
        }
        let row = layout.sequences(&one)?.row(0).owned();
        Ok(Horizon { row, texts })
    }

    /// What a record tells; `None` when it tells nothing.
    pub(crate) fn read(layout: &Layout, texts: &[Option<String>]) -> Result<Option<Horizon>> {
        let schema = layout.sequence_schema();
        if texts.is_empty() || schema.fields().len() != texts.len() {
            return Ok(None);
        }
        let columns = schema.fields().iter().zip(texts).map(|(field, text)| {
            let text: ArrayRef = Arc::new(StringArray::from(vec![text.as_deref()]));
            cast_with_options(&text, field.data_type(), &EXACT).map_err(unwritable)
        });
        let columns = columns.collect::<Result<Vec<_>>>()?;
        let rows = RecordBatch::try_new(schema.clone(), columns).map_err(unwritable)?;
        Ok(Some(Horizon { row: layout.sequences(&rows)?.row(0).owned(), texts: texts.to_vec() }))
    }
}

fn unwritable(error: arrow::error::ArrowError) -> Error {
    Error::config("`sequence_by` names a column whose values cannot be written as text").with_source(error)
}
