//! How users write a workflow: `workflows/*.json`.
//!
//! The names are those of Databricks Jobs JSON where it has one. A spec is dumb: it only says what was written.
//! [`crate::check`] turns it into a [`crate::Workflow`], which can be trusted.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use stage::{Layer, Problem};

use crate::nearest::nearest;

/// A workflow: tasks, the order between them, and how they are retried.
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
    /// Words to find the workflow by; they change nothing.
    #[serde(default)]
    pub tags: BTreeMap<String, String>,
}

/// One task of a workflow. It has exactly one body: `bronze_task`, `silver_task`, `gold_task`, `quality_task` or
/// `pipeline_task`.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("oneOf" = [
    {"required": ["bronze_task"]},
    {"required": ["silver_task"]},
    {"required": ["gold_task"]},
    {"required": ["quality_task"]},
    {"required": ["pipeline_task"]},
]))]
pub struct TaskSpec {
    /// The name of the task, unique in the workflow.
    pub task_key: String,
    /// The tasks that must have succeeded before this one starts.
    #[serde(default)]
    pub depends_on: Vec<DependencySpec>,
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
    /// Brings a pipeline, or one layer of it, up to date.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pipeline_task: Option<PipelineTaskSpec>,
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
}

/// A task that must have succeeded before.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DependencySpec {
    /// The name of that task.
    pub task_key: String,
}

/// A body that works on one table.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TableTaskSpec {
    /// The table, `pipeline.layer.table`.
    pub table: String,
}

/// A body that works on a whole pipeline or on one layer of it.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PipelineTaskSpec {
    /// The pipeline.
    pub pipeline: String,
    /// Only the tables of this layer; all layers in order when it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub layer: Option<LayerSpec>,
    /// Rebuild the tables from all of their upstream.
    #[serde(default)]
    pub full_refresh: bool,
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

/// A value that a run can be given.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ParameterSpec {
    /// The name: letters, digits, `_`, `.` and `-`.
    pub name: String,
    /// The value when a run is given none.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_out_has_the_defaults_of_jobs_json() {
        let spec = parse(r#"{"name": "shop", "tasks": [{"task_key": "a", "gold_task": {"table": "shop.gold.kpi"}}]}"#);
        let task = &spec.unwrap().tasks[0];
        assert_eq!((task.max_retries, task.min_retry_interval_millis, task.timeout_seconds), (0, 0, 0));
        assert!(!task.retry_on_timeout);
    }

    #[test]
    fn an_unknown_field_is_refused_with_its_place_and_the_nearest_name() {
        let text = r#"{"name": "shop", "tasks": [{"task_key": "a", "max_retrys": 1}]}"#;
        let problem = parse(text).unwrap_err();
        assert_eq!(problem.at, "tasks/0/max_retrys");
        assert!(problem.message.contains("did you mean `max_retries`?"), "{}", problem.message);
    }

    #[test]
    fn an_unknown_layer_is_refused_with_the_choices() {
        let text = r#"{"name": "shop", "tasks": [{"task_key": "a", "pipeline_task": {"pipeline": "shop", "layer": "silvr"}}]}"#;
        let problem = parse(text).unwrap_err();
        assert_eq!(problem.at, "tasks/0/pipeline_task/layer");
        assert!(problem.message.contains("did you mean `silver`?"), "{}", problem.message);
    }

    #[test]
    fn the_json_schema_allows_one_body_and_no_unknown_fields() {
        let schema = serde_json::to_value(schemars::schema_for!(WorkflowSpec)).unwrap();
        let task = &schema["$defs"]["TaskSpec"];
        assert_eq!(task["oneOf"].as_array().map(Vec::len), Some(5));
        assert_eq!(task["additionalProperties"], false);
        assert_eq!(task["required"], serde_json::json!(["task_key"]));
        assert_eq!(task["properties"]["max_retries"]["minimum"], -1);
    }

    #[test]
    fn text_after_the_workflow_is_refused() {
        assert!(parse(r#"{"name": "a", "tasks": []} x"#).is_err());
    }

    #[test]
    fn a_spec_survives_writing_and_reading() {
        let spec = WorkflowSpec {
            name: "shop".into(),
            tasks: vec![TaskSpec {
                task_key: "a".into(),
                depends_on: vec![DependencySpec { task_key: "b".into() }],
                pipeline_task: Some(PipelineTaskSpec {
                    pipeline: "shop".into(),
                    layer: Some(LayerSpec::Silver),
                    full_refresh: true,
                }),
                max_retries: -1,
                ..TaskSpec::default()
            }],
            max_parallel_tasks: Some(2),
            parameters: vec![ParameterSpec { name: "day".into(), default: "today".into() }],
            ..WorkflowSpec::default()
        };
        assert_eq!(parse(&serde_json::to_string(&spec).unwrap()).unwrap(), spec);
    }
}
