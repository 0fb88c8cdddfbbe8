//! What is kept of schedules: whether they are paused, up to when their times have been dealt with, and what they saw.
//!
//! A time is dealt with by a claim: in one transaction its run is recorded and `last_due_at` moves on. So a time is never
//! forgotten and never claimed twice, whenever the process dies.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use rusqlite::{OptionalExtension, Transaction, params};
use serde::Serialize;
use stage::Result;

use super::begin::insert_run_at;
use super::queue::{end_unstarted, unless_recorded};
use super::record::{RunRecord, select_interrupted};
use super::store::explained;
use super::{History, NewRun, READ, time};
use crate::state::ResultState;

/// What is kept of the schedule of a workflow.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct ScheduleRecord {
    /// Whether somebody paused or resumed it; `None` when the workflow's file decides.
    pub paused: Option<bool>,
    /// What the rest is about; another text means that the schedule was changed.
    pub trigger: Option<String>,
    /// Up to when all of its times have been dealt with.
    pub last_due_at: Option<DateTime<Utc>>,
}

/// What becomes of the times of a schedule up to one of them.
#[derive(Debug, Clone)]
pub struct Claim {
    /// The workflow.
    pub workflow: String,
    /// What it is about, as in [`ScheduleRecord`].
    pub trigger: String,
    /// Up to when all times are dealt with by this.
    pub last_due_at: DateTime<Utc>,
    /// What the schedule remembers from now on; `None` leaves it as it is.
    pub state: Option<String>,
    /// A run for each time that one is started for. They wait for their turn.
    pub runs: Vec<NewRun>,
    /// The times that no run is started for, with why.
    pub missed: Option<(NewRun, String)>,
    /// When this is decided.
    pub now: DateTime<Utc>,
}

/// What a [`Claim`] recorded.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Claimed {
    /// The numbers of the runs that wait, in the order of their times; `None` for a time that had a run already.
    pub runs: Vec<Option<i64>>,
    /// The number under which the missed times are recorded.
    pub missed: Option<i64>,
}

impl History {
    /// What is kept of each schedule, by workflow.
    ///
    /// # Errors
    /// As [`History::open`].
    pub async fn schedules(&self) -> Result<BTreeMap<String, ScheduleRecord>> {
        self.blocking(|inner| {
            let read = || {
                let sql = "SELECT workflow, paused, trigger, last_due_at FROM schedules";
                let mut select = inner.connection.prepare_cached(sql)?;
                let records = select.query_map([], |row| {
                    let last_due_at = row.get::<_, Option<i64>>(3)?.map(time);
                    Ok((row.get(0)?, ScheduleRecord { paused: row.get(1)?, trigger: row.get(2)?, last_due_at }))
                })?;
                records.collect::<rusqlite::Result<_>>()
            };
            read().map_err(explained(READ))
        })
        .await
    }

    /// What the schedule of a workflow remembers, as it was last claimed.
    ///
    /// # Errors
    /// As [`History::open`].
    pub async fn schedule_state(&self, workflow: &str) -> Result<Option<String>> {
        let workflow = workflow.to_owned();
        self.blocking(move |inner| {
            let sql = "SELECT state FROM schedules WHERE workflow = ?1";
            let state = inner.connection.query_row(sql, [workflow], |row| row.get(0)).optional();
            state.map(Option::flatten).map_err(explained(READ))
        })
        .await
    }

    /// Pauses or resumes the schedule of a workflow, whatever its file says. `false` when it was so already.
    ///
    /// # Errors
    /// As [`History::open`].
    pub async fn set_paused(&self, workflow: &str, paused: bool) -> Result<bool> {
        let workflow = workflow.to_owned();
        self.change("pause or resume a schedule", move |transaction| {
            // What is due while it is paused is not missed: the schedule begins anew when it goes on.
            let sql = "INSERT INTO schedules (workflow, paused) VALUES (?1, ?2)
                ON CONFLICT (workflow) DO UPDATE SET paused = ?2, trigger = iif(?2, NULL, trigger)
                WHERE paused IS NOT ?2";
            transaction.execute(sql, params![workflow, paused]).map(|changed| changed > 0)
        })
        .await
    }

    /// Takes note that the schedule of a workflow is paused by its file, so that it begins anew when it goes on.
    ///
    /// # Errors
    /// As [`History::open`].
    pub async fn rest_schedule(&self, workflow: &str) -> Result<()> {
        let workflow = workflow.to_owned();
        self.change("pause a schedule", move |transaction| {
            transaction.execute("UPDATE schedules SET trigger = NULL WHERE workflow = ?1", [workflow]).map(|_| ())
        })
        .await
    }

    /// Records what becomes of the times of a schedule; `None` when somebody has just paused it.
    ///
    /// # Errors
    /// As [`History::open`].
    pub async fn claim(&self, claim: Claim) -> Result<Option<Claimed>> {
        self.change("record the runs that are due", move |transaction| {
            let sql = "SELECT paused FROM schedules WHERE workflow = ?1";
            let paused: Option<Option<bool>> =
                transaction.query_row(sql, [&claim.workflow], |row| row.get(0)).optional()?;
            if paused == Some(Some(true)) {
                return Ok(None);
            }
            let mut claimed = Claimed::default();
            let now = claim.now.timestamp_micros();
            if let Some((run, reason)) = &claim.missed {
                claimed.missed = unless_recorded(insert_run_at(transaction, run, now, false))?;
                if let Some(number) = claimed.missed {
                    end_unstarted(transaction, number, ResultState::Missed, reason)?;
                }
            }
            for run in &claim.runs {
                claimed.runs.push(unless_recorded(insert_run_at(transaction, run, now, false))?);
            }
            move_on(transaction, &claim)?;
            Ok(Some(claimed))
        })
        .await
    }

    /// The runs that were due by themselves and whose process died or left them, each with how often it died, oldest first.
    ///
    /// # Errors
    /// As [`History::open`].
    pub async fn interrupted_runs(&self) -> Result<Vec<(RunRecord, u32)>> {
        self.blocking(|inner| {
            inner.mark_interrupted().and_then(|()| select_interrupted(&inner.connection)).map_err(explained(READ))
        })
        .await
    }

    /// Ends an interrupted run that nobody is to go on with by itself.
    ///
    /// # Errors
    /// As [`History::open`].
    pub async fn give_up(&self, run: i64, reason: String) -> Result<()> {
        self.change("record the end of a run", move |transaction| {
            let sql = "UPDATE runs SET state = ?2, ended_at = ?3, error_kind = ?4, error_message = ?5
                WHERE number = ?1 AND state = ?6";
            let (failed, interrupted) = (ResultState::Failed.name(), ResultState::Interrupted.name());
            let kind = stage::Kind::Unavailable.name();
            transaction.execute(sql, params![run, failed, super::now(), kind, reason, interrupted]).map(|_| ())
        })
        .await
    }
}

fn move_on(transaction: &Transaction<'_>, claim: &Claim) -> rusqlite::Result<()> {
    let sql = "INSERT INTO schedules (workflow, trigger, last_due_at, state) VALUES (?1, ?2, ?3, ?4)
        ON CONFLICT (workflow) DO UPDATE SET trigger = ?2, last_due_at = ?3, state = coalesce(?4, state)";
    let last_due_at = claim.last_due_at.timestamp_micros();
    transaction.execute(sql, params![claim.workflow, claim.trigger, last_due_at, claim.state]).map(|_| ())
}
