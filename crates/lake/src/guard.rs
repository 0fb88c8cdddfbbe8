//! What stands before a commit: judges the table as the commit would make it, before anyone can see it.

use std::collections::HashSet;

use arrow::datatypes::SchemaRef;
use deltalake::kernel::Add;
use futures::future::BoxFuture;
use stage::Result;

use crate::commit::{Commit, Operation};
use crate::record::RuleOutcome;
use crate::schema::{in_flight, union};
use crate::table::Table;

/// Judges commits; see [`Table::commit_guarded`].
pub trait Guard: Send + Sync {
    /// Whether it looks at anything; a candidate costs a listing of the table's files.
    fn is_needed(&self) -> bool;

    /// How the rules fared on what the table would be; they become part of the commit's record.
    ///
    /// # Errors
    /// When the commit must not be made.
    fn judge<'a>(&'a self, candidate: Candidate<'a>) -> BoxFuture<'a, Result<Vec<RuleOutcome>>>;
}

/// A table as a commit would make it.
#[derive(Debug)]
pub struct Candidate<'a> {
    /// The table as it is.
    pub table: &'a Table,
    /// The files it would have: those it has, without what is removed, and what is added.
    pub files: Vec<Add>,
    /// The files that are added.
    pub added: &'a [Add],
    /// The columns it would have.
    pub schema: SchemaRef,
    /// The columns it is partitioned by.
    pub partition_by: &'a [String],
    /// The rows that are added.
    pub rows_added: u64,
    /// Whether those are the rows of one more batch, and not some that were let in later or made anew.
    pub is_next_batch: bool,
}

impl Table {
    pub(crate) async fn candidate<'a>(&'a self, commit: &'a Commit) -> Result<Candidate<'a>> {
        let replaces_all = commit.operation == Operation::Overwrite;
        let removed: HashSet<&str> = commit.remove.iter().map(|file| file.path.as_str()).collect();
        let mut files = if replaces_all { Vec::new() } else { self.files().await? };
        files.retain(|file| !removed.contains(file.path.as_str()));
        files.extend_from_slice(&commit.add);
        let schema = match self.schema().filter(|_| !replaces_all) {
            Some(current) => union(&current, &in_flight(&commit.schema))?,
            None => in_flight(&commit.schema),
        };
        Ok(Candidate {
            table: self,
            files,
            added: &commit.add,
            schema,
            partition_by: &commit.partition_by,
            rows_added: commit.record.rows_written,
            is_next_batch: commit.record.is_next_batch(),
        })
    }
}
