//! When a workflow starts by itself.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::schedule::{PeriodicUnit, TableUpdateCondition, TaskRetryMode};

/// Starts at fixed times.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ScheduleSpec {
    /// Seconds, minutes, hours, day of month, month, day of week, and if need be a year; one of the two days is `?`.
    pub quartz_cron_expression: String,
    /// The time zone, such as `Europe/Berlin`.
    pub timezone_id: String,
    /// Whether the schedule rests.
    #[serde(default)]
    pub pause_status: PauseStatus,
}

/// Whether a schedule rests.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum PauseStatus {
    /// It starts runs.
    #[default]
    Unpaused,
    /// It rests.
    Paused,
}

/// Starts when something happened: exactly one of `periodic`, `file_arrival` and `table_update`.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TriggerSpec {
    /// Whether the trigger rests.
    #[serde(default)]
    pub pause_status: PauseStatus,
    /// Time has passed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub periodic: Option<PeriodicSpec>,
    /// A file has arrived.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file_arrival: Option<FileArrivalSpec>,
    /// A table has a new version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub table_update: Option<TableUpdateSpec>,
}

/// Starts again and again.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PeriodicSpec {
    /// How many units lie between two starts.
    #[schemars(range(min = 1))]
    pub interval: i64,
    /// The unit.
    pub unit: PeriodicUnit,
}

/// Starts when new files lie in a folder.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FileArrivalSpec {
    /// A folder, relative to the project's, or `s3://bucket/prefix`; folders below it count.
    pub url: String,
    /// The least seconds between two starts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub min_time_between_triggers_seconds: Option<i64>,
    /// How many seconds no further file must have arrived.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub wait_after_last_change_seconds: Option<i64>,
}

/// Starts when tables have new versions.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TableUpdateSpec {
    /// The tables, `pipeline.layer.table`.
    pub table_names: Vec<String>,
    /// Whether one of them is enough; it is when this is left out.
    #[serde(default)]
    pub condition: TableUpdateCondition,
    /// The least seconds between two starts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub min_time_between_triggers_seconds: Option<i64>,
    /// How many seconds no further version must have come.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub wait_after_last_change_seconds: Option<i64>,
}

/// One run after another.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ContinuousSpec {
    /// Whether it rests.
    #[serde(default)]
    pub pause_status: PauseStatus,
    /// Whether tasks are tried again on their own; else only the run as a whole is.
    #[serde(default)]
    pub task_retry_mode: TaskRetryMode,
}

/// Whether runs wait for their turn.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct QueueSpec {
    /// On: a run that is one too many waits, at most two days. Off: it is skipped.
    pub enabled: bool,
}
