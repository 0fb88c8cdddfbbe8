//! `medallion stream`: rows flow while it runs, one table's failure stays its own, and it ends when it is told to.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Child, ChildStderr, Command, ExitStatus};
use std::time::Duration;

use serde_json::Value;

use crate::place::Place;
use crate::project::Project;
use crate::shop;
use crate::waiting::{ended_within, wait_for};

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

/// A stream that runs; it is killed when a test fails.
struct Streaming {
    child: Child,
    stderr: BufReader<ChildStderr>,
    address: String,
}

impl Streaming {
    fn start(project: &Project, arguments: &[&str]) -> Streaming {
        let mut all = vec!["stream", "shop", "--listen", "127.0.0.1:0"];
        all.extend(arguments);
        let mut child = project.command(&all).spawn().unwrap();
        let mut stderr = BufReader::new(child.stderr.take().unwrap());
        let mut told = String::new();
        while !told.contains("http://") {
            told.clear();
            assert!(stderr.read_line(&mut told).unwrap() > 0, "the stream ended before it served: {:?}", child.wait());
        }
        let address = told.split("http://").nth(1).and_then(|rest| rest.split('/').next()).unwrap().to_owned();
        Streaming { child, stderr, address }
    }

    /// The status line and the body of an answer.
    fn get(&self, path: &str) -> (String, String) {
        let mut connection = TcpStream::connect(&self.address).unwrap();
        connection.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        write!(connection, "GET {path} HTTP/1.1\r\nHost: {}\r\n\r\n", self.address).unwrap();
        let mut answer = String::new();
        connection.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        (head.lines().next().unwrap().to_owned(), body.to_owned())
    }

    /// What `/health` says of a table.
    fn table(&self, name: &str) -> Value {
        let health: Value = serde_json::from_str(&self.get("/health").1).unwrap();
        let tables = health["tables"].as_array().unwrap();
        tables.iter().find(|table| table["table"] == name).unwrap().clone()
    }

    /// Waits until the stream has written that many rows into a table.
    fn wait_for_rows(&self, table: &str, rows: i64) {
        wait_for(&format!("{rows} rows in {table}"), || {
            (self.table(table)["progress"]["rows_written"].as_i64()? >= rows).then_some(())
        });
    }

    fn wait_for_state(&self, table: &str, state: &str) {
        wait_for(&format!("{table} to be {state}"), || (self.table(table)["state"] == state).then_some(()));
    }

    /// Asks the stream to end and returns how it did, with what it said in the meantime.
    fn stop(mut self, signal: &str) -> (ExitStatus, String, String) {
        let sent = Command::new("kill").args([&format!("-{signal}"), &self.child.id().to_string()]).status().unwrap();
        assert!(sent.success());
        self.ended()
    }

    fn ended(&mut self) -> (ExitStatus, String, String) {
        let status = ended_within(&mut self.child, Duration::from_secs(40)).expect("the stream must end soon");
        let (mut out, mut err) = (String::new(), String::new());
        self.child.stdout.take().unwrap().read_to_string(&mut out).unwrap();
        self.stderr.read_to_string(&mut err).unwrap();
        (status, out, err)
    }
}

impl Drop for Streaming {
    fn drop(&mut self) {
        // One that has ended by itself needs no killing.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn files_that_land_while_it_runs_appear_in_gold() {
    let project = project();
    let stream = Streaming::start(&project, &[]);
    stream.wait_for_rows("shop.bronze.orders", 3);
    wait_for_gold(&project, 3);
    project.land("orders/2.json", shop::orders(4..=10));
    wait_for_gold(&project, 10);
    let (status, out, _) = stream.stop("TERM");
    assert_eq!(status.code(), Some(0), "{out}");
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
    let stream = Streaming::start(&project, &[]);
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
    let (status, ..) = stream.stop("INT");
    assert_eq!(status.code(), Some(0));
}

#[test]
fn a_broken_table_stops_and_the_others_go_on() {
    let project = project();
    let mut stream = Streaming::start(&project, &[]);
    stream.wait_for_rows("shop.bronze.other", 1);
    std::fs::remove_dir_all(project.path("landing/other")).unwrap();
    stream.wait_for_state("shop.bronze.other", "failed");
    assert_eq!(stream.get("/health").0, "HTTP/1.1 503 Service Unavailable");
    project.land("orders/2.json", shop::orders(4..=10));
    wait_for_gold(&project, 10);

    // When the last one that reads files is gone as well, silver and gold still wait; nothing is lost by an end now.
    std::fs::remove_dir_all(project.path("landing/orders")).unwrap();
    stream.wait_for_state("shop.bronze.orders", "failed");
    assert!(stream.child.try_wait().unwrap().is_none());
    let (status, out, err) = stream.stop("TERM");
    assert_eq!(status.code(), Some(0), "{err}");
    assert!(out.contains("SUCCESS_WITH_FAILURES") && err.contains("shop.bronze.other stopped: "), "{out}{err}");
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
    let stream = Streaming::start(&project, &["--log-format", "json"]);
    stream.wait_for_rows("shop.bronze.orders", 3);
    let (_, _, err) = stream.stop("TERM");
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
