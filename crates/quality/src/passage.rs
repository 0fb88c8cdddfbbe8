//! The way rows of a batch take into the table: through the gate, into a staged file.
//!
//! All workers of a batch share one [`Passage`]; each takes a [`Lane`] of its own from it, because files are written by
//! one worker each.

use arrow::array::RecordBatch;
use lake::{RollingWriter, Staging, Table};
use stage::{Context, Result};

use crate::gate::{Checker, Gate};
use crate::profile::Profiler;
use crate::profile::spec::ProfileSpec;
use crate::workers::Staged;

/// What the workers of a batch share. Cheap to clone.
#[derive(Clone)]
pub struct Passage {
    /// What the rows are checked by.
    pub gate: Gate,
    /// The circumstances of the batch.
    pub context: Context,
    staging: Staging,
    partition_by: Vec<String>,
    profile: ProfileSpec,
}

/// While a table streams, one commit in so many microseconds is profiled: a profile is a file more for each.
const STREAM_PROFILE_EVERY: i64 = 10_000_000;

/// One worker's part of the passage.
pub struct Lane {
    checker: Checker,
    writer: RollingWriter,
    gate: Gate,
    profiler: Option<Profiler>,
}

impl Passage {
    /// The passage into files of `table`, partitioned by these columns.
    pub fn new(gate: &Gate, table: &Table, partition_by: &[String], context: &Context) -> Passage {
        let profile = match is_profile_due(table, context) {
            true => gate.profile_spec().clone(),
            false => ProfileSpec::Switch(false),
        };
        let (gate, context) = (gate.clone(), context.clone());
        Passage { gate, context, staging: table.staging(), partition_by: partition_by.to_vec(), profile }
    }

    /// A lane for one worker. `hidden` columns tell where a row came from and are taken off the rows that stay.
    pub fn lane(&self, hidden: Vec<String>) -> Lane {
        let writer = RollingWriter::new(self.staging.clone(), &self.partition_by);
        let profiler = self.profile.is_on().then(|| Profiler::new(&self.profile));
        Lane { checker: self.gate.checker(hidden), writer, gate: self.gate.clone(), profiler }
    }
}

impl Lane {
    /// Checks rows and stages those that stay.
    ///
    /// # Errors
    /// As [`Checker::check`], and when the storage fails.
    pub async fn pass(&mut self, rows: RecordBatch) -> Result<()> {
        let kept = self.check(rows).await?;
        self.write(&kept).await
    }

    /// The rows that stay.
    ///
    /// # Errors
    /// As [`Checker::check`].
    pub async fn check(&mut self, rows: RecordBatch) -> Result<RecordBatch> {
        self.checker.check(rows).await
    }

    /// Profiles and stages rows that were checked.
    ///
    /// # Errors
    /// When the storage fails.
    pub async fn write(&mut self, rows: &RecordBatch) -> Result<()> {
        if let Some(profiler) = &mut self.profiler {
            profiler.add(rows);
        }
        self.writer.write(rows).await
    }

    /// Finishes the files.
    ///
    /// # Errors
    /// When the storage fails.
    pub async fn finish(self) -> Result<Staged> {
        if let Some(profiler) = self.profiler {
            self.gate.add_profile(&profiler.finish());
        }
        let rows = self.writer.rows();
        Ok(Staged { added: self.writer.close().await?, rows, duplicates: 0 })
    }
}

fn is_profile_due(table: &Table, context: &Context) -> bool {
    let last = table.record().and_then(|(_, record)| record.profiled_at);
    let is_recent = |last: i64| (0..STREAM_PROFILE_EVERY).contains(&(context.now().timestamp_micros() - last));
    !context.streaming || !last.is_some_and(is_recent)
}
