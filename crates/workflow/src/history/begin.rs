//! Runs begin, or begin once more.

use std::collections::{BTreeMap, BTreeSet};

use rusqlite::{Row, Transaction, params};
use serde_json::Value;
use stage::{Error, Result};

use super::record::count;
use super::store::explained;
use super::{History, READ, RunRecord, now};
use crate::cause::Cause;
use crate::state::ResultState;

/// A run that is about to begin.
#[derive(Debug, Clone, Default)]
pub struct NewRun {
    /// The workflow.
    pub workflow: String,
    /// The parameters, defaults included.
    pub parameters: BTreeMap<String, String>,
    /// Why it takes place.
    pub cause: Cause,
    /// The run whose task runs it.
    pub parent: Option<i64>,
}

/// A task of a run that is about to begin.
#[derive(Debug, Clone, Default)]
pub struct PlannedTask {
    /// The task.
    pub task_key: String,
    /// The tasks it waits for.
    pub depends_on: Vec<String>,
    /// What it does, in words.
    pub does: String,
}

impl History {
    /// Records that a run begins with these tasks, and gives it a number that was never given before.
    ///
    /// # Errors
    /// As [`History::open`].
    pub async fn begin_run(&self, run: NewRun, plan: Vec<PlannedTask>) -> Result<i64> {
        self.blocking(move |inner| {
            let number = inner.held("record the start of a run", |transaction| {
                let number = insert_run(transaction, &run, true)?;
                insert_plan(transaction, number, &plan)?;
                Ok(Some(number))
            })?;
            number.ok_or_else(|| Error::bug("a run that was recorded has no number"))
        })
        .await
    }

    /// Begins a run that waited for its turn, with what it turned out to be. `false` when it no longer waits.
    ///
    /// # Errors
    /// As [`History::open`].
    pub async fn begin_queued(&self, number: i64, run: NewRun, plan: Vec<PlannedTask>) -> Result<bool> {
        let begun = self.blocking(move |inner| {
            let run = &run;
            inner.held("record the start of a run", |transaction| {
                let sql = "UPDATE runs SET started_at = ?2, process = ?3, parameters = ?4, cause = ?5
                    WHERE number = ?1 AND state IS NULL AND started_at IS NULL";
                let which = params![number, now(), std::process::id(), json(&run.parameters)?, json(&run.cause)?];
                let (changed, run) = (transaction.execute(sql, which)?, number);
                insert_plan(transaction, run, &plan)?;
                Ok((changed > 0).then_some(run))
            })
        });
        Ok(begun.await?.is_some())
    }

    /// Opens a run that has ended, or was interrupted, once more with these parameters; `before` is how it was found. What of
    /// the plan is not `kept` is to be done again, and no longer has a state; what is no longer planned stays as it ended.
    /// Returns how often the run was repaired, this time included if it is a repair;
    /// `None` when the run goes on, or another process was faster.
    ///
    /// # Errors
    /// As [`History::open`].
    pub async fn reopen(
        &self,
        before: &RunRecord,
        is_repair: bool,
        parameters: BTreeMap<String, String>,
        plan: Vec<PlannedTask>,
        kept: BTreeSet<String>,
    ) -> Result<Option<u32>> {
        let before = before.clone();
        let reopened = self.blocking(move |inner| {
            inner.mark_interrupted().map_err(explained(READ))?;
            let held = inner.held("open a run once more", |transaction| {
                // A process that went on with it in the meantime has left its number, or another end.
                let sql = "UPDATE runs SET state = NULL, ended_at = NULL, error_kind = NULL, error_message = NULL,
                    cancel_asked_at = NULL, started_at = coalesce(started_at, ?3), process = ?4, repairs = repairs + ?2,
                    resumes = resumes * (1 - ?2), parameters = ?9
                    WHERE number = ?1 AND state = ?5 AND repairs = ?6 AND process = ?7 AND ended_at IS ?8";
                let state = before.state.map(ResultState::name);
                let ended_at = before.ended_at.map(|at| at.timestamp_micros());
                let (now, process) = (now(), std::process::id());
                let (number, repairs, parameters) = (before.number, before.repairs, json(&parameters)?);
                let which =
                    params![number, is_repair, now, process, state, repairs, before.process, ended_at, parameters];
                if transaction.execute(sql, which)? == 0 {
                    return Ok(None);
                }
                forget_ends(transaction, before.number, &plan, &kept)?;
                insert_plan(transaction, before.number, &plan)?;
                Ok(Some(before.number))
            })?;
            Ok(held.map(|_| before.repairs + u32::from(is_repair)))
        });
        reopened.await
    }
}

/// Inserts a run, begun or waiting for its turn.
pub(super) fn insert_run(transaction: &Transaction<'_>, run: &NewRun, is_begun: bool) -> rusqlite::Result<i64> {
    insert_run_at(transaction, run, now(), is_begun)
}

/// [`insert_run`] at a time in microseconds since 1970.
pub(super) fn insert_run_at(
    transaction: &Transaction<'_>,
    run: &NewRun,
    now: i64,
    is_begun: bool,
) -> rusqlite::Result<i64> {
    let (parameters, cause) = (json(&run.parameters)?, json(&run.cause)?);
    let due_at = run.cause.due_at.map(|due| due.timestamp_micros());
    let process = std::process::id();
    let sql = "INSERT INTO runs (workflow, parameters, cause, due_at, parent, process, queued_at, started_at)
        VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)";
    let started_at = is_begun.then_some(now);
    let mut insert = transaction.prepare_cached(sql)?;
    insert.execute(params![run.workflow, parameters, cause, due_at, run.parent, process, now, started_at])?;
    Ok(transaction.last_insert_rowid())
}

/// Inserts the tasks of a run. Those that are there keep how they ended.
fn insert_plan(transaction: &Transaction<'_>, run: i64, plan: &[PlannedTask]) -> rusqlite::Result<()> {
    let sql = "INSERT INTO tasks (run, task_key, position, depends_on, does) VALUES (?1, ?2, ?3, ?4, ?5)
        ON CONFLICT (run, task_key) DO UPDATE SET position = ?3, depends_on = ?4, does = ?5";
    let mut insert = transaction.prepare_cached(sql)?;
    for (position, task) in plan.iter().enumerate() {
        let depends_on = Value::from(task.depends_on.clone()).to_string();
        insert.execute(params![run, task.task_key, count(position as u64), depends_on, task.does])?;
    }
    Ok(())
}

/// Takes their state from the tasks and items that are to be done again, so that they are still to be done if this process
/// dies before it comes to them. Tasks that are no longer planned stay as they ended, and so do items that did not succeed:
/// they are done again whatever is written here, if the loop still has them.
fn forget_ends(
    transaction: &Transaction<'_>,
    run: i64,
    plan: &[PlannedTask],
    kept: &BTreeSet<String>,
) -> rusqlite::Result<()> {
    let planned: BTreeSet<&str> = plan.iter().map(|task| task.task_key.as_str()).collect();
    let mut select = transaction.prepare_cached("SELECT task_key, state FROM tasks WHERE run = ?1")?;
    let record = |row: &Row<'_>| Ok((row.get(0)?, row.get(1)?));
    let ends: Vec<(String, Option<String>)> = select.query_map([run], record)?.collect::<Result<_, _>>()?;
    let sql =
        "UPDATE tasks SET state = NULL, started_at = NULL, ended_at = NULL, error_kind = NULL, error_message = NULL
        WHERE run = ?1 AND task_key = ?2";
    let mut forget = transaction.prepare_cached(sql)?;
    for (key, state) in ends.iter().filter(|(key, _)| !kept.contains(key)) {
        let is_again = match key.split_once('[') {
            Some((of_loop, _)) => {
                let state = state.as_deref().and_then(ResultState::from_name);
                planned.contains(of_loop) && state.is_some_and(ResultState::is_success)
            }
            None => planned.contains(key.as_str()),
        };
        if is_again {
            forget.execute(params![run, key])?;
        }
    }
    Ok(())
}

fn json(value: &impl serde::Serialize) -> rusqlite::Result<String> {
    serde_json::to_string(value).map_err(|error| rusqlite::Error::ToSqlConversionFailure(Box::new(error)))
}
