//! `merge` and `scd2`: rows of a batch change the rows of their keys.
//!
//! What a key comes to is a [`fold`] of everything that happened to it, in the order of its sequence. This module brings
//! together what a fold needs and writes only what it changes: the batch lies in memory by key, files of the table whose
//! bounds or keys have nothing of it are left alone, and of the others only rows of its keys are held while the rest passes
//! through. A batch beyond its share of the memory is sorted by key first, which spills, and then taken in several passes, each
//! over a range of keys, so that each file is met by few of them and new rows lie in order.

mod build;
mod chunk;
mod fold;
mod fold_keys;
mod horizon;
mod incoming;
mod job;
mod layout;
mod memory;
mod rewrite;
pub(crate) mod rules;
mod search;
mod streams;

use std::collections::HashSet;
use std::sync::Arc;

use ::stage::{Context, Error, Result};
use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use lake::{Add, Remembered, Table};
use quality::Staged;
use sql::Engine;

use self::horizon::Horizon;
use self::incoming::{Incoming, KeyRange, Ranges, Staging};
use self::job::{Job, Snapshot};
pub(crate) use self::layout::HISTORY_COLUMNS;
use self::layout::{Layout, Mode};
use self::memory::Memoirs;
use self::rewrite::{Pass, Passed};
use self::rules::{Conditions, Rules};
use self::search::{Search, Stated};
use self::streams::each;

/// The part of the memory that the changes of a pass may fill; folding takes about as much again.
const MEMORY_FOR_CHANGES: usize = 5;

/// What a merge needs to know of the table and the batch.
pub(crate) struct Merge<'a> {
    pub(crate) engine: &'a Engine,
    pub(crate) table: &'a Table,
    /// The columns of the table together with those of the batch.
    pub(crate) schema: SchemaRef,
    pub(crate) partition_by: &'a [String],
    /// Whether the batch itself has the columns of versions, as one that is read from a history.
    pub(crate) brings_versions: bool,
    pub(crate) rules: &'a Rules,
    pub(crate) memory_bytes: usize,
    pub(crate) context: &'a Context,
}

/// Files that replace others, and what is remembered from now on.
#[derive(Debug)]
pub(crate) struct Merged {
    pub(crate) schema: SchemaRef,
    pub(crate) added: Vec<Add>,
    pub(crate) removed: Vec<Add>,
    pub(crate) rows: u64,
    pub(crate) remembered: Remembered,
    /// Staged files that were only a step on the way.
    pub(crate) spent: Vec<Add>,
}

/// The files of the table as passes change them.
struct Files {
    /// Files that a pass may meet.
    current: Vec<Add>,
    /// Files with new keys of other passes.
    fresh: Vec<Add>,
    /// Paths of the files that the table has now.
    of_table: HashSet<String>,
    removed: Vec<Add>,
    spent: Vec<Add>,
}

impl Merge<'_> {
    /// Folds the staged rows into the table. `retracted` are rows that are gone upstream.
    pub(crate) async fn run(&self, staged: &Staged, retracted: &[Add], replaces_all: bool) -> Result<Merged> {
        let (existing, known) = self.known(replaces_all).await?;
        let job = self.job(&staged.added, &known).await?;
        let staging = Staging { changes: &staged.added, retracted };
        let now_micros = self.context.now().timestamp_micros();
        let memoirs = Memoirs { job: &job, now_micros, keep: self.rules.remember };
        let mut files = Files::new(existing);
        let (mut rows, mut memories) = (0, Vec::new());
        let mut parts = Parts::open(&job, staging, self.memory_bytes / MEMORY_FOR_CHANGES).await?;
        while let Some((range, mut incoming)) = parts.next(&job).await? {
            if job.snapshot.is_none() {
                memoirs.recall(&known.files, &mut incoming).await?;
            }
            let passed = pass(&job, incoming, range, &files.current, now_micros).await?;
            rows += passed.rows;
            memories.extend(files.apply(passed));
        }
        let (remembered, spent) = memoirs.write(&known.files, memories).await?;
        files.spent.extend(spent);
        let horizon = job.horizon.as_ref().map(|horizon| horizon.texts.clone());
        let remembered = Remembered { files: remembered, horizon: horizon.unwrap_or_default() };
        Ok(files.merged(job.layout.schema.clone(), rows, remembered))
    }

    /// The files of the table, and what it remembers.
    async fn known(&self, replaces_all: bool) -> Result<(Vec<Add>, Remembered)> {
        if replaces_all || self.table.version().is_none() {
            return Ok((Vec::new(), Remembered::default()));
        }
        let Some((_, record)) = self.table.record() else {
            return Err(Error::data(format!(
                "the log of {} no longer tells which deletes it remembers; run with --full-refresh",
                self.table.name()
            )));
        };
        self.check_kind()?;
        Ok((self.table.files().await?, record.remembered.clone().unwrap_or_default()))
    }

    /// Rows and versions must not be mixed.
    fn check_kind(&self) -> Result<()> {
        let Some(schema) = self.table.schema() else { return Ok(()) };
        let has_versions = HISTORY_COLUMNS.iter().all(|name| schema.field_with_name(name).is_ok());
        let is_history = matches!(self.rules.mode, Mode::History(_));
        if has_versions == is_history || self.brings_versions {
            return Ok(());
        }
        let (was, is) = if has_versions { ("versions", "rows") } else { ("rows", "versions") };
        let name = self.table.name();
        Err(Error::data(format!("{name} holds {was} and `write` now makes {is} of it; run with --full-refresh")))
    }

    async fn job(&self, staged: &[Add], known: &Remembered) -> Result<Arc<Job>> {
        let (rules, schema) = (self.rules, &self.schema);
        let layout = Layout::new(schema, &rules.keys, &rules.sequence_by, rules.mode.clone())
            .map_err(|error| error.context(format!("`write` of {}", self.table.name())))?;
        let conditions = Conditions::new(rules, self.engine, &layout.schema)
            .map_err(|error| error.context(format!("`write` of {}", self.table.name())))?;
        let horizon = Horizon::read(&layout, &known.horizon)?;
        let threads = self.engine.session("merge").copied_config().target_partitions().max(1);
        let mut job = Job {
            engine: self.engine.clone(),
            table: self.table.clone(),
            layout,
            partition_by: self.partition_by.to_vec(),
            conditions,
            context: self.context.clone(),
            horizon,
            truncates: false,
            snapshot: None,
            threads,
        };
        if rules.is_of_snapshots() {
            job.snapshot = Some(Snapshot { sequence: None, is_whole: true });
        }
        match job.snapshot.is_some() && rules.sequence_by.is_empty() {
            true => Ok(Arc::new(job)),
            false => self.with_horizon(Arc::new(job), staged).await,
        }
    }

    /// The job with what the batch says of the horizon: its newest truncation, or its newest snapshot.
    async fn with_horizon(&self, job: Arc<Job>, staged: &[Add]) -> Result<Arc<Job>> {
        if job.snapshot.is_none() && !job.conditions.can_truncate() {
            return Ok(job);
        }
        let streams = job.read_staged(staged, &job.layout.schema).await?;
        let looking = job.clone();
        let found = each(streams, self.context, move |rows| newest(&looking, &rows)).await?;
        let newest = found.into_iter().max_by(|one, other| one.row.cmp(&other.row));
        let Some(newest) = newest else { return Ok(job) };
        let known = job.horizon.clone();
        let moves = known.as_ref().is_none_or(|known| newest.row > known.row);
        let mut job = Arc::try_unwrap(job).map_err(|_| Error::bug("a worker of a merge did not end"))?;
        if let Some(snapshot) = &mut job.snapshot {
            // An older snapshot than the newest says nothing; more rows of the newest delete nothing.
            snapshot.is_whole = moves;
            snapshot.sequence = Some(known.filter(|_| !moves).map_or_else(|| newest.row.clone(), |known| known.row));
        }
        job.truncates = moves && job.snapshot.is_none();
        if moves {
            job.horizon = Some(newest);
        }
        Ok(Arc::new(job))
    }
}

/// The changes of a batch, at once or in several parts.
enum Parts {
    AtOnce(Option<Incoming>),
    InRanges { ranges: Ranges, limit: usize },
}

impl Parts {
    async fn open(job: &Arc<Job>, staging: Staging<'_>, limit: usize) -> Result<Parts> {
        Ok(match Incoming::load(job, staging, limit).await? {
            Some(incoming) => Parts::AtOnce(Some(incoming)),
            None => Parts::InRanges { ranges: Ranges::open(job, staging).await?, limit },
        })
    }

    async fn next(&mut self, job: &Job) -> Result<Option<(KeyRange, Incoming)>> {
        match self {
            Parts::AtOnce(incoming) => Ok(incoming.take().map(|incoming| (KeyRange::default(), incoming))),
            Parts::InRanges { ranges, limit } => ranges.next(job, *limit).await,
        }
    }
}

/// Folds a range of keys into some files.
async fn pass(job: &Arc<Job>, incoming: Incoming, range: KeyRange, files: &[Add], at_micros: i64) -> Result<Passed> {
    let is_idle = incoming.events.is_empty() && !job.truncates;
    if is_idle && job.snapshot.as_ref().is_none_or(|snapshot| snapshot.sequence.is_some()) {
        return Ok(Passed::default());
    }
    let stated = stated(job, &incoming)?;
    let incoming = Arc::new(incoming);
    let search = Search { job: job.clone(), incoming: incoming.clone(), range: range.clone(), stated };
    let found = search.run(files).await?;
    Pass { job: job.clone(), incoming, range, found, at_micros }.run().await
}

/// What a snapshot says of each key.
fn stated(job: &Job, incoming: &Incoming) -> Result<Stated> {
    let mut stated = Stated::default();
    if job.snapshot.is_none() {
        return Ok(stated);
    }
    let hashed: Vec<Vec<u128>> =
        incoming.chunks.iter().map(|chunk| job.layout.stated(&chunk.rows)).collect::<Result<_>>()?;
    for (key, events) in &incoming.events {
        // Of several rows of a key the fold chooses; here they only have to count as other than what is there.
        let hashes = events.iter().map(|event| hashed[event.place.chunk as usize][event.place.row as usize]);
        stated.insert(*key, hashes.reduce(|one, other| if one == other { one } else { 0 }).unwrap_or_default());
    }
    Ok(stated)
}

/// The newest truncation among the rows, or the newest sequence where they are of snapshots.
fn newest(job: &Job, rows: &RecordBatch) -> Result<Option<Horizon>> {
    let truncates = job.conditions.truncates(rows)?;
    let sequences = job.layout.sequences(rows)?;
    let counts = |row: &usize| job.snapshot.is_some() || rules::holds(truncates.as_ref(), *row);
    let newest = (0..rows.num_rows()).filter(counts).max_by_key(|row| sequences.row(*row));
    newest.map(|row| Horizon::of(&job.layout, rows, row)).transpose()
}

impl Files {
    fn new(existing: Vec<Add>) -> Files {
        let of_table = existing.iter().map(|file| file.path.clone()).collect();
        Files { current: existing, fresh: Vec::new(), of_table, removed: Vec::new(), spent: Vec::new() }
    }

    /// Puts what a pass wrote in place of what it replaced, and returns what it remembers.
    fn apply(&mut self, passed: Passed) -> Vec<RecordBatch> {
        let gone: HashSet<&str> = passed.removed.iter().map(|file| file.path.as_str()).collect();
        self.current.retain(|file| !gone.contains(file.path.as_str()));
        let (of_table, staged): (Vec<Add>, Vec<Add>) =
            passed.removed.iter().cloned().partition(|file| self.of_table.contains(&file.path));
        self.removed.extend(of_table);
        self.spent.extend(staged);
        self.current.extend(passed.added);
        self.fresh.extend(passed.fresh);
        passed.memories
    }

    fn merged(self, schema: SchemaRef, rows: u64, remembered: Remembered) -> Merged {
        let is_new = |file: &Add| !self.of_table.contains(&file.path);
        let added = self.current.into_iter().filter(is_new).chain(self.fresh).collect();
        Merged { schema, added, removed: self.removed, rows, remembered, spent: self.spent }
    }
}

#[cfg(test)]
mod tests;
