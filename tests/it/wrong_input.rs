//! Wrong input gets one clear line and the right exit code.

use crate::place::Place;
use crate::project::Project;
use crate::shop;

fn bronze(format: &str) -> Project {
    Project::new(Place::Folder).with(
        "pipelines/p/bronze/t.toml",
        &format!("[source.files]\npath = \"${{var.landing}}\"\nformat = \"{format}\"\n"),
    )
}

#[test]
fn a_missing_landing_folder_is_named_with_its_remedy() {
    let ended =
        bronze("ndjson").fail(&["bronze", "bronze.t"], 2, "does not exist; create it or change [source.files] path");
    assert!(ended.err.contains("/landing`"), "{}", ended.err);
}

#[test]
fn a_landing_folder_that_is_a_file_is_named() {
    bronze("ndjson").with("landing", "").fail(
        &["bronze", "bronze.t"],
        2,
        "is a file; [source.files] path must be a folder",
    );
}

#[test]
fn a_circle_of_links_in_the_landing_folder_is_told() {
    let project = bronze("ndjson");
    project.land("a.json", "{\"id\":1}\n");
    std::os::unix::fs::symlink("..", project.path("landing/again")).unwrap();
    project.fail(&["bronze", "bronze.t"], 2, "a link in the folder leads back to it; remove that link");
}

#[test]
fn a_corrupt_parquet_file_is_named_and_nothing_is_written() {
    let project = bronze("parquet");
    project.land("bad.parquet", "PAR1 this is no parquet file PAR1");
    let ended = project.fail(&["bronze", "bronze.t"], 1, "bad.parquet");
    assert!(!ended.err.contains("ParquetError"), "{}", ended.err);
    assert_eq!(project.versions().len(), 0);
}

#[test]
fn a_compressed_file_that_was_cut_off_is_named() {
    let project = bronze("ndjson");
    let whole = zstd::encode_all(shop::orders(1..2_000).as_bytes(), 3).unwrap();
    project.land("cut.json.zst", &whole[..whole.len() / 2]);
    project.fail(&["bronze", "bronze.t"], 1, "cut.json.zst");
    assert_eq!(project.versions().len(), 0);
}

#[test]
fn an_empty_file_is_read_and_not_read_again() {
    let project = bronze("ndjson");
    project.land("empty.json", "");
    project.land("one.json", "{\"id\":1}\n");
    project.succeed(&["bronze", "bronze.t"]);
    project.succeed(&["bronze", "bronze.t"]);
    assert_eq!((project.count("p.bronze.t"), project.versions()["p.bronze.t"]), (1, 1));
}

#[test]
fn an_unknown_column_in_the_sql_is_named_with_its_place() {
    let project = shop::project(Place::Folder)
        .with("pipelines/shop/silver/orders.sql", "SELECT id, customer, amount,\n  att\nFROM bronze.orders\n");
    project.land("orders/1.json", shop::orders(1..3));
    project.succeed(&["bronze", "bronze.orders"]);
    let ended = project.fail(&["silver", "silver.orders"], 2, "line 2, column 3");
    assert!(ended.err.contains("`att`") && ended.err.contains("`at`"), "{}", ended.err);
    let checked = project.run(&["check"]);
    assert!(checked.out.starts_with("pipelines/shop/silver/orders.sql:2:3: "), "{}", checked.out);
}

#[test]
fn a_wrong_type_in_a_spec_is_named_with_its_place() {
    let project = shop::project(Place::Folder)
        .with("pipelines/shop/bronze/orders.toml", &shop::BRONZE.replace("\"long\"", "\"lng\""));
    project.fail(&["bronze", "bronze.orders"], 2, "pipelines/shop/bronze/orders.toml:5:6: ");
}

#[test]
fn a_query_of_an_unknown_table_names_the_nearest() {
    let project = shop::project(Place::Folder);
    project.land("orders/1.json", shop::orders(1..3));
    project.succeed(&["run", "shop"]);
    project.fail(&["query", "SELECT * FROM shop.silver.ordrs"], 2, "nearest is `shop.silver.orders`");
    project.fail(&["query", "SELECT idd FROM shop.silver.orders"], 2, "`idd`");
    project.fail(&["query", "SELEC 1"], 2, "line 1");
    project.fail(&["query", "DELETE FROM shop.silver.orders"], 2, "");
    assert_eq!(project.count("shop.silver.orders"), 2);
}

#[test]
fn names_that_are_not_there_are_answered_with_the_nearest() {
    let project = shop::project(Place::Folder);
    project.fail(&["run", "shp"], 2, "nearest is `shop`");
    project.fail(&["silver", "shop.silver.ordrs"], 2, "nearest is `shop.silver.orders`");
    project.fail(&["silver", "shop.bronze.orders"], 2, "run `medallion bronze shop.bronze.orders`");
    project.fail(&["run", "shop", "--only", "al"], 2, "has no task `al`; did you mean `all`?");
    project.fail(&["runs", "show", "7"], 2, "there is no run 7");
}

#[test]
fn outside_a_project_every_command_says_so() {
    let project = Project::new(Place::Folder);
    let elsewhere = tempfile::tempdir().unwrap();
    for command in ["check", "show", "runs"] {
        let ended = project.run(&["--project", elsewhere.path().to_str().unwrap(), command]);
        ended.check_failed(2, "medallion.toml");
    }
}

#[test]
fn a_column_that_changes_its_type_in_csv_is_rescued_and_later_batches_go_on() {
    let project = bronze("csv");
    project.land("1.csv", "id,n\n1,5\n");
    project.succeed(&["bronze", "bronze.t"]);
    project.land("2.csv", "id,n\n2,five\n3,6\n");
    project.succeed(&["bronze", "bronze.t"]);
    assert_eq!(
        project.lines("SELECT id, n, _rescued_data FROM p.bronze.t ORDER BY id"),
        "{\"id\":1,\"n\":5}\n{\"id\":2,\"_rescued_data\":\"{\\\"n\\\":\\\"five\\\"}\"}\n{\"id\":3,\"n\":6}\n"
    );
}
