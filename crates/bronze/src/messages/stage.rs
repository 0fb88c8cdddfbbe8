//! The bronze stage of a source of messages: gather, decode, validate, commit. The source stays open in between.

use std::collections::BTreeMap;
use std::future::Future;
use std::time::Duration;

use arrow::datatypes::{FieldRef, Schema, SchemaRef};
use frame::decode::{self, DecodeOptions, EvolvingSchema};
use frame::infer::merge;
use frame::spec::{CsvSpec, Format};
use futures::future::BoxFuture;
use lake::{Commit, Lake, Operation, Record, Table};
use quality::{Checks, Gate, Passage, Passed, Staged, Workers, batch};
use sql::Engine;
use stage::{Context, Gauge, Progress, Result, Secret, Stage, TableName};

use super::columns::Columns;
use super::decoding::Decoding;
use super::feed::{Feed, Gathered, Opened};
use super::payload::value_schema;
use super::piece::Piece;
use super::schemas::Schemas;
use super::spec::{MessageFormat, RegistrySpec};
use crate::queue;
use crate::schema::{first_columns, hints};
use crate::spec::BronzeSpec;

/// Messages looked at for inference.
const INFERENCE_ROWS: usize = 20_000;
/// Which part of the memory what was read may take, and what is on its way to that, each.
const MEMORY_PARTS: u64 = 16;

/// A source of messages. Nothing is connected to before it is opened.
pub(crate) trait Source: Send + Sync + 'static {
    /// What it gives once it is open.
    type Feed: Feed;

    /// Begins to read where the table stands. `memory_bytes` are for what was read and not taken yet, and as many for
    /// what is on its way.
    ///
    /// # Errors
    /// When the source does not answer or is not there, or messages are gone that were not read.
    fn open(&mut self, memory_bytes: u64, table: &Table) -> impl Future<Output = Result<Opened<Self::Feed>>> + Send;
}

/// What users write of every source of messages alike, so far as it concerns what happens to messages.
pub(crate) struct Settings {
    /// What is read, for people.
    pub(crate) title: String,
    pub(crate) format: MessageFormat,
    /// How long a stream waits after the first new message before it commits.
    pub(crate) trigger: Duration,
    pub(crate) registry: Option<RegistrySpec>,
    pub(crate) registry_password: Option<Secret>,
}

/// The table that messages go into, and what it takes to write it.
pub struct Sink {
    /// Its name.
    pub name: TableName,
    /// How users wrote it.
    pub spec: BronzeSpec,
    /// Where it lies.
    pub lake: Lake,
    /// What its expectations are evaluated with.
    pub engine: Engine,
    /// How many workers decode at most.
    pub threads: usize,
    /// The memory of the project, of which a part is for messages that wait.
    pub memory_bytes: u64,
}

/// A bronze table that is filled from a source of messages.
pub(crate) struct MessageBronze<S: Source> {
    sink: Sink,
    settings: Settings,
    source: S,
    opened: Option<Opened<S::Feed>>,
    schemas: Option<Schemas>,
}

impl<S: Source> MessageBronze<S> {
    /// The stage of one bronze table.
    pub(crate) fn new(settings: Settings, source: S, sink: Sink) -> MessageBronze<S> {
        MessageBronze { sink, settings, source, opened: None, schemas: None }
    }

    async fn advance_once(&mut self, context: &Context) -> Result<Progress> {
        let mut table = batch::open(&self.sink.lake, &self.sink.name).await?;
        // Taken out, so that after an error reading ends and the next start reads anew where the table stands.
        let mut opened = self.attend(&table).await?;
        let mut gathered = Gathered::new();
        let sample = find(&mut opened, &mut gathered, &table, context).await?;
        if sample.is_empty() && !opened.feed.is_worth_a_commit(&gathered.moved) {
            self.opened = Some(opened);
            return Ok(Progress::idle());
        }
        let number = opened.feed.number(&table);
        let decoding = self.transform(&sample, &table, number, context).await?;
        // Opened after the rows were given their time, so that no row is newer than the time it is checked at.
        let Sink { name, spec, lake, engine, .. } = &self.sink;
        let gate = Gate::open(lake, engine, name, &spec.expect, number, context)?.profiling(&spec.profile);
        let passage = Passage::new(&gate, &table, &spec.partition_by, context);
        let staged = self.validate(&mut opened, &mut gathered, sample, &decoding, &passage).await?;
        let passed = gate.close().await?;
        let _committing = context.begin_commit()?;
        let commit = self.commit_of(&opened.feed, &gathered, &decoding, staged, passed, context)?;
        let checks = Checks::before_commit(&spec.check, lake, engine, context);
        let progress = batch::commit(lake, &mut table, commit, &[], &checks).await?;
        opened.committed(&gathered);
        let progress = self.told(progress, &opened.feed, &gathered, context);
        self.opened = Some(opened);
        Ok(progress)
    }

    /// The open source, once the table is known to stand where it left it.
    async fn attend(&mut self, table: &Table) -> Result<Opened<S::Feed>> {
        match self.opened.take() {
            Some(opened) => opened.feed.check_held(table).await.map(|()| opened),
            None => self.source.open(self.sink.memory_bytes / MEMORY_PARTS, table).await,
        }
    }

    /// How messages become rows. The first ones of a new table are looked at to find its columns.
    async fn transform(&mut self, sample: &[Piece], table: &Table, number: i64, context: &Context) -> Result<Decoding> {
        let kind = S::Feed::KIND;
        let evolution = self.sink.spec.evolution;
        let options = DecodeOptions { format: Format::Ndjson, csv: CsvSpec::default(), evolution };
        let schemas = self.schemas()?;
        let known = table.schema().map(|schema| kind.data_columns(&schema));
        let data = match known.filter(|known| !known.fields().is_empty()) {
            Some(known) => known,
            None if self.settings.format.is_single_value() => value_schema(self.settings.format),
            None => self.first_columns(sample, schemas.as_ref()).await?,
        };
        Ok(Decoding {
            format: self.settings.format,
            options,
            schema: EvolvingSchema::reserving(data, &kind.columns()),
            columns: Columns { kind, batch: number, now: context.now() },
            schemas,
        })
    }

    /// The schemas of messages that name theirs. They are kept as long as the stage.
    fn schemas(&mut self) -> Result<Option<Schemas>> {
        let Settings { format, registry, registry_password, .. } = &self.settings;
        if self.schemas.is_none()
            && let Some(registry) = registry
        {
            self.schemas = Some(Schemas::new(*format, registry, registry_password.clone())?);
        }
        Ok(self.schemas.clone())
    }

    async fn first_columns(&self, sample: &[Piece], schemas: Option<&Schemas>) -> Result<SchemaRef> {
        let mut inferred = Schema::empty();
        let mut left = INFERENCE_ROWS;
        for piece in sample {
            if left == 0 {
                break;
            }
            let found = match schemas {
                Some(schemas) => Schema::new(schemas.as_text(piece).await?.columns),
                None => decode::Piece::of_values(piece.payloads.clone(), piece.places.clone()).observe(left),
            };
            inferred = merge(&inferred, &found);
            left = left.saturating_sub(piece.places.len());
        }
        let is_free = |field: &&FieldRef| !S::Feed::KIND.brings(field.name());
        let free: Vec<FieldRef> = inferred.fields().iter().filter(is_free).cloned().collect();
        let spec = &self.sink.spec;
        Ok(first_columns(spec, &hints(spec)?, &Schema::new(free), &[]))
    }

    /// Stages the rows of all messages of the batch that pass the gate: workers decode, complete, check and write the
    /// pieces while the rest is gathered.
    async fn validate(
        &self,
        opened: &mut Opened<S::Feed>,
        gathered: &mut Gathered<S::Feed>,
        sample: Vec<Piece>,
        decoding: &Decoding,
        passage: &Passage,
    ) -> Result<Staged> {
        // One small piece needs one worker.
        let most = if gathered.is_last { sample.len() } else { self.sink.threads };
        let threads = self.sink.threads.min(most).max(1);
        let mut workers = Workers::default();
        let sender = queue::start(&mut workers, decoding, passage, threads, threads);
        let mut pieces = sample;
        'batch: while !pieces.is_empty() {
            for piece in pieces {
                if sender.send(piece).await.is_err() {
                    break 'batch;
                }
            }
            pieces = opened.gather(gathered, &passage.context).await?;
        }
        drop(sender);
        workers.join().await
    }

    fn commit_of(
        &self,
        feed: &S::Feed,
        gathered: &Gathered<S::Feed>,
        decoding: &Decoding,
        staged: Staged,
        passed: Passed,
        context: &Context,
    ) -> Result<Commit> {
        let kind = S::Feed::KIND;
        let record = Record {
            action: "append".to_owned(),
            reason: format!("{} new {}s of {}", passed.rows_checked, kind.noun, self.settings.title),
            states: feed.states(&gathered.moved)?,
            ..batch::record(passed, decoding.columns.batch, staged.rows, context)
        };
        Ok(Commit {
            operation: Operation::Append,
            schema: kind.table_schema(&decoding.schema.current()),
            partition_by: self.sink.spec.partition_by.clone(),
            properties: BTreeMap::default(),
            add: staged.added,
            remove: Vec::new(),
            range: Some(feed.range(&gathered.moved)),
            record,
        })
    }

    /// The progress, with what only the source knows of it.
    fn told(&self, committed: Progress, feed: &S::Feed, gathered: &Gathered<S::Feed>, context: &Context) -> Progress {
        let idle = match context.streaming {
            true => feed.due_in(self.settings.trigger) != Some(Duration::ZERO),
            false => gathered.is_last,
        };
        Progress { bytes_read: gathered.message_bytes, idle, ..committed }
    }

    /// Waits until there is a batch for a stream.
    async fn wait(&self) -> Result<()> {
        let Some(Opened { feed, .. }) = &self.opened else { return Ok(()) };
        loop {
            match feed.due_in(self.settings.trigger) {
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

impl<S: Source> Stage for MessageBronze<S> {
    fn table(&self) -> &TableName {
        &self.sink.name
    }

    fn advance<'a>(&'a mut self, context: &'a Context) -> BoxFuture<'a, Result<Progress>> {
        Box::pin(self.advance_once(context))
    }

    fn source(&self) -> Option<String> {
        Some(self.sink.spec.source.place())
    }

    fn arrival<'a>(&'a mut self, _: &'a Context) -> BoxFuture<'a, Result<()>> {
        Box::pin(self.wait())
    }

    fn gauges(&self) -> Vec<Gauge> {
        self.opened.as_ref().map(Opened::gauges).unwrap_or_default()
    }
}

/// The first messages of the batch: enough to infer a schema from, where that is needed.
async fn find<F: Feed>(
    opened: &mut Opened<F>,
    gathered: &mut Gathered<F>,
    table: &Table,
    context: &Context,
) -> Result<Vec<Piece>> {
    let mut sample = opened.gather(gathered, context).await?;
    let has_columns = table.schema().is_some_and(|schema| !F::KIND.data_columns(&schema).fields().is_empty());
    let needed = if has_columns { 0 } else { INFERENCE_ROWS };
    while !sample.is_empty() && sample.iter().map(Piece::rows).sum::<usize>() < needed {
        let more = opened.gather(gathered, context).await?;
        if more.is_empty() {
            break;
        }
        sample.extend(more);
    }
    Ok(sample)
}
