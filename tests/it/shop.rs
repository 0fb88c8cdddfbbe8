//! A small project of three tables that many tests start from: orders in NDJSON, each once, and what customers spent.

use crate::place::Place;
use crate::project::Project;

pub const BRONZE: &str = "[source.files]\npath = \"${var.landing}/orders\"\nformat = \"ndjson\"\n\
    [schema]\nid = \"long\"\ncustomer = \"string\"\namount = \"decimal(10,2)\"\nat = \"string\"\n";

pub const SILVER: &str = "from = \"bronze.orders\"\nwrite = { unique_key = [\"id\"] }\n\
    [clean]\ntrim = [\"customer\"]\ncast = { at = \"timestamp\" }\n\
    [[expect]]\nname = \"has_customer\"\nnot_null = [\"customer\"]\non_fail = \"quarantine\"\n";

pub const WORKFLOW: &str =
    r#"{ "name": "shop", "tasks": [{ "task_key": "all", "pipeline_task": { "pipeline": "shop" } }] }"#;

/// The project, with nothing landed.
pub fn project(place: Place) -> Project {
    Project::new(place)
        .with("pipelines/shop/bronze/orders.toml", BRONZE)
        .with("pipelines/shop/silver/orders.toml", SILVER)
        .with("pipelines/shop/silver/orders.sql", "SELECT id, customer, amount, at FROM bronze.orders\n")
        .with("pipelines/shop/gold/spent.toml", "key = [\"customer\"]\n")
        .with(
            "pipelines/shop/gold/spent.sql",
            "SELECT customer, COUNT(*) AS orders, SUM(amount) AS spent FROM silver.orders GROUP BY customer\n",
        )
        .with("workflows/shop.json", WORKFLOW)
}

/// One sound order.
pub fn order(id: i64) -> String {
    let customer = format!("customer {}", id % 7);
    let second = id % 60;
    format!("{{\"id\":{id},\"customer\":\"{customer}\",\"amount\":{id}.25,\"at\":\"2024-03-01T10:00:{second:02}Z\"}}\n")
}

/// Sound orders with these ids.
pub fn orders(ids: impl IntoIterator<Item = i64>) -> String {
    ids.into_iter().map(order).collect()
}
