//! Why a run takes place.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::reference::{TableUpdate, Trigger};
use crate::schedule::Missed;

/// Why a run takes place, as it is kept in the history.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cause {
    /// The sort of it.
    #[serde(rename = "type")]
    pub kind: CauseKind,
    /// When it was due, for runs of a schedule; no two runs of a workflow are due at the same time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub due_at: Option<DateTime<Utc>>,
    /// Where files arrived.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub location: Option<String>,
    /// The tables that were written, with the version and the time of their last commit.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub tables: BTreeMap<String, (u64, DateTime<Utc>)>,
    /// The times that a run stands for which does not take place, because nobody was there to start one for each.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub missed: Option<Missed>,
    /// The tasks that were asked for, when it was not all of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tasks: Vec<String>,
    /// The start of the interval it repeats, when it belongs to a backfill.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backfill: Option<DateTime<Utc>>,
    /// Whether tables were to be rebuilt from all of their upstream.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub full_refresh: bool,
    /// The event times that were to be processed again, from the first to before the second.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interval: Option<(DateTime<Utc>, DateTime<Utc>)>,
}

/// The sort of thing that starts a run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CauseKind {
    /// Somebody asked for it.
    #[default]
    Manual,
    /// A time of its schedule has come.
    Schedule,
    /// Enough time has passed since the last one.
    Periodic,
    /// Files have arrived.
    FileArrival,
    /// Tables have new versions.
    TableUpdate,
    /// The run before has ended.
    Continuous,
    /// A task of another workflow runs it.
    RunJob,
}

impl CauseKind {
    /// The name in words and in JSON.
    pub fn name(self) -> &'static str {
        match self {
            CauseKind::Manual => "manual",
            CauseKind::Schedule => "schedule",
            CauseKind::Periodic => "periodic",
            CauseKind::FileArrival => "file_arrival",
            CauseKind::TableUpdate => "table_update",
            CauseKind::Continuous => "continuous",
            CauseKind::RunJob => "run_job",
        }
    }

    /// The name that `{{job.trigger.type}}` has in Jobs JSON.
    fn trigger_name(self) -> &'static str {
        match self {
            CauseKind::Manual => "onetime",
            CauseKind::Schedule | CauseKind::Periodic => "periodic",
            CauseKind::FileArrival => "file_arrival",
            CauseKind::TableUpdate => "table_update",
            CauseKind::Continuous => "continuous",
            CauseKind::RunJob => "run_job_task",
        }
    }
}

impl Cause {
    /// A cause of that sort without anything else to say.
    pub fn new(kind: CauseKind) -> Cause {
        Cause { kind, ..Cause::default() }
    }

    /// What references see of it, for a run that was asked for at `asked_at`.
    pub(crate) fn trigger(&self, asked_at: DateTime<Utc>) -> Trigger {
        let update =
            |(version, committed): &(u64, DateTime<Utc>)| TableUpdate { version: *version, committed: *committed };
        let tables = self.tables.iter().map(|(name, table)| (name.clone(), update(table)));
        Trigger {
            name: self.kind.trigger_name().to_owned(),
            time: self.due_at.unwrap_or(asked_at),
            file_arrival_location: self.location.clone(),
            updated_tables: (self.kind == CauseKind::TableUpdate).then(|| tables.collect()),
        }
    }
}
