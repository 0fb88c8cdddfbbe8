//! How gold tables are brought up to date, and what is told of it.

use serde_json::Value;

use crate::place::Place;
use crate::project::{Project, files_below};
use crate::shop;

/// Customers need a set of values, which only kept groups can go on from.
const CUSTOMERS: &str = "SELECT CAST(at AS DATE) AS day, COUNT(DISTINCT customer) AS customers, AVG(amount) AS mean
FROM silver.orders GROUP BY CAST(at AS DATE) HAVING COUNT(*) > 0";
const DAILY: &str = "shop.gold.customers";

fn project(place: Place) -> Project {
    shop::project(place)
        .with("pipelines/shop/gold/customers.toml", "")
        .with("pipelines/shop/gold/customers.sql", CUSTOMERS)
}

fn come(project: &Project, ids: std::ops::RangeInclusive<i64>) {
    project.land(&format!("orders/{}.json", ids.start()), shop::orders(ids));
    project.succeed(&["bronze", "shop.bronze.orders"]);
    project.succeed(&["silver", "shop.silver.orders"]);
}

fn explained(project: &Project) -> Value {
    serde_json::from_str(&project.succeed(&["show", DAILY, "--explain", "--output", "json"]).out).unwrap()
}

/// Brings the table up to date, checks that it holds what its query gives, and returns how it was done.
fn refreshed(project: &Project) -> String {
    project.succeed(&["gold", DAILY]);
    let order = "ORDER BY day";
    let stored = project.lines(&format!("SELECT * FROM {DAILY} {order}"));
    assert_eq!(stored, project.lines(&format!("{} {order}", CUSTOMERS.replace("silver.", "shop.silver."))));
    explained(project)["last"]["action"].as_str().unwrap().to_owned()
}

fn check_refreshes(place: Place) {
    let project = project(place);
    come(&project, 1..=5);
    assert_eq!(refreshed(&project), "refresh");
    come(&project, 6..=9);
    let next = explained(&project)["next"].clone();
    assert_eq!(next["considered"][0]["technique"], "kept_groups", "{next}");
    assert_eq!(next["rows_changed"], 4);
    assert_eq!(refreshed(&project), "kept_groups");
    assert_eq!(explained(&project)["next"], Value::Null);
}

#[test]
fn groups_are_gone_on_from_and_explain_tells_before_and_after() {
    check_refreshes(Place::Folder);
}

#[test]
fn groups_are_gone_on_from_on_s3() {
    check_refreshes(Place::S3);
}

#[test]
fn what_cannot_be_gone_on_from_is_told_with_a_word_for_programs() {
    let project = project(Place::Folder);
    come(&project, 1..=5);
    refreshed(&project);
    project.write("pipelines/shop/gold/customers.sql", &CUSTOMERS.replace("> 0", "> 1 - 1"));
    let text = project.succeed(&["show", DAILY, "--explain"]).out;
    assert!(text.contains("not possible [query_changed]: the query or its spec changed"), "{text}");
    project.succeed(&["gold", DAILY]);
    let told = project.query(&format!(
        "SELECT action, considered FROM shop.system.events WHERE \"table\" = '{DAILY}' ORDER BY version DESC LIMIT 1"
    ));
    assert_eq!(told[0]["action"], "refresh");
    assert!(told[0]["considered"].as_str().unwrap().contains("\"code\":\"query_changed\""), "{}", told[0]);
}

#[test]
fn groups_that_somebody_deleted_are_made_again() {
    let project = project(Place::Folder);
    come(&project, 1..=5);
    refreshed(&project);
    let kept = project.table(DAILY).join("_kept");
    assert!(!files_below(&kept).is_empty());
    std::fs::remove_dir_all(&kept).unwrap();
    come(&project, 6..=9);
    assert_eq!(refreshed(&project), "refresh");
    come(&project, 10..=12);
    assert_eq!(refreshed(&project), "kept_groups");
}
