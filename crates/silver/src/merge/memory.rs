//! What a table remembers beside its rows, in files below it that the record of each commit names.
//!
//! A commit writes a file with what is remembered from now on of the keys it touched; for a key the newest file that has it
//! counts, so nothing is ever looked up to be replaced. Files are named in the record of the commit that makes them count,
//! and so are as atomic as its rows. Now and then the newer ones are put together, and what is older than the spec wants is
//! left out.

use std::sync::Arc;
use std::time::Duration;

use ::stage::{Error, Result};
use arrow::array::{AsArray as _, BooleanArray, RecordBatch};
use arrow::compute::filter_record_batch;
use arrow::datatypes::{Int8Type, Schema, SchemaRef, TimestampMicrosecondType};
use futures::StreamExt as _;
use lake::{Add, REMEMBERED_FOLDER, RollingWriter};
use sql::{KeyMap, KeySet};

use super::build::{AT_COLUMN, KIND_COLUMN, Memory, remembered_schema};
use super::chunk::{Chunk, Event, Kind, Origin, Place, compacted};
use super::incoming::Incoming;
use super::job::Job;
use super::layout::{hashes, projected};
use crate::overlap::KeyValues;

/// Files beyond which the newer ones are put together.
const FILES: usize = 8;
/// A file stays as it is while it has this many times the rows of all newer ones.
const OUTWEIGHS: u64 = 3;

/// Remembered changes of a table.
pub(crate) struct Memoirs<'a> {
    pub(crate) job: &'a Arc<Job>,
    pub(crate) now_micros: i64,
    pub(crate) keep: Duration,
}

impl Memoirs<'_> {
    /// Adds what is remembered of the keys of a batch to what it brings.
    pub(crate) async fn recall(&self, files: &[Add], incoming: &mut Incoming) -> Result<()> {
        for file in self.candidates(files, incoming)? {
            let mut found: KeyMap<Vec<Event>> = KeyMap::default();
            for rows in self.read(&file).await? {
                self.note(&rows, incoming, &mut found)?;
            }
            for (key, events) in found {
                let Some(known) = incoming.events.get_mut(&key) else { continue };
                known.retain(|event| event.origin != Origin::Remembered);
                known.extend(events);
            }
        }
        Ok(())
    }

    fn candidates(&self, files: &[Add], incoming: &Incoming) -> Result<Vec<Add>> {
        let batches: Vec<&RecordBatch> = incoming.chunks.iter().map(|chunk| &chunk.rows).collect();
        let keys = self.job.layout.key_columns();
        let values: Vec<KeyValues> =
            keys.fields().iter().map(|key| KeyValues::of(&batches, key.name())).collect::<Result<_>>()?;
        Ok(files.iter().filter(|file| values.iter().all(|values| values.may_be_in(file))).cloned().collect())
    }

    fn note(&self, rows: &RecordBatch, incoming: &mut Incoming, found: &mut KeyMap<Vec<Event>>) -> Result<()> {
        let layout = &self.job.layout;
        let keys = hashes(&layout.keys(rows)?);
        let wanted: BooleanArray = keys.iter().map(|key| Some(incoming.events.contains_key(key))).collect();
        let rows = compacted(&filtered(rows, &wanted)?)?;
        if rows.num_rows() == 0 {
            return Ok(());
        }
        let keys = hashes(&layout.keys(&rows)?);
        let (kinds, at) = told(&rows)?;
        let chunk = incoming.chunks.push(Chunk::new(layout, projected(&rows, &layout.schema)?)?)?;
        for (row, key) in (0u32..).zip(keys) {
            let events = found.entry(key).or_default();
            let kind = match kinds[row as usize] {
                kind if kind == Memory::Delete as i8 => Kind::Delete,
                kind if kind == Memory::Change as i8 => Kind::Change,
                _ => continue,
            };
            if !self.is_forgotten(at[row as usize]) {
                events.push(Event { place: Place { chunk, row }, kind, origin: Origin::Remembered });
            }
        }
        Ok(())
    }

    fn is_forgotten(&self, at_micros: i64) -> bool {
        let keep = i64::try_from(self.keep.as_micros()).unwrap_or(i64::MAX);
        at_micros < self.now_micros.saturating_sub(keep)
    }

    /// Writes down what is remembered from now on and returns the files that count, and those that no longer do although
    /// they were only staged.
    pub(crate) async fn write(&self, earlier: &[Add], memories: Vec<RecordBatch>) -> Result<(Vec<Add>, Vec<Add>)> {
        let mut writer = self.writer();
        for rows in &memories {
            writer.write(rows).await?;
        }
        let mut files: Vec<Add> = self.alive(earlier);
        let written = self.dated(writer.close().await?, self.now_micros / 1000);
        files.extend(written.iter().cloned());
        let put_together = self.put_together(files).await?;
        let is_spent = |file: &&Add| !put_together.iter().any(|kept| kept.path == file.path);
        let spent = written.iter().filter(is_spent).cloned().collect();
        Ok((put_together, spent))
    }

    /// Files without those of which everything is forgotten.
    fn alive(&self, files: &[Add]) -> Vec<Add> {
        let is_alive = |file: &&Add| !self.is_forgotten(file.modification_time.saturating_mul(1000));
        files.iter().filter(is_alive).cloned().collect()
    }

    /// One file in place of the newer ones, when there are many.
    async fn put_together(&self, mut files: Vec<Add>) -> Result<Vec<Add>> {
        let rows = |file: &Add| lake::rows_told(file).unwrap_or(u64::MAX / 4);
        if files.len() <= FILES {
            return Ok(files);
        }
        let outweighs = |place: &usize| {
            let newer: u64 = files[place + 1..].iter().map(rows).sum();
            rows(&files[*place]) > newer.saturating_mul(OUTWEIGHS)
        };
        let first = (0..files.len() - 2).rev().find(outweighs).map_or(0, |place| place + 1);
        let old = files.split_off(first);
        let mut writer = self.writer();
        let mut met = KeySet::default();
        for file in old.iter().rev() {
            let mut own = KeySet::default();
            for rows in self.read(file).await? {
                let keys = hashes(&self.job.layout.keys(&rows)?);
                let (kinds, at) = told(&rows)?;
                // What nothing is remembered of need only be said as long as an older file says otherwise.
                let counts = |row: usize| {
                    !met.contains(&keys[row])
                        && !self.is_forgotten(at[row])
                        && (first > 0 || kinds[row] != Memory::Nothing as i8)
                };
                let kept: BooleanArray = (0..keys.len()).map(|row| Some(counts(row))).collect();
                own.extend(&keys);
                writer.write(&projected(&filtered(&rows, &kept)?, &remembered_schema(&self.job.layout))?).await?;
            }
            met.extend(own);
        }
        let newest = old.iter().map(|file| file.modification_time).max().unwrap_or_default();
        files.extend(self.dated(writer.close().await?, newest));
        Ok(files)
    }

    /// Rows of a file, with all columns of the table.
    async fn read(&self, file: &Add) -> Result<Vec<RecordBatch>> {
        let schema = readable(&self.job.layout.schema);
        let mut all = Vec::new();
        for mut stream in self.job.read_as(std::slice::from_ref(file), &schema, &schema, &[]).await? {
            while let Some(rows) = stream.next().await {
                self.job.context.check()?;
                all.push(rows?);
            }
        }
        Ok(all)
    }

    fn writer(&self) -> RollingWriter {
        RollingWriter::new(self.job.table.staging().below(REMEMBERED_FOLDER), &[])
    }

    /// Files as the record keeps them: with the time of the newest row, and no more statistics than keys need.
    fn dated(&self, files: Vec<Add>, millis: i64) -> Vec<Add> {
        let keys = self.job.layout.key_columns();
        let of_keys = |stats: String| {
            let Ok(mut stats) = serde_json::from_str::<serde_json::Value>(&stats) else { return stats };
            for bounds in ["minValues", "maxValues", "nullCount"] {
                if let Some(bounds) = stats[bounds].as_object_mut() {
                    bounds.retain(|column, _| keys.field_with_name(column).is_ok());
                }
            }
            stats.to_string()
        };
        files
            .into_iter()
            .map(|file| Add { modification_time: millis, stats: file.stats.map(of_keys), ..file })
            .collect()
    }
}

/// What remembered rows are, and when they were remembered.
fn told(rows: &RecordBatch) -> Result<(Vec<i8>, Vec<i64>)> {
    let column =
        |name: &str| rows.column_by_name(name).ok_or_else(|| Error::bug(format!("what is remembered lacks `{name}`")));
    let kinds = column(KIND_COLUMN)?.as_primitive::<Int8Type>().values().to_vec();
    let at = column(AT_COLUMN)?.as_primitive::<TimestampMicrosecondType>().values().to_vec();
    Ok((kinds, at))
}

/// The columns of a table with those of what is remembered behind them.
fn readable(schema: &SchemaRef) -> SchemaRef {
    use arrow::datatypes::{DataType, Field, TimeUnit};
    let own = [
        Field::new(KIND_COLUMN, DataType::Int8, true),
        Field::new(AT_COLUMN, DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())), true),
    ];
    let own = own.into_iter().map(Arc::new);
    Arc::new(Schema::new(schema.fields().iter().cloned().chain(own).collect::<Vec<_>>()))
}

fn filtered(rows: &RecordBatch, keep: &BooleanArray) -> Result<RecordBatch> {
    filter_record_batch(rows, keep)
        .map_err(|error| Error::bug("could not choose what is remembered").with_source(error))
}
