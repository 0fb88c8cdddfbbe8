//! Streams of the query into staged files: check, leave out keys met before, write.

use std::sync::Arc;

use ::stage::{Error, Result};
use arrow::array::RecordBatch;
use arrow::compute::filter_record_batch;
use futures::StreamExt as _;
use quality::{Gate, Passage, Staged, Workers};
use sql::RowStream;

use crate::clean_step::Seen;
use crate::keys::{BatchKeys, KeyHasher};

/// What a worker needs. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Work {
    pub(crate) passage: Passage,
    /// Where rows are kept that the clean steps or the watermark take out.
    pub(crate) aside: Gate,
    pub(crate) hidden: Vec<String>,
    pub(crate) seen: Arc<Seen>,
    pub(crate) keys: Option<(KeyHasher, Arc<BatchKeys>)>,
}

impl Work {
    /// Runs all streams to their end at the same time.
    pub(crate) async fn run(&self, streams: Vec<RowStream>) -> Result<Staged> {
        let mut workers = Workers::default();
        for stream in streams {
            workers.spawn(self.clone().drain(stream));
        }
        let staged = workers.join().await?;
        self.seen.put_aside(&self.aside).await?;
        Ok(staged)
    }

    async fn drain(self, mut stream: RowStream) -> Result<Staged> {
        let context = &self.passage.context;
        let mut lane = self.passage.lane(self.hidden.clone());
        let mut duplicates = 0;
        while let Some(batch) = self.next(&mut stream).await? {
            context.check()?;
            context.meter.did(batch.num_rows() as u64);
            context.meter.add_rows(batch.num_rows() as u64);
            let checked = lane.check(batch).await?;
            let kept = match &self.keys {
                None => checked,
                Some((hasher, keys)) => {
                    let new = keys.insert(&hasher.hash(&checked)?)?;
                    duplicates += new.false_count() as u64;
                    filter_record_batch(&checked, &new)
                        .map_err(|error| Error::bug("could not leave out duplicates").with_source(error))?
                }
            };
            lane.write(&kept).await?;
        }
        Ok(Staged { duplicates, ..lane.finish().await? })
    }

    /// The next rows of the query. Rows that it takes out meanwhile are staged: it may read all of its input before it
    /// gives the first, and they would fill the memory.
    async fn next(&self, stream: &mut RowStream) -> Result<Option<RecordBatch>> {
        loop {
            tokio::select! {
                biased;
                () = self.seen.waits() => self.seen.put_aside(&self.aside).await?,
                batch = stream.next() => return batch.transpose(),
            }
        }
    }
}
