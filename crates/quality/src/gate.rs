//! The gate every batch passes on its way into a table: checked before it is committed.
//!
//! One [`Gate`] stands before one batch of one table; each worker takes a [`Checker`] from it. Rows that stay are handed
//! back, rows that fail are staged for quarantine, and the gate counts. Nothing is visible until the stage commits what
//! [`Gate::close`] returns together with the rows.

use std::sync::{Arc, Mutex, PoisonError};

use arrow::array::RecordBatch;
use arrow::compute::filter_record_batch;
use arrow::datatypes::SchemaRef;
use chrono::{DateTime, Utc};
use lake::{Add, Lake, RuleOutcome, Staging, Writer};
use stage::{Context, Error, Problem, Result, TableName};

use crate::counts::{self, RuleCount};
use crate::profile::Profile;
use crate::profile::spec::ProfileSpec;
use crate::quarantine::{self, Origin, Unread};
use crate::samples::Samples;
use crate::spec::{ExpectationSpec, OnFail};
use crate::verdict::{Violation, judge};
use crate::{Validator, compile};

/// The name under which lines that did not parse are counted.
pub const PARSE_RULE: &str = "parse";

/// What is to be checked, and what the rows that fail are marked with.
#[derive(Debug, Clone)]
struct GateOptions {
    /// The table the rows are meant for.
    table: TableName,
    /// What every row must fulfil.
    expectations: Vec<ExpectationSpec>,
    /// The run.
    run: String,
    /// The batch.
    batch: i64,
    /// The time of the batch.
    now: DateTime<Utc>,
    /// What is profiled of the rows that stay.
    profile: ProfileSpec,
    /// The columns that name a row.
    keys: Vec<String>,
}

/// The gate before one batch. Cheap to clone; all clones count together.
#[derive(Clone)]
pub struct Gate {
    options: Arc<GateOptions>,
    engine: sql::Engine,
    quarantine: Staging,
    /// Where the profile is staged.
    staging: Staging,
    writer: Arc<tokio::sync::Mutex<Option<Writer>>>,
    tally: Arc<Mutex<Tally>>,
}

/// What a gate has counted.
#[derive(Debug, Default, Clone)]
struct Tally {
    checked: u64,
    quarantined: u64,
    dropped: u64,
    counts: Vec<RuleCount>,
    samples: Samples,
    profile: Profile,
}

/// What came of a batch at its gate.
#[derive(Debug, Default)]
pub struct Passed {
    /// Staged quarantine files, to be named in the commit's record.
    pub quarantine: Vec<Add>,
    /// Rows that came to the gate, those that did not parse included.
    pub rows_checked: u64,
    /// Rows staged for quarantine.
    pub rows_quarantined: u64,
    /// Rows left out by `drop` rules.
    pub rows_dropped: u64,
    /// How each rule fared.
    pub rules: Vec<RuleOutcome>,
    /// Where the profile of the rows is staged, and when it was made in microseconds since 1970.
    pub profile: Option<(String, i64)>,
}

impl Gate {
    /// A gate before a batch. Rows that fail are staged in the quarantine table beside the table.
    ///
    /// # Errors
    /// When the place of the quarantine table cannot be told.
    pub fn open(
        lake: &Lake,
        engine: &sql::Engine,
        table: &TableName,
        expectations: &[ExpectationSpec],
        batch: i64,
        context: &Context,
    ) -> Result<Gate> {
        let options = GateOptions {
            table: table.clone(),
            expectations: expectations.to_vec(),
            run: context.run_id.clone(),
            batch,
            now: context.now(),
            profile: ProfileSpec::Switch(false),
            keys: Vec::new(),
        };
        let quarantine = lake.staging(&options.table.quarantine())?;
        let staging = lake.staging(&options.table)?;
        Ok(Gate {
            options: Arc::new(options),
            engine: engine.clone(),
            quarantine,
            staging,
            writer: Arc::default(),
            tally: Arc::default(),
        })
    }

    /// The same gate, which profiles the rows that stay.
    #[must_use]
    pub fn profiling(self, profile: &ProfileSpec) -> Gate {
        let options = GateOptions { profile: profile.clone(), ..self.options.as_ref().clone() };
        Gate { options: Arc::new(options), ..self }
    }

    /// The same gate, which names rows that fail by these columns where they have them.
    #[must_use]
    pub fn naming_rows_by(self, keys: &[String]) -> Gate {
        let options = GateOptions { keys: keys.to_vec(), ..self.options.as_ref().clone() };
        Gate { options: Arc::new(options), ..self }
    }

    /// What is profiled of the rows that stay.
    pub(crate) fn profile_spec(&self) -> &ProfileSpec {
        &self.options.profile
    }

    /// Adds the profile of one worker's rows.
    pub(crate) fn add_profile(&self, profile: &Profile) {
        self.tally().profile.merge(profile);
    }

    /// A checker for one worker. `hidden` columns tell where a row came from and are taken off the rows that stay.
    pub fn checker(&self, hidden: Vec<String>) -> Checker {
        Checker { gate: self.clone(), hidden, validator: None }
    }

    /// Stages text that did not become rows.
    ///
    /// # Errors
    /// When the storage fails.
    pub async fn put_aside_unread(&self, texts: &[Unread<'_>]) -> Result<()> {
        if texts.is_empty() {
            return Ok(());
        }
        self.stage(&quarantine::unread(texts, &self.origin())?).await?;
        let failed = texts.len() as u64;
        let mut tally = self.tally();
        tally.checked += failed;
        tally.quarantined += failed;
        let count = RuleCount { rule: PARSE_RULE.to_owned(), on_fail: OnFail::Quarantine, failed };
        counts::add(&mut tally.counts, &[count]);
        Ok(())
    }

    /// Stages rows that failed before they came to a checker, such as casts that lost a value. `counts` says by which
    /// rules.
    ///
    /// # Errors
    /// When the storage fails.
    pub async fn put_aside(&self, rows: &RecordBatch, violations: &[Violation], counted: &[RuleCount]) -> Result<()> {
        if !violations.is_empty() {
            self.stage(&quarantine::rows(rows, violations, &self.origin())?).await?;
        }
        let mut tally = self.tally();
        tally.checked += violations.len() as u64;
        tally.quarantined += violations.len() as u64;
        counts::add(&mut tally.counts, counted);
        Ok(())
    }

    /// Finishes the staged files and says what was counted. All checkers must be done.
    ///
    /// # Errors
    /// When the storage fails.
    pub async fn close(&self) -> Result<Passed> {
        let writer = self.writer.lock().await.take();
        let quarantine = match writer {
            Some(writer) => writer.close().await?,
            None => Vec::new(),
        };
        let tally = self.tally().clone();
        let rules = tally.counts.iter().map(|count| self.outcome(count, &tally));
        let profile = match tally.profile.is_empty() {
            true => None,
            false => {
                let path = self.staging.stage_profile(&tally.profile.told()?).await?;
                Some((path, self.options.now.timestamp_micros()))
            }
        };
        Ok(Passed {
            quarantine,
            rows_checked: tally.checked,
            rows_quarantined: tally.quarantined,
            rows_dropped: tally.dropped,
            rules: rules.collect(),
            profile,
        })
    }

    fn outcome(&self, count: &RuleCount, tally: &Tally) -> RuleOutcome {
        let spec = self.options.expectations.iter().find(|spec| spec.name == count.rule);
        RuleOutcome {
            checked: tally.checked,
            sample: tally.samples.of(&count.rule),
            fingerprint: spec.map(counts::fingerprint).unwrap_or_default(),
            ..count.outcome()
        }
    }

    async fn stage(&self, rows: &RecordBatch) -> Result<()> {
        let mut writer = self.writer.lock().await;
        let writer = writer.get_or_insert_with(|| self.quarantine.writer(quarantine::schema(), &[]));
        writer.write(rows).await
    }

    fn origin(&self) -> Origin<'_> {
        Origin { run: &self.options.run, at: self.options.now, batch: Some(self.options.batch) }
    }

    fn tally(&self) -> std::sync::MutexGuard<'_, Tally> {
        self.tally.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Checks batches for one worker. The rules are compiled anew only when the schema changes.
pub struct Checker {
    gate: Gate,
    hidden: Vec<String>,
    validator: Option<(SchemaRef, Validator)>,
}

impl Checker {
    /// The rows that stay, without the hidden columns.
    ///
    /// # Errors
    /// [`stage::Kind::Quality`] when a rule that must hold was violated, [`stage::Kind::Config`] when a rule does not fit
    /// the columns.
    pub async fn check(&mut self, rows: RecordBatch) -> Result<RecordBatch> {
        self.compile_for(&rows)?;
        let Some((_, validator)) = &self.validator else { return Err(Error::bug("no rules were compiled")) };
        let violated = validator.violations(&rows, self.gate.options.now)?;
        let verdict = judge(rows.num_rows(), &violated);
        if verdict.is_refused() {
            return Err(refusal(&self.gate.options.table, &verdict.refused));
        }
        if !verdict.quarantined.is_empty() {
            self.gate.stage(&quarantine::rows(&rows, &verdict.quarantined, &self.gate.origin())?).await?;
        }
        {
            let mut tally = self.gate.tally();
            tally.checked += rows.num_rows() as u64;
            tally.quarantined += verdict.quarantined.len() as u64;
            tally.dropped += verdict.dropped;
            counts::add(&mut tally.counts, &verdict.counts);
            tally.samples.add(&rows, &violated, &self.gate.options.keys);
        }
        let kept = match &verdict.keep {
            None => rows,
            Some(keep) => filter_record_batch(&rows, keep)
                .map_err(|error| Error::bug("could not filter checked rows").with_source(error))?,
        };
        self.without_hidden(kept)
    }

    fn compile_for(&mut self, rows: &RecordBatch) -> Result<()> {
        let schema = rows.schema();
        if self.validator.as_ref().is_some_and(|(known, _)| *known == schema) {
            return Ok(());
        }
        let validator = compile(&self.gate.options.expectations, &schema, &self.gate.engine)
            .map_err(|problems| misfit(&self.gate.options.table, &problems))?;
        self.validator = Some((schema, validator));
        Ok(())
    }

    fn without_hidden(&self, rows: RecordBatch) -> Result<RecordBatch> {
        if self.hidden.is_empty() {
            return Ok(rows);
        }
        let schema = rows.schema();
        let shown: Vec<usize> =
            (0..schema.fields().len()).filter(|index| !self.hidden.contains(schema.field(*index).name())).collect();
        rows.project(&shown).map_err(|error| Error::bug("could not take off hidden columns").with_source(error))
    }
}

/// Expectations that were checked with the project but do not fit the columns there are.
pub(crate) fn misfit(table: &TableName, problems: &[Problem]) -> Error {
    let messages: Vec<&str> = problems.iter().map(|problem| problem.message.as_str()).collect();
    Error::config(format!("the expectations of {table} do not fit its columns: {}", messages.join("; ")))
}

fn refusal(table: &TableName, refused: &[(String, u64)]) -> Error {
    let rules: Vec<String> = refused.iter().map(|(rule, rows)| format!("`{rule}` (at least {rows} times)")).collect();
    Error::quality(format!(
        "the batch for {table} was refused and the table is as it was: violated {}",
        rules.join(", ")
    ))
}
