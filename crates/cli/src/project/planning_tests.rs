//! Whole projects, planned.

use std::collections::BTreeMap;
use std::time::Instant;

use super::tests::{SILVER, loaded, options, sound};

async fn planned(files: &BTreeMap<&'static str, String>) -> Vec<String> {
    let (_folder, project, found) = loaded(files, &options());
    assert_eq!(found, Vec::<String>::new());
    let findings = project.unwrap().check(&BTreeMap::new()).await.unwrap();
    findings.iter().map(ToString::to_string).collect()
}

async fn planned_with(file: &'static str, text: &str) -> Vec<String> {
    let mut files = sound();
    files.insert(file, text.to_owned());
    planned(&files).await
}

fn check_only(found: &[String], beginning: &str) {
    assert!(found.len() == 1 && found[0].starts_with(beginning), "{found:#?}");
}

#[tokio::test]
async fn a_sound_project_has_no_findings() {
    assert_eq!(planned(&sound()).await, Vec::<String>::new());
}

#[tokio::test]
async fn unknown_columns_are_found_in_sql_and_specs() {
    check_only(
        &planned_with(
            "pipelines/shop/gold/kpi.sql",
            "SELECT id,\n  SUM(amout) AS total\nFROM silver.orders GROUP BY id",
        )
        .await,
        "pipelines/shop/gold/kpi.sql:2:7: ",
    );
    check_only(
        &planned_with("pipelines/shop/gold/kpi.toml", "key = [\"id\", \"totl\"]\n").await,
        "pipelines/shop/gold/kpi.toml:1:14: there is no column `totl`; nearest is `total`",
    );
    check_only(
        &planned_with("pipelines/shop/silver/orders.toml", &SILVER.replace("{ at =", "{ att =")).await,
        "pipelines/shop/silver/orders.toml:3:10: ",
    );
    let expect = format!("{SILVER}[[expect]]\nname = \"x\"\nexpect = \"amunt > 0\"\n");
    check_only(
        &planned_with("pipelines/shop/silver/orders.toml", &expect).await,
        "pipelines/shop/silver/orders.toml:6:10: ",
    );
    let merge = format!("{SILVER}[write.merge]\nkeys = [\"idd\"]\nsequence_by = \"att\"\ndelete_when = \"id\"\n");
    let found = planned_with("pipelines/shop/silver/orders.toml", &merge).await;
    assert_eq!(found.len(), 3, "{found:#?}");
    assert!(found[0].starts_with("pipelines/shop/silver/orders.toml:5:9: there is no column `idd`; nearest is `id`"));
    assert!(found[1].starts_with("pipelines/shop/silver/orders.toml:6:15: there is no column `att`"), "{found:#?}");
    assert!(found[2].starts_with("pipelines/shop/silver/orders.toml:7:15: "), "{found:#?}");
}

#[tokio::test]
async fn the_columns_of_a_history_are_known_to_its_readers() {
    let mut files = sound();
    let scd2 = "[write.scd2]\nkeys = [\"id\"]\nsequence_by = \"at\"\n";
    files.insert("pipelines/shop/silver/orders.toml", format!("partition_by = [\"_is_current\"]\n{SILVER}{scd2}"));
    files.insert(
        "pipelines/shop/gold/kpi.sql",
        "SELECT id, SUM(amount) AS total FROM silver.orders WHERE _is_current AND _valid_from > at GROUP BY id".into(),
    );
    assert_eq!(planned(&files).await, Vec::<String>::new());
    let wrong = format!("{scd2}track = [\"amuont\"]\n");
    files.insert("pipelines/shop/silver/orders.toml", format!("{SILVER}{wrong}"));
    check_only(&planned(&files).await, "pipelines/shop/silver/orders.toml:7:10: there is no column `amuont`");
}

#[tokio::test]
async fn a_watermark_is_over_a_time_of_the_cleaned_rows() {
    let with = |column: &str| format!("watermark = {{ column = \"{column}\", delay = \"1h\" }}\n{SILVER}");
    let file = "pipelines/shop/silver/orders.toml";
    assert_eq!(planned_with(file, &with("at")).await, Vec::<String>::new());
    check_only(
        &planned_with(file, &with("att")).await,
        "pipelines/shop/silver/orders.toml:1:24: there is no column `att`; did you mean `at`?",
    );
    check_only(
        &planned_with(file, &with("id")).await,
        "pipelines/shop/silver/orders.toml:1:24: a watermark needs a timestamp or date, and `id` is long after [clean]",
    );
}

#[tokio::test]
async fn what_a_source_brings_beside_the_data_can_be_selected() {
    let mut files = sound();
    let (_, schema) = files["pipelines/shop/bronze/orders.toml"].split_once("[schema]").unwrap();
    let kafka = "[source.kafka]\nbrokers = \"b:9092\"\ntopics = [\"orders\"]\nformat = \"json\"\n";
    let orders = format!("{kafka}[schema]{schema}");
    files.insert("pipelines/shop/bronze/orders.toml", orders);
    let columns = "id, at, amount, _key, _headers, _timestamp, _position";
    files.insert("pipelines/shop/silver/orders.sql", format!("SELECT {columns} FROM bronze.orders"));
    assert_eq!(planned(&files).await, Vec::<String>::new());
}

#[tokio::test]
async fn a_column_that_may_still_land_is_to_be_declared() {
    let found =
        planned_with("pipelines/shop/silver/orders.sql", "SELECT id, at, amount, plan FROM bronze.orders").await;
    check_only(&found, "pipelines/shop/silver/orders.sql:1:24: ");
    assert!(found[0].ends_with("declare it in [schema] of pipelines/shop/bronze/orders.toml"), "{found:?}");
}

#[tokio::test]
async fn silver_sql_that_needs_other_rows_is_refused_unless_the_table_is_overwritten() {
    let mut files = sound();
    files.insert(
        "pipelines/shop/silver/orders.sql",
        "SELECT id, SUM(amount) AS amount FROM bronze.orders GROUP BY id".into(),
    );
    check_only(&planned(&files).await, "pipelines/shop/silver/orders.sql:1:1: ");
    files.insert("pipelines/shop/silver/orders.toml", format!("write = \"overwrite\"\n{SILVER}"));
    assert_eq!(planned(&files).await, Vec::<String>::new());
}

#[tokio::test]
async fn what_is_below_an_unknown_schema_is_only_parsed() {
    let mut files = sound();
    let bronze = files["pipelines/shop/bronze/orders.toml"].clone();
    let (source, _) = bronze.split_once("[schema]").unwrap();
    files.insert("pipelines/shop/bronze/orders.toml", source.to_owned());
    files.insert("pipelines/shop/gold/kpi.sql", "SELECT nothing FROM silver.orders".into());
    assert_eq!(planned(&files).await, Vec::<String>::new());
}

/// `cargo test -p cli --release -- --ignored demo` shows how long the project in this repository takes.
#[tokio::test]
#[ignore = "measures"]
async fn how_long_the_demo_project_takes() {
    let root = std::path::PathBuf::from(std::env::var_os("CARGO_MANIFEST_DIR").unwrap()).join("../..");
    for _ in 0..3 {
        let start = Instant::now();
        let (project, findings) = super::load(&root, &options());
        let loaded = start.elapsed();
        let planned = project.unwrap().check(&BTreeMap::new()).await.unwrap();
        println!("loaded in {loaded:?}, all in {:?}", start.elapsed());
        for finding in findings.iter().chain(&planned) {
            println!("{finding}");
        }
    }
}
