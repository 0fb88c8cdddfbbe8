//! Reads exactly the files it is given, whatever the newest snapshot says of them.
//!
//! The library's own provider resolves files against a snapshot, so a file that was compacted away since could not be
//! read. Incremental readers, deduplication and merges name their files, and those files stay until vacuum.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, FieldRef, Schema, SchemaRef};
use async_trait::async_trait;
use chrono::DateTime;
use deltalake::datafusion::catalog::{Session, TableProvider};
use deltalake::datafusion::common::{DFSchema, DataFusionError, ScalarValue};
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

use crate::table::Table;

/// Some files of one table, as a table of its own. The partition columns stand last.
#[derive(Debug)]
struct FileSet {
    store: ObjectStoreUrl,
    table_schema: TableSchema,
    files: Vec<PartitionedFile>,
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
        let partition_fields: Vec<FieldRef> = partition_by
            .iter()
            .map(|name| {
                let known = schema.fields().iter().find(|field| field.name() == name);
                known.cloned().unwrap_or_else(|| Arc::new(Field::new(name, DataType::Utf8View, true)))
            })
            .collect();
        let files =
            files.iter().map(|add| self.partitioned_file(add, &partition_fields)).collect::<Result<Vec<_>>>()?;
        let mut root = self.url().clone();
        root.set_path("");
        let store = ObjectStoreUrl::parse(root.as_str())
            .map_err(|error| Error::bug(format!("could not address {}", self.name)).with_source(error))?;
        let table_schema = TableSchema::builder(Arc::new(Schema::new(file_fields)))
            .with_table_partition_cols(partition_fields)
            .build();
        Ok(Arc::new(FileSet { store, table_schema, files }))
    }

    fn partitioned_file(&self, add: &Add, partition_fields: &[FieldRef]) -> Result<PartitionedFile> {
        if add.deletion_vector.is_some() {
            return Err(Error::data(format!(
                "{} has deletion vectors, which cannot be read incrementally; run OPTIMIZE or REORG there first",
                self.name
            )));
        }
        let values = partition_fields.iter().map(|field| {
            let text = add.partition_values.get(field.name()).cloned().flatten();
            match text {
                None => ScalarValue::try_from(field.data_type()),
                Some(text) => ScalarValue::try_from_string(text, field.data_type()),
            }
        });
        let values: Result<Vec<ScalarValue>, DataFusionError> = values.collect();
        let values = values.map_err(|error| {
            Error::data(format!("a partition value of {} does not fit its column", self.name)).with_source(error)
        })?;
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
        self.table_schema.table_schema().clone()
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
            let schema = DFSchema::try_from(self.schema())?;
            source = source.with_predicate(state.create_physical_expr(filter, &schema)?);
        }
        let groups = in_groups(&self.files, state.config().target_partitions());
        let config = FileScanConfigBuilder::new(self.store.clone(), Arc::new(source))
            .with_file_groups(groups)
            .with_projection_indices(projection.cloned())?
            .with_limit(limit)
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
