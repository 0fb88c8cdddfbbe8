//! What all parts of one merge share: the table, its layout, and how rows are read.

use ::stage::{Context, Result};
use arrow::datatypes::SchemaRef;
use arrow::row::{OwnedRow, Row};
use lake::{Add, Table};
use sql::{Engine, RowStream};

use super::horizon::Horizon;
use super::layout::Layout;
use super::rules::Conditions;

/// A merge of one batch into one table.
#[derive(Debug)]
pub(crate) struct Job {
    pub(crate) engine: Engine,
    pub(crate) table: Table,
    pub(crate) layout: Layout,
    pub(crate) partition_by: Vec<String>,
    pub(crate) conditions: Conditions,
    pub(crate) context: Context,
    /// What is older does not count, in the batch or in the table.
    pub(crate) horizon: Option<Horizon>,
    /// Whether the horizon moved with this batch, so that rows of the table may lie before it.
    pub(crate) truncates: bool,
    pub(crate) snapshot: Option<Snapshot>,
    /// Workers at a time.
    pub(crate) threads: usize,
}

/// The snapshot that a batch is.
#[derive(Debug, Clone)]
pub(crate) struct Snapshot {
    /// The sequence that all of its rows have; `None` where all rows that are there are one snapshot.
    pub(crate) sequence: Option<OwnedRow>,
    /// Whether it is all there is; not so if the table knows a part of it already.
    pub(crate) is_whole: bool,
}

impl Snapshot {
    pub(crate) fn is_of(&self, sequence: Row<'_>) -> bool {
        self.sequence.as_ref().is_none_or(|own| own.row() == sequence)
    }
}

impl Job {
    /// Rows that were staged; their files have no partitions.
    pub(crate) async fn read_staged(&self, files: &[Add], columns: &SchemaRef) -> Result<Vec<RowStream>> {
        self.read_as(files, columns, &self.layout.schema, &[]).await
    }

    /// Rows of the table.
    pub(crate) async fn read(&self, files: &[Add], columns: &SchemaRef) -> Result<Vec<RowStream>> {
        self.read_as(files, columns, &self.layout.schema, &self.partition_by).await
    }

    /// Columns of some files that have the columns of `schema`.
    pub(crate) async fn read_as(
        &self,
        files: &[Add],
        columns: &SchemaRef,
        schema: &SchemaRef,
        partition_by: &[String],
    ) -> Result<Vec<RowStream>> {
        if files.is_empty() {
            return Ok(Vec::new());
        }
        let provider = self.table.scan(files, schema, partition_by)?;
        sql::read(&self.engine, provider, columns).await
    }

    pub(crate) fn horizon_row(&self) -> Option<&OwnedRow> {
        self.horizon.as_ref().map(|horizon| &horizon.row)
    }
}
