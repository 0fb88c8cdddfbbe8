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
use lake::{Add, RollingWriter, Staging};
use object_store::buffered::BufReader;
use quality::Gate;
use quality::quarantine::Unread;
use stage::{Context, Error, Kind, Result};
use tokio::runtime::Handle;
use tokio::sync::{Mutex, mpsc};
use tokio::task::JoinSet;
use tokio_util::io::SyncIoBridge;

use crate::columns::Columns;
use crate::listing::{LandedFile, Landing, path_columns};

/// Bytes asked of S3 at a time.
const REQUEST_BYTES: usize = 8 << 20;

/// Everything a worker needs to turn pieces into staged rows. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Ingest {
    pub(crate) landing: Landing,
    pub(crate) files: Arc<Vec<LandedFile>>,
    pub(crate) options: DecodeOptions,
    pub(crate) schema: EvolvingSchema,
    pub(crate) columns: Columns,
    pub(crate) gate: Gate,
    pub(crate) staging: Staging,
    pub(crate) partition_by: Vec<String>,
    pub(crate) threads: usize,
    pub(crate) context: Context,
}

/// What was staged.
#[derive(Debug)]
pub(crate) struct Ingested {
    pub(crate) added: Vec<Add>,
    pub(crate) rows_written: u64,
    /// Rows of each file, those that did not parse included.
    pub(crate) rows_per_file: Vec<u64>,
}

type Numbered = (usize, Piece);

impl Ingest {
    /// Reads all files of the batch and stages their rows.
    pub(crate) async fn run(self) -> Result<Ingested> {
        let rows: Arc<Vec<AtomicU64>> = Arc::new(self.files.iter().map(|_| AtomicU64::new(0)).collect());
        let (sender, receiver) = mpsc::channel::<Numbered>(self.threads * 2);
        let receiver = Arc::new(Mutex::new(receiver));
        let mut tasks: JoinSet<Result<(Vec<Add>, u64)>> = JoinSet::new();
        let reader = self.clone();
        tasks.spawn_blocking(move || reader.read_all(&sender).map(|()| (Vec::new(), 0)));
        for _ in 0..self.threads {
            let worker = self.clone();
            tasks.spawn(worker.work(receiver.clone(), rows.clone()));
        }
        drop(receiver);
        let (added, rows_written) = join_all(tasks).await?;
        let rows_per_file = rows.iter().map(|rows| rows.load(Ordering::Relaxed)).collect();
        Ok(Ingested { added, rows_written, rows_per_file })
    }

    /// Cuts the files into pieces, one after the other, on a blocking thread.
    fn read_all(&self, sender: &mpsc::Sender<Numbered>) -> Result<()> {
        let decoder = Decoder::new(self.options.clone(), self.schema.clone());
        for (number, file) in self.files.iter().enumerate() {
            let named = |error: Error| error.context(format!("could not read `{}`", self.landing.display(file)));
            let input = open(&self.landing, file, self.options.format, REQUEST_BYTES).map_err(named)?;
            for piece in decoder.pieces(input).map_err(named)? {
                self.context.check()?;
                if sender.blocking_send((number, piece.map_err(named)?)).is_err() {
                    // The workers are gone; the error of the one that failed is what counts.
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    async fn work(
        self,
        receiver: Arc<Mutex<mpsc::Receiver<Numbered>>>,
        rows: Arc<Vec<AtomicU64>>,
    ) -> Result<(Vec<Add>, u64)> {
        let decoder = Decoder::new(self.options.clone(), self.schema.clone());
        let mut checker = self.gate.checker(Vec::new());
        let mut writer = RollingWriter::new(self.staging.clone(), &self.partition_by);
        loop {
            let next = receiver.lock().await.recv().await;
            let Some((number, piece)) = next else { break };
            self.context.check()?;
            let file = &self.files[number];
            let named = |error: Error| error.context(format!("could not read `{}`", self.landing.display(file)));
            let decoded = decoder.decode(piece).map_err(named)?;
            let count = decoded.rows.num_rows() + decoded.rejects.len();
            rows[number].fetch_add(count as u64, Ordering::Relaxed);
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
            let complete =
                self.columns.complete(&decoded.rows, &file.path, &path_columns(&file.path)).map_err(named)?;
            writer.write(&checker.check(complete).await?).await?;
        }
        let rows_written = writer.rows();
        Ok((writer.close().await?, rows_written))
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

/// Waits for all tasks. The first error stops the others and is returned.
async fn join_all(mut tasks: JoinSet<Result<(Vec<Add>, u64)>>) -> Result<(Vec<Add>, u64)> {
    let mut added = Vec::new();
    let mut rows = 0;
    let mut failure: Option<Error> = None;
    while let Some(joined) = tasks.join_next().await {
        let result = joined.unwrap_or_else(|error| Err(Error::bug("a worker ended unexpectedly").with_source(error)));
        match result {
            Ok((files, count)) => {
                added.extend(files);
                rows += count;
            }
            Err(error) => {
                tasks.abort_all();
                // A task that was stopped because another failed says nothing new.
                failure = failure.or(Some(error));
            }
        }
    }
    failure.map_or(Ok((added, rows)), Err)
}
