//! How users write a workflow: `workflows/*.json`, in the settings object of Databricks Jobs.
//!
//! The names are those of Jobs JSON where it has one. A spec is dumb: it only says what was written. [`crate::check`] turns
//! it into a [`crate::Workflow`], which can be trusted.

mod body;
pub mod foreign;
mod notification;
mod start;
mod task;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use stage::Problem;

pub use body::{
    CommandSpec, ConditionTaskSpec, ForEachTaskSpec, JobIdSpec, LayerSpec, PipelineTaskSpec, RunJobTaskSpec,
    ShellTaskSpec, SqlFileSpec, SqlTaskSpec, TableTaskSpec, VacuumTaskSpec,
};
pub use notification::{
    HealthRuleSpec, HealthSpec, MailSpec, Metric, MetricOperator, NotificationSettingsSpec,
    TaskNotificationSettingsSpec, WebhookSpec, WebhooksSpec,
};
pub use start::{
    ContinuousSpec, FileArrivalSpec, PauseStatus, PeriodicSpec, QueueSpec, ScheduleSpec, TableUpdateSpec, TriggerSpec,
};
pub use task::{DependencySpec, OutcomeSpec, TaskSpec};

use crate::nearest::nearest;
use crate::schedule::CatchUp;

/// A workflow: tasks, the order between them, how they are retried, when the workflow starts and who is told.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WorkflowSpec {
    /// The name of the workflow; it stands in the run history and in every commit of its runs.
    pub name: String,
    /// What the workflow is for, in a sentence.
    #[serde(default)]
    pub description: String,
    /// The tasks, in any order; `depends_on` decides which runs first.
    pub tasks: Vec<TaskSpec>,
    /// The most tasks that run at the same time; 4 when it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub max_parallel_tasks: Option<i64>,
    /// Seconds after which the whole run is stopped; 0 is no limit.
    #[serde(default)]
    #[schemars(range(min = 0))]
    pub timeout_seconds: i64,
    /// Values a run can be given, with their defaults.
    #[serde(default)]
    pub parameters: Vec<ParameterSpec>,
    /// Starts the workflow at fixed times.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schedule: Option<ScheduleSpec>,
    /// Starts the workflow when something happened.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trigger: Option<TriggerSpec>,
    /// Keeps the workflow running: a run ends, the next one starts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub continuous: Option<ContinuousSpec>,
    /// What happens to times that passed while no scheduler was running; `latest` when it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub catch_up: Option<CatchUp>,
    /// The most runs of this workflow at the same time, 0 to 1000; 1 when it is left out. With 0 every new run is skipped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub max_concurrent_runs: Option<i64>,
    /// Whether a run waits for its turn when there are too many; on when it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queue: Option<QueueSpec>,
    /// Figures that are watched while a run goes. They warn and never stop it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub health: Option<HealthSpec>,
    /// Addresses that get mail.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email_notifications: Option<MailSpec>,
    /// Webhooks that are called.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub webhook_notifications: Option<WebhooksSpec>,
    /// Which runs nobody is told of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub notification_settings: Option<NotificationSettingsSpec>,
    /// Words to find the workflow by; they change nothing.
    #[serde(default)]
    pub tags: BTreeMap<String, String>,
}

/// A value that a run can be given.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ParameterSpec {
    /// The name: letters, digits, `_`, `.` and `-`.
    pub name: String,
    /// The value when a run is given none. It may hold references such as `{{job.start_time.iso_date}}`.
    pub default: String,
}

/// Reads a workflow as it was written, without checking what it says.
///
/// # Errors
/// The first place where the text is not JSON or does not have the shape of a [`WorkflowSpec`].
pub fn parse(text: &str) -> Result<WorkflowSpec, Problem> {
    let mut reader = serde_json::Deserializer::from_str(text);
    let spec = serde_path_to_error::deserialize(&mut reader).map_err(|error| {
        let at = place(error.path());
        Problem::new(at, in_users_words(&error.into_inner()))
    })?;
    reader.end().map_err(|error| Problem::new("", in_users_words(&error)))?;
    Ok(spec)
}

fn place(path: &serde_path_to_error::Path) -> String {
    use serde_path_to_error::Segment;
    let parts = path.iter().filter_map(|segment| match segment {
        Segment::Seq { index } => Some(index.to_string()),
        Segment::Map { key } => Some(key.clone()),
        Segment::Enum { variant } => Some(variant.clone()),
        Segment::Unknown => None,
    });
    parts.collect::<Vec<_>>().join("/")
}

/// The parser's message, with the nearest known name where a field or a choice is unknown.
fn in_users_words(error: &serde_json::Error) -> String {
    let text = error.to_string();
    if !text.starts_with("unknown field") && !text.starts_with("unknown variant") {
        return text;
    }
    let mut quoted = text.split('`').skip(1).step_by(2);
    let Some(unknown) = quoted.next() else { return text };
    match nearest(unknown, quoted) {
        Some(known) => format!("{text}; did you mean `{known}`?"),
        None => text,
    }
}
