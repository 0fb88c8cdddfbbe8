//! Who is told of what, and which figures are watched.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Addresses that get mail, by what happened.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MailSpec {
    /// It started.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub on_start: Vec<String>,
    /// It succeeded.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub on_success: Vec<String>,
    /// It failed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub on_failure: Vec<String>,
    /// It takes longer than its health rule says.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub on_duration_warning_threshold_exceeded: Vec<String>,
    /// A source is further behind than its health rule says.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub on_streaming_backlog_exceeded: Vec<String>,
    /// The older place of the field of this name in `notification_settings`.
    #[serde(default)]
    pub no_alert_for_skipped_runs: bool,
}

/// Webhooks that are called, by what happened; at most three each.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WebhooksSpec {
    /// It started.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub on_start: Vec<WebhookSpec>,
    /// It succeeded.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub on_success: Vec<WebhookSpec>,
    /// It failed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub on_failure: Vec<WebhookSpec>,
    /// It takes longer than its health rule says.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub on_duration_warning_threshold_exceeded: Vec<WebhookSpec>,
    /// A source is further behind than its health rule says.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub on_streaming_backlog_exceeded: Vec<WebhookSpec>,
}

/// A webhook.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WebhookSpec {
    /// Its name in `[notifications.webhooks]` of medallion.toml.
    pub id: String,
}

/// Which runs nobody is told of.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NotificationSettingsSpec {
    /// Those that were skipped.
    #[serde(default)]
    pub no_alert_for_skipped_runs: bool,
    /// Those that were cancelled.
    #[serde(default)]
    pub no_alert_for_canceled_runs: bool,
}

/// Which ends of a task nobody is told of.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TaskNotificationSettingsSpec {
    /// Those that were skipped.
    #[serde(default)]
    pub no_alert_for_skipped_runs: bool,
    /// Those that were cancelled.
    #[serde(default)]
    pub no_alert_for_canceled_runs: bool,
    /// Those of an attempt that is followed by another; of starts only the first is told.
    #[serde(default)]
    pub alert_on_last_attempt: bool,
}

/// Figures that are watched.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HealthSpec {
    /// Each figure with its limit.
    pub rules: Vec<HealthRuleSpec>,
}

/// A figure and its limit.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HealthRuleSpec {
    /// The figure.
    pub metric: Metric,
    /// How it is compared.
    pub op: MetricOperator,
    /// The limit.
    #[schemars(range(min = 0))]
    pub value: i64,
}

/// A figure of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Metric {
    /// How long it has been going.
    RunDurationSeconds,
    /// Bytes that wait in sources.
    StreamingBacklogBytes,
    /// Rows that wait in sources.
    StreamingBacklogRecords,
    /// The age of the oldest row that waits.
    StreamingBacklogSeconds,
    /// Files that wait in sources.
    StreamingBacklogFiles,
}

/// How a figure is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum MetricOperator {
    /// Warns above the limit.
    GreaterThan,
}
