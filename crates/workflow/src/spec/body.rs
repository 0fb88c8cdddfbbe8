//! What a task can be told to do.
//!
//! Texts of a body may hold references such as `{{job.parameters.day}}`; they are filled in when the task starts.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use stage::Layer;

use super::task::TaskSpec;
use crate::condition::Operator;

/// A body that works on one table.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TableTaskSpec {
    /// The table, `pipeline.layer.table`.
    pub table: String,
}

/// A body that deletes files of a table which no version within the retention needs any more.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct VacuumTaskSpec {
    /// The table, `pipeline.layer.table`.
    pub table: String,
    /// How long files stay, such as `7d`; by default the retention of `[maintenance]` in medallion.toml.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retain: Option<String>,
}

/// A body that works on a whole pipeline or on a part of it.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PipelineTaskSpec {
    /// The pipeline.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pipeline: Option<String>,
    /// The same under the name that it has in Jobs JSON.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pipeline_id: Option<String>,
    /// Only the tables of this layer; all layers in order when it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub layer: Option<LayerSpec>,
    /// Rebuild the tables from all of their upstream.
    #[serde(default)]
    pub full_refresh: bool,
    /// Only these tables, `layer.table`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub refresh_selection: Vec<String>,
    /// Only these tables, rebuilt from all of their upstream.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub full_refresh_selection: Vec<String>,
}

/// A layer of a pipeline.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum LayerSpec {
    /// Rows as they landed.
    Bronze,
    /// Cleaned and enriched rows.
    Silver,
    /// Aggregates people read.
    Gold,
}

impl From<LayerSpec> for Layer {
    fn from(layer: LayerSpec) -> Layer {
        match layer {
            LayerSpec::Bronze => Layer::Bronze,
            LayerSpec::Silver => Layer::Silver,
            LayerSpec::Gold => Layer::Gold,
        }
    }
}

/// A body that asks the lake a question. Its rows are the task's output, and the columns of the first one its values.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SqlTaskSpec {
    /// Where the query stands.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<SqlFileSpec>,
    /// Values for `:name` in the query.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub parameters: BTreeMap<String, String>,
}

/// A file with one SELECT.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SqlFileSpec {
    /// The file, relative to the project's folder.
    pub path: String,
}

/// A body that runs a program. A line `{"values": {..}}` on its standard output publishes values.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ShellTaskSpec {
    /// A program and its arguments as a list, or a text for `sh -c`. References may stand in the list only.
    pub command: CommandSpec,
    /// Environment variables, added to those of medallion. Their values may hold references and `${secret.scope.key}`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("additionalProperties" = {"type": "string", "x-may-be-secret": true}))]
    pub env: BTreeMap<String, String>,
    /// The folder the program starts in, relative to the project's folder; that folder itself when it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub working_folder: Option<String>,
}

/// What a shell task runs.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(untagged)]
pub enum CommandSpec {
    /// A text for `sh -c`.
    Text(String),
    /// A program and its arguments.
    List(Vec<String>),
}

impl Default for CommandSpec {
    fn default() -> Self {
        CommandSpec::List(Vec::new())
    }
}

/// A body that compares two texts or numbers. Tasks after it can wait for one of its outcomes.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ConditionTaskSpec {
    /// How they are compared: the first two as texts, the others as numbers.
    pub op: Operator,
    /// The left side.
    pub left: String,
    /// The right side.
    pub right: String,
}

/// A body that runs a task once for each item of a list.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ForEachTaskSpec {
    /// The items, a JSON array as text or a reference to one.
    pub inputs: String,
    /// The task; `{{input}}` in it is the item, `{{input.field}}` a field of it.
    pub task: Box<TaskSpec>,
    /// How many items run at the same time, 1 to 100; 1 when it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub concurrency: Option<i64>,
}

/// A body that runs another workflow and waits for it.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RunJobTaskSpec {
    /// The name of the workflow. Numbers of a workspace mean nothing here.
    pub job_id: JobIdSpec,
    /// Parameters of its run.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub job_parameters: BTreeMap<String, String>,
}

/// How a workflow is named.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(untagged)]
pub enum JobIdSpec {
    /// By its name.
    Name(String),
    /// By a number of a workspace; refused.
    Number(i64),
}

impl Default for JobIdSpec {
    fn default() -> Self {
        JobIdSpec::Name(String::new())
    }
}
