//! What is read of a workflow, and how mistakes in its shape are told.

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
    let text =
        r#"{"name": "shop", "tasks": [{"task_key": "a", "pipeline_task": {"pipeline": "shop", "layer": "silvr"}}]}"#;
    let problem = parse(text).unwrap_err();
    assert_eq!(problem.at, "tasks/0/pipeline_task/layer");
    assert!(problem.message.contains("did you mean `silver`?"), "{}", problem.message);
}

#[test]
fn the_json_schema_allows_one_body_and_no_unknown_fields() {
    let schema = serde_json::to_value(schemars::schema_for!(WorkflowSpec)).unwrap();
    let task = &schema["$defs"]["TaskSpec"];
    assert_eq!(task["oneOf"].as_array().map(Vec::len), Some(12));
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
            depends_on: vec![DependencySpec { task_key: "b".into(), outcome: Some(OutcomeSpec::False) }],
            pipeline_task: Some(PipelineTaskSpec {
                pipeline: Some("shop".into()),
                layer: Some(LayerSpec::Silver),
                full_refresh: true,
                ..PipelineTaskSpec::default()
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
