//! Runs chosen by workflow, status and number, and how many ended how.

use rusqlite::types::Value;
use rusqlite::{Connection, params_from_iter};
use stage::Result;

use super::record::{RunRecord, run_columns, run_record};
use super::{History, READ, explained};
use crate::state::ResultState;

/// Which runs are listed: all that fit everything that is said, the newest first.
#[derive(Debug, Clone, Default)]
pub struct RunFilter {
    /// Those of this workflow.
    pub workflow: Option<String>,
    /// Those that stand there.
    pub status: Option<RunStatus>,
    /// Those before that number.
    pub before: Option<i64>,
    /// That many at most.
    pub limit: usize,
}

/// Where a run stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RunStatus {
    /// It waits for its turn.
    Queued,
    /// It goes on.
    Running,
    /// It ended so.
    Ended(ResultState),
}

impl RunFilter {
    /// The newest of all runs.
    pub fn newest(limit: usize) -> RunFilter {
        RunFilter { limit, ..RunFilter::default() }
    }
}

impl History {
    /// The runs that fit, the newest first.
    ///
    /// # Errors
    /// As [`History::open`].
    pub async fn select_runs(&self, filter: RunFilter) -> Result<Vec<RunRecord>> {
        self.blocking(move |inner| {
            inner.mark_interrupted().and_then(|()| select(&inner.connection, filter)).map_err(explained(READ))
        })
        .await
    }

    /// How many runs ended in each state that occurs.
    ///
    /// # Errors
    /// As [`History::open`].
    pub async fn count_ended_runs(&self) -> Result<Vec<(ResultState, u64)>> {
        self.blocking(move |inner| {
            inner.mark_interrupted().and_then(|()| count_ended(&inner.connection)).map_err(explained(READ))
        })
        .await
    }
}

fn select(connection: &Connection, filter: RunFilter) -> rusqlite::Result<Vec<RunRecord>> {
    let mut conditions = vec!["TRUE"];
    let mut values: Vec<Value> = Vec::new();
    if let Some(workflow) = filter.workflow {
        conditions.push("workflow = ?");
        values.push(workflow.into());
    }
    if let Some(before) = filter.before {
        conditions.push("number < ?");
        values.push(before.into());
    }
    match filter.status {
        Some(RunStatus::Queued) => conditions.push("state IS NULL AND started_at IS NULL"),
        Some(RunStatus::Running) => conditions.push("state IS NULL AND started_at IS NOT NULL"),
        Some(RunStatus::Ended(state)) => {
            conditions.push("state = ?");
            values.push(state.name().to_owned().into());
        }
        None => {}
    }
    values.push(i64::try_from(filter.limit).unwrap_or(i64::MAX).into());
    let (columns, conditions) = (run_columns(), conditions.join(" AND "));
    let sql = format!("SELECT {columns} FROM runs WHERE {conditions} ORDER BY number DESC LIMIT ?");
    connection.prepare_cached(&sql)?.query_map(params_from_iter(values), run_record)?.collect()
}

fn count_ended(connection: &Connection) -> rusqlite::Result<Vec<(ResultState, u64)>> {
    let sql = "SELECT state, COUNT(*) FROM runs WHERE state IS NOT NULL GROUP BY state ORDER BY state";
    let mut statement = connection.prepare_cached(sql)?;
    let counts = statement.query_map([], |row| Ok((row.get::<_, String>(0)?, row.get::<_, i64>(1)?)))?;
    let mut known = Vec::new();
    for count in counts {
        let (state, count) = count?;
        known.extend(ResultState::from_name(&state).map(|state| (state, count.unsigned_abs())));
    }
    Ok(known)
}
