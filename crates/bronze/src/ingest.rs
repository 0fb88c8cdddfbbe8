//! Files into staged rows: one reader cuts files into pieces, several workers decode, check and write them.

use std::fs::File;
use std::io::Read;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arrow::array::RecordBatch;
use frame::decode::{DecodeOptions, Decoder, EvolvingSchema, Input, Piece, decompressed};
use frame::spec::Format;
use object_store::buffered::BufReader;
use quality::quarantine::Unread;
use quality::{Passage, Staged, Workers};
use stage::{Context, Error, Kind, Result};
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio_util::io::SyncIoBridge;

use crate::columns::Columns;
use crate::listing::{LandedFile, Landing, path_columns};
use crate::queue::{self, Decode};

/// Bytes asked of S3 at a time.
const REQUEST_BYTES: usize = 8 << 20;
/// Pieces that wait, for each worker.
const WAITING_PIECES: usize = 2;

/// How the files of a batch become rows of the table. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Decoding {
    pub(crate) landing: Landing,
    pub(crate) files: Arc<Vec<LandedFile>>,
    pub(crate) options: DecodeOptions,
    pub(crate) schema: EvolvingSchema,
    pub(crate) columns: Columns,
    /// Rows of each file, those that did not parse included.
    rows_per_file: Arc<Vec<AtomicU64>>,
}

/// What was staged.
#[derive(Debug)]
pub(crate) struct Ingested {
    pub(crate) staged: Staged,
    /// Rows of each file, those that did not parse included.
    pub(crate) rows_per_file: Vec<u64>,
}

/// A piece and the number of its file.
type Numbered = (usize, Piece);

impl Decoding {
    pub(crate) fn new(
        landing: Landing,
        files: Arc<Vec<LandedFile>>,
        options: DecodeOptions,
        schema: EvolvingSchema,
        columns: Columns,
    ) -> Decoding {
        let rows_per_file = Arc::new(files.iter().map(|_| AtomicU64::new(0)).collect());
        Decoding { landing, files, options, schema, columns, rows_per_file }
    }

    /// Reads all files of the batch and stages their rows.
    pub(crate) async fn ingest(&self, passage: &Passage, threads: usize) -> Result<Ingested> {
        let mut workers = Workers::default();
        let sender = queue::start(&mut workers, self, passage, threads, threads * WAITING_PIECES);
        let (reader, context) = (self.clone(), passage.context.clone());
        workers.spawn_blocking(move || reader.read_all(&sender, &context));
        let staged = workers.join().await?;
        let rows_per_file = self.rows_per_file.iter().map(|rows| rows.load(Ordering::Relaxed)).collect();
        Ok(Ingested { staged, rows_per_file })
    }

    /// Cuts the files into pieces, one after the other, on a blocking thread.
    fn read_all(&self, sender: &mpsc::Sender<Numbered>, context: &Context) -> Result<()> {
        let decoder = self.decoder();
        for (number, file) in self.files.iter().enumerate() {
            let named = |error: Error| self.named(file, error);
            let input = open(&self.landing, file, self.options.format, REQUEST_BYTES).map_err(named)?;
            for piece in decoder.pieces(input).map_err(named)? {
                context.check()?;
                if sender.blocking_send((number, piece.map_err(named)?)).is_err() {
                    // The workers are gone; the error of the one that failed is what counts.
                    return Ok(());
                }
            }
            context.meter.did(file.size);
        }
        Ok(())
    }

    /// Names the file in an error.
    fn named(&self, file: &LandedFile, error: Error) -> Error {
        error.context(format!("could not read `{}`", self.landing.display(file)))
    }
}

impl Decode for Decoding {
    type Piece = Numbered;

    fn decoder(&self) -> Decoder {
        Decoder::new(self.options.clone(), self.schema.clone())
    }

    async fn rows(&self, decoder: &Decoder, (number, piece): Numbered, passage: &Passage) -> Result<RecordBatch> {
        let file = &self.files[number];
        let named = |error: Error| self.named(file, error);
        let decoded = decoder.decode(piece).map_err(named)?;
        let count = (decoded.rows.num_rows() + decoded.rejects.len()) as u64;
        self.rows_per_file[number].fetch_add(count, Ordering::Relaxed);
        passage.context.meter.add_rows(count);
        let unread = decoded.rejects.iter().map(|reject| Unread {
            raw: &reject.raw,
            reason: &reject.reason,
            source: &file.path,
            position: reject.position,
        });
        passage.gate.put_aside_unread(&unread.collect::<Vec<_>>()).await?;
        self.columns.complete(&decoded.rows, &file.path, &path_columns(&file.path)).map_err(named)
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
