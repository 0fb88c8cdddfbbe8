//! An interval of event time made anew: its rows are replaced by what today's steps make of the upstream rows.
//!
//! Nothing else changes: rows outside of the interval stay, and so does the position, because only upstream rows that
//! were read already are read again. One commit removes and adds, so it is done or not.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

use ::stage::{Checkpoint, Context, Error, Interval, OffsetRange, Progress, Result};
use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use futures::StreamExt as _;
use lake::{Add, Changes, Commit, Operation, Record, Replay, RollingWriter, Table, ledger};
use quality::replay::{Fate, Selection, Together, Waiting, waiting};
use quality::{Checks, Gate, Passage, Passed, Staged, batch};
use sql::{RowStream, Side};

use super::query::{ORIGIN, Query};
use super::replay::origins;
use super::{Reading, Silver};
use crate::keys::BatchKeys;
use crate::spec::WriteSpec;
use crate::unique::Unique;
use crate::watermark::may_lie_within;
use crate::work::Work;

/// What is reprocessed.
#[derive(Clone, Copy)]
struct Span<'a> {
    column: &'a str,
    interval: Interval,
}

/// Which rows that wait in quarantine came by.
struct Met {
    waiting: Option<Waiting>,
    origins: Mutex<BTreeSet<(String, i64)>>,
}

impl Silver {
    /// Replaces the rows of the interval that the run was asked for, once. The table must have read all of its upstream.
    pub(super) async fn backfill(&mut self, table: &mut Table, context: &Context) -> Result<Progress> {
        let Some(interval) = context.interval.filter(|interval| self.backfilled != Some(*interval)) else {
            return Ok(Progress::idle());
        };
        let (Some(column), Some(schema)) = (self.spec.event_time.clone(), table.schema()) else {
            return Ok(Progress::idle());
        };
        if !matches!(self.spec.write, WriteSpec::Append | WriteSpec::UniqueKey(_)) {
            return Ok(Progress::idle());
        }
        let Some(reading) = self.all_read(table).await? else { return Ok(Progress::default()) };
        let progress = self.replace(table, &schema, reading, Span { column: &column, interval }, context).await?;
        self.backfilled = Some(interval);
        Ok(progress)
    }

    /// All upstream rows, or `None` when some are new by now.
    async fn all_read(&self, table: &Table) -> Result<Option<Reading>> {
        let upstream = self.lake.open(&self.from).await?;
        if upstream.version().is_none() {
            return Err(Error::data(format!("{} does not exist; run the task that fills it first", self.from)));
        }
        let position = ledger::position_of(&upstream)?;
        let from = table.position(&position).await?;
        if !upstream.changes(u64::try_from(from).unwrap_or(0)).await?.added.is_empty() {
            return Ok(None);
        }
        let changes = Changes { added: upstream.files().await?, next: from as u64, ..Changes::default() };
        let batch = batch::next_number(table);
        Ok(Some(Reading { upstream, changes, position, from, batch, replaces_all: false }))
    }

    async fn replace(
        &self,
        table: &mut Table,
        schema: &SchemaRef,
        reading: Reading,
        span: Span<'_>,
        context: &Context,
    ) -> Result<Progress> {
        let together = Together::All;
        let met = Arc::new(Met {
            waiting: waiting(&self.lake, &self.engine, table, &Selection::default(), together, context).await?,
            origins: Mutex::default(),
        });
        met.expect_origins(self, &reading)?;
        let input = self.input(&reading)?;
        let lateness = self.tell_late(None, &reading, &input, context).await?;
        let query = self.transform(input, self.look_up().await?, lateness).await?;
        let open = || Gate::open(&self.lake, &self.engine, &self.name, &self.spec.expect, reading.batch, context);
        let (gate, timeless) = (open()?.naming_rows_by(self.spec.keys()), open()?);
        let staged = self.recompute(table, &query, span, &gate, &timeless, &met, context).await?;
        met.expect_nothing_new(self, &timeless.close().await?).await?;
        let (kept, affected) = self.keep_outside(table, schema, span, context).await?;
        let staged = self.without_known_keys(table, &query, staged, &kept, &affected, context).await?;
        let mut passed = gate.close().await?;
        let replay = met.decide(&mut passed, self, context).await?;
        if kept.is_empty() && affected.is_empty() && staged.0.added.is_empty() && replay.is_none() {
            return Ok(Progress::default());
        }
        let _committing = context.begin_commit()?;
        let change = Change { kept, affected, staged: staged.0, replay };
        self.commit_backfill(table, reading, span, query, change, passed, &met, context).await
    }

    /// Stages the rows of the interval that pass the gate.
    #[expect(clippy::too_many_arguments, reason = "the one place where everything of a batch comes together")]
    async fn recompute(
        &self,
        table: &Table,
        query: &Query,
        span: Span<'_>,
        gate: &Gate,
        timeless: &Gate,
        met: &Arc<Met>,
        context: &Context,
    ) -> Result<(Staged, Option<Arc<BatchKeys>>)> {
        let plan = sql::apart(query.plan.clone(), span.column, span.interval, Side::Inside)?;
        let keys = self.batch_keys();
        let streams = sql::flow(&query.session, plan, &query.carried).await?;
        let work = Work {
            passage: Passage::new(gate, table, &self.spec.partition_by, context),
            // Rows that are refused before their time is known.
            aside: timeless.clone(),
            hidden: query.hidden.clone(),
            seen: query.seen.clone(),
            keys: keys.clone(),
        };
        let staged = work.run(streams.into_iter().map(|stream| met.clone().watch(stream)).collect()).await?;
        Ok((staged, keys.map(|(_, keys)| keys)))
    }

    /// The rows outside of the interval that lie in files with rows inside, staged anew, and these files.
    async fn keep_outside(
        &self,
        table: &Table,
        schema: &SchemaRef,
        span: Span<'_>,
        context: &Context,
    ) -> Result<(Vec<Add>, Vec<Add>)> {
        let (from, to) = (span.interval.from.timestamp_micros(), span.interval.to.timestamp_micros());
        let affected = may_lie_within(table.files().await?, span.column, from, to);
        let mut writer = RollingWriter::new(table.staging(), &self.spec.partition_by);
        let session = self.engine.session(self.name.pipeline());
        let rows = sql::ordered(&session, table.scan(&affected, schema, &self.spec.partition_by)?, &[])?;
        let outside = sql::apart(rows, span.column, span.interval, Side::Outside)?;
        for mut stream in sql::flow(&session, outside, schema).await? {
            while let Some(rows) = stream.next().await {
                context.check()?;
                writer.write(&rows?).await?;
            }
        }
        Ok((writer.close().await?, affected))
    }

    /// The staged rows without those whose key a row outside of the interval has.
    async fn without_known_keys(
        &self,
        table: &Table,
        query: &Query,
        (staged, keys): (Staged, Option<Arc<BatchKeys>>),
        kept: &[Add],
        affected: &[Add],
        context: &Context,
    ) -> Result<(Staged, Option<Arc<BatchKeys>>)> {
        let (WriteSpec::UniqueKey(columns), Some(keys)) = (&self.spec.write, &keys) else { return Ok((staged, keys)) };
        let is_affected = |file: &Add| affected.iter().any(|other| other.path == file.path);
        let mut existing = table.files().await?;
        existing.retain(|file| !is_affected(file));
        existing.extend(kept.iter().cloned());
        let unique = Unique {
            engine: &self.engine,
            table,
            schema: query.schema.clone(),
            partition_by: &self.spec.partition_by,
            keys: columns,
            not_before: None,
            existing: Some(&existing),
            context,
        };
        Ok((unique.settle(staged, keys, true, None).await?, None))
    }

    #[expect(clippy::too_many_arguments, reason = "a commit tells everything of a batch")]
    async fn commit_backfill(
        &self,
        table: &mut Table,
        reading: Reading,
        span: Span<'_>,
        query: Query,
        change: Change,
        passed: Passed,
        met: &Met,
        context: &Context,
    ) -> Result<Progress> {
        let Change { kept, affected, staged, replay } = change;
        let range = match (&replay, &met.waiting) {
            (Some(_), Some(waiting)) => {
                let position = waiting.position()?;
                let from = table.position(&position).await?;
                Some(OffsetRange { from: Checkpoint::of(&position, from), to: Checkpoint::of(&position, from + 1) })
            }
            _ => None,
        };
        let record = Record {
            action: "backfill".to_owned(),
            reason: format!(
                "`{}` from {} to {}, of all of {} up to version {}",
                span.column,
                span.interval.from.format("%FT%TZ"),
                span.interval.to.format("%FT%TZ"),
                self.from,
                reading.changes.next.saturating_sub(1)
            ),
            rows_dropped: passed.rows_dropped + staged.duplicates,
            reads: query.reads,
            fingerprint: Some(batch::fingerprint(&self.spec, self.sql.as_deref())?),
            replay,
            ..batch::record(passed, reading.batch, staged.rows, context)
        };
        let commit = Commit {
            operation: Operation::Rewrite,
            schema: query.schema,
            partition_by: self.spec.partition_by.clone(),
            properties: BTreeMap::default(),
            add: kept.into_iter().chain(staged.added).collect(),
            remove: affected,
            range,
            record,
        };
        let checks = Checks::before_commit(&self.spec.check, &self.lake, &self.engine, context);
        batch::commit(&self.lake, table, commit, &[], &checks).await
    }
}

/// What a commit does.
struct Change {
    kept: Vec<Add>,
    affected: Vec<Add>,
    staged: Staged,
    replay: Option<Replay>,
}

impl Met {
    /// Rows in quarantine can only be told from others by their origin.
    fn expect_origins(&self, silver: &Silver, reading: &Reading) -> Result<()> {
        let schema = reading.upstream.schema();
        let has_origin = schema.is_some_and(|schema| ORIGIN.iter().all(|name| schema.field_with_name(name).is_ok()));
        match &self.waiting {
            Some(_) if !has_origin => Err(Error::data(format!(
                "rows of {name} wait in quarantine and cannot be told from others, because {} has no `_source` and \
                 `_position`; run `medallion silver {name} --full-refresh`",
                silver.from,
                name = silver.name,
            ))),
            _ => Ok(()),
        }
    }

    /// The same rows, noted as they pass.
    fn watch(self: Arc<Met>, stream: RowStream) -> RowStream {
        stream.map(move |rows| rows.and_then(|rows| self.note(&rows).map(|()| rows))).boxed()
    }

    fn note(&self, rows: &RecordBatch) -> Result<()> {
        let Some(waiting) = &self.waiting else { return Ok(()) };
        let known = origins(rows)?.into_iter().filter(|(source, position)| waiting.holds(source, *position));
        let mut origins = self.origins.lock().unwrap_or_else(PoisonError::into_inner);
        origins.extend(known.map(|(source, position)| (source.to_owned(), position)));
        Ok(())
    }

    /// Rows that are refused before their time is known may be of the interval or not. Those that wait in quarantine
    /// stay there; others may stand in the table, and nobody could say whether they are to go.
    async fn expect_nothing_new(&self, silver: &Silver, timeless: &Passed) -> Result<()> {
        let new = match &self.waiting {
            Some(waiting) => waiting.unknown(&timeless.quarantine, &silver.engine).await?,
            None => timeless.rows_quarantined,
        };
        let staging = silver.lake.staging(&silver.name.quarantine())?;
        staging.discard(&timeless.quarantine).await;
        match new {
            0 => Ok(()),
            new => Err(Error::data(format!(
                "{new} rows that {name} may hold are refused by its clean steps or its watermark now, and without them their \
                 event time is not known; run `medallion silver {name} --full-refresh`",
                name = silver.name,
            ))),
        }
    }

    async fn decide(&self, passed: &mut Passed, silver: &Silver, context: &Context) -> Result<Option<Replay>> {
        let Some(waiting) = &self.waiting else { return Ok(None) };
        let origins = std::mem::take(&mut *self.origins.lock().unwrap_or_else(PoisonError::into_inner));
        let fate = |source: &str, position: i64| match origins.contains(&(source.to_owned(), position)) {
            true => Fate::Decided,
            false => Fate::Untouched,
        };
        let replay = waiting.decide(passed, fate, &silver.engine, context).await?;
        Ok((replay.passed + replay.refused > 0).then_some(replay))
    }
}
