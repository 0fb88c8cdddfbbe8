//! Pieces into staged rows: workers decode, complete, check and write them while reading goes on.

use arrow::array::RecordBatch;
use frame::decode::{DecodeOptions, Decoder, EvolvingSchema};
use frame::spec::NewColumns;
use quality::quarantine::Unread;
use quality::{Passage, Staged, Workers};
use stage::{Error, Result};
use tokio::sync::mpsc;

use super::piece::Piece;
use super::rows::Columns;
use crate::kafka::batch::Piece as Messages;
use crate::messages::payload::{self, Read};
use crate::messages::schemas::Schemas;
use crate::messages::spec::MessageFormat;
use crate::queue::{self, Decode};

/// How records become rows of the table. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Decoding {
    pub(crate) format: MessageFormat,
    pub(crate) options: DecodeOptions,
    pub(crate) schema: EvolvingSchema,
    pub(crate) columns: Columns,
    /// The schemas of records that name theirs.
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
        let read = self.read(decoder, &mut piece.messages).await;
        let read = read.map_err(|error| placed(error, &piece))?;
        let count = read.rows.num_rows() + read.refused.len() + piece.refused.len();
        passage.context.meter.add_rows(count as u64);
        put_aside(&piece, &read, passage).await?;
        self.columns.complete(&read.rows, &piece)
    }
}

impl Decoding {
    async fn read(&self, decoder: &Decoder, messages: &mut Messages) -> Result<Read> {
        match (&self.schemas, self.format) {
            (_, MessageFormat::String | MessageFormat::Bytes) => payload::read_values(self.format, messages),
            (None, _) => payload::read_json(decoder, messages),
            (Some(schemas), _) => {
                let text = schemas.as_text(messages).await?;
                if self.options.evolution.new_columns == NewColumns::Add {
                    self.schema.add(&text.columns);
                }
                payload::read_text_of(decoder, messages, text)
            }
        }
    }
}

/// Puts aside what is no row. The sequence number stands in the reason, because quarantine has a number for a place
/// only.
async fn put_aside(piece: &Piece, read: &Read, passage: &Passage) -> Result<()> {
    let of_payloads = read.refused.iter().map(|refused| {
        let index = refused.index;
        let sequence_number = piece.sequence_numbers.get(index).map(String::from_utf8_lossy).unwrap_or_default();
        let shard = piece.shards.get(index).copied().unwrap_or(u32::MAX);
        let number = piece.messages.offsets.get(index).copied().unwrap_or_default();
        (refused.raw.as_str(), reason(&refused.reason, &sequence_number), shard, number)
    });
    let of_records = piece
        .refused
        .iter()
        .map(|one| (one.raw.as_str(), reason(&one.reason, &one.sequence_number), one.shard, one.number));
    let refused: Vec<(&str, String, u32, i64)> = of_payloads.chain(of_records).collect();
    let unread = refused.iter().map(|(raw, reason, shard, number)| Unread {
        raw,
        reason,
        source: piece.name_of(*shard),
        position: *number,
    });
    passage.gate.put_aside_unread(&unread.collect::<Vec<_>>()).await
}

fn reason(why: &str, sequence_number: &str) -> String {
    format!("{why}, in the record with sequence number {sequence_number}")
}

/// An error in a piece, with the records it may be in.
fn placed(error: Error, piece: &Piece) -> Error {
    let sequence_number = piece.sequence_numbers.get(0).map(String::from_utf8_lossy).unwrap_or_default();
    let source = piece.shards.first().map_or("", |shard| piece.name_of(*shard));
    error.context(format!("could not read the records from sequence number {sequence_number} of {source} on"))
}
