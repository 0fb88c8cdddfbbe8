//! Profiles: what commits tell of their columns, `medallion profile`, and what is proposed from it.

use serde_json::Value;

use crate::place::Place;
use crate::project::Project;
use crate::shop;

fn profile(project: &Project, table: &str) -> Value {
    serde_json::from_str(&project.succeed(&["profile", table, "-o", "json"]).out).unwrap()
}

fn column<'a>(columns: &'a Value, name: &str) -> &'a Value {
    columns.as_array().unwrap().iter().find(|column| column["column"] == name).unwrap()
}

#[test]
fn the_profile_of_a_table_is_that_of_all_its_commits() {
    let project = shop::project(Place::Folder);
    project.land("orders/1.json", shop::orders(1..=60));
    project.succeed(&["run", "shop"]);
    project.land("orders/2.json", shop::orders(61..=200));
    project.succeed(&["run", "shop"]);
    let told = profile(&project, "shop.silver.orders");
    let id = column(&told["columns"], "id");
    assert_eq!((&id["rows"], &id["minimum"], &id["maximum"]), (&200.into(), &"1".into(), &"200".into()));
    assert_eq!(id["mean"], 100.5);
    assert!((190..=200).contains(&id["distinct"].as_u64().unwrap()), "{id}");
    let versions = told["versions"].as_array().unwrap();
    let rows: Vec<&Value> = versions.iter().map(|version| &column(&version["columns"], "id")["rows"]).collect();
    assert_eq!(rows, [60, 140]);
    assert!(!told["columns"].to_string().contains("\"_source\""), "{told}");
    let shown = project.succeed(&["profile", "shop.silver.orders", "--columns", "id"]).out;
    assert!(shown.starts_with("shop.silver.orders: 200 rows in 2 profiled commits"), "{shown}");
    assert!(!shown.contains("customer"), "{shown}");
}

#[test]
fn a_table_that_was_rebuilt_has_the_profile_of_its_rows_once() {
    let project = shop::project(Place::Folder);
    project.land("orders/1.json", shop::orders(1..=10));
    project.succeed(&["run", "shop"]);
    project.succeed(&["silver", "shop.silver.orders", "--full-refresh"]);
    let told = profile(&project, "shop.silver.orders");
    assert_eq!(column(&told["columns"], "id")["rows"], 10);
    assert_eq!(told["versions"].as_array().unwrap().len(), 2);
}

#[test]
fn what_is_proposed_passes_the_check_and_the_rows_it_came_from() {
    let project = shop::project(Place::Folder);
    project.land("orders/1.json", shop::orders(1..=300));
    project.succeed(&["run", "shop"]);
    let proposed = project.succeed(&["profile", "shop.silver.orders", "--propose"]).out;
    assert!(proposed.contains("not_null = ["), "{proposed}");
    assert!(proposed.contains("[[check]]"), "{proposed}");
    let rules = proposed
        .replace("has_values", "has_values_too")
        .replace("on_fail = \"warn\"", "on_fail = \"fail\"")
        .replace("severity = \"warn\"", "severity = \"fail\"");
    project.write("pipelines/shop/silver/orders.toml", &format!("{}\n{rules}", shop::SILVER));
    project.succeed(&["check"]);
    project.succeed(&["quality", "shop.silver.orders"]);
}

#[test]
fn a_table_is_not_profiled_when_its_spec_says_so_and_only_columns_it_has_can_be_named() {
    let project = shop::project(Place::Folder);
    project.write("pipelines/shop/silver/orders.toml", &format!("profile = false\n{}", shop::SILVER));
    project.land("orders/1.json", shop::orders(1..=3));
    project.succeed(&["run", "shop"]);
    let refused = project.run(&["profile", "shop.silver.orders"]);
    assert!(refused.code == 1 && refused.err.contains("has no profile yet"), "{refused:?}");
    assert!(!project.table("shop.silver.orders").join("_medallion").exists());
    project.write(
        "pipelines/shop/silver/orders.toml",
        &format!("{}\n[profile]\ncolumns = [\"id\", \"idd\"]\n", shop::SILVER),
    );
    let refused = project.run(&["check"]);
    assert!(refused.code == 2 && refused.out.contains("idd"), "{refused:?}");
}

#[test]
fn rules_tell_some_of_the_rows_that_failed_them() {
    let rule = "[[expect]]\nname = \"small\"\nexpect = \"id < 3\"\non_fail = \"warn\"\n";
    let project =
        shop::project(Place::Folder).with("pipelines/shop/silver/orders.toml", &format!("{}{rule}", shop::SILVER));
    project.land("orders/1.json", shop::orders(1..=4));
    project.succeed(&["run", "shop"]);
    let told = project.query(
        "SELECT kind, severity, origin, checked, passed, failed, sample, length(fingerprint) AS n \
         FROM shop.system.quality WHERE \"table\" = 'shop.silver.orders' AND rule = 'small'",
    );
    let expected = serde_json::json!([{
        "kind": "expectation", "severity": "warn", "origin": "commit", "checked": 4, "passed": 2, "failed": 2,
        "sample": "[{\"id\":3},{\"id\":4}]", "n": 16,
    }]);
    assert_eq!(Value::from(told), expected);
}
