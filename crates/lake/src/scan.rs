//! Reads exactly the files it is given, whatever the newest snapshot says of them.
//!
//! The library's own provider resolves files against a snapshot, so a file that was compacted away since could not be
//! read. Incremental readers, deduplication and merges name their files, and those files stay until vacuum.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, FieldRef, Schema, SchemaRef};
use async_trait::async_trait;
use chrono::DateTime;
use deltalake::datafusion::catalog::{Session, TableProvider};
use deltalake::datafusion::common::stats::Precision;
use deltalake::datafusion::common::{DFSchema, DataFusionError, ScalarValue, Statistics};
use deltalake::datafusion::datasource::listing::PartitionedFile;
use deltalake::datafusion::datasource::physical_plan::{FileGroup, FileScanConfigBuilder, ParquetSource};
use deltalake::datafusion::datasource::source::DataSourceExec;
use deltalake::datafusion::datasource::table_schema::TableSchema;
use deltalake::datafusion::execution::object_store::ObjectStoreUrl;
use deltalake::datafusion::logical_expr::{Expr, TableProviderFilterPushDown, TableType, utils::conjunction};
use deltalake::datafusion::physical_plan::ExecutionPlan;
use deltalake::kernel::Add;
use object_store::ObjectMeta;
use object_store::path::Path;
use stage::{Error, Result};

use crate::statistics::rows_told;
use crate::table::Table;

/// Some files of one table, as a table of its own.
#[derive(Debug)]
struct FileSet {
    store: ObjectStoreUrl,
    /// The columns as the table has them.
    schema: SchemaRef,
    /// The columns as files are read: the partition columns stand last.
    table_schema: TableSchema,
    /// Where each column of `schema` stands in `table_schema`.
    places: Vec<usize>,
    files: Vec<PartitionedFile>,
    /// How many rows the files have, where the log tells.
    rows: Option<usize>,
}

impl Table {
    /// The given files of this table as a table for DataFusion. `schema` is the schema to read them as: columns that a
    /// file lacks are null.
    ///
    /// # Errors
    /// [`stage::Kind::Data`] when a file uses features that cannot be read file by file.
    pub fn scan(&self, files: &[Add], schema: &SchemaRef, partition_by: &[String]) -> Result<Arc<dyn TableProvider>> {
        if self.property("delta.columnMapping.mode").is_some_and(|mode| mode != "none") {
            return Err(Error::data(format!("{} uses column mapping, which cannot be read incrementally", self.name)));
        }
        let is_partition = |field: &FieldRef| partition_by.iter().any(|name| name == field.name());
        let file_fields: Vec<FieldRef> = schema.fields().iter().filter(|field| !is_partition(field)).cloned().collect();
        let unknown = |name: &String| Arc::new(Field::new(name, DataType::Utf8View, true));
        let partition_fields: Vec<FieldRef> = partition_by
            .iter()
            .map(|name| {
                schema.fields().iter().find(|field| field.name() == name).cloned().unwrap_or_else(|| unknown(name))
            })
            .collect();
        let rows = files.iter().map(rows_told).sum::<Option<u64>>().and_then(|rows| usize::try_from(rows).ok());
        let files =
            files.iter().map(|add| self.partitioned_file(add, &partition_fields)).collect::<Result<Vec<_>>>()?;
        let mut root = self.url().clone();
        root.set_path("");
        let store = ObjectStoreUrl::parse(root.as_str())
            .map_err(|error| Error::bug(format!("could not address {}", self.name)).with_source(error))?;
        let table_schema = TableSchema::builder(Arc::new(Schema::new(file_fields)))
            .with_table_partition_cols(partition_fields)
            .build();
        let as_read = table_schema.table_schema();
        let missing = as_read.fields().iter().filter(|field| schema.field_with_name(field.name()).is_err());
        let fields: Vec<FieldRef> = schema.fields().iter().chain(missing).cloned().collect();
        let places: Vec<usize> = fields
            .iter()
            .map(|field| as_read.index_of(field.name()))
            .collect::<Result<_, _>>()
            .map_err(|error| Error::bug(format!("a column of {} has no place", self.name)).with_source(error))?;
        Ok(Arc::new(FileSet { store, schema: Arc::new(Schema::new(fields)), table_schema, places, files, rows }))
    }

    /// The value that all rows of a file have in a partition column.
    ///
    /// # Errors
    /// [`stage::Kind::Data`] when it does not fit the column.
    pub fn partition_value(&self, add: &Add, field: &Field) -> Result<ScalarValue> {
        // An empty text stands for null, as the protocol has it ("Partition Value Serialization").
        let text = add.partition_values.get(field.name()).cloned().flatten().filter(|text| !text.is_empty());
        let value = match text {
            None => ScalarValue::try_from(field.data_type()),
            Some(text) => ScalarValue::try_from_string(text, field.data_type()),
        };
        value.map_err(|error| {
            Error::data(format!("a partition value of {} does not fit its column", self.name)).with_source(error)
        })
    }

    fn partitioned_file(&self, add: &Add, partition_fields: &[FieldRef]) -> Result<PartitionedFile> {
        if add.deletion_vector.is_some() {
            return Err(Error::data(format!(
                "{} has deletion vectors, which cannot be read incrementally; run OPTIMIZE or REORG there first",
                self.name
            )));
        }
        let values = partition_fields.iter().map(|field| self.partition_value(add, field));
        let values = values.collect::<Result<Vec<ScalarValue>>>()?;
        let folder = Path::from_url_path(self.url().path())
            .map_err(|error| Error::bug(format!("could not address {}", self.name)).with_source(error))?;
        // The library has decoded the path of the log already; what looks encoded now is so in the name of the file.
        let location = Path::parse(format!("{folder}/{}", add.path)).map_err(|error| {
            Error::data(format!("{} names a file that cannot be addressed", self.name)).with_source(error)
        })?;
        let meta = ObjectMeta {
            location,
            last_modified: DateTime::from_timestamp_millis(add.modification_time).unwrap_or_default(),
            size: add.size.unsigned_abs(),
            e_tag: None,
            version: None,
        };
        Ok(PartitionedFile::new_from_meta(meta).with_partition_values(values))
    }
}

#[async_trait]
impl TableProvider for FileSet {
    fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    fn supports_filters_pushdown(
        &self,
        filters: &[&Expr],
    ) -> Result<Vec<TableProviderFilterPushDown>, DataFusionError> {
        Ok(vec![TableProviderFilterPushDown::Inexact; filters.len()])
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>, DataFusionError> {
        let mut source = ParquetSource::new(self.table_schema.clone());
        if let Some(filter) = conjunction(filters.to_vec()) {
            let schema = DFSchema::try_from(self.table_schema.table_schema().clone())?;
            source = source.with_predicate(state.create_physical_expr(filter, &schema)?);
        }
        let groups = in_groups(&self.files, state.config().target_partitions());
        let columns = match projection {
            Some(columns) => columns.iter().filter_map(|column| self.places.get(*column).copied()).collect(),
            None => self.places.clone(),
        };
        // A join holds its smaller side in memory, and only this tells which one that is.
        let statistics = Statistics {
            num_rows: self.rows.map_or(Precision::Absent, Precision::Inexact),
            ..Statistics::new_unknown(self.table_schema.table_schema())
        };
        let config = FileScanConfigBuilder::new(self.store.clone(), Arc::new(source))
            .with_file_groups(groups)
            .with_projection_indices(Some(columns))?
            .with_limit(limit)
            .with_statistics(statistics)
            .build();
        Ok(DataSourceExec::from_data_source(config))
    }
}

/// Deals the files out so that every group has about the same number of bytes, keeping their order within a group.
fn in_groups(files: &[PartitionedFile], count: usize) -> Vec<FileGroup> {
    let count = count.clamp(1, files.len().max(1));
    let mut groups: Vec<(u64, Vec<PartitionedFile>)> = vec![(0, Vec::new()); count];
    for file in files {
        if let Some(smallest) = groups.iter_mut().min_by_key(|(bytes, _)| *bytes) {
            smallest.0 += file.object_meta.size;
            smallest.1.push(file.clone());
        }
    }
    groups.into_iter().map(|(_, files)| FileGroup::new(files)).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use arrow::array::{Int64Array, RecordBatch, StringViewArray};
    use arrow::util::pretty::pretty_format_batches;
    use deltalake::datafusion::prelude::SessionContext;

    use super::*;
    use crate::{Commit, Lake, Operation, Record, S3Settings};

    fn rows() -> RecordBatch {
        let field = |name: &str, data_type| Field::new(name, data_type, true);
        let schema = Schema::new(vec![
            field("id", DataType::Int64),
            field("city", DataType::Utf8View),
            field("amount", DataType::Int64),
        ]);
        let cities = StringViewArray::from(vec![Some("Köln"), Some(""), None]);
        let numbers = |values: [i64; 3]| Arc::new(Int64Array::from(values.to_vec()));
        RecordBatch::try_new(Arc::new(schema), vec![numbers([1, 2, 3]), Arc::new(cities), numbers([10, 20, 30])])
            .unwrap()
    }

    #[tokio::test]
    async fn files_read_one_by_one_are_as_the_table_whatever_it_is_partitioned_by() {
        let folder = tempfile::tempdir().unwrap();
        let lake = Lake::new(folder.path().to_str().unwrap(), &S3Settings::default()).unwrap();
        let mut table = lake.open(&"shop.silver.orders".parse().unwrap()).await.unwrap();
        let partition_by = vec!["city".to_owned()];
        let mut writer = table.staging().writer(rows().schema(), &partition_by);
        writer.write(&rows()).await.unwrap();
        let commit = Commit {
            operation: Operation::Append,
            schema: rows().schema(),
            partition_by: partition_by.clone(),
            properties: BTreeMap::new(),
            add: writer.close().await.unwrap(),
            remove: Vec::new(),
            range: None,
            record: Record::default(),
        };
        table.commit(commit).await.unwrap();
        let scanned = table.scan(&table.files().await.unwrap(), &table.schema().unwrap(), &partition_by).unwrap();
        let whole = table.provider().await.unwrap();
        assert_eq!(scanned.schema().fields().len(), 3);
        for query in [
            "SELECT * FROM t ORDER BY id",
            "SELECT amount FROM t WHERE city IS NULL ORDER BY amount",
            "SELECT city, id FROM t WHERE amount > 10 ORDER BY id",
            "WITH renamed(a, b, c) AS (SELECT * FROM t) SELECT c, a, b FROM renamed ORDER BY a",
            "SELECT count(*) FROM t",
        ] {
            let told = async |table: Arc<dyn TableProvider>| {
                let session = session_over(&lake, table);
                let rows = session.sql(query).await.unwrap().collect().await.unwrap();
                pretty_format_batches(&rows).unwrap().to_string()
            };
            assert_eq!(told(scanned.clone()).await, told(whole.clone()).await, "{query}");
        }
    }

    fn session_over(lake: &Lake, table: Arc<dyn TableProvider>) -> SessionContext {
        let session = SessionContext::new();
        let storage = lake.storage();
        session.runtime_env().register_object_store(&storage.root_url(), storage.root.clone());
        session.register_table("t", table).unwrap();
        session
    }
}
