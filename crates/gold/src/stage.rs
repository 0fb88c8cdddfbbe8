//! The gold stage: compare versions, query, validate, replace.

use std::collections::BTreeMap;
use std::sync::Arc;

use ::stage::{Checkpoint, Context, Error, OffsetRange, Progress, Result, Stage, TableName};
use arrow::datatypes::SchemaRef;
use futures::StreamExt as _;
use futures::future::{BoxFuture, try_join_all};
use lake::{Add, Commit, Lake, Operation, Record, RollingWriter, Staging, Table, ledger};
use quality::{Gate, Passed, quarantine};
use sql::{Engine, RowStream, SqlProblem, TableProvider};
use tokio::task::JoinSet;
use xxhash_rust::xxh3::xxh3_128;

use crate::refresh::{Situation, Technique, choose};
use crate::spec::{GoldSpec, Materialized};

/// A gold table and its query.
pub struct Gold {
    name: TableName,
    spec: GoldSpec,
    sql: String,
    lake: Lake,
    engine: Engine,
}

/// What the query reads.
struct Inputs {
    tables: BTreeMap<TableName, Arc<dyn TableProvider>>,
    /// The version of each table.
    reads: BTreeMap<String, u64>,
    /// The next version of each table, by its position id.
    positions: Checkpoint,
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
        let mut table = self.lake.open(&self.name).await?;
        ledger::roll_quarantine(&self.lake, &table, &quarantine::schema()).await?;
        let Some(inputs) = self.inputs().await? else { return Ok(Progress::idle()) };
        let fingerprint = self.fingerprint();
        let situation = Situation {
            reads: &inputs.reads,
            fingerprint: &fingerprint,
            last: table.record().map(|(_, record)| record),
            is_forced: context.full_refresh,
        };
        let Technique::Full(reason) = choose(&situation) else { return Ok(Progress::idle()) };
        let batch = table.record().map_or(0, |(_, record)| record.batch) + 1;
        let gate = Gate::open(&self.lake, &self.engine, &self.name, &self.spec.expect, batch, context).await?;
        let (schema, streams) = self.query(&inputs).await?;
        let (added, rows_written) =
            write_all(streams, &gate, table.staging(), &self.spec.partition_by, context).await?;
        let passed = gate.close().await?;
        context.check()?;
        let record = Record { reason, fingerprint: Some(fingerprint), batch, ..Record::default() };
        self.commit(&mut table, inputs, schema, added, rows_written, passed, record, context).await
    }

    /// The tables of the query, opened at the same time; `None` while one of them does not exist.
    async fn inputs(&self) -> Result<Option<Inputs>> {
        let names = sql::references(&self.sql, self.name.pipeline()).map_err(|problem| self.sql_problem(&problem))?;
        let opened: Vec<Table> = try_join_all(names.iter().map(|name| self.lake.open(name))).await?;
        let mut inputs = Inputs { tables: BTreeMap::new(), reads: BTreeMap::new(), positions: Checkpoint::new() };
        for (name, table) in names.into_iter().zip(&opened) {
            let Some(version) = table.version() else {
                tracing::warn!(table = %self.name, missing = %name, "a table that is read does not exist yet");
                return Ok(None);
            };
            inputs.reads.insert(name.to_string(), version);
            inputs.positions.set(ledger::position_of(table)?, version as i64 + 1);
            inputs.tables.insert(name, table.provider().await?);
        }
        Ok(Some(inputs))
    }

    async fn query(&self, inputs: &Inputs) -> Result<(SchemaRef, Vec<RowStream>)> {
        let pipeline = self.name.pipeline();
        let session = self.engine.session(pipeline);
        let plan = sql::plan(&session, pipeline, &self.sql, &inputs.tables)
            .await
            .map_err(|problem| self.sql_problem(&problem))?;
        let schema = lake::in_flight(&sql::output_schema(&plan));
        let streams = sql::flow(&session, plan, &schema).await?;
        Ok((schema, streams))
    }

    #[expect(clippy::too_many_arguments, reason = "the one place where everything of a batch comes together")]
    async fn commit(
        &self,
        table: &mut Table,
        inputs: Inputs,
        schema: SchemaRef,
        added: Vec<Add>,
        rows_written: u64,
        passed: Passed,
        begun: Record,
        context: &Context,
    ) -> Result<Progress> {
        let mut progress = Progress {
            rows_read: passed.rows_checked,
            rows_written,
            rows_quarantined: passed.rows_quarantined,
            rows_dropped: passed.rows_dropped,
            warnings: passed.warnings(),
            ..Progress::default()
        };
        let record = Record {
            run: context.run_id.clone(),
            action: "refresh".to_owned(),
            rows_read: passed.rows_checked,
            rows_written,
            rows_quarantined: passed.rows_quarantined,
            rows_dropped: passed.rows_dropped,
            rules: passed.rules,
            quarantine: passed.quarantine,
            reads: inputs.reads,
            ..begun
        };
        let before = table.positions();
        let from = inputs.positions.iter().map(|(id, _)| (id.to_owned(), before.next(id))).collect();
        let commit = Commit {
            operation: Operation::Overwrite,
            schema,
            partition_by: self.spec.partition_by.clone(),
            properties: BTreeMap::default(),
            add: added,
            remove: Vec::new(),
            range: Some(OffsetRange { from, to: inputs.positions }),
            record,
        };
        let version = table.commit(commit).await?;
        progress.version = Some(version);
        ledger::roll_quarantine(&self.lake, table, &quarantine::schema()).await?;
        tracing::info!(table = %self.name, version, rows = rows_written, "committed");
        Ok(progress)
    }

    fn fingerprint(&self) -> String {
        let spec = serde_json::to_string(&self.spec).unwrap_or_default();
        let text = sql::fingerprint(&self.sql).unwrap_or_default();
        format!("{:032x}", xxh3_128(format!("{spec}\n{text}").as_bytes()))
    }

    fn sql_problem(&self, problem: &SqlProblem) -> Error {
        Error::config(format!(
            "the SQL of {}, line {}, column {}: {}",
            self.name, problem.line, problem.column, problem.message
        ))
    }
}

/// Runs all streams to their end at the same time and stages what passes the gate.
async fn write_all(
    streams: Vec<RowStream>,
    gate: &Gate,
    staging: Staging,
    partition_by: &[String],
    context: &Context,
) -> Result<(Vec<Add>, u64)> {
    let mut tasks: JoinSet<Result<(Vec<Add>, u64)>> = JoinSet::new();
    for mut stream in streams {
        let mut checker = gate.checker(Vec::new());
        let mut writer = RollingWriter::new(staging.clone(), partition_by);
        let context = context.clone();
        tasks.spawn(async move {
            while let Some(rows) = stream.next().await {
                context.check()?;
                writer.write(&checker.check(rows?).await?).await?;
            }
            let rows = writer.rows();
            Ok((writer.close().await?, rows))
        });
    }
    let mut added = Vec::new();
    let mut rows = 0;
    while let Some(joined) = tasks.join_next().await {
        let part = joined.unwrap_or_else(|error| Err(Error::bug("a worker ended unexpectedly").with_source(error)))?;
        added.extend(part.0);
        rows += part.1;
    }
    Ok((added, rows))
}

impl Stage for Gold {
    fn table(&self) -> &TableName {
        &self.name
    }

    fn advance<'a>(&'a mut self, context: &'a Context) -> BoxFuture<'a, Result<Progress>> {
        Box::pin(self.advance_once(context))
    }
}
