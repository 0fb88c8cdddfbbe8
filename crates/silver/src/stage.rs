//! The silver stage: find the changes upstream, tell late rows, clean, query, validate, commit.

mod backfill;
mod query;
mod replay;

use std::collections::BTreeMap;
use std::sync::Arc;

use ::stage::{Checkpoint, Context, Error, Interval, OffsetRange, Progress, Result, Stage, TableName};
use futures::StreamExt as _;
use futures::future::BoxFuture;
use lake::{Add, Changes, Commit, Lake, Record, RollingWriter, Table, ledger};
use quality::{Checks, Gate, Passage, Passed, batch};
use sql::Engine;

use self::query::{Input, LookUps, Query};
pub use self::replay::SilverReplay;
use crate::keys::{BatchKeys, KeyHasher};
use crate::known_keys::KnownKeys;
use crate::merge::rules::Rules;
use crate::settle::{Files, Settling};
use crate::spec::{ChangeSource, SilverSpec, WriteSpec};
use crate::watermark::{Lateness, Watermark};
use crate::work::Work;

/// The part of the memory that keys may use.
const MEMORY_FOR_KEYS: usize = 4;
/// The part of the memory that a stream may use for keys of earlier batches.
const MEMORY_FOR_KNOWN_KEYS: usize = 8;

/// A silver table and what it is made from.
pub struct Silver {
    name: TableName,
    from: TableName,
    spec: SilverSpec,
    sql: Option<String>,
    lake: Lake,
    engine: Engine,
    memory_bytes: usize,
    /// What a stream remembers of the table between batches.
    known: KnownKeys,
    /// The interval that was reprocessed already.
    backfilled: Option<Interval>,
}

/// What one advance reads.
struct Reading {
    upstream: Table,
    changes: Changes,
    /// The position id of the upstream table.
    position: String,
    from: i64,
    /// The number of the batch.
    batch: i64,
    replaces_all: bool,
}

impl Silver {
    /// The stage of one silver table, which reads `from` incrementally.
    pub fn new(
        name: TableName,
        from: TableName,
        spec: SilverSpec,
        sql: Option<String>,
        lake: Lake,
        engine: Engine,
        memory_bytes: usize,
    ) -> Silver {
        let known = KnownKeys::new(memory_bytes / MEMORY_FOR_KNOWN_KEYS);
        Silver { name, from, spec, sql, lake, engine, memory_bytes, known, backfilled: None }
    }

    async fn advance_once(&mut self, context: &Context) -> Result<Progress> {
        let mut table = batch::open(&self.lake, &self.name).await?;
        let Some(reading) = self.find(&table, context).await? else { return self.backfill(&mut table, context).await };
        let look_ups = self.look_up().await?;
        if self.is_unchanged(&table, &reading, &look_ups, context)? {
            return Ok(Progress::idle());
        }
        context.meter.expect(reading.changes.added.iter().filter_map(lake::rows_told).sum());
        let input = self.input(&reading)?;
        let before = table.record().filter(|_| !reading.replaces_all).map(|(_, record)| record);
        let lateness = self.tell_late(before, &reading, &input, context).await?;
        let retracted = self.retract(&table, &reading, look_ups.clone(), context).await?;
        let query = self.transform(input, look_ups, lateness).await?;
        let gate = Gate::open(&self.lake, &self.engine, &self.name, &self.spec.expect, reading.batch, context)?
            .naming_rows_by(self.spec.keys())
            .profiling(&self.spec.profile);
        let files = self.validate(&table, &reading, &query, retracted, &gate, context).await?;
        let passed = gate.close().await?;
        let _committing = context.begin_commit()?;
        self.commit(&mut table, reading, query, files, passed, context).await
    }

    /// What is new upstream, or `None` when nothing is.
    async fn find(&self, table: &Table, context: &Context) -> Result<Option<Reading>> {
        let upstream = self.lake.open(&self.from).await?;
        if upstream.version().is_none() {
            return Ok(None);
        }
        let position = ledger::position_of(&upstream)?;
        let is_overwrite = self.spec.write == WriteSpec::Overwrite;
        let replaces_all = context.full_refresh || is_overwrite;
        let from = table.position(&position).await?;
        if !replaces_all {
            self.refuse_other_upstream(table, &position)?;
        }
        let mut changes = upstream.changes(if replaces_all { 0 } else { from as u64 }).await?;
        if !changes.removed.is_empty() {
            self.check_follows_removals()?;
        }
        let nothing_new = changes.next as i64 <= from || (changes.added.is_empty() && changes.removed.is_empty());
        if nothing_new && !replaces_all {
            return Ok(None);
        }
        if let Some(rules) = Rules::of(&self.spec.write).filter(Rules::is_of_snapshots)
            && (rules.sequence_by.is_empty() || !changes.removed.is_empty())
        {
            // All that is there now is the newest snapshot.
            (changes.added, changes.removed) = (upstream.files().await?, Vec::new());
        }
        let batch = batch::next_number(table);
        Ok(Some(Reading { upstream, changes, position, from, batch, replaces_all }))
    }

    /// Rows that are gone upstream can only be found again by their keys.
    fn check_follows_removals(&self) -> Result<()> {
        let remedy = match (&self.spec.write, &self.spec.watermark) {
            (WriteSpec::Overwrite, _) => return Ok(()),
            (_, Some(_)) => "without a watermark",
            (WriteSpec::Merge(merge), None) if merge.ignore_null_updates => "without `ignore_null_updates`",
            (WriteSpec::Merge(_), None) => return Ok(()),
            (WriteSpec::Scd2(history), None) if history.source == ChangeSource::Snapshots => return Ok(()),
            (WriteSpec::Scd2(_), None) => "from the changes themselves",
            (WriteSpec::Append | WriteSpec::UniqueKey(_), None) => {
                "with write = { merge = .. } by the keys it has there"
            }
        };
        Err(Error::data(format!(
            "{} changed rows that {} has read already, which can be followed {remedy}; else run with --full-refresh, or set write = \"overwrite\"",
            self.from, self.name
        )))
    }

    /// A table that stands at a position of another upstream must not be continued in silence.
    fn refuse_other_upstream(&self, table: &Table, position: &str) -> Result<()> {
        let positions = table.positions();
        let other = positions.iter().find(|(id, _)| id.starts_with("table/") && *id != position);
        match other {
            Some(_) if positions.get(position).is_none() => Err(Error::data(format!(
                "{} was created anew since {} last read it; run with --full-refresh",
                self.from, self.name
            ))),
            _ => Ok(()),
        }
    }

    /// An overwritten table whose upstream, look-ups and spec are as they were needs no new version.
    fn is_unchanged(&self, table: &Table, reading: &Reading, look_ups: &LookUps, context: &Context) -> Result<bool> {
        if self.spec.write != WriteSpec::Overwrite || context.full_refresh {
            return Ok(false);
        }
        let same_upstream = reading.changes.next as i64 == reading.from;
        let Some((_, record)) = table.record() else { return Ok(false) };
        let fingerprint = batch::fingerprint(&self.spec, self.sql.as_deref())?;
        Ok(same_upstream && record.reads == look_ups.reads && record.fingerprint == Some(fingerprint))
    }

    /// Which rows of `input` are late, where the table has a watermark. `before`, the record of the batch before, tells what
    /// they come after; without it they are decided anew, so all earlier rows have to be among them.
    async fn tell_late(
        &self,
        before: Option<&Record>,
        reading: &Reading,
        input: &Input,
        context: &Context,
    ) -> Result<Option<Arc<Lateness>>> {
        let Some(spec) = &self.spec.watermark else { return Ok(None) };
        let watermark = Watermark::new(spec, &reading.upstream, &reading.position, &input.cleaner)
            .map_err(|error| error.context(format!("the watermark of {}", self.name)))?;
        let before = before.map(|record| watermark.told(record)).unwrap_or_default();
        let (rows, files) = (input.files.clone(), &reading.changes.added);
        let lateness = watermark.decide(files, rows, before, &self.engine, self.memory_bytes, context).await?;
        Ok(Some(Arc::new(lateness)))
    }

    /// Stages what the query makes of rows that are gone upstream, or were changed there. Nothing is checked or kept aside:
    /// they only say which rows of this table are gone too.
    async fn retract(
        &self,
        table: &Table,
        reading: &Reading,
        look_ups: LookUps,
        context: &Context,
    ) -> Result<Vec<Add>> {
        let Some(input) = self.removed_input(reading)? else { return Ok(Vec::new()) };
        let query = self.transform(input, look_ups, None).await?;
        let mut writer = RollingWriter::new(table.staging(), &[]);
        let columns: Vec<usize> = (0..query.schema.fields().len()).collect();
        for mut stream in sql::flow(&query.session, query.plan, &query.carried).await? {
            while let Some(rows) = stream.next().await {
                context.check()?;
                let rows = rows?.project(&columns);
                writer.write(&rows.map_err(|error| Error::bug("a query lost columns").with_source(error))?).await?;
            }
        }
        writer.close().await
    }

    /// The columns that staged files are partitioned by. Rows that are only a step on the way have no partitions.
    fn staged_by(&self) -> &[String] {
        match self.spec.write {
            WriteSpec::Merge(_) | WriteSpec::Scd2(_) => &[],
            WriteSpec::Append | WriteSpec::UniqueKey(_) | WriteSpec::Overwrite => &self.spec.partition_by,
        }
    }

    fn batch_keys(&self) -> Option<(KeyHasher, Arc<BatchKeys>)> {
        match &self.spec.write {
            WriteSpec::UniqueKey(columns) => {
                let keys = BatchKeys::new(self.memory_bytes / MEMORY_FOR_KEYS);
                Some((KeyHasher::new(columns), Arc::new(keys)))
            }
            _ => None,
        }
    }

    /// Runs the query, stages the rows that pass the gate, and settles which files the commit adds and removes.
    async fn validate(
        &mut self,
        table: &Table,
        reading: &Reading,
        query: &Query,
        retracted: Vec<Add>,
        gate: &Gate,
        context: &Context,
    ) -> Result<Files> {
        let keys = self.batch_keys();
        let streams = sql::flow(&query.session, query.plan.clone(), &query.carried).await?;
        let work = Work {
            passage: Passage::new(gate, table, self.staged_by(), context),
            aside: gate.clone(),
            hidden: query.hidden.clone(),
            seen: query.seen.clone(),
            keys: keys.clone(),
        };
        let staged = work.run(streams).await?;
        if let Some(lateness) = &query.lateness {
            lateness.complete(query.rows.clone(), &self.engine, gate, context).await?;
        }
        let settling = Settling {
            engine: &self.engine,
            table,
            spec: &self.spec,
            schema: query.schema.clone(),
            replaces_all: reading.replaces_all,
            not_before: query.not_before(&self.from),
            memory_bytes: self.memory_bytes,
            context,
        };
        let known = context.streaming.then_some(&mut self.known);
        settling.settle(staged, retracted, keys.as_ref().map(|(_, keys)| keys.as_ref()), known).await
    }

    async fn commit(
        &self,
        table: &mut Table,
        reading: Reading,
        query: Query,
        files: Files,
        passed: Passed,
        context: &Context,
    ) -> Result<Progress> {
        let rows_read = query.seen.rows();
        // A join may make several rows of one, so what a filter left out is only known where rows did not multiply.
        let filtered = rows_read.saturating_sub(passed.rows_checked);
        let rows_dropped = passed.rows_dropped + files.duplicates + filtered;
        let record = Record {
            action: action(&self.spec.write, reading.replaces_all).to_owned(),
            reason: reason(&self.from, &reading),
            rows_read,
            rows_dropped,
            reads: query.reads,
            fingerprint: Some(batch::fingerprint(&self.spec, self.sql.as_deref())?),
            greatest_event_times: query
                .lateness
                .as_ref()
                .map(|lateness| lateness.greatest_event_times())
                .unwrap_or_default(),
            remembered: files.remembered,
            ..batch::record(passed, reading.batch, files.rows, context)
        };
        let range = OffsetRange {
            from: Checkpoint::of(&reading.position, reading.from),
            to: Checkpoint::of(&reading.position, reading.changes.next as i64),
        };
        let commit = Commit {
            operation: files.operation,
            schema: files.schema,
            partition_by: self.spec.partition_by.clone(),
            properties: BTreeMap::default(),
            add: files.added,
            remove: files.removed,
            range: Some(range),
            record,
        };
        let checks = Checks::before_commit(&self.spec.check, &self.lake, &self.engine, context);
        batch::commit(&self.lake, table, commit, &files.spent, &checks).await
    }
}

fn reason(from: &TableName, reading: &Reading) -> String {
    let newest = reading.changes.next.saturating_sub(1);
    match reading.replaces_all {
        true => format!("all of {from}, up to version {newest}"),
        false => format!("versions {} to {newest} of {from}", reading.from),
    }
}

fn action(write: &WriteSpec, replaces_all: bool) -> &'static str {
    match write {
        _ if replaces_all => "overwrite",
        WriteSpec::Append => "append",
        WriteSpec::UniqueKey(_) => "unique_key",
        WriteSpec::Merge(_) => "merge",
        WriteSpec::Scd2(_) => "scd2",
        WriteSpec::Overwrite => "overwrite",
    }
}

impl Stage for Silver {
    fn table(&self) -> &TableName {
        &self.name
    }

    fn advance<'a>(&'a mut self, context: &'a Context) -> BoxFuture<'a, Result<Progress>> {
        Box::pin(self.advance_once(context))
    }

    fn reads(&self) -> Vec<TableName> {
        // Looked-up tables are read as they are when rows come; their commits alone give this table nothing to do.
        vec![self.from.clone()]
    }
}
