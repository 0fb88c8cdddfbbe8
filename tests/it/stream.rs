//! `medallion stream`: rows flow while it runs, one table's failure stays its own, and it ends when it is told to.

use std::time::Duration;

use serde_json::Value;

use crate::place::Place;
use crate::project::Project;
use crate::shop;
use crate::streaming::Streaming;
use crate::waiting::wait_for;

/// A second bronze table with a landing folder of its own, beside the shop.
const OTHER: &str = "[source.files]\npath = \"${var.landing}/other\"\nformat = \"ndjson\"\ntrigger = \"50ms\"\n\
                     [schema]\nid = \"long\"\n";

fn project() -> Project {
    let project = shop::project(Place::Folder).with("pipelines/shop/bronze/other.toml", OTHER);
    project.land("orders/1.json", shop::orders(1..=3));
    project.land("other/1.json", "{\"id\":1}\n");
    project
}

/// Waits until gold counts that many orders, as another process sees it.
fn wait_for_gold(project: &Project, orders: i64) {
    wait_for(&format!("gold to count {orders} orders"), || {
        let sql = "SELECT SUM(orders) AS n FROM shop.gold.spent";
        let ended = project.run(&["query", sql, "--output", "json"]);
        let rows: Value = serde_json::from_str(&ended.out).ok()?;
        (rows[0]["n"] == orders).then_some(())
    });
}

#[test]
fn files_that_land_while_it_runs_appear_in_gold() {
    let project = project();
    let stream = Streaming::start(&project, &["shop"]);
    stream.wait_for_rows("shop.bronze.orders", 3);
    wait_for_gold(&project, 3);
    project.land("orders/2.json", shop::orders(4..=10));
    wait_for_gold(&project, 10);
    let ended = stream.stop();
    assert_eq!(ended.code, 0, "{ended:#?}");
    let runs: Value = serde_json::from_str(&project.succeed(&["runs", "--output", "json"]).out).unwrap();
    assert_eq!((runs[0]["workflow"].as_str(), runs[0]["state"].as_str()), (Some("shop"), Some("SUCCESS")));
    // The system tables were finished too, and a run afterwards finds nothing to do.
    assert_eq!(project.number("SELECT COUNT(*) AS n FROM shop.system.files"), 3);
    let versions = project.versions();
    project.succeed(&["run", "shop"]);
    assert_eq!(project.versions(), versions);
}

#[test]
fn it_serves_its_figures_its_health_and_whether_it_is_ready() {
    let project = project();
    let stream = Streaming::start(&project, &["shop"]);
    stream.wait_for_rows("shop.bronze.orders", 3);
    wait_for("the stream to be ready", || (stream.get("/ready").0 == "HTTP/1.1 200 OK").then_some(()));
    assert_eq!(stream.get("/health").0, "HTTP/1.1 200 OK");
    assert_eq!(stream.get("/nothing").0, "HTTP/1.1 404 Not Found");
    let (status, metrics) = stream.get("/metrics");
    assert_eq!(status, "HTTP/1.1 200 OK");
    for line in [
        "medallion_rows_written_total{table=\"shop.bronze.orders\"} 3",
        "medallion_commit_seconds_count{table=\"shop.bronze.orders\"} 1",
        "medallion_commit_seconds_bucket{table=\"shop.bronze.orders\",le=\"+Inf\"} 1",
        "medallion_table_state{table=\"shop.bronze.orders\",state=\"failed\"} 0",
        "# TYPE process_resident_memory_bytes gauge",
    ] {
        assert!(metrics.contains(line), "{line} is not in {metrics}");
    }
    stream.running.signal("INT");
    let ended = stream.running.ended();
    assert_eq!(ended.code, 0, "{ended:#?}");
}

#[test]
fn a_broken_table_stops_and_the_others_go_on() {
    let project = project();
    let mut stream = Streaming::start(&project, &["shop"]);
    stream.wait_for_rows("shop.bronze.other", 1);
    std::fs::remove_dir_all(project.path("landing/other")).unwrap();
    stream.wait_for_state("shop.bronze.other", "failed");
    assert_eq!(stream.get("/health").0, "HTTP/1.1 503 Service Unavailable");
    project.land("orders/2.json", shop::orders(4..=10));
    wait_for_gold(&project, 10);

    // When the last one that reads files is gone as well, silver and gold still wait; nothing is lost by an end now.
    std::fs::remove_dir_all(project.path("landing/orders")).unwrap();
    stream.wait_for_state("shop.bronze.orders", "failed");
    assert!(!stream.running.has_ended_within(Duration::ZERO), "{}", stream.told());
    let ended = stream.stop();
    assert_eq!(ended.code, 0, "{ended:#?}");
    assert!(ended.out.contains("SUCCESS_WITH_FAILURES"), "{ended:#?}");
    assert!(ended.err.contains("shop.bronze.other stopped: "), "{ended:#?}");
}

#[test]
fn it_ends_when_every_table_has_failed_with_the_code_of_the_error() {
    let project = Project::new(Place::Folder).with("pipelines/shop/bronze/other.toml", OTHER);
    let ended = project.run(&["stream", "shop"]);
    assert_eq!(ended.code, 2, "{ended:#?}");
    assert!(ended.err.contains("shop.bronze.other stopped: the landing folder"), "{ended:#?}");
}

#[test]
fn every_batch_is_one_log_event() {
    let project = project();
    let stream = Streaming::start(&project, &["shop", "--log-format", "json"]);
    stream.wait_for_rows("shop.bronze.orders", 3);
    let err = stream.stop().err;
    let events = err.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let batches = events.filter(|event| event["fields"]["message"] == "batch committed");
    let orders: Vec<Value> = batches.filter(|event| event["fields"]["table"] == "shop.bronze.orders").collect();
    assert_eq!((orders.len(), orders[0]["fields"]["rows_written"].as_i64()), (1, Some(3)), "{err}");
}

#[test]
fn what_cannot_be_streamed_is_refused_in_one_line() {
    let project = project();
    let said = "there is no workflow or pipeline `shpo` in this project; nearest is `shop`";
    project.fail(&["stream", "shpo"], 2, said);
    project.fail(&["stream", "shop", "--only", "nothing"], 2, "has no task `nothing`");
}
