//! The bronze stage: find the files that are new, decode, validate, commit.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use ::stage::{Checkpoint, Context, Error, OffsetRange, Progress, Result, Stage, TableName};
use arrow::array::AsArray as _;
use arrow::datatypes::{Int64Type, Schema};
use frame::decode::{DecodeOptions, EvolvingSchema};
use frame::infer::{infer, merge};
use futures::future::BoxFuture;
use lake::{Commit, IngestedFile, Lake, Operation, Record, S3Settings, Table, ledger};
use quality::{Checks, Gate, Passage, Passed, batch};
use sql::Engine;

use crate::columns::Columns;
use crate::files_arrival::{self, Fingerprint};
use crate::ingest::{Decoding, Ingested, open};
use crate::listing::{LandedFile, Landing};
use crate::schema::{data_columns, first_columns, hints, path_fields};
use crate::spec::BronzeSpec;

/// Rows looked at for inference, over all files of the first batch.
const INFERENCE_ROWS: usize = 20_000;
/// Rows looked at in one file at most and at least.
const INFERENCE_ROWS_PER_FILE: (usize, usize) = (50, 5_000);
/// Bytes asked of S3 for inference.
const INFERENCE_BYTES: usize = 256 << 10;
/// Lists of files longer than this are staged beside the table instead of standing in the commit.
const FILES_IN_RECORD: usize = 500;

/// A bronze table and what it is filled from.
pub struct Bronze {
    name: TableName,
    spec: BronzeSpec,
    source: String,
    lake: Lake,
    s3: S3Settings,
    engine: Engine,
    threads: usize,
    /// What the last advance saw in the landing folder.
    listed: Option<Fingerprint>,
}

/// What one advance reads.
struct Reading {
    landing: Landing,
    files: Arc<Vec<LandedFile>>,
    /// The position id of the source.
    position: String,
    /// The number of the batch, which is the position it is read from.
    batch: i64,
}

impl Bronze {
    /// The stage of one bronze table. `source` is the name under which positions are kept: it must stay the same wherever
    /// the project's folder is moved, and differ between projects that write to one table.
    pub fn new(
        name: TableName,
        spec: BronzeSpec,
        source: String,
        lake: Lake,
        s3: S3Settings,
        engine: Engine,
        threads: usize,
    ) -> Bronze {
        Bronze { name, spec, source, lake, s3, engine, threads: threads.max(1), listed: None }
    }

    async fn advance_once(&mut self, context: &Context) -> Result<Progress> {
        let landing = self.landing()?;
        let mut table = batch::open(&self.lake, &self.name).await?;
        let Some(reading) = self.find(landing, &table, context).await? else { return Ok(Progress::idle()) };
        let decoding = self.transform(&reading, &table, context).await?;
        // Opened after the rows were given their time, so that no row is newer than the time it is checked at.
        let gate = Gate::open(&self.lake, &self.engine, &self.name, &self.spec.expect, reading.batch, context)?
            .profiling(&self.spec.profile);
        let ingested = self.validate(&table, &decoding, &gate, context).await?;
        let passed = gate.close().await?;
        let _committing = context.begin_commit()?;
        self.commit(&mut table, reading, decoding, ingested, passed, context).await
    }

    fn landing(&self) -> Result<Landing> {
        let spec = self.spec.source.files()?;
        Landing::open(spec, &self.source, &self.s3)
    }

    /// The files that landed and were not read yet, or `None` when there are none.
    async fn find(&mut self, landing: Landing, table: &Table, context: &Context) -> Result<Option<Reading>> {
        let known = self.known_files(table, landing.source()).await?;
        let listed = landing.list(context.now()).await?;
        self.listed = Some(Fingerprint::of(&listed));
        let files = landing.next_batch(listed, &known)?;
        if files.is_empty() {
            return Ok(None);
        }
        // One file is done when it is done: then there is no share of it to tell.
        if files.len() > 1 {
            context.meter.expect(files.iter().map(|file| file.size).sum());
        }
        let position = format!("files/{}", landing.source());
        let batch = table.position(&position).await?;
        Ok(Some(Reading { landing, files: Arc::new(files), position, batch }))
    }

    /// How the files become rows. The first batch of a table is looked at to find its columns; else nothing is read yet.
    async fn transform(&self, reading: &Reading, table: &Table, context: &Context) -> Result<Decoding> {
        let spec = self.spec.source.files()?;
        let Reading { landing, files, batch, .. } = reading;
        let options = DecodeOptions { format: spec.format, csv: spec.csv.clone(), evolution: self.spec.evolution };
        let hints = hints(&self.spec)?;
        let path_fields = path_fields(files, &hints);
        let data = match table.schema() {
            Some(existing) => data_columns(&existing, &path_fields),
            None => {
                let inferred = infer_all(landing.clone(), files.clone(), options.clone()).await?;
                first_columns(&self.spec, &hints, &inferred, &path_fields)
            }
        };
        let columns = Columns { path_fields, batch: *batch, now: context.now() };
        Ok(Decoding::new(landing.clone(), files.clone(), options, EvolvingSchema::new(data), columns))
    }

    /// Reads the files and stages the rows that pass the gate.
    async fn validate(&self, table: &Table, decoding: &Decoding, gate: &Gate, context: &Context) -> Result<Ingested> {
        let passage = Passage::new(gate, table, &self.spec.partition_by, context);
        decoding.ingest(&passage, self.threads).await
    }

    async fn commit(
        &self,
        table: &mut Table,
        reading: Reading,
        decoding: Decoding,
        ingested: Ingested,
        passed: Passed,
        context: &Context,
    ) -> Result<Progress> {
        let Reading { files, position, batch, .. } = &reading;
        let Ingested { staged, rows_per_file } = ingested;
        let (listed, manifest) = self.files_read(table, &reading, &rows_per_file).await?;
        let record = Record {
            action: "append".to_owned(),
            reason: format!("{} new files", files.len()),
            files: listed,
            manifest,
            ..batch::record(passed, *batch, staged.rows, context)
        };
        let commit = Commit {
            operation: Operation::Append,
            schema: decoding.columns.table_schema(&decoding.schema.current()),
            partition_by: self.spec.partition_by.clone(),
            properties: BTreeMap::default(),
            add: staged.added,
            remove: Vec::new(),
            range: Some(OffsetRange {
                from: Checkpoint::of(position, *batch),
                to: Checkpoint::of(position, batch + 1),
            }),
            record,
        };
        let checks = Checks::before_commit(&self.spec.check, &self.lake, &self.engine, context);
        let mut progress = batch::commit(&self.lake, table, commit, &[], &checks).await?;
        progress.files_read = files.len() as u64;
        progress.bytes_read = files.iter().map(|file| file.size).sum();
        Ok(progress)
    }

    /// Path and etag of every file that was read: what `system.files` holds, and what newer commits tell.
    async fn known_files(&self, table: &Table, source: &str) -> Result<HashMap<String, String>> {
        let mut known = HashMap::new();
        if table.version().is_none() {
            return Ok(known);
        }
        let files = self.lake.open(&self.name.system("files")).await?;
        let rolled = files.position(&ledger::position_of(table)?).await?.max(0);
        if files.version().is_some() && rolled > 0 {
            let table_id = table.id().unwrap_or_default();
            self.read_known(&files, &table_id, source, &mut known).await?;
        }
        for file in ledger::files_since(table, rolled as u64).await? {
            if file.source == source {
                known.insert(file.path, file.etag);
            }
        }
        Ok(known)
    }

    async fn read_known(
        &self,
        files: &Table,
        table_id: &str,
        source: &str,
        known: &mut HashMap<String, String>,
    ) -> Result<()> {
        // A table of the same name that is gone has read these files too; ours has not.
        let equal = [("table_id", table_id), ("source", source)];
        let columns = ["path", "etag", "version"];
        let batches = sql::select(&self.engine, files.provider().await?, &equal, &columns).await?;
        // A file that changed and was read again stands there once for each time, in any order; the last time counts.
        let mut last: HashMap<String, i64> = HashMap::new();
        for batch in batches {
            let (paths, etags) = (batch.column(0).as_string_view(), batch.column(1).as_string_view());
            let versions = batch.column(2).as_primitive::<Int64Type>();
            for ((path, etag), version) in paths.iter().zip(etags.iter()).zip(versions.values()) {
                let path = path.unwrap_or_default();
                if last.get(path).is_none_or(|last| last <= version) {
                    last.insert(path.to_owned(), *version);
                    known.insert(path.to_owned(), etag.unwrap_or_default().to_owned());
                }
            }
        }
        Ok(())
    }

    /// The files read as the record tells them: in itself, or in a manifest when they are many.
    async fn files_read(
        &self,
        table: &Table,
        reading: &Reading,
        rows_per_file: &[u64],
    ) -> Result<(Vec<IngestedFile>, Option<String>)> {
        let read = reading.files.iter().zip(rows_per_file).map(|(file, rows)| IngestedFile {
            source: reading.landing.source().to_owned(),
            path: file.path.clone(),
            etag: file.etag.clone(),
            size: file.size,
            rows: *rows,
        });
        let read: Vec<IngestedFile> = read.collect();
        match read.len() > FILES_IN_RECORD {
            true => Ok((Vec::new(), Some(ledger::stage_manifest(table, &read).await?))),
            false => Ok((read, None)),
        }
    }
}

impl Stage for Bronze {
    fn table(&self) -> &TableName {
        &self.name
    }

    fn advance<'a>(&'a mut self, context: &'a Context) -> BoxFuture<'a, Result<Progress>> {
        Box::pin(self.advance_once(context))
    }

    fn source(&self) -> Option<String> {
        Some(self.spec.source.place())
    }

    fn arrival<'a>(&'a mut self, context: &'a Context) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move {
            let spec = self.spec.source.files()?;
            files_arrival::arrival(&self.landing()?, self.listed, spec.trigger, context).await
        })
    }
}

async fn infer_all(landing: Landing, files: Arc<Vec<LandedFile>>, options: DecodeOptions) -> Result<Schema> {
    let (least, most) = INFERENCE_ROWS_PER_FILE;
    let rows = (INFERENCE_ROWS / files.len().max(1)).clamp(least, most);
    let work = move || -> Result<Schema> {
        let mut schema = Schema::empty();
        for file in files.iter() {
            let named = |error: Error| error.context(format!("could not read `{}`", landing.display(file)));
            let input = open(&landing, file, options.format, INFERENCE_BYTES).map_err(named)?;
            schema = merge(&schema, &infer(input, &options, rows).map_err(named)?);
        }
        Ok(schema)
    };
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|error| Error::bug("looking at the first rows ended unexpectedly").with_source(error))?
}
