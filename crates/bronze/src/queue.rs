//! From a reader to the workers: a short queue of pieces, which several workers decode, complete and stage.
//!
//! The queue is short, so memory is bounded by the pieces in flight and the row groups being written, whatever the size
//! of the batch. Where the pieces come from is the business of each source.

use std::future::Future;
use std::sync::Arc;

use arrow::array::RecordBatch;
use frame::decode::Decoder;
use quality::{Passage, Staged, Workers};
use stage::Result;
use tokio::sync::{Mutex, mpsc};

/// How the pieces of a source become rows. Cheap to clone.
pub(crate) trait Decode: Clone + Send + 'static {
    /// A bounded part of what is read.
    type Piece: Send + 'static;

    /// What decodes the values of one worker.
    fn decoder(&self) -> Decoder;

    /// The rows of a piece with every column of the table. What could not be read has been put aside at the gate.
    fn rows(
        &self,
        decoder: &Decoder,
        piece: Self::Piece,
        passage: &Passage,
    ) -> impl Future<Output = Result<RecordBatch>> + Send;
}

/// Starts workers that stage the rows of what is sent to the queue, until its sender is dropped. When sending fails
/// they are gone, and [`Workers::join`] says why.
pub(crate) fn start<D: Decode + Sync>(
    workers: &mut Workers,
    decode: &D,
    passage: &Passage,
    threads: usize,
    room: usize,
) -> mpsc::Sender<D::Piece> {
    let (sender, receiver) = mpsc::channel(room);
    let receiver = Arc::new(Mutex::new(receiver));
    for _ in 0..threads {
        workers.spawn(work(decode.clone(), passage.clone(), receiver.clone()));
    }
    sender
}

async fn work<D: Decode + Sync>(
    decode: D,
    passage: Passage,
    receiver: Arc<Mutex<mpsc::Receiver<D::Piece>>>,
) -> Result<Staged> {
    let decoder = decode.decoder();
    let mut lane = passage.lane(Vec::new());
    loop {
        let next = receiver.lock().await.recv().await;
        let Some(piece) = next else { break };
        passage.context.check()?;
        lane.pass(decode.rows(&decoder, piece, &passage).await?).await?;
    }
    lane.finish().await
}
