//! A task as it is written.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::body::{
    CommandSpec, ConditionTaskSpec, ForEachTaskSpec, PipelineTaskSpec, RunJobTaskSpec, ShellTaskSpec, SqlTaskSpec,
    TableTaskSpec, VacuumTaskSpec,
};
use super::notification::{HealthSpec, MailSpec, TaskNotificationSettingsSpec, WebhooksSpec};
use crate::run_if::RunIf;

/// One task of a workflow. It has exactly one body, a field that ends in `_task`.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("oneOf" = [
    {"required": ["bronze_task"]},
    {"required": ["silver_task"]},
    {"required": ["gold_task"]},
    {"required": ["quality_task"]},
    {"required": ["optimize_task"]},
    {"required": ["vacuum_task"]},
    {"required": ["pipeline_task"]},
    {"required": ["sql_task"]},
    {"required": ["shell_task"]},
    {"required": ["condition_task"]},
    {"required": ["for_each_task"]},
    {"required": ["run_job_task"]},
]))]
pub struct TaskSpec {
    /// The name of the task, unique in the workflow.
    pub task_key: String,
    /// The tasks that end before this one starts.
    #[serde(default)]
    pub depends_on: Vec<DependencySpec>,
    /// How they must have ended; `ALL_SUCCESS` when it is left out.
    #[serde(default)]
    pub run_if: RunIf,
    /// Whether the task is left out of every run.
    #[serde(default)]
    pub disabled: bool,
    /// What the task is for, in a sentence.
    #[serde(default)]
    pub description: String,
    /// Brings a bronze table up to date.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bronze_task: Option<TableTaskSpec>,
    /// Brings a silver table up to date.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub silver_task: Option<TableTaskSpec>,
    /// Brings a gold table up to date.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gold_task: Option<TableTaskSpec>,
    /// Audits a table as it stands, in any layer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quality_task: Option<TableTaskSpec>,
    /// Writes the small files of a table together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub optimize_task: Option<TableTaskSpec>,
    /// Deletes files of a table that are no longer needed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vacuum_task: Option<VacuumTaskSpec>,
    /// Brings a pipeline, or a part of it, up to date.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pipeline_task: Option<PipelineTaskSpec>,
    /// Asks the lake a question.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sql_task: Option<SqlTaskSpec>,
    /// Runs a program.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shell_task: Option<ShellTaskSpec>,
    /// Compares two texts or numbers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub condition_task: Option<ConditionTaskSpec>,
    /// Runs a task once for each item of a list.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub for_each_task: Option<ForEachTaskSpec>,
    /// Runs another workflow.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run_job_task: Option<RunJobTaskSpec>,
    /// How often the task is tried again after a failure that may pass by itself; -1 is forever.
    #[serde(default)]
    #[schemars(range(min = -1))]
    pub max_retries: i64,
    /// The least milliseconds from the start of a failed attempt to the start of the next one.
    #[serde(default)]
    #[schemars(range(min = 0))]
    pub min_retry_interval_millis: i64,
    /// Whether an attempt that ran out of time is tried again too.
    #[serde(default)]
    pub retry_on_timeout: bool,
    /// Seconds after which one attempt is stopped; 0 is no limit.
    #[serde(default)]
    #[schemars(range(min = 0))]
    pub timeout_seconds: i64,
    /// Figures that are watched while the task goes. They warn and never stop it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub health: Option<HealthSpec>,
    /// Addresses that get mail about this task.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email_notifications: Option<MailSpec>,
    /// Webhooks that are called about this task.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub webhook_notifications: Option<WebhooksSpec>,
    /// Which ends of this task nobody is told of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub notification_settings: Option<TaskNotificationSettingsSpec>,
}

/// A task that must have ended before.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DependencySpec {
    /// The name of that task.
    pub task_key: String,
    /// The outcome it must have; only for a condition task.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<OutcomeSpec>,
}

/// An outcome of a condition task.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum OutcomeSpec {
    /// The condition held.
    True,
    /// It did not.
    False,
}

impl TaskSpec {
    /// The texts of the body that references may stand in, of work for a workshop. The text of a shell command is not
    /// one: what is filled in there would be read as a command itself.
    pub(crate) fn texts_mut(&mut self) -> Vec<&mut String> {
        let mut texts = Vec::new();
        let tables = [
            &mut self.bronze_task,
            &mut self.silver_task,
            &mut self.gold_task,
            &mut self.quality_task,
            &mut self.optimize_task,
        ];
        texts.extend(tables.into_iter().flatten().map(|body| &mut body.table));
        if let Some(body) = &mut self.vacuum_task {
            texts.push(&mut body.table);
            texts.extend(&mut body.retain);
        }
        if let Some(body) = &mut self.pipeline_task {
            texts.extend(&mut body.pipeline);
            texts.extend(&mut body.pipeline_id);
            texts.extend(&mut body.refresh_selection);
            texts.extend(&mut body.full_refresh_selection);
        }
        if let Some(body) = &mut self.sql_task {
            texts.extend(body.parameters.values_mut());
        }
        if let Some(body) = &mut self.shell_task {
            if let CommandSpec::List(parts) = &mut body.command {
                texts.extend(parts);
            }
            texts.extend(body.env.values_mut());
            texts.extend(&mut body.working_folder);
        }
        texts
    }

    /// The body with its references, for people.
    pub(crate) fn body_in_words(&self) -> String {
        let mut spec = self.clone();
        let texts: Vec<String> = spec.texts_mut().into_iter().map(|text| text.clone()).collect();
        texts.join(" ")
    }
}
