//! The gold stage: find what changed upstream, query, validate, commit.

use std::collections::BTreeMap;
use std::sync::Arc;

use ::stage::{Checkpoint, Context, Error, Kind, OffsetRange, Progress, Result, Stage, TableName};
use arrow::datatypes::{DataType, SchemaRef};
use futures::StreamExt as _;
use futures::future::{BoxFuture, try_join_all};
use lake::{Commit, Lake, Operation, Record, Table, ledger};
use quality::{Gate, Passage, Passed, Staged, Workers, batch};
use sql::{Engine, LogicalPlan, RowStream, SessionContext, TableProvider};

use crate::refresh::{Change, Instead, Situation, Technique, change, grown, technique};
use crate::spec::{GoldSpec, Materialized};

/// A gold table and its query.
pub struct Gold {
    name: TableName,
    spec: GoldSpec,
    sql: String,
    lake: Lake,
    engine: Engine,
}

/// What one advance reads, and why.
struct Reading {
    inputs: Inputs,
    /// The table whose new rows alone may be enough, or why they are not.
    grown: Instead<New>,
    /// The number of the batch.
    batch: i64,
    fingerprint: String,
    reason: String,
}

/// The rows a table has got since it was last read.
struct New {
    table: TableName,
    rows: Arc<dyn TableProvider>,
    files: usize,
}

type Tables = BTreeMap<TableName, Arc<dyn TableProvider>>;

/// What the query reads.
struct Inputs {
    opened: BTreeMap<TableName, Table>,
    /// The version of each table.
    reads: BTreeMap<String, u64>,
    /// The next version of each table, by its position id.
    positions: Checkpoint,
}

/// The query over the tables.
struct Query {
    plan: LogicalPlan,
    session: SessionContext,
    /// The columns that are written.
    schema: SchemaRef,
    technique: Technique,
    /// Why it is done this way, for people.
    reason: String,
}

impl Gold {
    /// The stage of one gold table.
    pub fn new(name: TableName, spec: GoldSpec, sql: String, lake: Lake, engine: Engine) -> Gold {
        Gold { name, spec, sql, lake, engine }
    }

    async fn advance_once(&mut self, context: &Context) -> Result<Progress> {
        if self.spec.materialized == Materialized::View {
            return Ok(Progress::idle());
        }
        let mut table = batch::open(&self.lake, &self.name).await?;
        let Some(reading) = self.find(&table, context).await? else { return Ok(Progress::idle()) };
        let gate = Gate::open(&self.lake, &self.engine, &self.name, &self.spec.expect, reading.batch, context)?;
        let query = self.transform(&table, &reading).await?;
        let staged = self.validate(&table, &query, &gate, context).await?;
        let passed = gate.close().await?;
        let _committing = context.begin_commit()?;
        self.commit(&mut table, reading, query, staged, passed, context).await
    }

    /// What changed since the table was last made, or `None` when nothing did or a table is missing.
    async fn find(&self, table: &Table, context: &Context) -> Result<Option<Reading>> {
        let Some(inputs) = self.inputs(context).await? else { return Ok(None) };
        let fingerprint = batch::fingerprint(&self.spec, Some(&self.sql))?;
        let situation = Situation {
            reads: &inputs.reads,
            positions: &inputs.positions,
            fingerprint: &fingerprint,
            last: table.record().map(|(_, record)| record),
            is_forced: context.full_refresh,
        };
        let (grown, reason) = match change(&situation) {
            Change::Nothing => return Ok(None),
            Change::Everything(reason) => (Err(String::new()), reason),
            Change::Tables(changed, reason) => {
                let told = changed.iter().map(|name| self.new_rows(table, name, &inputs));
                let mut told = try_join_all(told).await?;
                // Files were only put together there, or every row of a batch was refused.
                told.retain(|new| !matches!(new, Ok(new) if new.files == 0));
                if told.is_empty() {
                    return Ok(None);
                }
                (grown(&self.spec, told).flatten(), reason)
            }
        };
        Ok(Some(Reading { inputs, grown, batch: batch::next_number(table), fingerprint, reason }))
    }

    /// The tables of the query, opened at the same time; `None` while one of them does not exist.
    async fn inputs(&self, context: &Context) -> Result<Option<Inputs>> {
        let names = sql::references(&self.sql, self.name.pipeline()).map_err(|problem| problem.in_table(&self.name))?;
        let opened: Vec<Table> = try_join_all(names.iter().map(|name| self.lake.open(name))).await?;
        let mut inputs = Inputs { opened: BTreeMap::new(), reads: BTreeMap::new(), positions: Checkpoint::new() };
        for (name, table) in names.into_iter().zip(opened) {
            let Some(version) = table.version() else {
                // A stream looks again and again until the first rows come.
                match context.streaming {
                    true => {
                        tracing::debug!(table = %self.name, missing = %name, "a table that is read does not exist yet")
                    }
                    false => {
                        tracing::warn!(table = %self.name, missing = %name, "a table that is read does not exist yet")
                    }
                }
                return Ok(None);
            };
            inputs.reads.insert(name.to_string(), version);
            inputs.positions.set(ledger::position_of(&table)?, version as i64 + 1);
            inputs.opened.insert(name, table);
        }
        Ok(Some(inputs))
    }

    /// The rows that `name` has got since this table last read it, or why they are not all that changed.
    async fn new_rows(&self, table: &Table, name: &TableName, inputs: &Inputs) -> Result<Instead<New>> {
        let upstream = inputs.opened.get(name).ok_or_else(|| Error::bug(format!("{name} was not opened")))?;
        let Some(from) = table.positions().get(&ledger::position_of(upstream)?) else {
            return Ok(Err(format!("{name} was created anew")));
        };
        let changes = match upstream.changes(from as u64).await {
            Ok(changes) => changes,
            // A log that was cleaned too far is no failure here: the whole query does not need it.
            Err(error) if error.kind() == Kind::Data => return Ok(Err(error.message().to_owned())),
            Err(error) => return Err(error),
        };
        if changes.rewritten.is_some() {
            return Ok(Err(format!("{name} changed rows that were read already")));
        }
        if changes.is_reshaped {
            return Ok(Err(format!("the columns of {name} changed")));
        }
        let schema = upstream.schema().ok_or_else(|| Error::bug("an opened table has no schema"))?;
        let rows = upstream.scan(&changes.added, &schema, &upstream.partition_columns());
        let new = |rows| New { table: name.clone(), rows, files: changes.added.len() };
        Ok(rows.map(new).map_err(|error| error.message().to_owned()))
    }

    /// The query, over the new rows alone if that gives the same; nothing is read yet.
    async fn transform(&self, table: &Table, reading: &Reading) -> Result<Query> {
        let refusal = match &reading.grown {
            Err(refusal) => refusal.clone(),
            Ok(new) => match self.over_new_rows(table, new, reading).await? {
                Ok(query) => return Ok(query),
                Err(refusal) => refusal,
            },
        };
        let (session, plan) = self.plan(&reading.inputs.tables(None).await?).await?;
        let schema = lake::in_flight(&sql::output_schema(&plan));
        let because = if refusal.is_empty() { String::new() } else { format!("; in full, because {refusal}") };
        let reason = format!("{}{because}", reading.reason);
        Ok(Query { plan, session, schema, technique: Technique::Full, reason })
    }

    /// The query over what is new, or why that would not give the same.
    async fn over_new_rows(&self, table: &Table, new: &New, reading: &Reading) -> Result<Instead<Query>> {
        let (session, plan) = self.plan(&reading.inputs.tables(Some(new)).await?).await?;
        let technique = match sql::growth(&plan, &new.table).and_then(|growth| technique(&self.spec, growth)) {
            Ok(technique) => technique,
            Err(refusal) => return Ok(Err(refusal)),
        };
        let schema = lake::in_flight(&sql::output_schema(&plan));
        if table.schema().as_ref() != Some(&schema) {
            return Ok(Err("the columns changed".to_owned()));
        }
        if let Some(column) = coarser(&sql::output_schema(&plan), &schema) {
            return Ok(Err(format!("`{column}` is stored less exactly than the query has it")));
        }
        let plan = match &technique {
            Technique::Merge(parts) => {
                let existing = table.scan(&table.files().await?, &schema, &self.spec.partition_by)?;
                sql::merged(&session, parts, existing, plan, &schema)?
            }
            Technique::Append | Technique::Full => plan,
        };
        Ok(Ok(Query { plan, session, schema, technique, reason: reading.reason.clone() }))
    }

    async fn plan(&self, tables: &Tables) -> Result<(SessionContext, LogicalPlan)> {
        let pipeline = self.name.pipeline();
        let session = self.engine.session(pipeline);
        let plan = sql::plan(&session, pipeline, &self.sql, tables).await;
        Ok((session, plan.map_err(|problem| problem.in_table(&self.name))?))
    }

    /// Runs the query and stages the rows that pass the gate.
    async fn validate(&self, table: &Table, query: &Query, gate: &Gate, context: &Context) -> Result<Staged> {
        let streams = sql::flow(&query.session, query.plan.clone(), &query.schema).await?;
        let passage = Passage::new(gate, table, &self.spec.partition_by, context);
        let mut workers = Workers::default();
        for stream in streams {
            workers.spawn(drain(stream, passage.clone()));
        }
        workers.join().await
    }

    async fn commit(
        &self,
        table: &mut Table,
        reading: Reading,
        query: Query,
        staged: Staged,
        passed: Passed,
        context: &Context,
    ) -> Result<Progress> {
        let Reading { inputs, batch, fingerprint, .. } = reading;
        let record = Record {
            action: query.technique.action().to_owned(),
            reason: query.reason,
            reads: inputs.reads,
            fingerprint: Some(fingerprint),
            ..batch::record(passed, batch, staged.rows, context)
        };
        let operation = match query.technique {
            Technique::Append => Operation::Append,
            Technique::Full | Technique::Merge(_) => Operation::Overwrite,
        };
        let before = table.positions();
        let from = inputs.positions.iter().map(|(id, _)| (id.to_owned(), before.next(id))).collect();
        let commit = Commit {
            operation,
            schema: query.schema,
            partition_by: self.spec.partition_by.clone(),
            properties: BTreeMap::default(),
            add: staged.added,
            remove: Vec::new(),
            range: Some(OffsetRange { from, to: inputs.positions }),
            record,
        };
        let progress = batch::commit(&self.lake, table, commit, &[]).await?;
        let (version, rows) = (progress.version, progress.rows_written);
        tracing::info!(table = %self.name, version, rows, "committed");
        Ok(progress)
    }
}

impl Inputs {
    /// Every table whole, but for the one of which only the new rows are wanted.
    async fn tables(&self, new: Option<&New>) -> Result<Tables> {
        let mut tables = Tables::new();
        for (name, opened) in &self.opened {
            let rows = match new.filter(|new| new.table == *name) {
                Some(new) => new.rows.clone(),
                None => opened.provider().await?,
            };
            tables.insert(name.clone(), rows);
        }
        Ok(tables)
    }
}

/// Stages the rows of one stream.
async fn drain(mut stream: RowStream, passage: Passage) -> Result<Staged> {
    let mut lane = passage.lane(Vec::new());
    while let Some(rows) = stream.next().await {
        passage.context.check()?;
        let rows = rows?;
        passage.context.meter.add_rows(rows.num_rows() as u64);
        lane.pass(rows).await?;
    }
    lane.finish().await
}

/// The first column that loses something when it is stored, so that two groups could become one.
fn coarser(query: &SchemaRef, stored: &SchemaRef) -> Option<String> {
    let loses = |query: &DataType, stored: &DataType| match (query, stored) {
        (DataType::Timestamp(query, _), DataType::Timestamp(stored, _)) => query != stored,
        (DataType::Time64(_) | DataType::Duration(_) | DataType::Interval(_) | DataType::Float16, _) => query != stored,
        _ => false,
    };
    let mut both = query.fields().iter().zip(stored.fields());
    both.find(|(query, stored)| loses(query.data_type(), stored.data_type())).map(|(query, _)| query.name().clone())
}

impl Stage for Gold {
    fn table(&self) -> &TableName {
        &self.name
    }

    fn advance<'a>(&'a mut self, context: &'a Context) -> BoxFuture<'a, Result<Progress>> {
        Box::pin(self.advance_once(context))
    }

    fn reads(&self) -> Vec<TableName> {
        match self.spec.materialized {
            Materialized::View => Vec::new(),
            Materialized::Table => {
                sql::references(&self.sql, self.name.pipeline()).unwrap_or_default().into_iter().collect()
            }
        }
    }
}
