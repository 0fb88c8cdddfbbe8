//! A table at rest against its expectations and checks: nothing in it is changed, what fails is counted and told in
//! `system.quality`.

use ::stage::{Context, Error, Progress, Result, Stage, TableName};
use futures::TryStreamExt as _;
use futures::future::BoxFuture;
use lake::{Lake, RuleOutcome, Table, ledger};

use crate::checks::spec::CheckSpec;
use crate::checks::{self, in_words};
use crate::counts::{self, RuleCount};
use crate::gate::misfit;
use crate::samples::Samples;
use crate::spec::{ExpectationSpec, OnFail};
use crate::{compile, judge};

/// What a table is held against.
#[derive(Debug, Clone, Default)]
pub struct Audited {
    /// What every row must fulfil.
    pub expectations: Vec<ExpectationSpec>,
    /// What the table as a whole must fulfil.
    pub checks: Vec<CheckSpec>,
    /// The columns that name a row.
    pub keys: Vec<String>,
}

/// The audit of one table. Rules that must hold and do not are an error, all others are warnings.
pub struct Audit {
    name: TableName,
    audited: Audited,
    lake: Lake,
    engine: sql::Engine,
    is_done: bool,
}

impl Audit {
    /// An audit of the table `name`.
    pub fn new(name: TableName, audited: Audited, lake: Lake, engine: sql::Engine) -> Audit {
        Audit { name, audited, lake, engine, is_done: false }
    }

    async fn audit(&mut self, context: &Context) -> Result<Progress> {
        if std::mem::replace(&mut self.is_done, true) {
            return Ok(Progress::idle());
        }
        let table = self.lake.open(&self.name).await?;
        let (rows_read, mut outcomes) = self.check_rows(&table, context).await?;
        outcomes.extend(checks::audit(&self.audited.checks, &table, &self.lake, &self.engine, context).await?);
        let timestamp = context.now().timestamp_millis();
        let told = ledger::Audited { table: &table, run: &context.run_id, timestamp, rules: outcomes.clone() };
        ledger::tell_audit(&self.lake, told).await?;
        // Checks look at all rows too.
        let rows_read = outcomes.iter().map(|found| found.checked).fold(rows_read, u64::max);
        self.verdict(rows_read, &outcomes)
    }

    /// How many rows there are, and how each expectation fared on them.
    async fn check_rows(&self, table: &Table, context: &Context) -> Result<(u64, Vec<RuleOutcome>)> {
        let provider = table.provider().await?;
        let schema = table.schema().ok_or_else(|| Error::bug("an opened table has no schema"))?;
        let Audited { expectations, keys, .. } = &self.audited;
        let validator =
            compile(expectations, &schema, &self.engine).map_err(|problems| misfit(&self.name, &problems))?;
        let (mut total, mut samples, mut rows_read): (Vec<RuleCount>, _, u64) = (Vec::new(), Samples::default(), 0);
        if validator.is_empty() {
            return Ok((0, Vec::new()));
        }
        for mut stream in sql::read(&self.engine, provider, &schema).await? {
            while let Some(rows) = stream.try_next().await? {
                context.check()?;
                rows_read += rows.num_rows() as u64;
                context.meter.add_rows(rows.num_rows() as u64);
                let violated = validator.violations(&rows, context.now())?;
                counts::add(&mut total, &judge(rows.num_rows(), &violated).counts);
                samples.add(&rows, &violated, keys);
            }
        }
        let outcome = |count: &RuleCount| {
            let spec = expectations.iter().find(|spec| spec.name == count.rule);
            let fingerprint = spec.map(counts::fingerprint).unwrap_or_default();
            RuleOutcome { checked: rows_read, sample: samples.of(&count.rule), fingerprint, ..count.outcome() }
        };
        Ok((rows_read, total.iter().map(outcome).collect()))
    }

    fn verdict(&self, rows_read: u64, outcomes: &[RuleOutcome]) -> Result<Progress> {
        let fails = counts::on_fail_name(OnFail::Fail);
        let gates = outcomes.iter().filter(|found| found.failed > 0 && found.on_fail == fails);
        let refused: Vec<String> = gates.map(|found| format!("`{}` ({} rows)", found.rule, found.failed)).collect();
        let expectations = (!refused.is_empty()).then(|| format!("{} violates {}", self.name, refused.join(", ")));
        let checks = in_words(outcomes).map(|words| match &expectations {
            Some(_) => words,
            None => format!("{}: {words}", self.name),
        });
        let wrong: Vec<String> = expectations.into_iter().chain(checks).collect();
        if !wrong.is_empty() {
            return Err(Error::quality(wrong.join("; ")));
        }
        let warnings = outcomes.iter().filter(|found| found.failed > 0);
        let warnings = warnings.map(|found| (found.rule.clone(), found.failed)).collect();
        Ok(Progress { rows_read, warnings, ..Progress::default() })
    }
}

impl Stage for Audit {
    fn table(&self) -> &TableName {
        &self.name
    }

    fn advance<'a>(&'a mut self, context: &'a Context) -> BoxFuture<'a, Result<Progress>> {
        Box::pin(self.audit(context))
    }
}
