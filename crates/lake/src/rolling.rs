//! A writer for rows whose schema grows while they are written.

use arrow::array::RecordBatch;
use deltalake::kernel::Add;
use stage::Result;

use crate::writer::{Staging, Writer};

/// Rows after which the files of a partitioned table are finished. Every partition that was met keeps a row group in
/// memory until then, so this bounds what they hold together.
const PARTITIONED_ROWS: u64 = 2_000_000;

/// Writes batches of any schema: when the schema changes, the file is finished and the next one begun. Files with fewer
/// columns are part of the same commit; readers see null there.
pub struct RollingWriter {
    staging: Staging,
    partition_by: Vec<String>,
    current: Option<Writer>,
    finished: Vec<Add>,
    rows: u64,
}

impl RollingWriter {
    /// A writer of files in `staging`.
    pub fn new(staging: Staging, partition_by: &[String]) -> RollingWriter {
        RollingWriter { staging, partition_by: partition_by.to_vec(), current: None, finished: Vec::new(), rows: 0 }
    }

    /// Rows written so far.
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// Writes a batch.
    ///
    /// # Errors
    /// When the storage fails.
    pub async fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        if batch.num_rows() == 0 {
            return Ok(());
        }
        if let Some(writer) = self.current.take_if(|writer| {
            let holds_enough = !self.partition_by.is_empty() && writer.rows() >= PARTITIONED_ROWS;
            holds_enough || *writer.schema() != batch.schema()
        }) {
            self.finished.extend(writer.close().await?);
        }
        let open = || self.staging.writer(batch.schema(), &self.partition_by);
        self.current.get_or_insert_with(open).write(batch).await?;
        self.rows += batch.num_rows() as u64;
        Ok(())
    }

    /// Finishes the files and returns the actions that make them part of the table.
    ///
    /// # Errors
    /// When the storage fails.
    pub async fn close(mut self) -> Result<Vec<Add>> {
        if let Some(writer) = self.current.take() {
            self.finished.extend(writer.close().await?);
        }
        Ok(self.finished)
    }
}
