//! `medallion optimize` and `medallion vacuum`: fewer files, the same rows, and nothing is read twice.

use crate::place::Place;
use crate::project::Project;
use crate::shop;

const BATCHES: i64 = 8;

/// Lands and runs that many small batches.
fn run_batches(project: &Project, numbers: std::ops::Range<i64>) {
    for number in numbers {
        project.land(&format!("orders/{number}.json"), shop::orders(number * 10..number * 10 + 10));
        project.succeed(&["run", "shop"]);
    }
}

fn number(project: &Project, arguments: &[&str], key: &str) -> i64 {
    let ended = project.succeed(&[arguments, &["--output", "json"]].concat());
    let told: serde_json::Value = serde_json::from_str(&ended.out).unwrap();
    match &told[key] {
        serde_json::Value::Array(files) => files.len() as i64,
        other => other.as_i64().unwrap(),
    }
}

fn check_small_files(place: Place) {
    let project = shop::project(place);
    run_batches(&project, 0..BATCHES);
    let tables = ["shop.bronze.orders", "shop.silver.orders"];
    let rows = tables.map(|table| project.all_rows(table));
    for table in tables {
        assert_eq!(number(&project, &["optimize", table], "files_removed"), BATCHES, "{table}");
        assert_eq!(number(&project, &["optimize", table], "files_removed"), 0, "{table}");
    }
    assert_eq!(tables.map(|table| project.all_rows(table)), rows);

    let versions = project.versions();
    project.succeed(&["bronze", "shop.bronze.orders", "--output", "json"]);
    project.succeed(&["silver", "shop.silver.orders", "--output", "json"]);
    let afterwards = project.versions();
    for table in tables {
        assert_eq!(afterwards[table], versions[table], "{table} read something anew");
    }

    for table in tables {
        assert_eq!(number(&project, &["vacuum", table], "files"), 0, "{table}");
        project.fail(&["vacuum", table, "--retain", "0s"], 2, "--retain is less than the retention of 7d");
        let forced = ["vacuum", table, "--retain", "0s", "--force"];
        // Bronze keeps the files of its last version: silver has read it, and stands at the version after it.
        let listed = number(&project, &[&forced[..], &["--dry-run"]].concat(), "files");
        assert_eq!(listed, BATCHES, "{table}");
        assert_eq!(number(&project, &forced, "files"), listed, "{table}");
        assert_eq!(number(&project, &forced, "files"), 0, "{table}");
    }
    assert_eq!(tables.map(|table| project.all_rows(table)), rows);

    run_batches(&project, BATCHES..BATCHES + 2);
    for table in tables {
        assert_eq!(project.count(table), (BATCHES + 2) * 10, "{table}");
    }
    assert_eq!(project.number("SELECT CAST(SUM(orders) AS BIGINT) AS n FROM shop.gold.spent"), (BATCHES + 2) * 10);
}

#[test]
fn small_files_become_few_and_old_ones_go_in_a_folder() {
    check_small_files(Place::Folder);
}

#[test]
fn small_files_become_few_and_old_ones_go_on_s3() {
    check_small_files(Place::S3);
}

#[test]
fn a_table_that_is_not_there_cannot_be_looked_after() {
    let project = shop::project(Place::Folder);
    project.fail(&["optimize", "silver.orders"], 1, "shop.silver.orders does not exist yet");
    project.fail(&["vacuum", "silver.orders"], 1, "shop.silver.orders does not exist yet");
}

#[test]
fn settings_of_maintenance_are_checked() {
    let project = shop::project(Place::Folder);
    let settings = std::fs::read_to_string(project.path("medallion.toml")).unwrap();
    project.write("medallion.toml", &format!("{settings}[maintenance]\nretention = \"soon\"\n"));
    let ended = project.run(&["check"]);
    assert!(ended.code == 2 && ended.out.contains("`soon` is not a time span"), "{ended:#?}");
}
