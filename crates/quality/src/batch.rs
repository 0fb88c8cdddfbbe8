//! How the batch of every stage begins and ends, whatever stands between.
//!
//! The record of a commit is begun with what came of the batch at its gate, and the progress is what the record says, so
//! neither can disagree with the rows or with each other.

use lake::{Add, Commit, Lake, Record, RuleOutcome, Table, ledger};
use serde::Serialize;
use stage::{Context, Error, Progress, Result, TableName};
use xxhash_rust::xxh3::xxh3_128;

use crate::checks::Checks;
use crate::counts::on_fail_name;
use crate::gate::Passed;
use crate::quarantine;
use crate::spec::OnFail;

/// Opens the table of a stage, and finishes what an earlier start of it may have left undone.
///
/// # Errors
/// When the storage fails.
pub async fn open(lake: &Lake, name: &TableName) -> Result<Table> {
    let table = lake.open(name).await?;
    ledger::roll_quarantine(lake, &table, &quarantine::schema()).await?;
    Ok(table)
}

/// The number of the next batch of a table that counts its own, from 1.
pub fn next_number(table: &Table) -> i64 {
    table.record().map_or(0, |(_, record)| record.batch) + 1
}

/// What stands for a spec and its SQL in records: it changes when one of them means something else.
///
/// # Errors
/// [`stage::Kind::Config`] when the SQL cannot be parsed, [`stage::Kind::Bug`] when the spec cannot be written.
pub fn fingerprint(spec: &impl Serialize, text: Option<&str>) -> Result<String> {
    let spec = serde_json::to_string(spec).map_err(|error| Error::bug("could not write a spec").with_source(error))?;
    let text = text.map(sql::fingerprint).transpose()?.unwrap_or_default();
    Ok(format!("{:032x}", xxh3_128(format!("{spec}\n{text}").as_bytes())))
}

/// The record of a batch as far as its gate knows: every row that came to the gate was read, and no others were. The stage
/// adds what it did and why, and corrects what it knows better.
pub fn record(passed: Passed, number: i64, rows_written: u64, context: &Context) -> Record {
    Record {
        run: context.run_id.clone(),
        batch: number,
        rows_read: passed.rows_checked,
        rows_written,
        rows_quarantined: passed.rows_quarantined,
        rows_dropped: passed.rows_dropped,
        rules: passed.rules,
        quarantine: passed.quarantine,
        profiled_at: passed.profile.as_ref().map(|(_, at)| *at),
        profile: passed.profile.map(|(path, _)| path),
        ..Record::default()
    }
}

/// Makes the batch visible, once `checks` have passed on the table as it would be, and returns what its record says. `spent`
/// are staged files that were only a step on the way; they are removed afterwards.
///
/// # Errors
/// As [`Table::commit`], and [`stage::Kind::Quality`] when a check fails. When only the quarantine table could not be
/// written, the batch is visible all the same, and the next start finishes it.
pub async fn commit(
    lake: &Lake,
    table: &mut Table,
    commit: Commit,
    spent: &[Add],
    checks: &Checks,
) -> Result<Progress> {
    let mut progress = progress(&commit.record);
    let action = commit.record.action.clone();
    progress.version = Some(table.commit_guarded(commit, Some(checks)).await?);
    tracing::info!(table = %table.name(), version = progress.version, action, rows = progress.rows_written, "committed");
    progress.warnings.extend(checks.warnings());
    table.staging().discard(spent).await;
    ledger::roll_quarantine(lake, table, &quarantine::schema()).await?;
    Ok(progress)
}

fn progress(record: &Record) -> Progress {
    let only_warns = |rule: &&RuleOutcome| rule.on_fail == on_fail_name(OnFail::Warn);
    let (warned, rejected): (Vec<_>, Vec<_>) = record.rules.iter().filter(|rule| rule.failed > 0).partition(only_warns);
    let counts = |rules: Vec<&RuleOutcome>| rules.into_iter().map(|rule| (rule.rule.clone(), rule.failed)).collect();
    Progress {
        rows_read: record.rows_read,
        rows_written: record.rows_written,
        rows_quarantined: record.rows_quarantined,
        rows_dropped: record.rows_dropped,
        warnings: counts(warned),
        rejects: counts(rejected),
        ..Progress::default()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn progress_and_record_tell_the_same() {
        let rule = |rule: &str, on_fail, failed| RuleOutcome {
            rule: rule.to_owned(),
            on_fail: on_fail_name(on_fail).to_owned(),
            checked: 9,
            failed,
            ..RuleOutcome::default()
        };
        let passed = Passed {
            rows_checked: 9,
            rows_quarantined: 2,
            rows_dropped: 1,
            rules: vec![rule("a", OnFail::Warn, 3), rule("b", OnFail::Warn, 0), rule("c", OnFail::Quarantine, 2)],
            ..Passed::default()
        };
        let record = record(passed, 4, 6, &Context::new("run"));
        assert_eq!((record.run.as_str(), record.batch, record.rules.len()), ("run", 4, 3));
        let expected = Progress {
            rows_read: 9,
            rows_written: 6,
            rows_quarantined: 2,
            rows_dropped: 1,
            warnings: BTreeMap::from([("a".to_owned(), 3)]),
            rejects: BTreeMap::from([("c".to_owned(), 2)]),
            ..Progress::default()
        };
        assert_eq!(progress(&record), expected);
    }
}
