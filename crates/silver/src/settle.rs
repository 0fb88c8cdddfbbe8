//! Which files a commit adds and removes, by how rows enter the table.

use ::stage::{Context, Error, Result};
use arrow::datatypes::SchemaRef;
use lake::{Add, Operation, Remembered, Table};
use quality::Staged;
use sql::Engine;

use crate::keys::BatchKeys;
use crate::known_keys::KnownKeys;
use crate::merge::rules::Rules;
use crate::merge::{HISTORY_COLUMNS, Merge};
use crate::spec::{SilverSpec, WriteSpec};
use crate::unique::Unique;

/// Files that one commit adds and removes.
pub(crate) struct Files {
    pub(crate) operation: Operation,
    /// The columns of the table afterwards.
    pub(crate) schema: SchemaRef,
    pub(crate) added: Vec<Add>,
    pub(crate) removed: Vec<Add>,
    pub(crate) rows: u64,
    pub(crate) duplicates: u64,
    /// What is remembered beside the rows, where rows change by their keys.
    pub(crate) remembered: Option<Remembered>,
    /// Staged files that were only a step on the way.
    pub(crate) spent: Vec<Add>,
}

/// What settling needs to know of the table and the batch.
pub(crate) struct Settling<'a> {
    pub(crate) engine: &'a Engine,
    pub(crate) table: &'a Table,
    pub(crate) spec: &'a SilverSpec,
    /// The columns of the staged files.
    pub(crate) schema: SchemaRef,
    pub(crate) replaces_all: bool,
    /// A column of the table, and a time in it before which no row of the batch lies.
    pub(crate) not_before: Option<(&'a str, i64)>,
    pub(crate) memory_bytes: usize,
    pub(crate) context: &'a Context,
}

impl Settling<'_> {
    /// The files of a commit that makes the staged rows part of the table. `keys` are those of the batch and `known` those
    /// of earlier ones, for `unique_key`. `retracted` are rows that are gone upstream.
    pub(crate) async fn settle(
        &self,
        staged: Staged,
        retracted: Vec<Add>,
        keys: Option<&BatchKeys>,
        known: Option<&mut KnownKeys>,
    ) -> Result<Files> {
        match (&self.spec.write, keys) {
            (WriteSpec::UniqueKey(columns), Some(keys)) => {
                let unique = Unique {
                    engine: self.engine,
                    table: self.table,
                    schema: self.schema.clone(),
                    partition_by: &self.spec.partition_by,
                    keys: columns,
                    not_before: self.not_before,
                    existing: None,
                    context: self.context,
                };
                let against_table = !self.replaces_all && self.table.version().is_some();
                let settled = unique.settle(staged, keys, against_table, known).await?;
                Ok(self.files(Operation::AppendChecked, settled))
            }
            (WriteSpec::Merge(_) | WriteSpec::Scd2(_), _) => self.merge(staged, retracted).await,
            _ => Ok(self.files(Operation::Append, staged)),
        }
    }

    /// The files of a table whose rows change by their keys.
    async fn merge(&self, staged: Staged, retracted: Vec<Add>) -> Result<Files> {
        let rules = Rules::of(&self.spec.write).ok_or_else(|| Error::bug("a table is merged that has no keys"))?;
        let known = self.table.schema().filter(|_| !self.replaces_all);
        let schema = match known {
            Some(known) => lake::union(&known, &self.schema)?,
            None => self.schema.clone(),
        };
        let brings_versions = HISTORY_COLUMNS.iter().all(|name| self.schema.field_with_name(name).is_ok());
        let merge = Merge {
            brings_versions,
            engine: self.engine,
            table: self.table,
            schema,
            partition_by: &self.spec.partition_by,
            rules: &rules,
            memory_bytes: self.memory_bytes,
            context: self.context,
        };
        let merged = merge.run(&staged, &retracted, self.replaces_all).await?;
        Ok(Files {
            operation: self.operation(Operation::Rewrite),
            schema: merged.schema,
            added: merged.added,
            removed: merged.removed,
            rows: merged.rows,
            duplicates: 0,
            remembered: Some(merged.remembered),
            spent: staged.added.into_iter().chain(retracted).chain(merged.spent).collect(),
        })
    }

    fn operation(&self, otherwise: Operation) -> Operation {
        if self.replaces_all { Operation::Overwrite } else { otherwise }
    }

    fn files(&self, otherwise: Operation, staged: Staged) -> Files {
        Files {
            operation: self.operation(otherwise),
            schema: self.schema.clone(),
            added: staged.added,
            removed: Vec::new(),
            rows: staged.rows,
            duplicates: staged.duplicates,
            remembered: None,
            spent: Vec::new(),
        }
    }
}
