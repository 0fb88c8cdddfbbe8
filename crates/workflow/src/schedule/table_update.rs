//! A run when tables have been committed to.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::decision::{Cause, Decision};
use super::pace::{Pace, no_later};

/// The most tables of one trigger; that of Databricks.
pub const MOST_TABLES: usize = 10;

/// How many of the tables must have been updated.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum TableUpdateCondition {
    /// One of them.
    #[default]
    AnyUpdated,
    /// Each of them, since it last fired.
    AllUpdated,
}

/// Watches the versions of tables.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableUpdate {
    table_names: Vec<String>,
    condition: TableUpdateCondition,
    pace: Pace,
}

/// What is remembered between observations; new when it was never observed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TableUpdateState {
    /// By table, the version that no run is to start for any more; none when it did not exist.
    known: BTreeMap<String, Option<i64>>,
    /// By table, the version that was last seen.
    seen: BTreeMap<String, Option<i64>>,
    /// When a change was last seen.
    last_change: Option<DateTime<Utc>>,
    last_fired: Option<DateTime<Utc>>,
}

impl TableUpdate {
    /// Watches those tables.
    ///
    /// # Errors
    /// With a message for its writer when there is none, more than [`MOST_TABLES`], or one twice.
    pub fn new(table_names: Vec<String>, condition: TableUpdateCondition, pace: Pace) -> Result<TableUpdate, String> {
        if table_names.is_empty() || table_names.len() > MOST_TABLES {
            return Err(format!("table_names: found {} tables, expected 1 to {MOST_TABLES}", table_names.len()));
        }
        let twice = table_names.iter().enumerate().find(|(place, name)| table_names[..*place].contains(name));
        match twice {
            Some((_, name)) => Err(format!("table_names: found `{name}` twice, expected it once")),
            None => Ok(TableUpdate { table_names, condition, pace }),
        }
    }

    /// The tables, as they were written.
    pub fn table_names(&self) -> &[String] {
        &self.table_names
    }

    /// Takes note of the versions that the tables have at `now`, without those that do not exist, and decides.
    ///
    /// The first observation of a table starts nothing. After it every other version is an update, the first one of a
    /// table that did not exist and the lower one of a table that was made anew included; that a table is gone is none.
    pub fn observe(
        &self,
        state: &mut TableUpdateState,
        now: DateTime<Utc>,
        versions: &BTreeMap<String, i64>,
    ) -> Decision {
        no_later(&mut state.last_fired, now);
        no_later(&mut state.last_change, now);
        let seen: BTreeMap<String, Option<i64>> =
            self.table_names.iter().map(|name| (name.clone(), versions.get(name).copied())).collect();
        state.known.retain(|name, _| self.table_names.contains(name));
        for (name, version) in &seen {
            state.known.entry(name.clone()).or_insert(*version);
        }
        let is_updated = |name: &&String| seen[*name].is_some() && seen[*name] != state.known[*name];
        let updated: Vec<String> = self.table_names.iter().filter(is_updated).cloned().collect();
        let enough = match self.condition {
            TableUpdateCondition::AnyUpdated => !updated.is_empty(),
            TableUpdateCondition::AllUpdated => updated.len() == self.table_names.len(),
        };
        let last_change = state.last_change.filter(|_| seen == state.seen).unwrap_or(now);
        state.last_change = Some(last_change);
        state.seen = seen;
        if !enough {
            return Decision::Wait { until: None };
        }
        let ready_at = self.pace.ready_at(state.last_fired, last_change);
        if now < ready_at {
            return Decision::Wait { until: Some(ready_at) };
        }
        state.last_fired = Some(now);
        for name in &updated {
            state.known.insert(name.clone(), state.seen[name]);
        }
        Decision::Fire(Cause::TableUpdate { tables: updated })
    }
}
