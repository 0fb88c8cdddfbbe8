//! The silver stage: find the changes upstream, clean, query, validate, commit.

use std::collections::BTreeMap;
use std::sync::Arc;

use ::stage::{Checkpoint, Context, Error, OffsetRange, Progress, Result, Stage, TableName};
use arrow::datatypes::SchemaRef;
use frame::clean::Cleaner;
use futures::future::BoxFuture;
use lake::{Add, Changes, Commit, Lake, Operation, Record, Table, ledger};
use quality::{Gate, Passage, Passed, Staged, batch};
use sql::{Engine, LogicalPlan, SessionContext, TableProvider};

use crate::clean_step::{CleanStep, Seen};
use crate::keys::{BatchKeys, KeyHasher};
use crate::merge::Merge;
use crate::spec::{SilverSpec, WriteSpec};
use crate::unique::Unique;
use crate::work::Work;

/// Columns that tell where a row came from; they are carried to the gate even if the SQL does not select them.
const ORIGIN: [&str; 2] = ["_source", "_position"];
/// The part of the memory that keys may use.
const MEMORY_FOR_KEYS: usize = 4;

/// A silver table and what it is made from.
pub struct Silver {
    name: TableName,
    from: TableName,
    spec: SilverSpec,
    sql: Option<String>,
    lake: Lake,
    engine: Engine,
    memory_bytes: usize,
}

type Tables = BTreeMap<TableName, Arc<dyn TableProvider>>;

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

/// The query over the changed rows.
struct Query {
    plan: LogicalPlan,
    session: SessionContext,
    /// The columns that are written.
    schema: SchemaRef,
    /// The columns that are written, and after them those that only tell where a row came from.
    carried: SchemaRef,
    hidden: Vec<String>,
    seen: Arc<Seen>,
    reads: BTreeMap<String, u64>,
}

/// Files that one commit adds and removes.
struct Files {
    operation: Operation,
    added: Vec<Add>,
    removed: Vec<Add>,
    rows: u64,
    duplicates: u64,
    /// Staged files that were only a step on the way.
    spent: Vec<Add>,
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
        Silver { name, from, spec, sql, lake, engine, memory_bytes }
    }

    async fn advance_once(&mut self, context: &Context) -> Result<Progress> {
        let mut table = batch::open(&self.lake, &self.name).await?;
        let Some(reading) = self.find(&table, context).await? else { return Ok(Progress::idle()) };
        let query = self.transform(&reading).await?;
        if self.is_unchanged(&table, &reading, &query, context)? {
            return Ok(Progress::idle());
        }
        context.meter.expect(reading.changes.added.iter().filter_map(lake::rows_told).sum());
        let gate = Gate::open(&self.lake, &self.engine, &self.name, &self.spec.expect, reading.batch, context)?;
        let files = self.validate(&table, &reading, &query, &gate, context).await?;
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
        let changes = upstream.changes(if replaces_all { 0 } else { from as u64 }).await?;
        if changes.rewritten.is_some_and(|_| !replaces_all) {
            return Err(Error::data(format!(
                "{} changed rows that {} has read already; run with --full-refresh, or set write = \"overwrite\"",
                self.from, self.name
            )));
        }
        let nothing_new = changes.next as i64 <= from || changes.added.is_empty();
        if nothing_new && !replaces_all {
            return Ok(None);
        }
        let batch = batch::next_number(table);
        Ok(Some(Reading { upstream, changes, position, from, batch, replaces_all }))
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
    fn is_unchanged(&self, table: &Table, reading: &Reading, query: &Query, context: &Context) -> Result<bool> {
        if self.spec.write != WriteSpec::Overwrite || context.full_refresh {
            return Ok(false);
        }
        let same_upstream = reading.changes.next as i64 == reading.from;
        let Some((_, record)) = table.record() else { return Ok(false) };
        let fingerprint = batch::fingerprint(&self.spec, self.sql.as_deref())?;
        Ok(same_upstream && record.reads == query.reads && record.fingerprint == Some(fingerprint))
    }

    /// The clean steps and the query over the changed rows; nothing is read yet.
    async fn transform(&self, reading: &Reading) -> Result<Query> {
        let schema = reading.upstream.schema().ok_or_else(|| Error::bug("an opened table has no schema"))?;
        let partition_by = reading.upstream.partition_columns();
        let files = reading.upstream.scan(&reading.changes.added, &schema, &partition_by)?;
        let origin: Vec<String> =
            ORIGIN.iter().filter(|name| schema.field_with_name(name).is_ok()).map(|name| (*name).to_owned()).collect();
        let cleaner = Cleaner::new(&self.spec.clean, &schema).map_err(|problems| self.clean_problem(&problems))?;
        let seen = Arc::new(Seen::default());
        let step = Arc::new(CleanStep::new(cleaner, origin.clone(), seen.clone()));
        let changed = sql::stepped(files, step);
        let session = self.engine.session(self.name.pipeline());
        let changed = sql::one_of_each(&session, changed, &self.spec.clean.deduplicate, &ORIGIN)?;
        let (tables, reads) = self.tables(changed).await?;
        let all = format!("SELECT * FROM {}", self.from);
        let text = self.sql.as_deref().unwrap_or(&all);
        let plan = sql::plan(&session, self.name.pipeline(), text, &tables)
            .await
            .map_err(|problem| problem.in_table(&self.name))?;
        let schema = lake::in_flight(&sql::output_schema(&plan));
        let is_row_wise = sql::needs_other_rows(&plan, &self.from).is_empty();
        let is_hidden = |name: &&str| is_row_wise && schema.field_with_name(name).is_err();
        let hidden: Vec<&str> = origin.iter().map(String::as_str).filter(is_hidden).collect();
        let plan = sql::carry_columns(plan, &self.from, &hidden, "")?;
        let carried = lake::in_flight(&sql::output_schema(&plan));
        let hidden = hidden.into_iter().map(str::to_owned).collect();
        Ok(Query { plan, session, schema, carried, hidden, seen, reads })
    }

    /// The tables of the SQL: the changed rows, and all others whole at their newest version.
    async fn tables(&self, changed: Arc<dyn TableProvider>) -> Result<(Tables, BTreeMap<String, u64>)> {
        let mut tables: Tables = BTreeMap::from([(self.from.clone(), changed)]);
        let mut reads = BTreeMap::new();
        let Some(text) = &self.sql else { return Ok((tables, reads)) };
        let names = sql::references(text, self.name.pipeline()).map_err(|problem| problem.in_table(&self.name))?;
        for name in names.into_iter().filter(|name| *name != self.from) {
            let table = self.lake.open(&name).await?;
            reads.insert(name.to_string(), table.version().unwrap_or_default());
            tables.insert(name, table.provider().await?);
        }
        Ok((tables, reads))
    }

    fn clean_problem(&self, problems: &[::stage::Problem]) -> Error {
        let messages: Vec<&str> = problems.iter().map(|problem| problem.message.as_str()).collect();
        Error::config(format!("[clean] of {} does not fit {}: {}", self.name, self.from, messages.join("; ")))
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
        &self,
        table: &Table,
        reading: &Reading,
        query: &Query,
        gate: &Gate,
        context: &Context,
    ) -> Result<Files> {
        let keys = self.batch_keys();
        let streams = sql::flow(&query.session, query.plan.clone(), &query.carried).await?;
        let work = Work {
            passage: Passage::new(gate, table, &self.spec.partition_by, context),
            hidden: query.hidden.clone(),
            seen: query.seen.clone(),
            keys: keys.clone(),
        };
        let staged = work.run(streams).await?;
        self.settle(table, query, staged, keys.as_ref(), reading.replaces_all, context).await
    }

    /// Decides by the write mode which files the commit adds and removes.
    async fn settle(
        &self,
        table: &Table,
        query: &Query,
        staged: Staged,
        keys: Option<&(KeyHasher, Arc<BatchKeys>)>,
        replaces_all: bool,
        context: &Context,
    ) -> Result<Files> {
        let plain = if replaces_all { Operation::Overwrite } else { Operation::Append };
        match (&self.spec.write, keys) {
            (WriteSpec::UniqueKey(columns), Some((_, keys))) => {
                let unique = Unique {
                    engine: &self.engine,
                    table,
                    schema: query.schema.clone(),
                    partition_by: &self.spec.partition_by,
                    keys: columns,
                    context,
                };
                let against_table = !replaces_all && table.version().is_some();
                let settled = unique.settle(staged, keys, against_table).await?;
                let operation = if replaces_all { plain } else { Operation::AppendChecked };
                Ok(Files::of(operation, settled))
            }
            (WriteSpec::Merge(spec), _) => {
                let known = table.schema().filter(|_| !replaces_all);
                let schema = match known {
                    Some(known) => lake::union(&known, &query.schema)?,
                    None => query.schema.clone(),
                };
                let partition_by = &self.spec.partition_by;
                let merge = Merge { engine: &self.engine, table, schema, partition_by, spec, context };
                let merged = merge.run(&staged, replaces_all).await?;
                let operation = if replaces_all { plain } else { Operation::Rewrite };
                Ok(Files {
                    operation,
                    added: merged.added,
                    removed: merged.removed,
                    rows: merged.rows,
                    duplicates: 0,
                    spent: staged.added,
                })
            }
            _ => Ok(Files::of(plain, staged)),
        }
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
            ..batch::record(passed, reading.batch, files.rows, context)
        };
        let range = OffsetRange {
            from: Checkpoint::of(&reading.position, reading.from),
            to: Checkpoint::of(&reading.position, reading.changes.next as i64),
        };
        let commit = Commit {
            operation: files.operation,
            schema: query.schema,
            partition_by: self.spec.partition_by.clone(),
            properties: BTreeMap::default(),
            add: files.added,
            remove: files.removed,
            range: Some(range),
            record,
        };
        let progress = batch::commit(&self.lake, table, commit, &files.spent).await?;
        let (version, rows) = (progress.version, progress.rows_written);
        tracing::info!(table = %self.name, version, rows, "committed");
        Ok(progress)
    }
}

impl Files {
    fn of(operation: Operation, staged: Staged) -> Files {
        Files {
            operation,
            added: staged.added,
            removed: Vec::new(),
            rows: staged.rows,
            duplicates: staged.duplicates,
            spent: Vec::new(),
        }
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
