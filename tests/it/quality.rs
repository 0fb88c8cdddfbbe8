//! Expectations: what happens to rows that violate them, what is counted, and audits of tables at rest.

use crate::place::Place;
use crate::project::Project;
use crate::shop;

/// The shop with one rule on positive amounts.
fn with_rule(on_fail: &str) -> Project {
    let rule = format!("[[expect]]\nname = \"positive\"\nexpect = \"amount > 0\"\non_fail = \"{on_fail}\"\n");
    shop::project(Place::Folder).with("pipelines/shop/silver/orders.toml", &format!("{}{rule}", shop::SILVER))
}

fn land_good_and_bad(project: &Project) {
    project.land("orders/1.json", shop::orders(1..=3) + &shop::order(4).replace("4.25", "-4.25"));
}

fn ids(project: &Project) -> String {
    project.lines("SELECT id FROM shop.silver.orders ORDER BY id").replace("{\"id\":", "").replace("}\n", " ")
}

fn counted(project: &Project) -> String {
    project.lines(
        "SELECT rule, on_fail, checked, failed FROM shop.system.quality \
         WHERE \"table\" = 'shop.silver.orders' AND rule = 'positive'",
    )
}

#[test]
fn warned_rows_are_written_and_counted() {
    let project = with_rule("warn");
    land_good_and_bad(&project);
    let ended = project.succeed(&["run", "shop"]);
    assert!(ended.err.contains("1 violate `positive`"), "{}", ended.err);
    assert_eq!(ids(&project), "1 2 3 4 ");
    assert_eq!(counted(&project), "{\"rule\":\"positive\",\"on_fail\":\"warn\",\"checked\":4,\"failed\":1}\n");
}

#[test]
fn dropped_rows_are_left_out_and_counted() {
    let project = with_rule("drop");
    land_good_and_bad(&project);
    project.succeed(&["run", "shop"]);
    assert_eq!(ids(&project), "1 2 3 ");
    assert_eq!(counted(&project), "{\"rule\":\"positive\",\"on_fail\":\"drop\",\"checked\":4,\"failed\":1}\n");
    assert!(!project.table("shop.quarantine.silver_orders").exists());
}

#[test]
fn quarantined_rows_are_kept_with_their_reasons_and_origin() {
    let project = with_rule("quarantine");
    land_good_and_bad(&project);
    project.land("orders/2.json", "{\"id\":5,\"amount\":-1.00,\"at\":\"2024-03-01T10:00:00Z\"}\n");
    project.succeed(&["run", "shop"]);
    assert_eq!(ids(&project), "1 2 3 ");
    assert_eq!(counted(&project), "{\"rule\":\"positive\",\"on_fail\":\"quarantine\",\"checked\":5,\"failed\":2}\n");
    let aside =
        project.query("SELECT row, reasons, source, position, run FROM shop.quarantine.silver_orders ORDER BY source");
    assert_eq!(aside[0]["reasons"], serde_json::json!(["positive"]));
    assert_eq!(aside[0]["position"], 4);
    assert!(aside[0]["source"].as_str().unwrap().ends_with("1.json"), "{aside:?}");
    assert_eq!(aside[0]["run"], "shop-1");
    let row: serde_json::Value = serde_json::from_str(aside[0]["row"].as_str().unwrap()).unwrap();
    assert_eq!((&row["id"], &row["customer"]), (&4.into(), &"customer 4".into()));
    let mut reasons: Vec<&str> =
        aside[1]["reasons"].as_array().unwrap().iter().map(|it| it.as_str().unwrap()).collect();
    reasons.sort_unstable();
    assert_eq!(reasons, ["has_customer", "positive"]);
}

#[test]
fn a_rebuild_refuses_rows_once_and_lets_in_those_that_pass_now() {
    let project = with_rule("quarantine");
    land_good_and_bad(&project);
    project.succeed(&["run", "shop"]);
    let aside = || project.count("shop.quarantine.silver_orders");
    assert_eq!((ids(&project).as_str(), aside()), ("1 2 3 ", 1));
    project.succeed(&["silver", "shop.silver.orders", "--full-refresh"]);
    assert_eq!((ids(&project).as_str(), aside()), ("1 2 3 ", 1));
    project.write("pipelines/shop/silver/orders.toml", shop::SILVER);
    project.succeed(&["silver", "shop.silver.orders", "--full-refresh"]);
    assert_eq!((ids(&project).as_str(), aside()), ("1 2 3 4 ", 0));
    land_good_and_bad(&project);
    project.succeed(&["run", "shop"]);
    assert_eq!(aside(), 0);
}

#[test]
fn a_failed_gate_leaves_the_table_as_it_was() {
    let project = with_rule("fail");
    project.land("orders/0.json", shop::orders([10]));
    project.succeed(&["run", "shop"]);
    let before = (ids(&project), project.log("shop.silver.orders"));
    land_good_and_bad(&project);
    let ended = project.fail(&["run", "shop"], 3, "violated `positive`");
    assert!(ended.err.contains("shop.silver.orders"), "{}", ended.err);
    assert_eq!((ids(&project), project.log("shop.silver.orders")), before);
    assert_eq!(project.count("shop.bronze.orders"), 5);

    project.write(
        "pipelines/shop/silver/orders.toml",
        &format!(
            "{}[[expect]]\nname = \"positive\"\nexpect = \"amount > 0\"\non_fail = \"quarantine\"\n",
            shop::SILVER
        ),
    );
    project.succeed(&["run", "shop"]);
    assert_eq!((ids(&project).as_str(), project.count("shop.quarantine.silver_orders")), ("1 2 3 10 ", 1));
}

#[test]
fn bronze_expectations_are_checked_as_rows_come_in() {
    let rule =
        "[[expect]]\nname = \"known\"\nin_set = { column = \"customer\", values = [\"customer 1\", \"customer 2\"] }\n";
    let project =
        shop::project(Place::Folder).with("pipelines/shop/bronze/orders.toml", &format!("{}{rule}", shop::BRONZE));
    project.land("orders/1.json", shop::orders(1..=3));
    project.succeed(&["bronze", "bronze.orders"]);
    assert_eq!(project.count("shop.bronze.orders"), 2);
    assert_eq!(
        project.lines("SELECT reasons, position FROM shop.quarantine.bronze_orders"),
        "{\"reasons\":[\"known\"],\"position\":3}\n"
    );
}

#[test]
fn an_audit_counts_the_rows_at_rest_and_changes_nothing() {
    let project = with_rule("warn");
    land_good_and_bad(&project);
    project.succeed(&["run", "shop"]);
    let others = || {
        let mut versions = project.versions();
        versions.remove("shop.system.quality");
        versions
    };
    let versions = others();
    let ended = project.succeed(&["quality", "silver.orders", "--output", "json"]);
    let told: serde_json::Value = serde_json::from_str(&ended.out).unwrap();
    assert_eq!(told["progress"]["rows_read"], 4);
    assert_eq!(told["progress"]["warnings"], serde_json::json!({ "positive": 1 }));
    project.write(
        "pipelines/shop/silver/orders.toml",
        &format!("{}[[expect]]\nname = \"small\"\nexpect = \"amount < 3\"\non_fail = \"fail\"\n", shop::SILVER),
    );
    project.fail(&["quality", "silver.orders"], 3, "shop.silver.orders violates `small` (1 rows)");
    assert_eq!(others(), versions);
    let audits = "SELECT COUNT(DISTINCT run) AS n FROM shop.system.quality WHERE origin = 'audit'";
    assert_eq!(project.number(audits), 2, "what audits found is told");
}
