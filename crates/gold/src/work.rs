//! Streams of the query into staged files: check, write.

use ::stage::{Context, Result};
use futures::StreamExt as _;
use lake::{RollingWriter, Staging};
use quality::{Gate, Staged, Workers};
use sql::RowStream;

/// What a worker needs. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Work {
    pub(crate) gate: Gate,
    pub(crate) staging: Staging,
    pub(crate) partition_by: Vec<String>,
    pub(crate) context: Context,
}

impl Work {
    /// Runs all streams to their end at the same time.
    pub(crate) async fn run(&self, streams: Vec<RowStream>) -> Result<Staged> {
        let mut workers = Workers::default();
        for stream in streams {
            workers.spawn(self.clone().drain(stream));
        }
        workers.join().await
    }

    async fn drain(self, mut stream: RowStream) -> Result<Staged> {
        let mut checker = self.gate.checker(Vec::new());
        let mut writer = RollingWriter::new(self.staging.clone(), &self.partition_by);
        while let Some(rows) = stream.next().await {
            self.context.check()?;
            let rows = rows?;
            self.context.meter.add_rows(rows.num_rows() as u64);
            writer.write(&checker.check(rows).await?).await?;
        }
        Staged::of(writer).await
    }
}
