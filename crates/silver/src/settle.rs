//! Which files a commit adds and removes, by how rows enter the table.

use ::stage::{Context, Result};
use arrow::datatypes::SchemaRef;
use lake::{Add, Operation, Table};
use quality::Staged;
use sql::Engine;

use crate::keys::BatchKeys;
use crate::known_keys::KnownKeys;
use crate::merge::Merge;
use crate::spec::{SilverSpec, WriteSpec};
use crate::unique::Unique;

/// Files that one commit adds and removes.
pub(crate) struct Files {
    pub(crate) operation: Operation,
    pub(crate) added: Vec<Add>,
    pub(crate) removed: Vec<Add>,
    pub(crate) rows: u64,
    pub(crate) duplicates: u64,
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
    pub(crate) context: &'a Context,
}

impl Settling<'_> {
    /// The files of a commit that makes the staged rows part of the table. `keys` are those of the batch and `known` those
    /// of earlier ones, for `unique_key`.
    pub(crate) async fn settle(
        &self,
        staged: Staged,
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
                    context: self.context,
                };
                let against_table = !self.replaces_all && self.table.version().is_some();
                let settled = unique.settle(staged, keys, against_table, known).await?;
                Ok(Files::of(self.operation(Operation::AppendChecked), settled))
            }
            (WriteSpec::Merge(spec), _) => {
                let known = self.table.schema().filter(|_| !self.replaces_all);
                let schema = match known {
                    Some(known) => lake::union(&known, &self.schema)?,
                    None => self.schema.clone(),
                };
                let (engine, table, context) = (self.engine, self.table, self.context);
                let merge = Merge { engine, table, schema, partition_by: &self.spec.partition_by, spec, context };
                let merged = merge.run(&staged, self.replaces_all).await?;
                Ok(Files {
                    operation: self.operation(Operation::Rewrite),
                    added: merged.added,
                    removed: merged.removed,
                    rows: merged.rows,
                    duplicates: 0,
                    spent: staged.added,
                })
            }
            _ => Ok(Files::of(self.operation(Operation::Append), staged)),
        }
    }

    fn operation(&self, otherwise: Operation) -> Operation {
        if self.replaces_all { Operation::Overwrite } else { otherwise }
    }
}

impl Files {
    fn of(operation: Operation, staged: Staged) -> Files {
        Files {
            operation,
            added: staged.added,
            removed: Vec::new(),
            rows: staged.rows,
            duplicates: staged.duplicates,
            spent: Vec::new(),
        }
    }
}
