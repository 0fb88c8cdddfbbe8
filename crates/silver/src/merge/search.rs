//! Which files of the table hold rows that the batch may change.
//!
//! Statistics leave out files whose bounds hold none of the batch's keys. Of the others the key columns are read, and only
//! files in which a key was really met are looked at as a whole.

use std::sync::Arc;

use ::stage::Result;
use arrow::array::{AsArray as _, RecordBatch};
use arrow::datatypes::{Schema, SchemaRef};
use futures::StreamExt as _;
use lake::Add;
use sql::KeyMap;
use tokio::task::JoinSet;

use super::build::history_places;
use super::incoming::{Incoming, KeyRange};
use super::job::Job;
use super::layout::hashes;
use super::streams::ended;
use crate::overlap::KeyValues;

/// What was found in the table.
#[derive(Debug, Default)]
pub(crate) struct Found {
    /// Files to look at as a whole.
    pub(crate) files: Vec<Add>,
    /// How many rows of them each key of the batch has.
    pub(crate) rows: KeyMap<u32>,
}

/// What a snapshot says of each of its keys: a hash of what it can change in the row, neither sequence nor origin.
pub(crate) type Stated = KeyMap<u128>;

/// A search for the keys of a batch.
pub(crate) struct Search {
    pub(crate) job: Arc<Job>,
    pub(crate) incoming: Arc<Incoming>,
    pub(crate) range: KeyRange,
    /// For a snapshot, what it says.
    pub(crate) stated: Stated,
}

/// What one file holds.
struct Met {
    file: Add,
    keys: Vec<u128>,
    /// Whether a row of it may change.
    must_change: bool,
}

impl Search {
    /// Looks through some files of the table.
    pub(crate) async fn run(self, files: &[Add]) -> Result<Found> {
        let candidates = self.candidates(files)?;
        let search = Arc::new(self);
        let mut found = Found::default();
        let mut waiting = candidates.into_iter();
        let mut tasks: JoinSet<Result<Met>> = JoinSet::new();
        loop {
            while tasks.len() < search.job.threads
                && let Some(file) = waiting.next()
            {
                tasks.spawn(search.clone().look(file));
            }
            let Some(met) = tasks.join_next().await else { break };
            found.add(ended(met)?);
        }
        // The order in which files were read must not show.
        found.files.sort_by(|one, other| one.path.cmp(&other.path));
        Ok(found)
    }

    fn candidates(&self, files: &[Add]) -> Result<Vec<Add>> {
        if self.job.truncates || self.job.snapshot.is_some() {
            return Ok(files.to_vec());
        }
        let batches: Vec<&RecordBatch> = self.incoming.chunks.iter().map(|chunk| &chunk.rows).collect();
        let keys = self.job.layout.key_columns();
        let values: Vec<KeyValues> =
            keys.fields().iter().map(|key| KeyValues::of(&batches, key.name())).collect::<Result<_>>()?;
        Ok(files.iter().filter(|file| values.iter().all(|values| values.may_be_in(file))).cloned().collect())
    }

    async fn look(self: Arc<Self>, file: Add) -> Result<Met> {
        let mut met = Met { file, keys: Vec::new(), must_change: false };
        let columns = self.columns();
        for mut stream in self.job.read(std::slice::from_ref(&met.file), &columns).await? {
            while let Some(rows) = stream.next().await {
                self.job.context.check()?;
                self.note(&rows?, &mut met)?;
            }
        }
        Ok(met)
    }

    /// The columns that tell whether a row may change.
    fn columns(&self) -> SchemaRef {
        if self.job.snapshot.is_some() {
            return self.job.layout.schema.clone();
        }
        let keys = self.job.layout.key_columns();
        match self.job.truncates {
            false => keys,
            true => {
                let sequence = self.job.layout.sequence_schema();
                let more = sequence.fields().iter().filter(|field| keys.field_with_name(field.name()).is_err());
                Arc::new(Schema::new(keys.fields().iter().chain(more).cloned().collect::<Vec<_>>()))
            }
        }
    }

    fn note(&self, rows: &RecordBatch, met: &mut Met) -> Result<()> {
        let layout = &self.job.layout;
        let keys = layout.keys(rows)?;
        if self.job.snapshot.is_some() {
            let open = open_rows(&self.job, rows)?;
            let stated = layout.stated(rows)?;
            let whole = self.job.snapshot.as_ref().is_some_and(|snapshot| snapshot.is_whole);
            for (row, key) in hashes(&keys).into_iter().enumerate().filter(|(row, _)| open[*row]) {
                let differs = match self.stated.get(&key) {
                    Some(told) => *told != stated[row],
                    None => whole && self.range.contains(keys.row(row)),
                };
                met.must_change |= differs;
                met.keys.extend(self.incoming.events.contains_key(&key).then_some(key));
            }
            return Ok(());
        }
        met.keys.extend(hashes(&keys).into_iter().filter(|key| self.incoming.events.contains_key(key)));
        met.must_change |= !met.keys.is_empty();
        if let Some(horizon) = self.job.horizon_row().filter(|_| self.job.truncates) {
            met.must_change |= layout.sequences(rows)?.iter().any(|sequence| sequence < horizon.row());
        }
        Ok(())
    }
}

impl Found {
    fn add(&mut self, met: Met) {
        for key in &met.keys {
            *self.rows.entry(*key).or_default() += 1;
        }
        if met.must_change {
            self.files.push(met.file);
        }
    }
}

/// Which rows are not closed versions; all, where the table holds no versions.
pub(crate) fn open_rows(job: &Job, rows: &RecordBatch) -> Result<Vec<bool>> {
    if !job.layout.is_history() {
        return Ok(vec![true; rows.num_rows()]);
    }
    let [_, _, current] = history_places(&job.layout)?;
    Ok(rows.column(current).as_boolean().iter().map(|is_current| is_current == Some(true)).collect())
}
