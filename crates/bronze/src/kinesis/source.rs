//! The bronze stage of a Kinesis source: gather records, decode, validate, commit. Reading goes on in between.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use arrow::datatypes::{FieldRef, Schema, SchemaRef};
use frame::decode::{self, DecodeOptions, EvolvingSchema};
use frame::infer::merge;
use frame::spec::{CsvSpec, Format};
use futures::future::BoxFuture;
use lake::{Commit, Lake, Operation, Record, Table};
use quality::{Gate, Passage, Passed, Staged, batch};
use sql::Engine;
use stage::{Context, Gauge, Progress, Result, Stage, TableName};

use super::client::Client;
use super::columns::{OF_RECORD, is_of_record, table_schema};
use super::feed::{Feed, Gathered};
use super::http::Http;
use super::ingest::{Decoding, Ingesting};
use super::piece::Piece;
use super::rows::{Columns, data_columns};
use super::spec::{KinesisSecrets, KinesisSpec};
use crate::messages::payload::value_schema;
use crate::messages::schemas::Schemas;
use crate::schema::{first_columns, hints};
use crate::spec::BronzeSpec;

/// Records looked at for inference.
const INFERENCE_ROWS: usize = 20_000;
/// Which part of the memory answers and what was read may take, each.
const MEMORY_PARTS: u64 = 16;

/// A bronze table that is filled from Kinesis.
pub struct KinesisBronze {
    name: TableName,
    spec: BronzeSpec,
    source: KinesisSpec,
    secrets: KinesisSecrets,
    lake: Lake,
    engine: Engine,
    threads: usize,
    memory_bytes: u64,
    client: Option<Arc<dyn Client>>,
    feed: Option<Feed>,
    schemas: Option<Schemas>,
}

impl KinesisBronze {
    /// The stage of one bronze table. Nothing is connected to before it is advanced.
    #[expect(clippy::too_many_arguments, reason = "a stage is made in one place, of all it needs")]
    pub fn new(
        name: TableName,
        spec: BronzeSpec,
        source: KinesisSpec,
        secrets: KinesisSecrets,
        lake: Lake,
        engine: Engine,
        threads: usize,
        memory_bytes: u64,
    ) -> KinesisBronze {
        let threads = threads.max(1);
        let (client, feed, schemas) = (None, None, None);
        KinesisBronze { name, spec, source, secrets, lake, engine, threads, memory_bytes, client, feed, schemas }
    }

    async fn advance_once(&mut self, context: &Context) -> Result<Progress> {
        let mut table = batch::open(&self.lake, &self.name).await?;
        // Taken out, so that after an error reading ends and the next start reads the state of the table anew.
        let mut feed = self.attend(&table).await?;
        let mut gathered = Gathered::default();
        let sample = self.find(&mut feed, &mut gathered, &table, context).await?;
        if sample.is_empty() && !feed.is_worth_a_commit(&gathered, &self.source.start) {
            self.feed = Some(feed);
            return Ok(Progress::idle());
        }
        let number = feed.number();
        let decoding = self.transform(&sample, &table, number, context).await?;
        // Opened after the rows were given their time, so that no row is newer than the time it is checked at.
        let gate = Gate::open(&self.lake, &self.engine, &self.name, &self.spec.expect, number, context)?;
        let staged = self.validate(&mut feed, &mut gathered, sample, &table, &decoding, &gate, context).await?;
        let passed = gate.close().await?;
        let _committing = context.begin_commit()?;
        let progress = self.commit(&mut table, &mut feed, &gathered, &decoding, staged, passed, context).await?;
        self.feed = Some(feed);
        Ok(progress)
    }

    /// The open source, once the table is known to stand where it left it.
    async fn attend(&mut self, table: &Table) -> Result<Feed> {
        if let Some(feed) = self.feed.take() {
            return feed.check_held(table).await.map(|()| feed);
        }
        let client = match &self.client {
            Some(client) => Arc::clone(client),
            None => Arc::new(Http::new(&self.source, &self.secrets)?),
        };
        self.client = Some(Arc::clone(&client));
        Feed::open(client, &self.source, self.memory_bytes / MEMORY_PARTS, table).await
    }

    /// The first records of the batch: enough to infer a schema from, where that is needed.
    async fn find(
        &self,
        feed: &mut Feed,
        gathered: &mut Gathered,
        table: &Table,
        context: &Context,
    ) -> Result<Vec<Piece>> {
        let mut sample = feed.gather(gathered, context).await?;
        let has_columns = table.schema().is_some_and(|schema| !data_columns(&schema).fields().is_empty());
        let needed = if has_columns { 0 } else { INFERENCE_ROWS };
        while !sample.is_empty() && sample.iter().map(Piece::rows).sum::<usize>() < needed {
            let more = feed.gather(gathered, context).await?;
            if more.is_empty() {
                break;
            }
            sample.extend(more);
        }
        Ok(sample)
    }

    /// How records become rows. The first ones of a new table are looked at to find its columns.
    async fn transform(&mut self, sample: &[Piece], table: &Table, number: i64, context: &Context) -> Result<Decoding> {
        let options = DecodeOptions { format: Format::Ndjson, csv: CsvSpec::default(), evolution: self.spec.evolution };
        let schemas = self.schemas()?;
        let data = match table.schema() {
            Some(existing) if !data_columns(&existing).fields().is_empty() => data_columns(&existing),
            _ if self.source.format.is_single_value() => value_schema(self.source.format),
            _ => self.first_columns(sample, schemas.as_ref()).await?,
        };
        Ok(Decoding {
            format: self.source.format,
            options,
            schema: EvolvingSchema::reserving(data, &OF_RECORD),
            columns: Columns { batch: number, now: context.now() },
            schemas,
        })
    }

    /// The schemas of records that name theirs. They are kept as long as the stage.
    fn schemas(&mut self) -> Result<Option<Schemas>> {
        if self.schemas.is_none()
            && let Some(registry) = &self.source.schema_registry
        {
            let password = self.secrets.registry_password.clone();
            self.schemas = Some(Schemas::new(self.source.format, registry, password)?);
        }
        Ok(self.schemas.clone())
    }

    async fn first_columns(&self, sample: &[Piece], schemas: Option<&Schemas>) -> Result<SchemaRef> {
        let mut inferred = Schema::empty();
        let mut left = INFERENCE_ROWS;
        for messages in sample.iter().map(|piece| &piece.messages) {
            if left == 0 {
                break;
            }
            let found = match schemas {
                Some(schemas) => Schema::new(schemas.as_text(messages).await?.columns),
                None => decode::Piece::of_values(messages.payloads.clone(), messages.places.clone()).observe(left),
            };
            inferred = merge(&inferred, &found);
            left = left.saturating_sub(messages.rows());
        }
        let allowed: Vec<FieldRef> =
            inferred.fields().iter().filter(|field| !is_of_record(field.name())).cloned().collect();
        Ok(first_columns(&self.spec, &hints(&self.spec)?, &Schema::new(allowed), &[]))
    }

    /// Stages the rows of all records of the batch that pass the gate.
    #[expect(clippy::too_many_arguments, reason = "the one place where everything of a batch comes together")]
    async fn validate(
        &self,
        feed: &mut Feed,
        gathered: &mut Gathered,
        sample: Vec<Piece>,
        table: &Table,
        decoding: &Decoding,
        gate: &Gate,
        context: &Context,
    ) -> Result<Staged> {
        let passage = Passage::new(gate, table, &self.spec.partition_by, context);
        // One small piece needs one worker.
        let threads = if gathered.is_last { self.threads.min(sample.len()).max(1) } else { self.threads };
        let ingesting = Ingesting::start(decoding, &passage, threads);
        let mut pieces = sample;
        while !pieces.is_empty() {
            for piece in pieces {
                if !ingesting.take(piece).await {
                    return ingesting.finish().await;
                }
            }
            pieces = feed.gather(gathered, context).await?;
        }
        ingesting.finish().await
    }

    #[expect(clippy::too_many_arguments, reason = "a commit tells everything of a batch")]
    async fn commit(
        &self,
        table: &mut Table,
        feed: &mut Feed,
        gathered: &Gathered,
        decoding: &Decoding,
        staged: Staged,
        passed: Passed,
        context: &Context,
    ) -> Result<Progress> {
        let record = Record {
            action: "append".to_owned(),
            reason: format!("{} new records of {}", passed.rows_checked, self.source.stream),
            states: feed.states(gathered)?,
            ..batch::record(passed, decoding.columns.batch, staged.rows, context)
        };
        let commit = Commit {
            operation: Operation::Append,
            schema: table_schema(&decoding.schema.current()),
            partition_by: self.spec.partition_by.clone(),
            properties: BTreeMap::default(),
            add: staged.added,
            remove: Vec::new(),
            range: Some(feed.range()),
            record,
        };
        let mut progress = batch::commit(&self.lake, table, commit, &[]).await?;
        feed.committed(gathered);
        progress.bytes_read = gathered.message_bytes;
        progress.idle = match context.streaming {
            true => feed.due_in(self.trigger()) != Some(Duration::ZERO),
            false => gathered.is_last,
        };
        tracing::info!(table = %self.name, version = progress.version, rows = progress.rows_written, "committed");
        Ok(progress)
    }

    fn trigger(&self) -> Duration {
        self.source.trigger.duration()
    }

    /// Waits until there is a batch for a stream.
    async fn wait(&self) -> Result<()> {
        let Some(feed) = &self.feed else { return Ok(()) };
        loop {
            match feed.due_in(self.trigger()) {
                Some(Duration::ZERO) => return Ok(()),
                Some(rest) => {
                    // Enough for a batch may come before the time is over.
                    let _ = tokio::time::timeout(rest, feed.news()).await;
                }
                None => feed.news().await,
            }
        }
    }
}

impl Stage for KinesisBronze {
    fn table(&self) -> &TableName {
        &self.name
    }

    fn advance<'a>(&'a mut self, context: &'a Context) -> BoxFuture<'a, Result<Progress>> {
        Box::pin(self.advance_once(context))
    }

    fn arrival<'a>(&'a mut self, _: &'a Context) -> BoxFuture<'a, Result<()>> {
        Box::pin(self.wait())
    }

    fn gauges(&self) -> Vec<Gauge> {
        self.feed.as_ref().map(Feed::gauges).unwrap_or_default()
    }
}
