//! Checks of a table as a whole: keys, counts, freshness, shape, drift.
//!
//! A check is one query, or a comparison with what the table told before. [`Checks`] runs them before a commit on the
//! table as it would be, each time the commit is tried; an audit runs them on the table as it stands.

pub mod spec;

mod bind;
mod finding;
mod past;
mod rule;
mod run;
mod statement;

use std::sync::{Mutex, PoisonError};

use futures::future::BoxFuture;
use lake::{Candidate, Lake, RuleOutcome, Table};
use stage::{Context, Error, Result, TableName};

pub use self::bind::bind;
pub use self::rule::check;
use self::run::{Added, Means, Subject};
use self::spec::{CheckSpec, When};
use crate::counts;

/// The checks that stand before the commits of a batch.
pub struct Checks {
    specs: Vec<CheckSpec>,
    means: Means,
    /// What the newest try found.
    outcomes: Mutex<Vec<RuleOutcome>>,
}

impl Checks {
    /// Those of the checks that are run before every commit.
    pub fn before_commit(specs: &[CheckSpec], lake: &Lake, engine: &sql::Engine, context: &Context) -> Checks {
        let specs = specs.iter().filter(|spec| spec.when == When::Commit).cloned().collect();
        let means = Means { lake: lake.clone(), engine: engine.clone(), context: context.clone() };
        Checks { specs, means, outcomes: Mutex::default() }
    }

    /// The checks that failed and only warn, with how many rows or keys did.
    pub(crate) fn warnings(&self) -> Vec<(String, u64)> {
        let outcomes = self.outcomes.lock().unwrap_or_else(PoisonError::into_inner);
        outcomes.iter().filter(|found| found.failed > 0).map(|found| (found.rule.clone(), found.failed)).collect()
    }

    async fn judge_candidate(&self, candidate: Candidate<'_>) -> Result<Vec<RuleOutcome>> {
        let Candidate { table, files, added, schema, partition_by, rows_added, is_next_batch } = candidate;
        let subject = Subject {
            table,
            rows: table.scan(&files, &schema, partition_by)?,
            candidate: Some(Added {
                count: rows_added,
                is_next_batch,
                rows: table.scan(added, &schema, partition_by)?,
            }),
            schema,
        };
        let outcomes = run::run(&self.specs, &subject, &self.means).await?;
        if let Some(refused) = in_words(&outcomes) {
            let name = table.name();
            return Err(Error::quality(format!(
                "the batch for {name} was refused and the table is as it was: {refused}"
            )));
        }
        outcomes.clone_into(&mut self.outcomes.lock().unwrap_or_else(PoisonError::into_inner));
        Ok(outcomes)
    }
}

impl lake::Guard for Checks {
    fn is_needed(&self) -> bool {
        !self.specs.is_empty()
    }

    fn judge<'a>(&'a self, candidate: Candidate<'a>) -> BoxFuture<'a, Result<Vec<RuleOutcome>>> {
        Box::pin(self.judge_candidate(candidate))
    }
}

/// Runs all checks of a table on it as it stands.
///
/// # Errors
/// When a table cannot be read, or a check does not fit its columns.
pub(crate) async fn audit(
    specs: &[CheckSpec],
    table: &Table,
    lake: &Lake,
    engine: &sql::Engine,
    context: &Context,
) -> Result<Vec<RuleOutcome>> {
    let schema = table.schema().ok_or_else(|| Error::bug("an opened table has no schema"))?;
    let subject = Subject { table, schema, rows: table.provider().await?, candidate: None };
    let means = Means { lake: lake.clone(), engine: engine.clone(), context: context.clone() };
    run::run(specs, &subject, &means).await
}

/// The other tables that checks read; names that are wrong are told by [`CheckSpec::reads`].
pub fn reads(specs: &[CheckSpec], pipeline: &str) -> Vec<TableName> {
    specs.iter().filter_map(|spec| spec.reads(pipeline).ok()).flatten().map(|(_, name)| name).collect()
}

/// The checks that failed and do not only warn, in words; `None` when there are none.
pub(crate) fn in_words(outcomes: &[RuleOutcome]) -> Option<String> {
    let checks = outcomes.iter().filter(|found| found.kind == counts::CHECK);
    let words: Vec<String> = checks
        .filter(|found| found.failed > 0 && found.severity == "fail")
        .map(|found| {
            let example = found.sample.first().map(|row| format!(", such as {row}")).unwrap_or_default();
            format!("the check `{}` failed: {}{example}", found.rule, found.detail)
        })
        .collect();
    (!words.is_empty()).then(|| words.join("; "))
}
