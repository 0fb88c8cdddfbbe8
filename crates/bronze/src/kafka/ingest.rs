//! Pieces into staged rows: workers decode, complete, check and write them while the reader goes on.

use std::sync::Arc;

use frame::decode::{DecodeOptions, Decoder, EvolvingSchema};
use frame::spec::NewColumns;
use lake::{RollingWriter, Staging};
use quality::quarantine::Unread;
use quality::{Gate, Staged, Workers};
use stage::{Context, Error, Result};
use tokio::sync::{Mutex, mpsc};

use super::batch::Piece;
use super::columns::Columns;
use super::payload::{self, Read};
use super::schemas::Schemas;
use super::spec::KafkaFormat;

/// How messages become rows of the table. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Decoding {
    pub(crate) format: KafkaFormat,
    pub(crate) options: DecodeOptions,
    pub(crate) schema: EvolvingSchema,
    pub(crate) columns: Columns,
    /// The schemas of messages that name theirs.
    pub(crate) schemas: Option<Schemas>,
}

/// Everything a worker needs. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Ingest {
    pub(crate) decoding: Decoding,
    pub(crate) gate: Gate,
    pub(crate) staging: Staging,
    pub(crate) partition_by: Vec<String>,
    pub(crate) context: Context,
}

/// Workers that wait for pieces.
pub(crate) struct Ingesting {
    sender: mpsc::Sender<Piece>,
    workers: Workers,
}

impl Ingesting {
    /// Starts the workers.
    pub(crate) fn start(ingest: &Ingest, threads: usize) -> Ingesting {
        let (sender, receiver) = mpsc::channel(threads);
        let receiver = Arc::new(Mutex::new(receiver));
        let mut workers = Workers::default();
        for _ in 0..threads {
            workers.spawn(ingest.clone().work(receiver.clone()));
        }
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

impl Ingest {
    async fn work(self, receiver: Arc<Mutex<mpsc::Receiver<Piece>>>) -> Result<Staged> {
        let decoder = Decoder::new(self.decoding.options.clone(), self.decoding.schema.clone());
        let mut checker = self.gate.checker(Vec::new());
        let mut writer = RollingWriter::new(self.staging.clone(), &self.partition_by);
        loop {
            let next = receiver.lock().await.recv().await;
            let Some(mut piece) = next else { break };
            self.context.check()?;
            let read = self.decoding.read(&decoder, &mut piece).await;
            let read = read.map_err(|error| placed(error, &piece, &self.decoding))?;
            self.context.meter.add_rows((read.rows.num_rows() + read.refused.len()) as u64);
            self.put_aside(&read, &piece).await?;
            let complete = self.decoding.columns.complete(&read.rows, &piece)?;
            writer.write(&checker.check(complete).await?).await?;
        }
        Staged::of(writer).await
    }

    async fn put_aside(&self, read: &Read, piece: &Piece) -> Result<()> {
        let unread: Vec<Unread<'_>> = read
            .refused
            .iter()
            .map(|refused| Unread {
                raw: &refused.raw,
                reason: &refused.reason,
                source: self.decoding.source_of(piece, refused.index),
                position: piece.offsets.get(refused.index).copied().unwrap_or_default(),
            })
            .collect();
        self.gate.put_aside_unread(&unread).await
    }
}

impl Decoding {
    async fn read(&self, decoder: &Decoder, piece: &mut Piece) -> Result<Read> {
        match (&self.schemas, self.format) {
            (_, KafkaFormat::String | KafkaFormat::Bytes) => payload::read_values(self.format, piece),
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

    fn source_of<'a>(&self, piece: &'a Piece, index: usize) -> &'a str {
        let number = piece.partitions.get(index).and_then(|number| usize::try_from(*number).ok());
        number.and_then(|number| piece.known.get(number)).map_or("", |partition| partition.name.as_str())
    }
}

/// An error in a piece, with the messages it may be in.
fn placed(error: Error, piece: &Piece, decoding: &Decoding) -> Error {
    let first = piece.offsets.first().copied().unwrap_or_default();
    error.context(format!("could not read the messages from offset {first} of {} on", decoding.source_of(piece, 0)))
}
