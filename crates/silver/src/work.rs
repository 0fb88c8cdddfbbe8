//! Streams of the query into staged files: check, leave out keys met before, write.

use std::sync::Arc;

use ::stage::{Context, Error, Result};
use arrow::compute::filter_record_batch;
use futures::StreamExt as _;
use lake::{RollingWriter, Staging};
pub(crate) use quality::Staged;
use quality::{Gate, Workers};
use sql::RowStream;

use crate::clean_step::Seen;
use crate::keys::{BatchKeys, KeyHasher};

/// What a worker needs. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Work {
    pub(crate) gate: Gate,
    pub(crate) hidden: Vec<String>,
    pub(crate) staging: Staging,
    pub(crate) partition_by: Vec<String>,
    pub(crate) seen: Arc<Seen>,
    pub(crate) keys: Option<(KeyHasher, Arc<BatchKeys>)>,
    pub(crate) context: Context,
}

impl Work {
    /// Runs all streams to their end at the same time.
    pub(crate) async fn run(&self, streams: Vec<RowStream>) -> Result<Staged> {
        let mut workers = Workers::default();
        for stream in streams {
            workers.spawn(self.clone().drain(stream));
        }
        let staged = workers.join().await?;
        self.seen.put_aside(&self.gate).await?;
        Ok(staged)
    }

    async fn drain(self, mut stream: RowStream) -> Result<Staged> {
        let mut checker = self.gate.checker(self.hidden.clone());
        let mut writer = RollingWriter::new(self.staging.clone(), &self.partition_by);
        let mut duplicates = 0;
        while let Some(batch) = stream.next().await {
            self.context.check()?;
            self.seen.put_aside(&self.gate).await?;
            let batch = batch?;
            self.context.meter.did(batch.num_rows() as u64);
            self.context.meter.add_rows(batch.num_rows() as u64);
            let checked = checker.check(batch).await?;
            let kept = match &self.keys {
                None => checked,
                Some((hasher, keys)) => {
                    let new = keys.insert(&hasher.hash(&checked)?)?;
                    duplicates += new.false_count() as u64;
                    filter_record_batch(&checked, &new)
                        .map_err(|error| Error::bug("could not leave out duplicates").with_source(error))?
                }
            };
            writer.write(&kept).await?;
        }
        Ok(Staged { duplicates, ..Staged::of(writer).await? })
    }
}
