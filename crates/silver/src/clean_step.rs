//! What is done to each row before the SQL: late rows are taken out, then the declared clean steps are done, and rows whose
//! casts lose a value are taken out too.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use ::stage::{Error, Result};
use arrow::array::{BooleanArray, RecordBatch};
use arrow::buffer::BooleanBuffer;
use arrow::compute::filter_record_batch;
use arrow::datatypes::SchemaRef;
use frame::clean::Cleaner;
use quality::spec::OnFail;
use quality::{Gate, RuleCount, Violation};
use sql::{RowFunction, RowStep};
use tokio::sync::Notify;

use crate::watermark::{LATE_RULE, Lateness};

/// Rows that were taken out, as they came in, waiting to be staged.
#[derive(Debug)]
pub(crate) struct TakenOut {
    rows: RecordBatch,
    violations: Vec<Violation>,
    counts: Vec<RuleCount>,
}

/// What came in and what was taken out. Shared by all partitions of the query.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    rows: AtomicU64,
    taken_out: Mutex<Vec<TakenOut>>,
    is_waiting: Notify,
}

impl Seen {
    /// Rows that came in.
    pub(crate) fn rows(&self) -> u64 {
        self.rows.load(Ordering::Relaxed)
    }

    /// Ends when rows were taken out that wait to be staged.
    pub(crate) async fn waits(&self) {
        self.is_waiting.notified().await;
    }

    /// Stages the rows that were taken out since the last call.
    pub(crate) async fn put_aside(&self, gate: &Gate) -> Result<()> {
        let waiting = std::mem::take(&mut *self.taken_out.lock().unwrap_or_else(PoisonError::into_inner));
        for taken in waiting {
            taken.put_aside(gate).await?;
        }
        Ok(())
    }

    fn push(&self, taken: TakenOut) {
        self.taken_out.lock().unwrap_or_else(PoisonError::into_inner).push(taken);
        self.is_waiting.notify_one();
    }
}

/// The clean steps of one batch.
pub(crate) struct CleanStep {
    pub(crate) cleaner: Cleaner,
    /// Columns that say where a row came from; always read, so that a row put aside keeps its origin.
    pub(crate) origin: Vec<String>,
    /// Which rows are late, where the table has a watermark.
    pub(crate) lateness: Option<Arc<Lateness>>,
    pub(crate) seen: Arc<Seen>,
}

impl RowStep for CleanStep {
    fn output(&self) -> SchemaRef {
        self.cleaner.output()
    }

    fn narrowed(&self, wanted: &[&str]) -> (Vec<String>, RowFunction) {
        let cleaner = self.cleaner.narrowed(wanted);
        let lateness = self.lateness.clone();
        let mut reads: Vec<String> = cleaner.columns_read(wanted).into_iter().map(str::to_owned).collect();
        let always = lateness.iter().flat_map(|lateness| lateness.columns_read());
        for column in self.origin.iter().cloned().chain(always) {
            if !reads.contains(&column) {
                reads.push(column);
            }
        }
        let order: Vec<String> = wanted.iter().map(|name| (*name).to_owned()).collect();
        let seen = self.seen.clone();
        let function = move |rows: RecordBatch| {
            seen.rows.fetch_add(rows.num_rows() as u64, Ordering::Relaxed);
            let late = lateness.as_ref().map(|lateness| lateness.of(&rows)).transpose()?.flatten();
            let cleaned = cleaner.clean(&rows)?;
            let lost = cleaned.lossy.into_iter().map(|cast| (cast.rule, cast.rows.values().clone()));
            let met_before = late.as_ref().map(|late| &late.rows & &!&late.unmet);
            let late = late.map(|late| (LATE_RULE.to_owned(), late.rows));
            let kept = match Violated::of(late.into_iter().chain(lost).collect()) {
                None => cleaned.rows,
                Some(violated) => {
                    let aside = met_before.map_or_else(|| violated.gone.clone(), |met| &violated.gone & &!&met);
                    seen.push(violated.take_out(&rows, &aside)?);
                    filtered(&cleaned.rows, &!&violated.gone)?
                }
            };
            in_order(&kept, &order)
        };
        (reads, Arc::new(function))
    }
}

impl TakenOut {
    /// Late rows, as they came in.
    pub(crate) fn late(rows: &RecordBatch, late: BooleanBuffer) -> Result<TakenOut> {
        Violated { gone: late.clone(), rules: vec![(LATE_RULE.to_owned(), late.clone())] }.take_out(rows, &late)
    }

    /// Stages the rows for quarantine.
    pub(crate) async fn put_aside(&self, gate: &Gate) -> Result<()> {
        gate.put_aside(&self.rows, &self.violations, &self.counts).await
    }
}

/// The rules that rows of a batch violate, each with its rows.
struct Violated {
    rules: Vec<(String, BooleanBuffer)>,
    /// Rows that violate any of them.
    gone: BooleanBuffer,
}

impl Violated {
    /// `None` when no row violates any rule.
    fn of(rules: Vec<(String, BooleanBuffer)>) -> Option<Violated> {
        let gone = rules.iter().map(|(_, rows)| rows.clone()).reduce(|one, other| &one | &other)?;
        (gone.count_set_bits() > 0).then_some(Violated { rules, gone })
    }

    /// Those of the rows that are to be put aside, as they came in.
    fn take_out(&self, rows: &RecordBatch, aside: &BooleanBuffer) -> Result<TakenOut> {
        let names = |row: usize| {
            let violated = self.rules.iter().filter(|(_, rows)| rows.value(row));
            violated.map(|(rule, _)| rule.clone()).collect()
        };
        let violations = aside.set_indices().enumerate();
        let counts = self.rules.iter().map(|(rule, rows)| RuleCount {
            rule: rule.clone(),
            on_fail: OnFail::Quarantine,
            failed: (rows & aside).count_set_bits() as u64,
        });
        Ok(TakenOut {
            rows: filtered(rows, aside)?,
            violations: violations.map(|(row, was)| Violation { row, rules: names(was) }).collect(),
            counts: counts.collect(),
        })
    }
}

fn filtered(rows: &RecordBatch, keep: &BooleanBuffer) -> Result<RecordBatch> {
    filter_record_batch(rows, &BooleanArray::new(keep.clone(), None))
        .map_err(|error| Error::bug("could not take out rows").with_source(error))
}

fn in_order(rows: &RecordBatch, order: &[String]) -> Result<RecordBatch> {
    let schema = rows.schema();
    let indices = order
        .iter()
        .map(|name| schema.index_of(name))
        .collect::<Result<Vec<usize>, _>>()
        .map_err(|error| Error::bug("a cleaned column is missing").with_source(error))?;
    rows.project(&indices).map_err(|error| Error::bug("could not order cleaned columns").with_source(error))
}
