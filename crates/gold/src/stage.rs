//! The gold stage: find what changed upstream, choose the cheapest way, query, validate, commit.

use std::collections::BTreeMap;
use std::time::Instant;

use ::stage::{Context, Kind, OffsetRange, Progress, Result, Stage, TableName};
use arrow::datatypes::SchemaRef;
use futures::StreamExt as _;
use futures::future::BoxFuture;
use lake::{Add, Commit, Considered, Lake, Operation, Record, Table};
use quality::{Checks, Gate, Passage, Passed, Staged, Workers, batch};
use sql::{Engine, LogicalPlan, Refusal, RowStream, SessionContext};

use crate::assess::{Chosen, assess};
use crate::groups::{FAILED, Keeper, Step, not_worth};
use crate::inputs::{Change, Inputs};
use crate::partitions::Replacement;
use crate::plan::Planner;
use crate::spec::{GoldSpec, Materialized, Refresh};
use crate::technique::{Choice, GROUPS, Technique, learn, refused};

/// A gold table and its query.
pub struct Gold {
    name: TableName,
    spec: GoldSpec,
    sql: String,
    lake: Lake,
    engine: Engine,
}

/// What an advance would do.
#[derive(Debug)]
pub struct Outlook {
    /// Why there is something to do.
    pub reason: String,
    /// About how many rows came or went upstream.
    pub rows_changed: u64,
    /// The ways of doing it, the one that would be taken first.
    pub considered: Vec<Considered>,
}

/// What one advance reads, and why.
pub(crate) struct Reading {
    pub(crate) inputs: Inputs,
    /// Why the whole query has to run, whatever changed.
    pub(crate) everything: Option<Refusal>,
    fingerprint: String,
    /// The number of the batch.
    batch: i64,
    begun: Instant,
}

/// The query in the form it is run in.
struct Query {
    plan: LogicalPlan,
    session: SessionContext,
    /// The columns that are written.
    schema: SchemaRef,
    choice: Choice,
    /// The files that go, when all others stay; without, all go.
    replaced: Option<Vec<Add>>,
    /// Files that the next run goes on from.
    kept: BTreeMap<String, Vec<Add>>,
}

impl Gold {
    /// The stage of one gold table.
    pub fn new(name: TableName, spec: GoldSpec, sql: String, lake: Lake, engine: Engine) -> Gold {
        Gold { name, spec, sql, lake, engine }
    }

    /// What the next advance would do; nothing is written, and of the data only what the choice needs is read. `None` when
    /// there is nothing to do, or a table that is read does not exist yet.
    ///
    /// # Errors
    /// As [`Stage::advance`] until rows are read.
    pub async fn foresee(&self, context: &Context) -> Result<Option<Outlook>> {
        if self.spec.materialized == Materialized::View {
            return Ok(None);
        }
        let table = self.lake.open(&self.name).await?;
        let Some(reading) = self.find(&table, context).await? else { return Ok(None) };
        let choice = self.assess(&table, &reading).await?.choice;
        let rows_changed = reading.inputs.rows_changed();
        Ok(Some(Outlook { reason: reason(&reading, &choice), rows_changed, considered: choice.considered }))
    }

    async fn advance_once(&mut self, context: &Context) -> Result<Progress> {
        if self.spec.materialized == Materialized::View {
            return Ok(Progress::idle());
        }
        let mut table = batch::open(&self.lake, &self.name).await?;
        let Some(reading) = self.find(&table, context).await? else { return Ok(Progress::idle()) };
        let chosen = self.assess(&table, &reading).await?;
        let gate = Gate::open(&self.lake, &self.engine, &self.name, &self.spec.expect, reading.batch, context)?
            .naming_rows_by(&self.spec.key)
            .profiling(&self.spec.profile);
        let query = self.transform(&table, &reading, chosen, context).await?;
        let staged = self.validate(&table, &query, &gate, context).await?;
        let passed = gate.close().await?;
        let _committing = context.begin_commit()?;
        self.commit(&mut table, reading, query, staged, passed, context).await
    }

    /// What changed since the table was last made, or `None` when nothing did or a table is missing.
    async fn find(&self, table: &Table, context: &Context) -> Result<Option<Reading>> {
        let begun = Instant::now();
        let names = sql::references(&self.sql, self.name.pipeline()).map_err(|problem| problem.in_table(&self.name))?;
        let Some(mut inputs) = Inputs::open(&self.lake, &self.name, names, context).await? else { return Ok(None) };
        let fingerprint = batch::fingerprint(&self.spec, Some(&self.sql))?;
        let last = table.record().map(|(_, record)| record);
        let everything = match everything(last, &fingerprint, context) {
            None if table.has_foreign_rows().await? => {
                Some(Refusal::new("changed_elsewhere", "another program changed its rows"))
            }
            everything => everything,
        };
        match &everything {
            Some(refusal) => inputs.take_everything(refusal),
            None => inputs.compare(table).await?,
        }
        if everything.is_none() && inputs.changed().next().is_none() {
            return Ok(None);
        }
        inputs.count_rows().await?;
        let batch = batch::next_number(table);
        Ok(Some(Reading { inputs, everything, fingerprint, batch, begun }))
    }

    async fn assess(&self, table: &Table, reading: &Reading) -> Result<Chosen> {
        assess(&self.planner(), &self.spec, table, reading).await
    }

    fn planner(&self) -> Planner<'_> {
        Planner { name: &self.name, sql: &self.sql, engine: &self.engine }
    }

    /// The query in the form of the technique that was chosen. Kept groups are brought up to date here; of the result
    /// nothing is read yet.
    async fn transform(&self, table: &Table, reading: &Reading, chosen: Chosen, context: &Context) -> Result<Query> {
        let Chosen { choice, session, plan, parted, narrowed } = chosen;
        let schema = lake::in_flight(&sql::output_schema(&plan));
        let mut query = Query { plan, session, schema, choice, replaced: None, kept: BTreeMap::new() };
        if let Some(Replacement { session, plan, replaced }) = narrowed {
            return Ok(Query { plan, session, replaced, ..query });
        }
        let steps = match (&query.choice.technique, &parted) {
            (Technique::Groups(steps), Some(_)) => Some(steps.clone()),
            (_, Some(parted)) if self.keeps_groups(table, reading, &query.plan) => {
                Some(vec![Step::All; parted.kept().len()])
            }
            _ => None,
        };
        if let (Some(steps), Some(parted)) = (steps, &parted) {
            let (planner, inputs, session) = (self.planner(), &reading.inputs, &query.session);
            let keeper = Keeper { engine: &self.engine, planner: &planner, table, inputs, parted, session, context };
            let taken = match keeper.take(&steps, table.record().map(|(_, record)| record)).await {
                // The whole query may need less memory, and tells what is wrong with the data itself.
                Err(error) if error.kind() == Kind::Data => {
                    let made_all = steps.iter().all(|step| *step == Step::All);
                    Err(Refusal::new(if made_all { FAILED } else { "failed_once" }, error.chain()))
                }
                taken => taken?,
            };
            match taken {
                Ok(done) => {
                    query.plan = parted.above(session, &done.groups)?;
                    query.kept = done.files;
                }
                Err(refusal) => {
                    query.choice.considered.retain(|one| one.technique != GROUPS);
                    query.choice.considered.push(refused(GROUPS, &refusal));
                    query.choice.technique = Technique::Full;
                }
            }
        }
        Ok(query)
    }

    /// Whether a run over everything keeps groups for the next one: not where rows that come can be added to the result
    /// itself, as long as none ever go.
    fn keeps_groups(&self, table: &Table, reading: &Reading, plan: &LogicalPlan) -> bool {
        let last = table.record().map(|(_, record)| record);
        // A rebuild tries again what was of no use before.
        let was_worth = reading.everything.is_some() || last.and_then(not_worth).is_none();
        if self.spec.refresh == Refresh::Full || !was_worth {
            return false;
        }
        let may_lose_rows = reading.inputs.iter().any(|(_, input)| input.may_lose_rows());
        let grows = |name: &TableName| sql::growth(plan, name).is_ok();
        may_lose_rows || !reading.inputs.iter().any(|(name, _)| grows(name))
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
        let Query { schema, choice, kept, replaced, .. } = query;
        let mut record = Record {
            action: choice.technique.name().to_owned(),
            reason: reason(&reading, &choice),
            reads: reading.inputs.reads(),
            fingerprint: Some(reading.fingerprint.clone()),
            kept,
            rows_changed: reading.inputs.rows_changed(),
            milliseconds: u64::try_from(reading.begun.elapsed().as_millis()).unwrap_or(u64::MAX),
            ..batch::record(passed, reading.batch, staged.rows, context)
        };
        learn(&mut record, table.record().map(|(_, record)| record), &choice.technique, choice.rows);
        record.considered = choice.considered;
        let operation = match choice.technique {
            Technique::Append => Operation::Append,
            Technique::Partitions(_) if replaced.is_some() => Operation::Rewrite,
            _ => Operation::Overwrite,
        };
        let before = table.positions();
        let positions = reading.inputs.positions();
        let from = positions.iter().map(|(id, _)| (id.to_owned(), before.next(id))).collect();
        let commit = Commit {
            operation,
            schema,
            partition_by: self.spec.partition_by.clone(),
            properties: BTreeMap::default(),
            add: staged.added,
            remove: replaced.unwrap_or_default(),
            range: Some(OffsetRange { from, to: positions }),
            record,
        };
        let checks = Checks::before_commit(&self.spec.check, &self.lake, &self.engine, context);
        batch::commit(&self.lake, table, commit, &[], &checks).await
    }
}

/// Why everything has to be read, whatever changed.
fn everything(last: Option<&Record>, fingerprint: &str, context: &Context) -> Option<Refusal> {
    let Some(last) = last else { return Some(Refusal::new("new", "the table is new")) };
    if context.full_refresh {
        return Some(Refusal::new("asked", "a full refresh was asked for"));
    }
    let is_same = last.fingerprint.as_deref() == Some(fingerprint);
    (!is_same).then(|| Refusal::new("query_changed", "the query or its spec changed"))
}

/// Why the table was brought up to date, and why not in a cheaper way.
fn reason(reading: &Reading, choice: &Choice) -> String {
    if let Some(everything) = &reading.everything {
        return everything.text.clone();
    }
    let changed = reading.inputs.changed().map(|(name, input)| match &input.change {
        Change::Everything(refusal) => refusal.text.clone(),
        _ => format!("{name} is at version {}", input.version()),
    });
    let changed: Vec<String> = changed.collect();
    let refusals =
        choice.considered.iter().find_map(|one| one.refusal.as_deref().filter(|_| choice.technique == Technique::Full));
    match refusals {
        Some(refusal) if !changed.iter().any(|text| text == refusal) => {
            format!("{}; in full, because {refusal}", changed.join(", "))
        }
        _ => changed.join(", "),
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
