//! The quality of all tables on one page: rules with their trend and failing rows, freshness, profiles.
//!
//! Everything is read from system tables, so the page tells what commits and audits told and scans no rows.

mod chart;
mod page;

use std::collections::BTreeMap;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{Int64Type, TimestampMicrosecondType};
use chrono::{DateTime, Utc};
use lake::{Lake, ProfiledColumn};
use stage::{Result, TableName};

pub use self::page::html;
use crate::profile::history;

/// Results of a rule that are kept for its trend.
const TREND: usize = 40;

/// The quality of tables at a moment.
#[derive(Debug)]
pub struct Report {
    /// The name of the project.
    pub project: String,
    /// When the report was made.
    pub made_at: DateTime<Utc>,
    /// The tables, in the order in which they are shown.
    pub tables: Vec<TableReport>,
}

/// The quality of one table.
#[derive(Debug)]
pub struct TableReport {
    /// The table.
    pub name: TableName,
    /// What it holds, in a sentence.
    pub description: String,
    /// When rows were last written; `None` when none ever were.
    pub written_at: Option<DateTime<Utc>>,
    /// Its rules, by name.
    pub rules: Vec<RuleReport>,
    /// What its columns hold.
    pub columns: Vec<ProfiledColumn>,
}

/// A rule and how it fared.
#[derive(Debug)]
pub struct RuleReport {
    /// The name of the rule.
    pub name: String,
    /// `expectation` or `check`.
    pub kind: String,
    /// Its results, oldest first; never empty.
    pub results: Vec<RuleResult>,
}

/// How a rule fared in a commit or an audit.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RuleResult {
    /// When.
    pub at: DateTime<Utc>,
    /// The run.
    pub run: String,
    /// The version.
    pub version: i64,
    /// `commit` or `audit`.
    pub origin: String,
    /// `warn` or `fail`.
    pub severity: String,
    /// What happened to rows.
    pub on_fail: String,
    /// Rows checked.
    pub checked: u64,
    /// Rows that violated it.
    pub failed: u64,
    /// What was found.
    pub detail: String,
    /// Some of the rows that violated it, as a JSON list.
    pub sample: String,
}

/// Reads what is told of a table.
///
/// # Errors
/// When the storage fails.
pub async fn table(lake: &Lake, engine: &sql::Engine, name: &TableName, description: &str) -> Result<TableReport> {
    let opened = lake.open(name).await?;
    let profiles = history::read(lake, engine, &opened, None).await?;
    let events = rows_of(lake, engine, name, "events", &["rows_written"], &[]).await?;
    let written_at = events.iter().filter(|row| row.numbers[0] > 0).map(|row| row.at).max();
    let mut rules: BTreeMap<String, RuleReport> = BTreeMap::new();
    for (rule, kind, result) in results(lake, engine, name).await? {
        let new = || RuleReport { name: rule.clone(), kind: String::new(), results: Vec::new() };
        let known = rules.entry(rule.clone()).or_insert_with(new);
        known.kind = kind;
        known.results.push(result);
    }
    let mut rules: Vec<RuleReport> = rules.into_values().collect();
    for rule in &mut rules {
        rule.results = rule.results.split_off(rule.results.len().saturating_sub(TREND));
    }
    let columns = history::whole(&profiles).told()?;
    Ok(TableReport { name: name.clone(), description: description.to_owned(), written_at, rules, columns })
}

/// The results of all rules, oldest first, each with its rule and kind.
async fn results(lake: &Lake, engine: &sql::Engine, name: &TableName) -> Result<Vec<(String, String, RuleResult)>> {
    let texts = ["rule", "run", "on_fail", "kind", "severity", "origin", "detail", "sample"];
    let rows = rows_of(lake, engine, name, "quality", &["version", "checked", "failed"], &texts).await?;
    let results = rows.into_iter().map(|row| {
        let [version, checked, failed] = [0, 1, 2].map(|index| row.numbers.get(index).copied().unwrap_or_default());
        let mut texts = row.texts.into_iter();
        let mut next = || texts.next().unwrap_or_default();
        let (rule, run, on_fail, kind) = (next(), next(), next(), next());
        let (severity, origin, detail, sample) = (next(), next(), next(), next());
        let (checked, failed) = (checked.unsigned_abs(), failed.unsigned_abs());
        let result =
            RuleResult { at: row.at, run, version, origin, severity, on_fail, checked, failed, detail, sample };
        (rule, kind, result)
    });
    Ok(results.collect())
}

/// A row of a system table.
struct Row {
    at: DateTime<Utc>,
    numbers: Vec<i64>,
    texts: Vec<String>,
}

/// The given columns of the rows about a table, oldest first. A text column that the system table lacks is empty.
async fn rows_of(
    lake: &Lake,
    engine: &sql::Engine,
    name: &TableName,
    system: &str,
    numbers: &[&str],
    texts: &[&str],
) -> Result<Vec<Row>> {
    let system = lake.open(&name.system(system)).await?;
    let Some(schema) = system.schema() else { return Ok(Vec::new()) };
    if system.files().await?.is_empty() {
        return Ok(Vec::new());
    }
    let there = texts.iter().filter(|text| schema.field_with_name(text).is_ok());
    let columns: Vec<&str> = ["at"].iter().chain(numbers).chain(there).copied().collect();
    let full = name.to_string();
    let mut rows = Vec::new();
    for batch in sql::select(engine, system.provider().await?, &[("table", &full)], &columns).await? {
        rows.extend((0..batch.num_rows()).map(|row| row_of(&batch, row, numbers, texts)));
    }
    rows.sort_by_key(|row| row.at);
    Ok(rows)
}

fn row_of(batch: &RecordBatch, row: usize, numbers: &[&str], texts: &[&str]) -> Row {
    let column = |name: &str| batch.column_by_name(name).filter(|column| column.is_valid(row));
    let at = column("at").and_then(|at| at.as_primitive_opt::<TimestampMicrosecondType>()).map(|at| at.value(row));
    let number = |name: &&str| {
        column(name).and_then(|column| column.as_primitive_opt::<Int64Type>()).map_or(0, |column| column.value(row))
    };
    let text = |name: &&str| {
        let found = column(name).and_then(|column| column.as_string_view_opt());
        found.map(|column| column.value(row).to_owned()).unwrap_or_default()
    };
    Row {
        at: at.and_then(DateTime::from_timestamp_micros).unwrap_or_default(),
        numbers: numbers.iter().map(number).collect(),
        texts: texts.iter().map(text).collect(),
    }
}

impl RuleReport {
    /// The newest result.
    pub(crate) fn last(&self) -> Option<&RuleResult> {
        self.results.last()
    }
}

impl RuleResult {
    /// What the result means: `pass`, `warn` or `fail`. Rows that were kept out of the table are a warning.
    pub(crate) fn verdict(&self) -> &'static str {
        match (self.failed, self.severity.as_str(), self.on_fail.as_str()) {
            (0, _, _) => "pass",
            (_, "fail", _) | (_, _, "fail") => "fail",
            _ => "warn",
        }
    }
}
