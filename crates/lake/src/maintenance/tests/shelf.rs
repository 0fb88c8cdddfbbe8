//! One table of a lake in a temporary folder, and what tests do to it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use arrow::array::{AsArray as _, Int64Array, RecordBatch, StringViewArray};
use arrow::datatypes::{DataType, Field, Int64Type, Schema, SchemaRef};
use chrono::{DateTime, Utc};
use deltalake::datafusion::datasource::provider_as_source;
use deltalake::datafusion::logical_expr::LogicalPlanBuilder;
use deltalake::kernel::Add;
use stage::{Checkpoint, OffsetRange, TableName};
use tempfile::TempDir;

use super::super::compact::session;
use super::super::{Compacted, CompactionSettings, compact};
use crate::{Commit, Lake, Operation, Record, S3Settings, Table};

/// A row: the part it is in, and a number.
pub(super) type Row = (Option<String>, i64);

pub(super) const ALL_SMALL: CompactionSettings =
    CompactionSettings { target_file_size: 1 << 20, minimum_files: 2, minimum_age: Duration::ZERO };

/// A table in a lake of its own.
pub(super) struct Shelf {
    folder: TempDir,
    pub(super) name: TableName,
    pub(super) partition_by: Vec<String>,
}

impl Shelf {
    pub(super) fn new(partition_by: &[&str]) -> Shelf {
        let name = "shop.silver.orders".parse().unwrap();
        let partition_by = partition_by.iter().map(|column| (*column).to_owned()).collect();
        Shelf { folder: TempDir::new().unwrap(), name, partition_by }
    }

    /// The lake, as another process would open it.
    pub(super) fn lake(&self) -> Lake {
        Lake::new(self.folder.path().to_str().unwrap(), &S3Settings::default()).unwrap()
    }

    pub(super) async fn open(&self) -> Table {
        self.lake().open(&self.name).await.unwrap()
    }

    /// Where the table lies.
    pub(super) fn path(&self, below: &str) -> std::path::PathBuf {
        self.folder.path().join(self.name.path()).join(below)
    }

    /// Files with these rows, staged.
    pub(super) async fn staged(&self, table: &Table, rows: &[Row]) -> Vec<Add> {
        let mut writer = table.staging().writer(schema(), &self.partition_by);
        writer.write(&batch(rows)).await.unwrap();
        writer.close().await.unwrap()
    }

    pub(super) fn commit(&self, operation: Operation, run: &str, add: Vec<Add>, remove: Vec<Add>) -> Commit {
        Commit {
            operation,
            schema: schema(),
            partition_by: self.partition_by.clone(),
            properties: BTreeMap::new(),
            add,
            remove,
            range: None,
            record: Record { run: run.to_owned(), ..Record::default() },
        }
    }

    /// Appends rows as batch `number` of a source.
    pub(super) async fn append(&self, number: i64, rows: &[Row]) -> u64 {
        let mut table = self.open().await;
        let add = self.staged(&table, rows).await;
        let mut commit = self.commit(Operation::Append, "append", add, Vec::new());
        commit.range =
            Some(OffsetRange { from: Checkpoint::of("source", number), to: Checkpoint::of("source", number + 1) });
        commit.record.batch = number;
        commit.record.fingerprint = Some(format!("print {number}"));
        table.commit(commit).await.unwrap()
    }

    /// Appends that many files, each with the row of its number.
    pub(super) async fn append_each(&self, numbers: std::ops::Range<i64>) {
        for number in numbers {
            self.append(number, &[(Some("a".into()), number)]).await;
        }
    }

    pub(super) async fn compact(&self) -> Compacted {
        compact(&self.lake(), &self.name, &ALL_SMALL, later(Duration::from_secs(60))).await.unwrap()
    }

    /// All rows, sorted.
    pub(super) async fn rows(&self) -> Vec<Row> {
        let table = self.open().await;
        self.rows_of(&table, &table.files().await.unwrap()).await
    }

    /// The rows of some files, sorted.
    pub(super) async fn rows_of(&self, table: &Table, files: &[Add]) -> Vec<Row> {
        let provider = table.scan(files, &schema(), &table.partition_columns()).unwrap();
        let plan = LogicalPlanBuilder::scan("t", provider_as_source(provider), None).unwrap();
        let plan = plan.build().unwrap();
        let batches = session(&self.lake()).execute_logical_plan(plan).await.unwrap().collect().await.unwrap();
        let mut rows: Vec<Row> = batches.iter().flat_map(rows_in).collect();
        rows.sort();
        rows
    }

    /// The rows of the table as the library's own reader gives them, sorted.
    pub(super) async fn queried(&self) -> Vec<Row> {
        let plan = LogicalPlanBuilder::scan("t", provider_as_source(self.open().await.provider().await.unwrap()), None);
        let plan = plan.unwrap().build().unwrap();
        let batches = session(&self.lake()).execute_logical_plan(plan).await.unwrap().collect().await.unwrap();
        let mut rows: Vec<Row> = batches.iter().flat_map(rows_in).collect();
        rows.sort();
        rows
    }

    /// Data files that lie in the table's folder.
    pub(super) fn data_files(&self) -> usize {
        fn count(folder: &std::path::Path) -> usize {
            let entries = std::fs::read_dir(folder).unwrap().map(Result::unwrap);
            let of = |entry: std::fs::DirEntry| match entry.path() {
                path if path.ends_with("_delta_log") => 0,
                path if path.is_dir() => count(&path),
                path => usize::from(path.extension().is_some_and(|extension| extension == "parquet")),
            };
            entries.map(of).sum()
        }
        count(&self.path(""))
    }
}

pub(super) fn schema() -> SchemaRef {
    Arc::new(Schema::new(vec![
        Field::new("part", DataType::Utf8View, true),
        Field::new("number", DataType::Int64, true),
    ]))
}

pub(super) fn batch(rows: &[Row]) -> RecordBatch {
    let parts: StringViewArray = rows.iter().map(|(part, _)| part.as_deref()).collect();
    let numbers: Int64Array = rows.iter().map(|(_, number)| *number).collect();
    RecordBatch::try_new(schema(), vec![Arc::new(parts), Arc::new(numbers)]).unwrap()
}

fn rows_in(batch: &RecordBatch) -> Vec<Row> {
    let parts = batch.column_by_name("part").unwrap();
    let parts = arrow::compute::cast(parts, &DataType::Utf8View).unwrap();
    let numbers = batch.column_by_name("number").unwrap().as_primitive::<Int64Type>();
    let parts = parts.as_string_view();
    parts.iter().zip(numbers.values()).map(|(part, number)| (part.map(str::to_owned), *number)).collect()
}

pub(super) fn row(number: i64) -> Row {
    (Some("a".into()), number)
}

pub(super) fn later(by: Duration) -> DateTime<Utc> {
    Utc::now() + by
}
