//! Record batches into staged Parquet files.
//!
//! Files lie in the table's folder but nobody sees them until their [`Add`] actions are committed; those of a batch that
//! fails stay behind as orphans, which vacuum removes.

use std::num::NonZeroU64;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use delta_kernel::table_properties::DataSkippingNumIndexedCols;
use deltalake::datafile::writer::{DeltaWriter, WriterConfig};
use deltalake::kernel::Add;
use deltalake::logstore::LogStoreRef;
use object_store::ObjectStore;
use object_store::prefix::PrefixStore;
use parquet::basic::Compression;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use stage::{Result, TableName};

use crate::error::{classify_delta, classify_store};

/// Bytes after which a file is closed and the next one begun.
pub(crate) const TARGET_FILE_SIZE: u64 = 128 << 20;
/// Rows in a row group: enough to compress well, few enough to bound what a reader holds.
const ROW_GROUP_ROWS: usize = 256 * 1024;
/// Columns that get statistics, in order.
const INDEXED_COLUMNS: u64 = 32;

/// Where files of one table are staged. Cheap to clone, so that several tasks can write at the same time.
#[derive(Debug, Clone)]
pub struct Staging {
    table: String,
    log_store: LogStoreRef,
    file_size: u64,
    /// The folder below the table that files lie in, when it is not the table's own.
    folder: Option<&'static str>,
}

impl Staging {
    pub(crate) fn new(table: &TableName, log_store: LogStoreRef) -> Staging {
        Staging { table: table.to_string(), log_store, file_size: TARGET_FILE_SIZE, folder: None }
    }

    /// The same place, where files are closed after that many bytes.
    #[must_use]
    pub fn with_file_size(self, bytes: u64) -> Staging {
        Staging { file_size: bytes, ..self }
    }

    /// A folder below the table, for files that are not its rows.
    #[must_use]
    pub fn below(self, folder: &'static str) -> Staging {
        Staging { folder: Some(folder), ..self }
    }

    /// A writer of files with the given columns.
    pub fn writer(&self, schema: SchemaRef, partition_by: &[String]) -> Writer {
        Writer::new(self, schema, partition_by)
    }

    /// Puts a file beside the files of rows.
    pub(crate) async fn put(&self, path: &str, bytes: Vec<u8>) -> Result<()> {
        let store = self.log_store.object_store(None);
        let path = object_store::path::Path::from(path);
        let put = object_store::ObjectStoreExt::put(store.as_ref(), &path, bytes.into()).await;
        put.map(|_| ()).map_err(|error| classify_store(&format!("could not stage a file of {}", self.table), error))
    }

    /// Removes staged files that will not be committed. Failures are left to vacuum.
    pub async fn discard(&self, files: &[Add]) {
        let store = self.log_store.object_store(None);
        for file in files {
            let Ok(path) = object_store::path::Path::parse(&file.path) else { continue };
            if let Err(error) = object_store::ObjectStoreExt::delete(store.as_ref(), &path).await {
                tracing::debug!(table = %self.table, file = %file.path, %error, "could not remove a staged file");
            }
        }
    }
}

/// Writes rows of one schema into files of one table. Several writers may write at the same time.
pub struct Writer {
    table: String,
    inner: DeltaWriter,
    folder: Option<&'static str>,
    schema: SchemaRef,
    rows: u64,
}

impl Writer {
    fn new(staging: &Staging, schema: SchemaRef, partition_by: &[String]) -> Writer {
        let properties = WriterProperties::builder()
            .set_compression(Compression::SNAPPY)
            .set_statistics_enabled(EnabledStatistics::Chunk)
            .set_max_row_group_row_count(Some(ROW_GROUP_ROWS))
            .build();
        let config = WriterConfig::new(
            schema.clone(),
            partition_by.to_vec(),
            Some(properties),
            NonZeroU64::new(staging.file_size),
            Some(ROW_GROUP_ROWS),
            DataSkippingNumIndexedCols::NumColumns(INDEXED_COLUMNS),
            None,
        );
        let store = staging.log_store.object_store(None);
        let store: Arc<dyn ObjectStore> = match staging.folder {
            Some(folder) => Arc::new(PrefixStore::new(store, folder)),
            None => store,
        };
        let inner = DeltaWriter::new(store, config);
        Writer { table: staging.table.clone(), inner, folder: staging.folder, schema, rows: 0 }
    }

    /// The columns every batch must have.
    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// Rows written so far.
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// Writes a batch. It must have exactly the writer's schema.
    ///
    /// # Errors
    /// When the storage fails; the files written so far are orphans then.
    pub async fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        if batch.num_rows() == 0 {
            return Ok(());
        }
        self.rows += batch.num_rows() as u64;
        self.inner
            .write(batch)
            .await
            .map_err(|error| classify_delta(&format!("could not write rows of {}", self.table), error))
    }

    /// Finishes the files and returns the actions that make them part of the table.
    ///
    /// # Errors
    /// When the storage fails.
    pub async fn close(self) -> Result<Vec<Add>> {
        let mut files = self
            .inner
            .close()
            .await
            .map_err(|error| classify_delta(&format!("could not finish the files of {}", self.table), error))?;
        // An empty text in a partition column means null; said so outright, no reader takes it for a text when it prunes.
        for value in files.iter_mut().flat_map(|file| file.partition_values.values_mut()) {
            value.take_if(|text| text.is_empty());
        }
        for file in files.iter_mut() {
            file.path = self.folder.map_or_else(|| file.path.clone(), |folder| format!("{folder}/{}", file.path));
        }
        Ok(files)
    }
}
