//! How the tables of a stream stand, for whoever watches it: the status line, `/metrics` and `/health`.
//!
//! The loops write it as things happen and observers take copies. A lock is held only to change or to copy one table's
//! figures, so that watching never holds up the work.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use chrono::{DateTime, Utc};
use serde::{Serialize, Serializer};
use stage::{Error, Gauge, Progress, TableName};

use super::histogram::Histogram;

/// What the loop of a table is at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum TableState {
    /// It works on a batch, or looks whether there is one.
    Running,
    /// It waits for something new.
    Idle,
    /// It failed and waits for its next try, or has not yet shown that it is well again.
    Retrying,
    /// It failed for good; nothing brings it forward any more.
    Failed,
    /// It was well when the stream was stopped.
    Stopped,
}

impl TableState {
    /// Every state.
    pub const ALL: [TableState; 5] =
        [TableState::Running, TableState::Idle, TableState::Retrying, TableState::Failed, TableState::Stopped];

    /// The name in metrics and on the status line.
    pub fn name(self) -> &'static str {
        match self {
            TableState::Running => "running",
            TableState::Idle => "idle",
            TableState::Retrying => "retrying",
            TableState::Failed => "failed",
            TableState::Stopped => "stopped",
        }
    }
}

/// The last commit of a table.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct LastCommit {
    /// When it was done.
    pub at: DateTime<Utc>,
    /// The version it made.
    pub version: u64,
    /// Rows it wrote.
    pub rows: u64,
    /// From the start of the batch to the commit.
    pub seconds: f64,
}

/// How one table of a stream stands.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TableStatus {
    /// The table.
    #[serde(serialize_with = "as_text")]
    pub table: TableName,
    /// Whether none of the tables it reads is brought forward by this stream, so that rows enter here.
    pub is_entry: bool,
    /// What its loop is at.
    pub state: TableState,
    /// Since when it is in that state.
    pub since: DateTime<Utc>,
    /// How often it advanced without an error, idle advances included.
    pub advances: u64,
    /// How many batches it committed.
    pub batches: u64,
    /// What all its batches did together.
    pub progress: Progress,
    /// How long its batches took, from their start to the commit.
    #[serde(skip)]
    pub commit_seconds: Histogram,
    /// The time from the newest event of each batch to the commit that brought it, where event times are known.
    #[serde(skip)]
    pub end_to_end_seconds: Histogram,
    /// Its last commit in this stream.
    pub last_commit: Option<LastCommit>,
    /// The event time of the newest row in it. Where its stage does not tell, it is that of the tables it reads.
    pub event_time: Option<DateTime<Utc>>,
    /// The time from that event to the commit that brought it.
    pub delay_seconds: Option<f64>,
    /// Rows of each partition of its source that are not read yet.
    pub lag: BTreeMap<String, u64>,
    /// Failures since it last went well.
    pub consecutive_failures: u32,
    /// All failures.
    pub failures: u64,
    /// The last error and its causes on one line. It stays when the table goes well again.
    pub last_error: Option<String>,
}

impl TableStatus {
    fn new(table: TableName, is_entry: bool) -> TableStatus {
        TableStatus {
            table,
            is_entry,
            state: TableState::Running,
            since: Utc::now(),
            advances: 0,
            batches: 0,
            progress: Progress::default(),
            commit_seconds: Histogram::default(),
            end_to_end_seconds: Histogram::default(),
            last_commit: None,
            event_time: None,
            delay_seconds: None,
            lag: BTreeMap::new(),
            consecutive_failures: 0,
            failures: 0,
            last_error: None,
        }
    }

    /// The lag of all partitions; `None` when the source does not tell.
    pub fn total_lag(&self) -> Option<u64> {
        (!self.lag.is_empty()).then(|| self.lag.values().sum())
    }
}

/// How all tables of a stream stand.
#[derive(Debug)]
pub struct StreamStatus {
    tables: Vec<Mutex<TableStatus>>,
    index: BTreeMap<TableName, usize>,
    stopping: AtomicBool,
}

impl StreamStatus {
    /// The status of a stream that has not begun, for its tables and what each of them reads.
    pub fn new(tables: &[(TableName, Vec<TableName>)]) -> StreamStatus {
        let index: BTreeMap<TableName, usize> =
            tables.iter().enumerate().map(|(index, (table, _))| (table.clone(), index)).collect();
        let is_entry = |reads: &[TableName]| !reads.iter().any(|upstream| index.contains_key(upstream));
        let statuses = tables.iter().map(|(table, reads)| Mutex::new(TableStatus::new(table.clone(), is_entry(reads))));
        StreamStatus { tables: statuses.collect(), index, stopping: AtomicBool::new(false) }
    }

    /// A copy of every table's status, in the order in which rows flow.
    pub fn tables(&self) -> Vec<TableStatus> {
        self.tables.iter().map(|table| locked(table).clone()).collect()
    }

    /// Whether no table has failed for good.
    pub fn is_healthy(&self) -> bool {
        self.tables.iter().all(|table| locked(table).state != TableState::Failed)
    }

    /// Whether every table that has not failed has advanced once, and the stream is not about to end.
    pub fn is_ready(&self) -> bool {
        let is_ready = |table: &TableStatus| table.advances > 0 || table.state == TableState::Failed;
        !self.is_stopping() && self.tables.iter().all(|table| is_ready(&locked(table)))
    }

    /// Whether the stream was told to stop.
    pub fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Relaxed)
    }

    pub(super) fn stop(&self) {
        self.stopping.store(true, Ordering::Relaxed);
    }

    pub(super) fn enter(&self, table: &TableName, state: TableState) {
        self.change(table, |status| {
            if status.state != state {
                (status.state, status.since) = (state, Utc::now());
            }
        });
    }

    /// Notes an advance that ended well. `inherited` is the newest event time upstream when it began. Returns the delay
    /// from event to commit, if the advance committed and an event time is known.
    pub(super) fn advanced(
        &self,
        table: &TableName,
        progress: &Progress,
        seconds: f64,
        gauges: Vec<Gauge>,
        inherited: Option<DateTime<Utc>>,
    ) -> Option<f64> {
        self.change(table, |status| {
            let own = status.take(gauges);
            status.advances += 1;
            let version = progress.version?;
            let at = Utc::now();
            status.batches += 1;
            status.progress.add(progress);
            status.commit_seconds.observe(seconds);
            status.last_commit = Some(LastCommit { at, version, rows: progress.rows_written, seconds });
            status.event_time = own.or(inherited).or(status.event_time);
            let delay = status.event_time.map(|event| (at - event).as_seconds_f64().max(0.0));
            status.delay_seconds = delay;
            if let Some(delay) = delay {
                status.end_to_end_seconds.observe(delay);
            }
            delay
        })
        .flatten()
    }

    /// Notes figures that a stage told while it waited.
    pub(super) fn told(&self, table: &TableName, gauges: Vec<Gauge>) {
        self.change(table, |status| {
            status.take(gauges);
        });
    }

    pub(super) fn failed(&self, table: &TableName, error: &Error, consecutive: u32) {
        self.change(table, |status| {
            status.failures += 1;
            status.consecutive_failures = consecutive;
            status.last_error = Some(error.chain());
        });
    }

    pub(super) fn went_well(&self, table: &TableName) {
        self.change(table, |status| status.consecutive_failures = 0);
    }

    /// The newest event time of these tables.
    pub(super) fn newest_event_time(&self, tables: &[TableName]) -> Option<DateTime<Utc>> {
        tables.iter().filter_map(|table| self.change(table, |status| status.event_time).flatten()).max()
    }

    fn change<T>(&self, table: &TableName, change: impl FnOnce(&mut TableStatus) -> T) -> Option<T> {
        let status = self.index.get(table).and_then(|index| self.tables.get(*index))?;
        Some(change(&mut locked(status)))
    }
}

impl TableStatus {
    /// Takes over what the stage tells, and returns the event time if it tells one. What is told of no more is gone: a
    /// partition that another process took over has no lag here.
    fn take(&mut self, gauges: Vec<Gauge>) -> Option<DateTime<Utc>> {
        let mut event_time = None;
        self.lag.clear();
        for gauge in gauges {
            match gauge {
                Gauge::Lag { partition, rows } => {
                    self.lag.insert(partition, rows);
                }
                Gauge::EventTime(time) => event_time = event_time.max(Some(time)),
            }
        }
        event_time
    }
}

fn locked(table: &Mutex<TableStatus>) -> MutexGuard<'_, TableStatus> {
    table.lock().unwrap_or_else(PoisonError::into_inner)
}

fn as_text<S: Serializer>(table: &TableName, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(table)
}
