//! `watermark`: rows that come too late, decided row by row in the order of their source.
//!
//! The watermark before a row is the greatest time among the earlier rows of its source, less the delay; a row whose time
//! lies before it is late. A row moves the watermark at most to when it was ingested, so that one clock in the future does
//! not make all others late. A row without a time is never late and moves nothing.
//!
//! The one idea: what is late depends on the order of rows in their source alone, never on which of them came in one
//! batch. So rows are decided in that order before anything else is done with them, and the greatest time of each source
//! is kept in the record of the commit, atomic with the rows.

mod bounds;
mod check;
mod late;
mod ordered;
mod suspects;
mod times;
mod unread;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use ::stage::{Context, Error, Result};
use arrow::array::RecordBatch;
use frame::clean::Cleaner;
use lake::{Add, Record, Table};
use sql::{Engine, TableProvider};

pub(crate) use self::bounds::{leave_out_before, may_lie_within};
pub use self::check::{check_watermark_column, check_watermark_upstream};
use self::late::{LateRows, Marked};
use self::ordered::Ordered;
use self::times::{TimeColumns, Times};
use crate::spec::WatermarkSpec;

/// The reason of late rows in quarantine, and the rule they are counted under.
pub(crate) const LATE_RULE: &str = "late";
/// The part of the memory that may name late rows.
const MEMORY_FOR_LATE: usize = 8;

/// A watermark checked against the rows it is about.
#[derive(Debug)]
pub(crate) struct Watermark {
    times: Times,
    delay_micros: i64,
    sources: Sources,
    /// The position id of the upstream table, which begins the names of its sources in records.
    position: String,
}

/// What is ordered by itself, and so has a watermark of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sources {
    /// Each partition of a topic or shard of a stream.
    Partitions,
    /// All files together, batch by batch.
    Whole,
}

/// The greatest time so far of each source, in microseconds.
type Greatest = BTreeMap<String, i64>;

/// Which rows of one batch are late, and the watermarks behind it.
#[derive(Debug)]
pub(crate) struct Lateness {
    watermark: Watermark,
    /// Where the sources stood before the batch.
    before: Greatest,
    /// The greatest times of the sources of this batch.
    reached: Mutex<Greatest>,
    found: Found,
}

/// What is known of a batch before it is read.
#[derive(Debug)]
enum Found {
    /// These rows are late.
    Late(LateRows),
    /// No row can be late, so times are only noted as the rows pass.
    None {
        /// Rows of the batch.
        rows: u64,
        /// Rows whose times were noted.
        noted: AtomicU64,
    },
}

impl Watermark {
    /// A watermark over the rows of `upstream`, whose position id is `position`, as `cleaner` leaves them.
    ///
    /// # Errors
    /// [`stage::Kind::Config`] when there is no such column or it holds no times.
    pub(crate) fn new(spec: &WatermarkSpec, upstream: &Table, position: &str, cleaner: &Cleaner) -> Result<Watermark> {
        let problem =
            check_watermark_upstream(upstream.name()).or_else(|| check_watermark_column(spec, &cleaner.output()));
        if let Some(problem) = problem {
            return Err(Error::config(problem.message));
        }
        let positions = upstream.positions();
        let is_partitioned = |id: &str| id.starts_with("kafka/") || id.starts_with("kinesis/");
        let sources = match positions.iter().any(|(id, _)| is_partitioned(id)) {
            true => Sources::Partitions,
            false => Sources::Whole,
        };
        let delay_micros = i64::try_from(spec.delay.duration().as_micros()).unwrap_or(i64::MAX);
        Ok(Watermark { times: Times::new(cleaner, &spec.column), delay_micros, sources, position: position.to_owned() })
    }

    /// Where the sources stand by the newest record of the silver table.
    pub(crate) fn told(&self, record: &Record) -> Greatest {
        let of_ours = |(id, time): (&String, &i64)| {
            let (id, column) = id.rsplit_once('#')?;
            // Times of another column say nothing of this one.
            let source = id.strip_prefix(&self.position).filter(|_| column == self.times.column())?;
            Some((source.strip_prefix('/').unwrap_or(source).to_owned(), *time))
        };
        record.greatest_event_times.iter().filter_map(of_ours).collect()
    }

    /// Finds the late rows among those of `files`, which `rows` reads. Nothing is read where the statistics of the files
    /// prove that none is late.
    pub(crate) async fn decide(
        self,
        files: &[Add],
        rows: Arc<dyn TableProvider>,
        before: Greatest,
        engine: &Engine,
        memory_bytes: usize,
        context: &Context,
    ) -> Result<Lateness> {
        let rows_told: Option<u64> = files.iter().map(lake::rows_told).sum();
        if let Some(rows) = rows_told.filter(|_| !self.can_be_late(files, &before)) {
            let found = Found::None { rows, noted: AtomicU64::new(0) };
            return Ok(Lateness { watermark: self, before, reached: Mutex::default(), found });
        }
        let memory_bytes = memory_bytes / MEMORY_FOR_LATE;
        let ordered = Ordered { watermark: &self, before: &before, engine, memory_bytes, context };
        let (late, reached) = ordered.find(rows).await?;
        Ok(Lateness { watermark: self, before, reached: Mutex::new(reached), found: Found::Late(late) })
    }

    /// Whether any row of the files may lie before a watermark, whatever the order of the rows.
    fn can_be_late(&self, files: &[Add], before: &Greatest) -> bool {
        let Some(column) = self.times.plain_column() else { return true };
        let Some(bounds) = bounds::of_all(files, column) else { return true };
        let greatest = before.values().copied().chain([bounds.greatest]).max().unwrap_or(bounds.greatest);
        bounds.least < self.before(greatest)
    }

    /// The watermark where a source has come to a time: rows before it are late.
    fn before(&self, greatest: i64) -> i64 {
        greatest.saturating_sub(self.delay_micros)
    }

    /// The name of a row's source among the greatest times.
    fn key<'a>(&self, source: &'a str) -> &'a str {
        match self.sources {
            Sources::Partitions => source,
            Sources::Whole => "",
        }
    }
}

impl Lateness {
    /// The columns of the upstream table that are needed to tell late rows.
    pub(crate) fn columns_read(&self) -> Vec<String> {
        self.watermark.times.columns_read()
    }

    /// Which of some upstream rows are late; `None` when none is.
    pub(crate) fn of(&self, rows: &RecordBatch) -> Result<Option<Marked>> {
        match &self.found {
            Found::Late(late) => late.meet(rows),
            Found::None { noted, .. } => {
                noted.fetch_add(rows.num_rows() as u64, Ordering::Relaxed);
                self.note(&self.watermark.times.of(rows)?).map(|()| None)
            }
        }
    }

    /// Notes times, in any order.
    fn note(&self, rows: &TimeColumns) -> Result<()> {
        let mut reached = self.reached.lock().unwrap_or_else(PoisonError::into_inner);
        for run in rows.runs()? {
            let greatest = run.clone().filter_map(|row| rows.moves_to(row)).max();
            if let Some(greatest) = greatest {
                advance(&mut reached, self.watermark.key(rows.source(run.start)), greatest);
            }
        }
        Ok(())
    }

    /// The greatest time of every source after the batch, as records tell it.
    pub(crate) fn greatest_event_times(&self) -> BTreeMap<String, i64> {
        let mut after = self.before.clone();
        for (source, time) in self.reached.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            advance(&mut after, source, *time);
        }
        let (position, column) = (&self.watermark.position, self.watermark.times.column());
        let id = |source: String| match source.is_empty() {
            true => format!("{position}#{column}"),
            false => format!("{position}/{source}#{column}"),
        };
        after.into_iter().map(|(source, time)| (id(source), time)).collect()
    }

    /// The column, and a time before which no row of the batch lies; `None` when one of its sources had no watermark
    /// before. All rows of the batch must have been seen.
    pub(crate) fn least(&self) -> Option<(&str, i64)> {
        let reached = self.reached.lock().unwrap_or_else(PoisonError::into_inner);
        let before: Option<Vec<i64>> = reached.keys().map(|source| self.before.get(source).copied()).collect();
        let least = before?.into_iter().min()?;
        Some((self.watermark.times.column(), self.watermark.before(least)))
    }
}

/// Moves a source to a time, if it was not further already.
fn advance(greatest: &mut Greatest, source: &str, time: i64) {
    match greatest.get_mut(source) {
        Some(known) => *known = (*known).max(time),
        None => {
            greatest.insert(source.to_owned(), time);
        }
    }
}
