//! The declared clean steps as a step inside the query, and the rows whose casts lost a value.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use ::stage::{Error, Result};
use arrow::array::{BooleanArray, RecordBatch};
use arrow::buffer::BooleanBuffer;
use arrow::compute::filter_record_batch;
use arrow::datatypes::SchemaRef;
use frame::clean::{Cleaner, LossyCast};
use quality::spec::OnFail;
use quality::{Gate, RuleCount, Violation};
use sql::{RowFunction, RowStep};

/// Rows that were taken out because a cast lost a value, waiting to be staged.
#[derive(Debug)]
struct Lost {
    rows: RecordBatch,
    violations: Vec<Violation>,
    counts: Vec<RuleCount>,
}

/// What the clean steps have seen. Shared by all partitions of the query.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    rows: AtomicU64,
    lost: Mutex<Vec<Lost>>,
}

impl Seen {
    /// Rows that came in.
    pub(crate) fn rows(&self) -> u64 {
        self.rows.load(Ordering::Relaxed)
    }

    /// Stages the rows that were taken out since the last call.
    pub(crate) async fn put_aside(&self, gate: &Gate) -> Result<()> {
        let lost = std::mem::take(&mut *self.lost.lock().unwrap_or_else(PoisonError::into_inner));
        for lost in lost {
            gate.put_aside(&lost.rows, &lost.violations, &lost.counts).await?;
        }
        Ok(())
    }
}

/// The clean steps of one batch.
pub(crate) struct CleanStep {
    cleaner: Cleaner,
    /// Columns that say where a row came from; always read, so that a row put aside keeps its origin.
    origin: Vec<String>,
    seen: Arc<Seen>,
}

impl CleanStep {
    pub(crate) fn new(cleaner: Cleaner, origin: Vec<String>, seen: Arc<Seen>) -> CleanStep {
        CleanStep { cleaner, origin, seen }
    }
}

impl RowStep for CleanStep {
    fn output(&self) -> SchemaRef {
        self.cleaner.output()
    }

    fn narrowed(&self, wanted: &[&str]) -> (Vec<String>, RowFunction) {
        let cleaner = self.cleaner.narrowed(wanted);
        let mut reads: Vec<String> = self.cleaner.columns_read(wanted).into_iter().map(str::to_owned).collect();
        for column in &self.origin {
            if !reads.contains(column) {
                reads.push(column.clone());
            }
        }
        let order: Vec<String> = wanted.iter().map(|name| (*name).to_owned()).collect();
        let seen = self.seen.clone();
        let function = move |rows: RecordBatch| {
            seen.rows.fetch_add(rows.num_rows() as u64, Ordering::Relaxed);
            let cleaned = cleaner.clean(&rows)?;
            let kept = match taken_out(&rows, &cleaned.lossy) {
                None => cleaned.rows,
                Some((lost, keep)) => {
                    seen.lost.lock().unwrap_or_else(PoisonError::into_inner).push(lost);
                    filter_record_batch(&cleaned.rows, &keep)
                        .map_err(|error| Error::bug("could not take out rows").with_source(error))?
                }
            };
            in_order(&kept, &order)
        };
        (reads, Arc::new(function))
    }
}

/// The rows whose casts lost a value, as they came in, and which rows stay.
fn taken_out(rows: &RecordBatch, lossy: &[LossyCast]) -> Option<(Lost, BooleanArray)> {
    let gone = lossy.iter().map(|cast| cast.rows.values().clone()).reduce(|one, other| &one | &other)?;
    if gone.count_set_bits() == 0 {
        return None;
    }
    let rules = |row: usize| lossy.iter().filter(|cast| cast.rows.value(row)).map(|cast| cast.rule.clone()).collect();
    let violations = gone.set_indices().map(|row| Violation { row, rules: rules(row) }).collect();
    let counts = lossy.iter().map(|cast| RuleCount {
        rule: cast.rule.clone(),
        on_fail: OnFail::Quarantine,
        failed: cast.rows.true_count() as u64,
    });
    let lost = Lost { rows: rows.clone(), violations, counts: counts.collect() };
    Some((lost, BooleanArray::new(&BooleanBuffer::new_set(rows.num_rows()) & &!&gone, None)))
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
