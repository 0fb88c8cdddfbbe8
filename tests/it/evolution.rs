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

/// The silver table `p.silver.t` over the bronze table, with this spec and query.
fn with_silver(project: &Project, spec: &str, sql: &str) {
    project.write("pipelines/p/silver/t.toml", &format!("from = \"bronze.t\"\n{spec}"));
    project.write("pipelines/p/silver/t.sql", &format!("SELECT {sql} FROM bronze.t\n"));
}

/// The newest action of a kind in the log of the silver table.
fn newest(project: &Project, kind: &str) -> serde_json::Value {
    let actions = project.log("p.silver.t").concat();
    actions.into_iter().rev().find_map(|action| action.get(kind).cloned()).unwrap()
}

#[test]
fn changed_partitions_are_refused_and_a_full_refresh_makes_them() {
    let project = grown("");
    with_silver(&project, "partition_by = [\"a\"]\n", "id, info['a'] AS a, id % 2 AS half");
    project.succeed(&["silver", "silver.t"]);
    let before = (project.log("p.silver.t"), project.all_rows("p.silver.t"));
    with_silver(&project, "partition_by = [\"half\"]\n", "id, info['a'] AS a, id % 2 AS half");
    project.succeed(&["bronze", "bronze.t"]);
    let ended = project.fail(&["silver", "silver.t"], 2, "p.silver.t is partitioned by [\"a\"]");
    assert!(ended.err.contains("rebuild the table with --full-refresh"), "{}", ended.err);
    assert_eq!((project.log("p.silver.t"), project.all_rows("p.silver.t")), before);

    project.succeed(&["silver", "silver.t", "--full-refresh"]);
    assert_eq!(newest(&project, "metaData")["partitionColumns"], serde_json::json!(["half"]));
    assert_eq!(
        project.lines("SELECT id, a, half FROM p.silver.t ORDER BY id"),
        "{\"id\":1,\"a\":\"x\",\"half\":1}\n{\"id\":2,\"a\":\"y\",\"half\":0}\n{\"id\":3,\"a\":\"z\",\"half\":1}\n"
    );
    project.land("3.json", "{\"id\":4,\"info\":{\"a\":\"x\"}}\n");
    project.succeed(&["bronze", "bronze.t"]);
    project.succeed(&["silver", "silver.t"]);
    let added = newest(&project, "add");
    assert_eq!((&added["partitionValues"], project.count("p.silver.t")), (&serde_json::json!({ "half": "0" }), 4));
}

#[test]
fn the_first_time_without_a_zone_raises_the_protocol_of_its_table() {
    let project = grown("");
    with_silver(&project, "", "id");
    project.succeed(&["silver", "silver.t"]);
    let plain = newest(&project, "protocol");
    assert_eq!((&plain["minReaderVersion"], &plain["minWriterVersion"]), (&1.into(), &2.into()), "{plain}");

    with_silver(&project, "", "id, CAST('2024-03-01T10:00:00' AS TIMESTAMP) AS noon");
    project.succeed(&["bronze", "bronze.t"]);
    project.succeed(&["silver", "silver.t"]);
    let raised = newest(&project, "protocol");
    assert_eq!((&raised["minReaderVersion"], &raised["minWriterVersion"]), (&3.into(), &7.into()), "{raised}");
    assert_eq!(raised["readerFeatures"], serde_json::json!(["timestampNtz"]));
    assert_eq!(raised["writerFeatures"], serde_json::json!(["appendOnly", "invariants", "timestampNtz"]));
    assert_eq!(project.number("SELECT COUNT(noon) AS n FROM p.silver.t"), 2);
    assert_eq!(project.count("p.silver.t"), 3);

    project.land("3.json", "{\"id\":4}\n");
    project.succeed(&["bronze", "bronze.t"]);
    project.succeed(&["silver", "silver.t"]);
    assert_eq!((newest(&project, "protocol"), project.count("p.silver.t")), (raised, 4));
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
