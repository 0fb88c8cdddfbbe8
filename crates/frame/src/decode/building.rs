//! The rows of one piece under construction: data columns, positions, rescued values and rejects.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Int64Array, RecordBatch, StructArray};
use arrow::buffer::Buffer;
use arrow::datatypes::{DataType, Field, Fields, Schema, SchemaRef};
use stage::{Error, Result};

use crate::decode::columns::{Column, Data};
use crate::decode::{Decoded, EvolvingSchema, POSITION, RESCUED_DATA, Reject};

/// Rows so far. Only whole rows are counted; a partly appended one is taken back with [`Building::take_back`].
pub(crate) struct Building {
    /// One struct column whose fields are the columns of the table.
    pub(crate) root: Column,
    /// The schema `root` was made or grown for.
    pub(crate) schema: SchemaRef,
    pub(crate) rejects: Vec<Reject>,
    positions: Vec<i64>,
    rescued: Column,
}

impl Building {
    /// No rows yet, for the schema as it stands.
    pub(crate) fn new(evolving: &EvolvingSchema) -> Result<Building> {
        let schema = evolving.current();
        Ok(Building {
            root: Column::new(&DataType::Struct(schema.fields().clone()))?,
            schema,
            rejects: Vec::new(),
            positions: Vec::new(),
            rescued: Column::new(&DataType::Utf8View)?,
        })
    }

    /// Makes room for a newer schema; false when it is the one already known.
    pub(crate) fn grow(&mut self, schema: SchemaRef) -> Result<bool> {
        if Arc::ptr_eq(&schema, &self.schema) {
            return Ok(false);
        }
        self.root.grow(&DataType::Struct(schema.fields().clone()))?;
        self.schema = schema;
        Ok(true)
    }

    /// Forgets a row that was appended only partly.
    pub(crate) fn take_back(&mut self) {
        self.root.truncate(self.positions.len());
    }

    /// Completes the row that was appended to the root.
    #[inline]
    pub(crate) fn keep(&mut self, position: i64, rescued: Option<&str>) {
        self.positions.push(position);
        match (rescued, &mut self.rescued.data) {
            (Some(text), Data::String(strings)) => {
                strings.push_own(text);
                self.rescued.nulls.append_non_null();
            }
            _ => self.rescued.push_null(),
        }
    }

    /// Keeps a row's text as a reject.
    pub(crate) fn reject(&mut self, position: i64, raw: String, reason: String) {
        self.rejects.push(Reject { position, raw, reason });
    }

    /// The rows under the schema as it stands now. `text` is what string views point into.
    pub(crate) fn finish(mut self, text: &Buffer, evolving: &EvolvingSchema, bytes: u64) -> Result<Decoded> {
        self.grow(evolving.current())?;
        let data = self.root.finish(text)?;
        let rescued = self.rescued.finish(text)?;
        let rows = assemble(data.as_struct(), self.positions, rescued)?;
        Ok(Decoded { rows, rejects: self.rejects, bytes })
    }
}

/// Data columns with the position and what was rescued behind them.
pub(crate) fn assemble(data: &StructArray, positions: Vec<i64>, rescued: ArrayRef) -> Result<RecordBatch> {
    let mut fields: Vec<Arc<Field>> = data.fields().iter().cloned().collect();
    fields.push(Arc::new(Field::new(POSITION, DataType::Int64, true)));
    fields.push(Arc::new(Field::new(RESCUED_DATA, DataType::Utf8View, true)));
    let mut columns: Vec<ArrayRef> = data.columns().to_vec();
    columns.push(Arc::new(Int64Array::from(positions)));
    columns.push(rescued);
    debug_assert!(data.nulls().is_none());
    RecordBatch::try_new(Arc::new(Schema::new(Fields::from(fields))), columns)
        .map_err(|why| Error::bug("decoded columns do not form rows").with_source(why))
}
