//! A merged table in a lake of its own, and changes for it.

use std::collections::BTreeMap;
use std::sync::Arc;

use ::stage::{Context, TableName};
use arrow::array::{Array, AsArray as _, Int64Array, RecordBatch, StringViewArray};
use arrow::datatypes::{DataType, Field, Int64Type, Schema, SchemaRef};
use chrono::{DateTime, Utc};
use futures::TryStreamExt as _;
use lake::{Add, Commit, Lake, Operation, Record, Remembered, S3Settings, Table};
use quality::Staged;
use sql::{Engine, EngineOptions};

use super::super::rules::Rules;
use super::super::{Merge, Merged};
use crate::spec::WriteSpec;

/// What happens to a key: `op` is c, d for a delete, or t to empty the table.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Change {
    pub(super) key: i64,
    pub(super) at: i64,
    pub(super) a: Option<i64>,
    pub(super) b: Option<String>,
    pub(super) op: &'static str,
}

pub(super) fn change(key: i64, at: i64, a: impl Into<Option<i64>>, b: impl Into<Option<&'static str>>) -> Change {
    Change { key, at, a: a.into(), b: b.into().map(str::to_owned), op: "c" }
}

pub(super) fn delete(key: i64, at: i64) -> Change {
    Change { op: "d", ..change(key, at, None, None) }
}

/// A table that is written as the TOML says.
pub(super) struct Shelf {
    _folder: tempfile::TempDir,
    lake: Lake,
    name: TableName,
    engine: Engine,
    rules: Rules,
    memory_bytes: usize,
    pub(super) now: DateTime<Utc>,
    partition_by: Vec<String>,
}

fn schema() -> SchemaRef {
    Arc::new(Schema::new(vec![
        Field::new("key", DataType::Int64, true),
        Field::new("at", DataType::Int64, true),
        Field::new("a", DataType::Int64, true),
        Field::new("b", DataType::Utf8View, true),
        Field::new("op", DataType::Utf8View, true),
    ]))
}

fn rows(changes: &[Change]) -> RecordBatch {
    let numbers = |values: Vec<Option<i64>>| Arc::new(Int64Array::from(values)) as Arc<dyn Array>;
    let texts = |values: Vec<Option<&str>>| Arc::new(StringViewArray::from(values)) as Arc<dyn Array>;
    let columns = vec![
        numbers(changes.iter().map(|change| Some(change.key)).collect()),
        numbers(changes.iter().map(|change| Some(change.at)).collect()),
        numbers(changes.iter().map(|change| change.a).collect()),
        texts(changes.iter().map(|change| change.b.as_deref()).collect()),
        texts(changes.iter().map(|change| Some(change.op)).collect()),
    ];
    RecordBatch::try_new(schema(), columns).unwrap()
}

impl Shelf {
    pub(super) fn new(write: &str) -> Shelf {
        let folder = tempfile::tempdir().unwrap();
        let lake = Lake::new(folder.path().to_str().unwrap(), &S3Settings::default()).unwrap();
        let engine = Engine::new(EngineOptions { memory_bytes: 64 << 20, spill_folder: None, threads: 2 }).unwrap();
        let storage = lake.storage();
        engine.runtime().register_object_store(&storage.root_url(), storage.root.clone());
        let write: WriteSpec = serde_json::from_str(write).unwrap();
        Shelf {
            _folder: folder,
            lake,
            name: "shop.silver.orders".parse().unwrap(),
            engine,
            rules: Rules::of(&write).unwrap(),
            memory_bytes: 64 << 20,
            now: DateTime::UNIX_EPOCH,
            partition_by: Vec::new(),
        }
    }

    /// The same with another memory.
    pub(super) fn with_memory(self, memory_bytes: usize) -> Shelf {
        Shelf { memory_bytes, ..self }
    }

    pub(super) async fn open(&self) -> Table {
        self.lake.open(&self.name).await.unwrap()
    }

    async fn stage(&self, table: &Table, changes: &[Change]) -> Staged {
        let mut writer = table.staging().writer(schema(), &[]);
        writer.write(&rows(changes)).await.unwrap();
        Staged { added: writer.close().await.unwrap(), rows: changes.len() as u64, duplicates: 0 }
    }

    /// Merges a batch and commits it.
    pub(super) async fn merge(&self, changes: &[Change]) -> Merged {
        self.follow(changes, &[]).await
    }

    /// Merges a batch of which some rows are gone upstream.
    pub(super) async fn follow(&self, changes: &[Change], gone: &[Change]) -> Merged {
        let mut table = self.open().await;
        let staged = self.stage(&table, changes).await;
        let gone = self.stage(&table, gone).await;
        let known = table.schema().unwrap_or_else(schema);
        let context = Context { fixed_now: Some(self.now), ..Context::new("run") };
        let merge = Merge {
            engine: &self.engine,
            table: &table,
            schema: lake::union(&known, &schema()).unwrap(),
            partition_by: &self.partition_by,
            brings_versions: false,
            rules: &self.rules,
            memory_bytes: self.memory_bytes,
            context: &context,
        };
        let merged = merge.run(&staged, &gone.added, false).await.unwrap();
        let commit = Commit {
            operation: Operation::Rewrite,
            schema: merged.schema.clone(),
            partition_by: self.partition_by.clone(),
            properties: BTreeMap::new(),
            add: merged.added.clone(),
            remove: merged.removed.clone(),
            range: None,
            record: Record { remembered: Some(merged.remembered.clone()), ..Record::default() },
        };
        table.commit(commit).await.unwrap();
        merged
    }

    pub(super) async fn remembered(&self) -> Remembered {
        self.open().await.record().unwrap().1.remembered.clone().unwrap()
    }

    /// Each row of the table as text, in order, without the column `op`.
    pub(super) async fn rows(&self) -> Vec<String> {
        let table = self.open().await;
        let Some(schema) = table.schema() else { return Vec::new() };
        let provider = table.scan(&table.files().await.unwrap(), &schema, &self.partition_by).unwrap();
        let mut all = Vec::new();
        for stream in sql::read(&self.engine, provider, &schema).await.unwrap() {
            for rows in stream.try_collect::<Vec<_>>().await.unwrap() {
                all.extend((0..rows.num_rows()).map(|row| text(&rows, row)));
            }
        }
        all.sort();
        all
    }

    /// The rows of one file.
    pub(super) async fn keys_of(&self, file: &Add) -> Vec<i64> {
        let table = self.open().await;
        let schema = table.schema().unwrap();
        let provider = table.scan(std::slice::from_ref(file), &schema, &self.partition_by).unwrap();
        let mut keys = Vec::new();
        for stream in sql::read(&self.engine, provider, &schema).await.unwrap() {
            for rows in stream.try_collect::<Vec<_>>().await.unwrap() {
                let column = rows.column_by_name("key").unwrap();
                keys.extend(column.as_primitive::<Int64Type>().values());
            }
        }
        keys.sort_unstable();
        keys
    }
}

fn text(rows: &RecordBatch, row: usize) -> String {
    let names = ["key", "at", "a", "b", "_valid_from", "_valid_to", "_is_current"];
    let value = |name: &str| {
        let column = rows.column_by_name(name)?;
        Some(arrow::util::display::array_value_to_string(column, row).unwrap())
    };
    names.iter().filter_map(|name| value(name)).collect::<Vec<_>>().join("|")
}
