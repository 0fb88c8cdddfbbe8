//! Running checks: over a table at rest, or over what a commit would make of it.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{Float64Type, Schema, SchemaRef};
use futures::TryStreamExt as _;
use lake::{Lake, RuleOutcome, Table};
use sql::TableProvider;
use stage::{Context, Error, Result, TableName};

use super::finding::{self, Finding};
use super::past::{self, Volume};
use super::rule::Rule;
use super::spec::{CheckSpec, Severity};
use super::statement::{Statement, row_count, statement};
use crate::counts;
use crate::profile::spec::ProfileSpec;
use crate::profile::{Profile, Profiler, history};
use crate::samples::{ROWS, batch_as_json};

/// What checks need to run.
#[derive(Clone)]
pub(crate) struct Means {
    pub(crate) lake: Lake,
    pub(crate) engine: sql::Engine,
    pub(crate) context: Context,
}

/// The rows that are checked.
pub(crate) struct Subject<'a> {
    /// The table, as it is now.
    pub(crate) table: &'a Table,
    /// The columns of the rows.
    pub(crate) schema: SchemaRef,
    /// All rows: those of the table, or those it would have.
    pub(crate) rows: Arc<dyn TableProvider>,
    /// What a commit would add; `None` when the table is checked as it stands.
    pub(crate) candidate: Option<Added>,
}

/// The rows that a commit would add.
pub(crate) struct Added {
    pub(crate) count: u64,
    /// Whether they are those of one more batch.
    pub(crate) is_next_batch: bool,
    pub(crate) rows: Arc<dyn TableProvider>,
}

/// How each check fared, in the order of the specs.
///
/// # Errors
/// When a table cannot be read, or a check does not fit its columns. A check that fails is no error here.
pub(crate) async fn run(specs: &[CheckSpec], subject: &Subject<'_>, means: &Means) -> Result<Vec<RuleOutcome>> {
    if specs.is_empty() {
        return Ok(Vec::new());
    }
    let mut runner = Runner { subject, means, name: subject.table.name(), rows: 0 };
    runner.rows = runner.number(&row_count(runner.name), &[]).await?.unwrap_or_default() as u64;
    let mut outcomes = Vec::with_capacity(specs.len());
    for spec in specs {
        means.context.check()?;
        let found = runner.finding(spec).await;
        let found = found.map_err(|error| error.context(format!("the check `{}` of {}", spec.name, runner.name)))?;
        outcomes.push(RuleOutcome {
            rule: spec.name.clone(),
            kind: counts::CHECK.to_owned(),
            severity: match spec.severity {
                Severity::Warn => "warn".to_owned(),
                Severity::Fail => "fail".to_owned(),
            },
            checked: runner.rows,
            failed: found.failed,
            detail: found.detail,
            sample: found.sample,
            fingerprint: counts::fingerprint(spec),
            ..RuleOutcome::default()
        });
    }
    Ok(outcomes)
}

struct Runner<'a> {
    subject: &'a Subject<'a>,
    means: &'a Means,
    name: &'a TableName,
    /// How many rows there are.
    rows: u64,
}

impl Runner<'_> {
    async fn finding(&self, spec: &CheckSpec) -> Result<Finding> {
        let rules = spec.rules();
        let Some(rule) = rules.first() else { return Err(Error::config("there is no rule")) };
        let reads = spec.reads(self.name.pipeline()).map_err(|problem| Error::config(problem.message))?;
        let reads: Vec<TableName> = reads.into_iter().map(|(_, name)| name).collect();
        let number = match statement(rule, self.name) {
            Some(Statement::Failing(text)) => {
                let (failed, sample) = self.failing(&text, &reads).await?;
                return Ok(finding::failing(rule, failed, sample));
            }
            Some(Statement::Number(text)) => self.number(&text, &reads).await?,
            None => None,
        };
        Ok(match rule {
            Rule::RowCount(count) => {
                let asks = count.min_of_before.or(count.max_of_before).is_some();
                let before = if asks { self.rows_before(&spec.name).await? } else { None };
                finding::row_count(count, self.rows, number.map(|count| count as u64), before)
            }
            Rule::Freshness(spec) => finding::freshness(spec, number, self.means.context.now()),
            Rule::Completeness(spec) => finding::completeness(spec, number.unwrap_or_default() as u64, self.rows),
            Rule::Aggregate(spec) => finding::aggregate(spec, number),
            Rule::Schema(spec) => finding::columns(spec, &self.subject.schema),
            Rule::Distribution(spec) => {
                let (now, before) = self.distributions(&spec.column).await?;
                finding::distribution(spec, &now, &before)
            }
            Rule::Volume(spec) => finding::volume(spec, &self.volumes().await?),
            Rule::Unique(_) | Rule::PrimaryKey(_) | Rule::ForeignKey(_) | Rule::Sql(_) => {
                return Err(Error::bug("a rule that lists rows was asked for a number"));
            }
        })
    }

    /// How many rows a query results in, and the first of them.
    async fn failing(&self, text: &str, reads: &[TableName]) -> Result<(u64, Vec<String>)> {
        let (mut failed, mut sample) = (0, Vec::new());
        for mut stream in self.streams(text, reads).await? {
            while let Some(rows) = stream.try_next().await? {
                self.means.context.check()?;
                failed += rows.num_rows() as u64;
                let wanted = ROWS.saturating_sub(sample.len()).min(rows.num_rows());
                sample.extend(batch_as_json(&rows.slice(0, wanted)));
            }
        }
        Ok((failed, sample))
    }

    /// The number that a query results in.
    async fn number(&self, text: &str, reads: &[TableName]) -> Result<Option<f64>> {
        for mut stream in self.streams(text, reads).await? {
            while let Some(rows) = stream.try_next().await? {
                if let Some(number) = first_number(&rows) {
                    return Ok(Some(number));
                }
            }
        }
        Ok(None)
    }

    async fn streams(&self, text: &str, reads: &[TableName]) -> Result<Vec<sql::RowStream>> {
        let Means { lake, engine, .. } = self.means;
        let mut tables = BTreeMap::from([(self.name.clone(), self.subject.rows.clone())]);
        for name in reads.iter().filter(|name| *name != self.name) {
            tables.insert(name.clone(), lake.open(name).await?.provider().await?);
        }
        let session = engine.session(self.name.pipeline());
        let plan = sql::plan(&session, self.name.pipeline(), text, &tables).await;
        let plan = plan.map_err(|problem| Error::config(problem.message))?;
        let output = lake::in_flight(&sql::output_schema(&plan));
        sql::flow(&session, plan, &output).await
    }

    /// How many rows there were: in the table before the commit, or when the check was last made.
    async fn rows_before(&self, rule: &str) -> Result<Option<u64>> {
        let Means { lake, engine, .. } = self.means;
        match &self.subject.candidate {
            Some(_) if self.subject.table.version().is_none() => Ok(None),
            Some(_) => {
                let now = Subject {
                    table: self.subject.table,
                    schema: self.subject.schema.clone(),
                    rows: self.subject.table.provider().await?,
                    candidate: None,
                };
                let runner = Runner { subject: &now, means: self.means, name: self.name, rows: 0 };
                Ok(runner.number(&row_count(self.name), &[]).await?.map(|count| count as u64))
            }
            None => past::last_count(lake, engine, self.name, rule).await,
        }
    }

    /// The profile of the newest rows, and that of all earlier ones.
    async fn distributions(&self, column: &str) -> Result<(Profile, Profile)> {
        let Means { lake, engine, context } = self.means;
        let told = history::read(lake, engine, self.subject.table, Some(column)).await?;
        let Some(added) = &self.subject.candidate else {
            let earlier = told.len().saturating_sub(1);
            let newest = told.last().map(|told| told.profile.clone()).unwrap_or_default();
            return Ok((newest, history::whole(&told[..earlier])));
        };
        let fields = self.subject.schema.fields().iter().filter(|field| field.name() == column).cloned();
        let output = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
        let mut profiler = Profiler::new(&ProfileSpec::of(column));
        for mut stream in sql::read(engine, added.rows.clone(), &output).await? {
            while let Some(rows) = stream.try_next().await? {
                context.check()?;
                profiler.add(&rows);
            }
        }
        Ok((profiler.finish(), history::whole(&told)))
    }

    /// The rows that batches wrote and when, oldest first; the last is what is checked. None for a commit that is no further
    /// batch, or brings no rows.
    async fn volumes(&self) -> Result<Vec<Volume>> {
        let Means { lake, engine, context } = self.means;
        let is_judged = |added: &Added| added.is_next_batch && added.count > 0 && !context.full_refresh;
        if self.subject.candidate.as_ref().is_some_and(|added| !is_judged(added)) {
            return Ok(Vec::new());
        }
        let mut volumes = past::volumes(lake, engine, self.name).await?;
        if let Some(added) = &self.subject.candidate {
            volumes.push(Volume { rows: added.count, at: context.now() });
        }
        Ok(volumes)
    }
}

fn first_number(rows: &RecordBatch) -> Option<f64> {
    let column = rows.columns().first()?.as_primitive_opt::<Float64Type>()?;
    (!column.is_empty() && column.is_valid(0)).then(|| column.value(0))
}
