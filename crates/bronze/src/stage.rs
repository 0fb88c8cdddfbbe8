//! The bronze stage: list, subtract, read, validate, commit.

use std::collections::HashMap;
use std::sync::Arc;

use ::stage::{Checkpoint, Context, Error, OffsetRange, Progress, Result, Stage, TableName};
use arrow::array::AsArray as _;
use arrow::datatypes::{Int64Type, Schema, SchemaRef};
use frame::decode::{DecodeOptions, EvolvingSchema};
use frame::infer::{infer, merge};
use futures::future::BoxFuture;
use lake::{Add, Commit, IngestedFile, Lake, Operation, Record, S3Settings, Table, ledger};
use quality::{Gate, Passed, quarantine};
use sql::Engine;

use crate::columns::Columns;
use crate::ingest::{Ingest, Ingested, open};
use crate::listing::{LandedFile, Landing};
use crate::schema::{data_columns, first_columns, hints, path_fields};
use crate::spec::{BronzeSpec, FilesSpec, SourceSpec};

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
        Bronze { name, spec, source, lake, s3, engine, threads: threads.max(1) }
    }

    async fn advance_once(&mut self, context: &Context) -> Result<Progress> {
        let SourceSpec::Files(files_spec) = &self.spec.source;
        let landing = Landing::open(files_spec, &self.source, &self.s3)?;
        let mut table = self.lake.open(&self.name).await?;
        ledger::roll_quarantine(&self.lake, &table, &quarantine::schema()).await?;
        let known = self.known_files(&table, landing.source()).await?;
        let batch = landing.next_batch(landing.list(context.now()).await?, &known)?;
        if batch.is_empty() {
            return Ok(Progress::idle());
        }
        let position = format!("files/{}", landing.source());
        let number = table.position(&position).await?;
        let batch = Arc::new(batch);
        let gate = Gate::open(&self.lake, &self.engine, &self.name, &self.spec.expect, number, context).await?;
        let ingest = self.prepare(files_spec, &landing, &batch, &table, gate.clone(), number, context).await?;
        let (schema, columns) = (ingest.schema.clone(), ingest.columns.clone());
        let ingested = ingest.run().await?;
        let passed = gate.close().await?;
        context.check()?;
        let schema = columns.table_schema(&schema.current());
        let bytes = batch.iter().map(|file| file.size).sum();
        let mut progress = progress(&ingested, &passed, batch.len() as u64, bytes);
        let record = self.record(&table, &landing, &batch, &ingested, &passed, number, context).await?;
        let range = OffsetRange { from: Checkpoint::of(&position, number), to: Checkpoint::of(&position, number + 1) };
        let version = table.commit(commit(schema, &self.spec.partition_by, ingested.added, range, record)).await?;
        progress.version = Some(version);
        ledger::roll_quarantine(&self.lake, &table, &quarantine::schema()).await?;
        tracing::info!(table = %self.name, version, rows = progress.rows_written, files = batch.len(), "committed");
        Ok(progress)
    }

    #[expect(clippy::too_many_arguments, reason = "the one place where everything of a batch comes together")]
    async fn prepare(
        &self,
        spec: &FilesSpec,
        landing: &Landing,
        files: &Arc<Vec<LandedFile>>,
        table: &Table,
        gate: Gate,
        batch: i64,
        context: &Context,
    ) -> Result<Ingest> {
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
        Ok(Ingest {
            landing: landing.clone(),
            files: files.clone(),
            options,
            schema: EvolvingSchema::new(data),
            columns: Columns { path_fields, batch, now: context.now() },
            gate,
            staging: table.staging(),
            partition_by: self.spec.partition_by.clone(),
            threads: self.threads,
            context: context.clone(),
        })
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
            self.read_known(&files, source, &mut known).await?;
        }
        for file in ledger::files_since(table, rolled as u64).await? {
            if file.source == source {
                known.insert(file.path, file.etag);
            }
        }
        Ok(known)
    }

    async fn read_known(&self, files: &Table, source: &str, known: &mut HashMap<String, String>) -> Result<()> {
        let name = self.name.to_string();
        let equal = [("table", name.as_str()), ("source", source)];
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

    #[expect(clippy::too_many_arguments, reason = "a record tells everything of a batch")]
    async fn record(
        &self,
        table: &Table,
        landing: &Landing,
        files: &[LandedFile],
        ingested: &Ingested,
        passed: &Passed,
        batch: i64,
        context: &Context,
    ) -> Result<Record> {
        let source = landing.source().to_owned();
        let read = files.iter().zip(&ingested.rows_per_file).map(|(file, rows)| IngestedFile {
            source: source.clone(),
            path: file.path.clone(),
            etag: file.etag.clone(),
            size: file.size,
            rows: *rows,
        });
        let read: Vec<IngestedFile> = read.collect();
        let is_long = read.len() > FILES_IN_RECORD;
        let manifest = if is_long { Some(ledger::stage_manifest(table, &read).await?) } else { None };
        Ok(Record {
            run: context.run_id.clone(),
            batch,
            action: "append".to_owned(),
            reason: format!("{} new files", files.len()),
            rows_read: passed.rows_checked,
            rows_written: ingested.rows_written,
            rows_quarantined: passed.rows_quarantined,
            rows_dropped: passed.rows_dropped,
            rules: passed.rules.clone(),
            files: if is_long { Vec::new() } else { read },
            manifest,
            quarantine: passed.quarantine.clone(),
            ..Record::default()
        })
    }
}

impl Stage for Bronze {
    fn table(&self) -> &TableName {
        &self.name
    }

    fn advance<'a>(&'a mut self, context: &'a Context) -> BoxFuture<'a, Result<Progress>> {
        Box::pin(self.advance_once(context))
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

fn commit(schema: SchemaRef, partition_by: &[String], add: Vec<Add>, range: OffsetRange, record: Record) -> Commit {
    Commit {
        operation: Operation::Append,
        schema,
        partition_by: partition_by.to_vec(),
        properties: Default::default(),
        add,
        remove: Vec::new(),
        range: Some(range),
        record,
    }
}

fn progress(ingested: &Ingested, passed: &Passed, files: u64, bytes: u64) -> Progress {
    Progress {
        rows_read: passed.rows_checked,
        rows_written: ingested.rows_written,
        rows_quarantined: passed.rows_quarantined,
        rows_dropped: passed.rows_dropped,
        files_read: files,
        bytes_read: bytes,
        version: None,
        warnings: passed.warnings(),
        idle: false,
    }
}
