//! Pieces into staged rows: workers decode, complete, check and write them while the reader goes on.

use arrow::array::RecordBatch;
use frame::decode::{DecodeOptions, Decoder, EvolvingSchema};
use frame::spec::NewColumns;
use quality::quarantine::Unread;
use quality::{Passage, Staged, Workers};
use stage::{Error, Result};
use tokio::sync::mpsc;

use super::batch::Piece;
use super::columns::Columns;
use crate::messages::payload::{self, Read};
use crate::messages::schemas::Schemas;
use crate::messages::spec::MessageFormat;
use crate::queue::{self, Decode};

/// How messages become rows of the table. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Decoding {
    pub(crate) format: MessageFormat,
    pub(crate) options: DecodeOptions,
    pub(crate) schema: EvolvingSchema,
    pub(crate) columns: Columns,
    /// The schemas of messages that name theirs.
    pub(crate) schemas: Option<Schemas>,
}

/// Workers that wait for pieces.
pub(crate) struct Ingesting {
    sender: mpsc::Sender<Piece>,
    workers: Workers,
}

impl Ingesting {
    /// Starts the workers.
    pub(crate) fn start(decoding: &Decoding, passage: &Passage, threads: usize) -> Ingesting {
        let mut workers = Workers::default();
        let sender = queue::start(&mut workers, decoding, passage, threads, threads);
        Ingesting { sender, workers }
    }

    /// Hands a piece to a worker; waits while all are busy. False when they are gone: [`Ingesting::finish`] says why.
    pub(crate) async fn take(&self, piece: Piece) -> bool {
        self.sender.send(piece).await.is_ok()
    }

    /// Waits until all pieces are staged.
    ///
    /// # Errors
    /// The first error of a worker.
    pub(crate) async fn finish(self) -> Result<Staged> {
        drop(self.sender);
        self.workers.join().await
    }
}

impl Decode for Decoding {
    type Piece = Piece;

    fn decoder(&self) -> Decoder {
        Decoder::new(self.options.clone(), self.schema.clone())
    }

    async fn rows(&self, decoder: &Decoder, mut piece: Piece, passage: &Passage) -> Result<RecordBatch> {
        let read = self.read(decoder, &mut piece).await;
        let read = read.map_err(|error| placed(error, &piece))?;
        passage.context.meter.add_rows((read.rows.num_rows() + read.refused.len()) as u64);
        let unread = read.refused.iter().map(|refused| Unread {
            raw: &refused.raw,
            reason: &refused.reason,
            source: piece.source_of(refused.index),
            position: piece.offsets.get(refused.index).copied().unwrap_or_default(),
        });
        passage.gate.put_aside_unread(&unread.collect::<Vec<_>>()).await?;
        self.columns.complete(&read.rows, &piece)
    }
}

impl Decoding {
    async fn read(&self, decoder: &Decoder, piece: &mut Piece) -> Result<Read> {
        match (&self.schemas, self.format) {
            (_, MessageFormat::String | MessageFormat::Bytes) => payload::read_values(self.format, piece),
            (None, _) => payload::read_json(decoder, piece),
            (Some(schemas), _) => {
                let text = schemas.as_text(piece).await?;
                if self.options.evolution.new_columns == NewColumns::Add {
                    self.schema.add(&text.columns);
                }
                payload::read_text_of(decoder, piece, text)
            }
        }
    }
}

/// An error in a piece, with the messages it may be in.
fn placed(error: Error, piece: &Piece) -> Error {
    let first = piece.offsets.first().copied().unwrap_or_default();
    error.context(format!("could not read the messages from offset {first} of {} on", piece.source_of(0)))
}
