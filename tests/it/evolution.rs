//! How a bronze table meets data that its schema does not describe.

use crate::place::Place;
use crate::project::Project;

fn project(evolution: &str) -> Project {
    Project::new(Place::Folder).with(
        "pipelines/p/bronze/t.toml",
        &format!(
            "[source.files]\npath = \"${{var.landing}}\"\nformat = \"ndjson\"\n\
             [schema]\nid = \"long\"\ninfo = {{ a = \"string\" }}\n[evolution]\n{evolution}\n"
        ),
    )
}

/// A first batch of plain rows, then one with a new column and a new field.
fn grown(evolution: &str) -> Project {
    let project = project(evolution);
    project.land("1.json", "{\"id\":1,\"info\":{\"a\":\"x\"}}\n");
    project.succeed(&["bronze", "bronze.t"]);
    project.land(
        "2.json",
        "{\"id\":2,\"info\":{\"a\":\"y\"}}\n{\"id\":3,\"info\":{\"a\":\"z\",\"b\":true},\"later\":\"text\"}\n",
    );
    project
}

fn columns(project: &Project) -> String {
    let shown: serde_json::Value =
        serde_json::from_str(&project.succeed(&["show", "bronze.t", "--output", "json"]).out).unwrap();
    let columns = shown["columns"].as_array().unwrap();
    let names: Vec<&str> = columns.iter().map(|column| column["name"].as_str().unwrap()).collect();
    names.into_iter().filter(|name| !name.starts_with('_')).collect::<Vec<_>>().join(" ")
}

#[test]
fn a_new_column_and_a_new_field_become_columns_in_the_same_commit() {
    let project = grown("new_columns = \"add\"");
    project.succeed(&["bronze", "bronze.t"]);
    assert_eq!(columns(&project), "id info later");
    assert_eq!(
        project.lines("SELECT id, info, later, _rescued_data FROM p.bronze.t ORDER BY id"),
        "{\"id\":1,\"info\":{\"a\":\"x\"}}\n{\"id\":2,\"info\":{\"a\":\"y\"}}\n\
         {\"id\":3,\"info\":{\"a\":\"z\",\"b\":true},\"later\":\"text\"}\n"
    );
    assert_eq!(project.versions()["p.bronze.t"], 2);
}

#[test]
fn new_columns_can_be_rescued() {
    let project = grown("new_columns = \"rescue\"");
    project.succeed(&["bronze", "bronze.t"]);
    assert_eq!(columns(&project), "id info");
    let rescued = project.query("SELECT _rescued_data FROM p.bronze.t WHERE id = 3");
    let rescued: serde_json::Value = serde_json::from_str(rescued[0]["_rescued_data"].as_str().unwrap()).unwrap();
    assert_eq!(rescued, serde_json::json!({ "later": "text", "info.b": true }));
    assert_eq!(project.number("SELECT COUNT(_rescued_data) AS n FROM p.bronze.t"), 1);
}

#[test]
fn new_columns_can_be_left_out() {
    let project = grown("new_columns = \"ignore\"");
    project.succeed(&["bronze", "bronze.t"]);
    assert_eq!(columns(&project), "id info");
    assert_eq!(project.number("SELECT COUNT(*) - COUNT(_rescued_data) AS n FROM p.bronze.t"), 3);
}

#[test]
fn new_columns_can_be_refused_and_the_table_stays_as_it_was() {
    let project = grown("new_columns = \"fail\"");
    let ended = project.fail(&["bronze", "bronze.t"], 1, "2.json");
    assert!(ended.err.contains("later") || ended.err.contains("info.b"), "{}", ended.err);
    assert_eq!((project.count("p.bronze.t"), project.versions()["p.bronze.t"]), (1, 1));
}

#[test]
fn a_line_that_does_not_parse_is_in_quarantine_with_file_and_line() {
    let project = project("");
    project.land("a.json", "{\"id\":1}\n\n{\"id\":2,\n{\"id\":3}\nnot json\n");
    project.succeed(&["bronze", "bronze.t"]);
    assert_eq!(
        project.lines("SELECT id, _position FROM p.bronze.t ORDER BY id"),
        "{\"id\":1,\"_position\":1}\n{\"id\":3,\"_position\":4}\n"
    );
    let aside = project.query("SELECT row, reasons, source, position FROM p.quarantine.bronze_t ORDER BY position");
    assert_eq!(aside.len(), 2);
    assert_eq!((&aside[0]["row"], &aside[0]["position"]), (&"{\"id\":2,".into(), &3.into()));
    assert_eq!((&aside[1]["row"], &aside[1]["position"]), (&"not json".into(), &5.into()));
    assert!(aside[0]["source"].as_str().unwrap().ends_with("a.json"), "{aside:?}");
    assert!(aside[0]["reasons"][0].as_str().unwrap().starts_with("parse: "), "{aside:?}");
}

#[test]
fn a_value_of_another_type_is_rescued() {
    let project = project("mismatch = \"rescue\"");
    project.land("a.json", "{\"id\":\"many\",\"info\":{\"a\":\"x\"}}\n{\"id\":2}\n");
    project.succeed(&["bronze", "bronze.t"]);
    assert_eq!(
        project.lines("SELECT id, info, _rescued_data FROM p.bronze.t ORDER BY _position"),
        "{\"info\":{\"a\":\"x\"},\"_rescued_data\":\"{\\\"id\\\":\\\"many\\\"}\"}\n{\"id\":2}\n"
    );
}

#[test]
fn a_row_with_a_value_of_another_type_can_go_to_quarantine() {
    let project = project("mismatch = \"quarantine\"");
    project.land("a.json", "{\"id\":\"many\"}\n{\"id\":2}\n");
    project.succeed(&["bronze", "bronze.t"]);
    assert_eq!(project.lines("SELECT id FROM p.bronze.t"), "{\"id\":2}\n");
    let aside = project.query("SELECT row, position FROM p.quarantine.bronze_t");
    assert_eq!((aside.len(), &aside[0]["position"]), (1, &1.into()));
    assert!(aside[0]["row"].as_str().unwrap().contains("many"), "{aside:?}");
}

#[test]
fn a_value_of_another_type_can_refuse_the_batch() {
    let project = project("mismatch = \"fail\"");
    project.land("a.json", "{\"id\":2}\n{\"id\":\"many\"}\n");
    project.fail(&["bronze", "bronze.t"], 1, "a.json");
    assert_eq!(project.versions().get("p.bronze.t"), None);
}

#[test]
fn parts_of_the_path_become_columns() {
    let project = project("");
    project.land("year=2024/month=01/a.json", "{\"id\":1}\n");
    project.land("year=2024/month=02/a.json", "{\"id\":2}\n");
    project.succeed(&["bronze", "bronze.t"]);
    assert_eq!(
        project.lines("SELECT id, year, month FROM p.bronze.t ORDER BY id"),
        "{\"id\":1,\"year\":\"2024\",\"month\":\"01\"}\n{\"id\":2,\"year\":\"2024\",\"month\":\"02\"}\n"
    );
}
