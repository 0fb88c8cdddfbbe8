//! `unique_key`: a row enters only if the table has no row of its key.
//!
//! Rows are staged first, without the duplicates that memory knows. Then the key columns of those existing files that may
//! overlap are read, and only staged files that hold a key too many are written again. Most batches need none of that.

use std::sync::Arc;

use ::stage::{Context, Error, Result};
use arrow::array::RecordBatch;
use arrow::compute::filter_record_batch;
use arrow::datatypes::{Schema, SchemaRef};
use futures::TryStreamExt as _;
use lake::{Add, RollingWriter, Table};
use quality::Staged;
use sql::{Engine, KeySet, RowStream};

use crate::keys::{BatchKeys, Duplicates, KeyHasher};
use crate::known_keys::KnownKeys;
use crate::overlap::overlapping;
use crate::watermark::leave_out_before;

/// Keys of existing rows that are compared at a time.
const COMPARED_KEYS: usize = 1 << 20;

/// What finding duplicates needs to know of the table and the batch.
pub(crate) struct Unique<'a> {
    pub(crate) engine: &'a Engine,
    pub(crate) table: &'a Table,
    /// The columns of the staged files.
    pub(crate) schema: SchemaRef,
    pub(crate) partition_by: &'a [String],
    pub(crate) keys: &'a [String],
    /// A column of the table, and a time in it before which no row of the batch lies: repeats are looked for no further
    /// back than that.
    pub(crate) not_before: Option<(&'a str, i64)>,
    /// The files that hold the rows to compare with; those of the table when `None`.
    pub(crate) existing: Option<&'a [Add]>,
    pub(crate) context: &'a Context,
}

impl Unique<'_> {
    /// The staged files without rows whose key is already there. `known` is what a stream remembers of earlier batches.
    pub(crate) async fn settle(
        &self,
        staged: Staged,
        keys: &BatchKeys,
        against_table: bool,
        known: Option<&mut KnownKeys>,
    ) -> Result<Staged> {
        let mut duplicates = Duplicates { but_first: keys.repeated()?, ..Duplicates::default() };
        if against_table {
            let existing = match self.existing {
                Some(files) => files.to_vec(),
                None => self.table.files().await?,
            };
            let mut existing = overlapping(existing, &staged.added, self.keys);
            if let Some((column, micros)) = self.not_before {
                existing = leave_out_before(existing, column, micros);
            }
            let known = match known {
                Some(known) => self.learn(&existing, known).await?,
                None => None,
            };
            match known {
                Some(known) => keys.found_in(known, &mut duplicates.everywhere)?,
                None => self.find_existing(&existing, keys, &mut duplicates).await?,
            }
        }
        if duplicates.is_empty() {
            return Ok(staged);
        }
        self.rewrite(staged, &duplicates).await
    }

    /// Reads the keys of files that are not known yet. All known keys then, or `None` when memory does not hold them.
    async fn learn<'k>(&self, existing: &[Add], known: &'k mut KnownKeys) -> Result<Option<&'k KeySet>> {
        known.follow(self.table).await?;
        let Some(missing) = known.missing(existing) else { return Ok(None) };
        if !missing.is_empty() {
            let hasher = KeyHasher::new(self.keys);
            for mut stream in self.read(&missing, self.keys).await? {
                while let Some(rows) = stream.try_next().await? {
                    self.context.check()?;
                    known.learn(&hasher.hash(&rows)?);
                }
            }
            known.learned(&missing);
        }
        Ok(Some(known.keys()))
    }

    async fn find_existing(&self, existing: &[Add], keys: &BatchKeys, duplicates: &mut Duplicates) -> Result<()> {
        if existing.is_empty() {
            return Ok(());
        }
        let hasher = KeyHasher::new(self.keys);
        let mut waiting: Vec<u128> = Vec::new();
        for mut stream in self.read(existing, self.keys).await? {
            while let Some(rows) = stream.try_next().await? {
                self.context.check()?;
                waiting.extend(hasher.hash(&rows)?);
                if waiting.len() >= COMPARED_KEYS {
                    keys.shared_with(&waiting, &mut duplicates.everywhere)?;
                    waiting.clear();
                }
            }
        }
        keys.shared_with(&waiting, &mut duplicates.everywhere)
    }

    /// Writes the staged files that hold duplicates again, one after the other so that the first row stays the first.
    async fn rewrite(&self, staged: Staged, duplicates: &Duplicates) -> Result<Staged> {
        let mut met = Duplicates::nothing_met();
        let mut result = Staged { duplicates: staged.duplicates, ..Staged::default() };
        let hasher = KeyHasher::new(self.keys);
        let all: Vec<String> = self.schema.fields().iter().map(|field| field.name().clone()).collect();
        for file in staged.added {
            let mut is_touched = false;
            for mut stream in self.read(std::slice::from_ref(&file), self.keys).await? {
                while let Some(rows) = stream.try_next().await? {
                    is_touched |= duplicates.touch(&hasher.hash(&rows)?);
                }
            }
            if !is_touched {
                result.rows += lake::rows_told(&file).unwrap_or_default();
                result.added.push(file);
                continue;
            }
            let mut writer = RollingWriter::new(self.table.staging(), self.partition_by);
            for mut stream in self.read(std::slice::from_ref(&file), &all).await? {
                while let Some(rows) = stream.try_next().await? {
                    self.context.check()?;
                    let keep = duplicates.keep(&hasher.hash(&rows)?, &mut met);
                    result.duplicates += keep.false_count() as u64;
                    writer.write(&filtered(&rows, &keep)?).await?;
                }
            }
            result.rows += writer.rows();
            result.added.extend(writer.close().await?);
            self.table.staging().discard(&[file]).await;
        }
        Ok(result)
    }

    /// The given columns of some files. Partition columns are not in the files, so they are scanned in any case.
    async fn read(&self, files: &[Add], columns: &[String]) -> Result<Vec<RowStream>> {
        let provider = self.table.scan(files, &self.schema, self.partition_by)?;
        let wanted = self.schema.fields().iter().filter(|field| columns.contains(field.name()));
        let output = Arc::new(Schema::new(wanted.cloned().collect::<Vec<_>>()));
        sql::read(self.engine, provider, &output).await
    }
}

fn filtered(rows: &RecordBatch, keep: &arrow::array::BooleanArray) -> Result<RecordBatch> {
    filter_record_batch(rows, keep).map_err(|error| Error::bug("could not leave out duplicates").with_source(error))
}
