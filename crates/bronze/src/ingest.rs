//! Files into staged rows: one reader cuts files into pieces, several workers decode, check and write them.
//!
//! The queue between them is short, so memory is bounded by the pieces in flight and the row groups being written,
//! whatever the size of the batch.

use std::fs::File;
use std::io::Read;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use frame::decode::{DecodeOptions, Decoder, EvolvingSchema, Input, Piece, decompressed};
use frame::spec::Format;
use lake::{RollingWriter, Staging};
use object_store::buffered::BufReader;
use quality::quarantine::Unread;
use quality::{Gate, Staged, Workers};
use stage::{Context, Error, Kind, Result};
use tokio::runtime::Handle;
use tokio::sync::{Mutex, mpsc};
use tokio_util::io::SyncIoBridge;

use crate::columns::Columns;
use crate::listing::{LandedFile, Landing, path_columns};

/// Bytes asked of S3 at a time.
const REQUEST_BYTES: usize = 8 << 20;

/// How the files of a batch become rows of the table. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Decoding {
    pub(crate) landing: Landing,
    pub(crate) files: Arc<Vec<LandedFile>>,
    pub(crate) options: DecodeOptions,
    pub(crate) schema: EvolvingSchema,
    pub(crate) columns: Columns,
}

/// Everything a worker needs to turn pieces into staged rows. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Ingest {
    pub(crate) decoding: Decoding,
    pub(crate) gate: Gate,
    pub(crate) staging: Staging,
    pub(crate) partition_by: Vec<String>,
    pub(crate) threads: usize,
    pub(crate) context: Context,
}

/// What was staged.
#[derive(Debug)]
pub(crate) struct Ingested {
    pub(crate) staged: Staged,
    /// Rows of each file, those that did not parse included.
    pub(crate) rows_per_file: Vec<u64>,
}

type Numbered = (usize, Piece);

impl Decoding {
    fn decoder(&self) -> Decoder {
        Decoder::new(self.options.clone(), self.schema.clone())
    }

    /// Names the file in an error.
    fn named(&self, file: &LandedFile, error: Error) -> Error {
        error.context(format!("could not read `{}`", self.landing.display(file)))
    }
}

impl Ingest {
    /// Reads all files of the batch and stages their rows.
    pub(crate) async fn run(self) -> Result<Ingested> {
        let rows: Arc<Vec<AtomicU64>> = Arc::new(self.decoding.files.iter().map(|_| AtomicU64::new(0)).collect());
        let (sender, receiver) = mpsc::channel::<Numbered>(self.threads * 2);
        let receiver = Arc::new(Mutex::new(receiver));
        let mut workers = Workers::default();
        let reader = self.clone();
        workers.spawn_blocking(move || reader.read_all(&sender));
        for _ in 0..self.threads {
            workers.spawn(self.clone().work(receiver.clone(), rows.clone()));
        }
        drop(receiver);
        let staged = workers.join().await?;
        let rows_per_file = rows.iter().map(|rows| rows.load(Ordering::Relaxed)).collect();
        Ok(Ingested { staged, rows_per_file })
    }

    /// Cuts the files into pieces, one after the other, on a blocking thread.
    fn read_all(&self, sender: &mpsc::Sender<Numbered>) -> Result<()> {
        let Decoding { landing, files, options, .. } = &self.decoding;
        let decoder = self.decoding.decoder();
        for (number, file) in files.iter().enumerate() {
            let named = |error: Error| self.decoding.named(file, error);
            let input = open(landing, file, options.format, REQUEST_BYTES).map_err(named)?;
            for piece in decoder.pieces(input).map_err(named)? {
                self.context.check()?;
                if sender.blocking_send((number, piece.map_err(named)?)).is_err() {
                    // The workers are gone; the error of the one that failed is what counts.
                    return Ok(());
                }
            }
            self.context.meter.did(file.size);
        }
        Ok(())
    }

    async fn work(self, receiver: Arc<Mutex<mpsc::Receiver<Numbered>>>, rows: Arc<Vec<AtomicU64>>) -> Result<Staged> {
        let decoder = self.decoding.decoder();
        let mut checker = self.gate.checker(Vec::new());
        let mut writer = RollingWriter::new(self.staging.clone(), &self.partition_by);
        loop {
            let next = receiver.lock().await.recv().await;
            let Some((number, piece)) = next else { break };
            self.context.check()?;
            let file = &self.decoding.files[number];
            let named = |error: Error| self.decoding.named(file, error);
            let decoded = decoder.decode(piece).map_err(named)?;
            let count = decoded.rows.num_rows() + decoded.rejects.len();
            rows[number].fetch_add(count as u64, Ordering::Relaxed);
            self.context.meter.add_rows(count as u64);
            let rejects: Vec<Unread<'_>> = decoded
                .rejects
                .iter()
                .map(|reject| Unread {
                    raw: &reject.raw,
                    reason: &reject.reason,
                    source: &file.path,
                    position: reject.position,
                })
                .collect();
            self.gate.put_aside_unread(&rejects).await?;
            let columns = &self.decoding.columns;
            let complete = columns.complete(&decoded.rows, &file.path, &path_columns(&file.path)).map_err(named)?;
            writer.write(&checker.check(complete).await?).await?;
        }
        Staged::of(writer).await
    }
}

/// Opens a file for decoding. Only the listed size is read, so what is appended meanwhile is not.
pub(crate) fn open(landing: &Landing, file: &LandedFile, format: Format, request_bytes: usize) -> Result<Input> {
    let is_random_access = format == Format::Parquet;
    let raw: Box<dyn Read + Send> = if landing.is_local() {
        let path = format!("/{}", file.meta.location);
        let opened = File::open(&path).map_err(|error| unreadable(&error))?;
        if is_random_access {
            return Ok(Input::File(opened));
        }
        Box::new(opened.take(file.size))
    } else {
        let reader = BufReader::with_capacity(landing.store().clone(), &file.meta, request_bytes);
        Box::new(SyncIoBridge::new_with_handle(reader, Handle::current()))
    };
    Ok(Input::Stream(decompressed(&file.path, raw)))
}

fn unreadable(error: &std::io::Error) -> Error {
    let (kind, remedy) = match error.kind() {
        std::io::ErrorKind::PermissionDenied => (Kind::Config, "; give the user who runs this the right to read it"),
        std::io::ErrorKind::NotFound => (Kind::Unavailable, "; it was removed after it was listed"),
        _ => (Kind::Unavailable, ""),
    };
    Error::new(kind, format!("{error}{remedy}"))
}
