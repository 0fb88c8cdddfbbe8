//! What a table was like before, as system tables tell.

use arrow::array::{Array, AsArray};
use arrow::datatypes::{Int64Type, TimestampMicrosecondType};
use chrono::{DateTime, Utc};
use lake::{BESIDE_BATCHES, Lake};
use stage::{Result, TableName};

/// Earlier commits that are looked at.
const COMMITS: usize = 1_000;

/// The rows that a commit wrote.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Volume {
    pub(crate) rows: u64,
    pub(crate) at: DateTime<Utc>,
}

/// How many rows there were when a check was last made.
pub(super) async fn last_count(
    lake: &Lake,
    engine: &sql::Engine,
    table: &TableName,
    rule: &str,
) -> Result<Option<u64>> {
    let name = table.to_string();
    let told = told(lake, engine, table, "quality", &[("table", &name), ("rule", rule)], "checked").await?;
    Ok(told.last().map(|told| told.rows))
}

/// The rows that batches of a table wrote, oldest first. Commits that wrote none are not among them.
pub(super) async fn volumes(lake: &Lake, engine: &sql::Engine, table: &TableName) -> Result<Vec<Volume>> {
    let name = table.to_string();
    let mut volumes = told(lake, engine, table, "events", &[("table", &name)], "rows_written").await?;
    let beside = told_beside(lake, engine, table).await?;
    volumes.retain(|volume| !beside.contains(&volume.at));
    volumes.retain(|volume| volume.rows > 0);
    Ok(volumes.split_off(volumes.len().saturating_sub(COMMITS)))
}

/// When commits were made whose rows are not those of one more batch.
async fn told_beside(lake: &Lake, engine: &sql::Engine, table: &TableName) -> Result<Vec<DateTime<Utc>>> {
    let name = table.to_string();
    let mut beside = Vec::new();
    for action in BESIDE_BATCHES {
        let equal = [("table", name.as_str()), ("action", action)];
        let commits = told(lake, engine, table, "events", &equal, "version").await?;
        beside.extend(commits.into_iter().map(|commit| commit.at));
    }
    Ok(beside)
}

/// A number of the rows of a system table, by time.
async fn told(
    lake: &Lake,
    engine: &sql::Engine,
    table: &TableName,
    system: &str,
    equal: &[(&str, &str)],
    column: &str,
) -> Result<Vec<Volume>> {
    let system = lake.open(&table.system(system)).await?;
    if system.version().is_none() || system.files().await?.is_empty() {
        return Ok(Vec::new());
    }
    let mut told = Vec::new();
    for batch in sql::select(engine, system.provider().await?, equal, &[column, "at"]).await? {
        let numbers = batch.column(0).as_primitive::<Int64Type>();
        let times = batch.column(1).as_primitive::<TimestampMicrosecondType>();
        for row in (0..batch.num_rows()).filter(|row| numbers.is_valid(*row)) {
            let at = DateTime::from_timestamp_micros(times.value(row)).unwrap_or_default();
            told.push(Volume { rows: numbers.value(row).unsigned_abs(), at });
        }
    }
    told.sort_by_key(|volume| volume.at);
    Ok(told)
}
