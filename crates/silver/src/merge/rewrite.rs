//! One pass over the files that hold keys of the batch: each is written again with its keys folded, or left as it is.
//!
//! Rows of other keys stream from the old file to the new one. Rows of the batch's keys wait in memory until the file ends;
//! what becomes of them goes into the same new file, so that files keep their ranges of keys. Only keys whose rows lie in
//! several files, and new ones, go into files of their own, in the order of keys.

use std::sync::Arc;

use ::stage::{Error, Result};
use arrow::array::{BooleanArray, RecordBatch};
use arrow::compute::filter_record_batch;
use futures::StreamExt as _;
use lake::{Add, RollingWriter};
use sql::KeyMap;
use tokio::task::JoinSet;

use super::chunk::{Chunks, compacted};
use super::fold_keys::{Folder, Local, Outcome};
use super::incoming::{Incoming, KeyRange};
use super::job::Job;
use super::layout::hashes;
use super::search::{Found, open_rows};
use super::streams::ended;

/// Keys that are folded and written at a time.
const KEYS_AT_ONCE: usize = 8192;
/// New keys from which on several workers write them.
const KEYS_OF_A_WORKER: usize = 100_000;

/// A pass over a range of keys.
pub(crate) struct Pass {
    pub(crate) job: Arc<Job>,
    pub(crate) incoming: Arc<Incoming>,
    pub(crate) range: KeyRange,
    pub(crate) found: Found,
    pub(crate) at_micros: i64,
}

/// What a pass did.
#[derive(Debug, Default)]
pub(crate) struct Passed {
    /// Files that were written, and files that they stand for.
    pub(crate) added: Vec<Add>,
    pub(crate) removed: Vec<Add>,
    /// Files with keys that the table did not have, so no other range meets them.
    pub(crate) fresh: Vec<Add>,
    /// Rows that were not there before.
    pub(crate) rows: u64,
    pub(crate) memories: Vec<RecordBatch>,
}

/// Rows of a table that the batch may change, by key, in the order they were met.
#[derive(Default)]
struct Waiting {
    rows: KeyMap<Vec<(Local, u32)>>,
    order: Vec<u128>,
}

/// What became of one file.
struct Rewritten {
    file: Add,
    /// `None` when nothing changes.
    files: Option<Vec<Add>>,
    added: u64,
    memories: Vec<RecordBatch>,
    /// Rows of keys that have rows in other files too.
    scattered: Vec<RecordBatch>,
}

/// What was written of keys that belong to no file.
#[derive(Default)]
struct Inserted {
    files: Vec<Add>,
    rows: u64,
    memories: Vec<RecordBatch>,
}

/// Keys with the rows that the table shows of them.
type Keys = Vec<(u128, Vec<(Local, u32)>)>;

impl Pass {
    /// Writes the files again, and then what belongs to none of them.
    pub(crate) async fn run(self) -> Result<Passed> {
        let pass = Arc::new(self);
        let mut passed = Passed::default();
        let mut scattered = Vec::new();
        let mut waiting = pass.found.files.clone().into_iter();
        let mut tasks: JoinSet<Result<Rewritten>> = JoinSet::new();
        loop {
            while tasks.len() < pass.job.threads
                && let Some(file) = waiting.next()
            {
                tasks.spawn(pass.clone().rewrite(file));
            }
            let Some(rewritten) = tasks.join_next().await else { break };
            let rewritten = ended(rewritten)?;
            if let Some(files) = rewritten.files {
                passed.added.extend(files);
                passed.removed.push(rewritten.file);
            }
            passed.rows += rewritten.added;
            passed.memories.extend(rewritten.memories);
            scattered.extend(rewritten.scattered);
        }
        pass.insert(scattered, &mut passed).await?;
        Ok(passed)
    }

    fn folder(&self) -> Folder<'_> {
        let chunks = self.incoming.chunks.clone();
        Folder { job: &self.job, incoming: &self.incoming, chunks, at_micros: self.at_micros }
    }

    async fn rewrite(self: Arc<Self>, file: Add) -> Result<Rewritten> {
        let mut folder = self.folder();
        let mut writer = RollingWriter::new(self.job.table.staging(), &self.job.partition_by);
        let mut waiting = Waiting::default();
        let mut gone = 0;
        for mut stream in self.job.read(std::slice::from_ref(&file), &self.job.layout.schema).await? {
            while let Some(rows) = stream.next().await {
                self.job.context.check()?;
                let rows = rows?;
                let sorted = self.sort(&rows)?;
                writer.write(&filtered(&rows, &sorted.stays)?).await?;
                gone += sorted.gone;
                waiting.take_in(filtered(&rows, &sorted.waits)?, &mut folder)?;
            }
        }
        let (complete, scattered) = waiting.split(&self.found);
        let mut rewritten = Rewritten { file, files: None, added: 0, memories: Vec::new(), scattered: Vec::new() };
        for keys in complete.chunks(KEYS_AT_ONCE) {
            let Outcome { rows, added, removed, memories } = folder.fold(keys)?;
            writer.write(&rows).await?;
            gone += removed;
            rewritten.added += added;
            rewritten.memories.extend(memories);
        }
        for (_, rows) in scattered {
            for (local, row) in rows {
                rewritten.scattered.push(folder.chunks.at(local.place(row)).0.slice(row as usize, 1));
                gone += 1;
            }
        }
        let files = writer.close().await?;
        if gone == 0 && rewritten.added == 0 {
            self.job.table.staging().discard(&files).await;
        } else {
            rewritten.files = Some(files);
        }
        Ok(rewritten)
    }

    /// Which rows of a batch stay as they are, which wait for what becomes of their key, and how many just go.
    fn sort(&self, rows: &RecordBatch) -> Result<Sorted> {
        let keys = self.job.layout.keys(rows)?;
        let known = |key: u128| self.incoming.events.contains_key(&key);
        if let Some(snapshot) = &self.job.snapshot {
            let open = open_rows(&self.job, rows)?;
            let meets = |row: usize, key: u128| known(key) || (snapshot.is_whole && self.range.contains(keys.row(row)));
            let waits: Vec<bool> =
                hashes(&keys).into_iter().enumerate().map(|(row, key)| open[row] && meets(row, key)).collect();
            return Ok(Sorted::new(&waits, None));
        }
        let waits: Vec<bool> = hashes(&keys).into_iter().map(known).collect();
        let old: Option<Vec<bool>> = match self.job.horizon_row().filter(|_| self.job.truncates) {
            Some(horizon) => {
                let sequences = self.job.layout.sequences(rows)?;
                Some(sequences.iter().map(|sequence| sequence < horizon.row()).collect())
            }
            None => None,
        };
        Ok(Sorted::new(&waits, old.as_deref()))
    }

    /// Writes the rows of keys that are in no file, or were in several.
    async fn insert(self: &Arc<Self>, scattered: Vec<RecordBatch>, passed: &mut Passed) -> Result<()> {
        let mut folder = self.folder();
        let mut waiting = Waiting::default();
        if !scattered.is_empty() {
            let rows = arrow::compute::concat_batches(&self.job.layout.schema, &scattered)
                .map_err(|error| Error::bug("could not put the rows of keys together").with_source(error))?;
            waiting.take_in(rows, &mut folder)?;
        }
        let mut keys: Keys = waiting.order.iter().map(|key| (*key, waiting.rows[key].clone())).collect();
        let had_rows = !keys.is_empty();
        keys.extend(self.new_keys()?.into_iter().map(|key| (key, Vec::new())));
        let chunks = folder.chunks.clone();
        let workers = keys.len().div_ceil(KEYS_OF_A_WORKER).clamp(1, self.job.threads);
        let mut tasks: JoinSet<Result<Inserted>> = JoinSet::new();
        for part in keys.chunks(keys.len().div_ceil(workers).max(1)) {
            tasks.spawn(self.clone().insert_keys(part.to_vec(), chunks.clone()));
        }
        while let Some(done) = tasks.join_next().await {
            let inserted = ended(done)?;
            match had_rows {
                false => passed.fresh.extend(inserted.files),
                true => passed.added.extend(inserted.files),
            }
            passed.rows += inserted.rows;
            passed.memories.extend(inserted.memories);
        }
        Ok(())
    }

    async fn insert_keys(self: Arc<Self>, keys: Keys, chunks: Chunks) -> Result<Inserted> {
        let folder = Folder { chunks, ..self.folder() };
        let mut writer = RollingWriter::new(self.job.table.staging(), &self.job.partition_by);
        let mut inserted = Inserted::default();
        for keys in keys.chunks(KEYS_AT_ONCE) {
            self.job.context.check()?;
            let outcome = folder.fold(keys)?;
            writer.write(&outcome.rows).await?;
            inserted.rows += outcome.added;
            inserted.memories.extend(outcome.memories);
        }
        inserted.files = writer.close().await?;
        Ok(inserted)
    }

    /// The keys of the batch that no row of the table has, in the order of keys.
    fn new_keys(&self) -> Result<Vec<u128>> {
        let ordered: Vec<_> =
            self.incoming.chunks.iter().map(|chunk| self.job.layout.keys(&chunk.rows)).collect::<Result<_>>()?;
        let is_new = |key: &u128| !self.found.rows.contains_key(key);
        let mut keys: Vec<(arrow::row::Row<'_>, u128)> = self
            .incoming
            .events
            .iter()
            .filter(|(key, _)| is_new(key))
            .filter_map(|(key, events)| {
                let place = events.first()?.place;
                Some((ordered[place.chunk as usize].row(place.row as usize), *key))
            })
            .collect();
        keys.sort_unstable();
        Ok(keys.into_iter().map(|(_, key)| key).collect())
    }
}

impl Waiting {
    fn take_in(&mut self, rows: RecordBatch, folder: &mut Folder<'_>) -> Result<()> {
        if rows.num_rows() == 0 {
            return Ok(());
        }
        let rows = compacted(&rows)?;
        let keys = hashes(&folder.job.layout.keys(&rows)?);
        let local = folder.take_in(rows)?;
        for (row, key) in (0u32..).zip(keys) {
            let known = self.rows.entry(key).or_default();
            if known.is_empty() {
                self.order.push(key);
            }
            known.push((local, row));
        }
        Ok(())
    }

    /// Keys whose rows were all met, and the others.
    fn split(mut self, found: &Found) -> (Keys, Keys) {
        let keys: Keys = self.order.iter().map(|key| (*key, self.rows.remove(key).unwrap_or_default())).collect();
        // A key that nobody counted is one that a snapshot no longer has, and lies here alone.
        keys.into_iter().partition(|(key, rows)| found.rows.get(key).is_none_or(|all| *all as usize == rows.len()))
    }
}

/// What becomes of the rows of a batch of the table.
struct Sorted {
    stays: BooleanArray,
    waits: BooleanArray,
    gone: u64,
}

impl Sorted {
    fn new(waits: &[bool], old: Option<&[bool]>) -> Sorted {
        let is_old = |row: usize| old.is_some_and(|old| old[row]);
        let stays: BooleanArray = (0..waits.len()).map(|row| Some(!waits[row] && !is_old(row))).collect();
        let gone = (0..waits.len()).filter(|row| !waits[*row] && is_old(*row)).count() as u64;
        Sorted { stays, waits: waits.iter().map(|waits| Some(*waits)).collect(), gone }
    }
}

fn filtered(rows: &RecordBatch, keep: &BooleanArray) -> Result<RecordBatch> {
    filter_record_batch(rows, keep).map_err(|error| Error::bug("could not sort the rows of a merge").with_source(error))
}
