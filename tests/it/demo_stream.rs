//! Generated events through a stand-in for Kafka to gold, and every one of them accounted for.

use serde_json::Value;

use crate::place::Place;
use crate::project::{Project, files_below, repository};
use crate::running::Running;
use crate::scrape::{Samples, read};
use crate::streaming::Streaming;
use crate::waiting::wait_for;

const EVENTS: i64 = 12_000;

/// The pipeline of the demo project that reads a topic, and its workflow.
fn project() -> Project {
    let project = Project::new(Place::Folder).with(
        "medallion.toml",
        "[project]\nname = \"test\"\n[variables]\nlake = \"./lake\"\nbrokers = \"127.0.0.1:9092\"\n\
         [lake]\npath = \"${var.lake}\"\n",
    );
    let root = repository();
    let mut files = files_below(&root.join("pipelines/behavior_stream"));
    files.push(root.join("workflows/behavior-stream.json"));
    for file in files {
        let path = file.strip_prefix(&root).unwrap().to_str().unwrap();
        project.write(path, &std::fs::read_to_string(&file).unwrap());
    }
    project
}

/// `medallion generate` with a stand-in for a cluster.
struct Generating {
    running: Running,
    /// How many results were taken.
    taken: usize,
}

impl Generating {
    fn start(project: &Project, arguments: &[&str]) -> Generating {
        let all = [&["generate", "behavior", "--to", "kafka", "--output", "json"], arguments].concat();
        Generating { running: Running::start(project, &all), taken: 0 }
    }

    /// The next result that it prints.
    fn next_result(&mut self) -> Value {
        let line = wait_for("a result", || self.running.printed().lines().nth(self.taken).map(str::to_owned));
        self.taken += 1;
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("`{line}`: {error}"))
    }
}

/// The one number of a query, or `None` while a table is not there.
fn number(project: &Project, sql: &str) -> Option<i64> {
    let ended = project.run(&["query", sql, "--output", "json"]);
    let rows: Value = serde_json::from_str(&ended.out).ok()?;
    rows[0]["n"].as_i64()
}

#[test]
fn every_event_that_was_produced_is_counted_in_gold_or_was_refused() {
    let project = project();
    let count = EVENTS.to_string();
    let options = ["--rows", &count, "--rate", "8000", "--bad", "0.02", "--duplicate", "0.03"];
    let mut generating = Generating::start(&project, &options);
    let brokers = format!("brokers={}", generating.next_result()["brokers"].as_str().unwrap());
    let streaming = Streaming::start(&project, &["behavior-stream", "--var", &brokers]);

    let produced = generating.next_result();
    let made = |name: &str| produced[name].as_i64().unwrap();
    assert_eq!((made("rows"), made("confirmed")), (EVENTS, EVENTS));
    let good = EVENTS - made("bad") - made("duplicates");
    // The last rows may be refused, so what gold counts does not tell alone. The lag is known when the brokers have told
    // how far the topic goes, which they do every second.
    let samples = wait_for("bronze and silver to have read everything", || {
        let samples = read(&streaming.get("/metrics").1);
        let read = |layer: &str| samples.get(&of_events("rows_read_total", layer)).copied();
        let all = (Some(made("rows") as f64), Some((made("rows") - made("truncated")) as f64));
        ((read("bronze"), read("silver")) == all && lags(&samples).len() == 8).then_some(samples)
    });
    check_figures(&samples, &produced);
    for table in ["activity", "products"] {
        wait_for(&format!("{table} to count {good} events"), || {
            let sql = format!("SELECT SUM(events) AS n FROM behavior_stream.gold.{table}");
            (number(&project, &sql)? == good).then_some(())
        });
    }
    let ended = streaming.stop();
    assert_eq!(ended.code, 0, "{ended:#?}");
    let ended = generating.running.stop();
    assert_eq!(ended.code, 0, "{ended:#?}");

    let truncated = made("truncated");
    assert_eq!(project.count("behavior_stream.bronze.events"), EVENTS - truncated);
    assert_eq!(project.count("behavior_stream.quarantine.bronze_events"), truncated);
    assert_eq!(project.count("behavior_stream.silver.events"), good);
    assert_eq!(project.count("behavior_stream.quarantine.silver_events"), made("bad") - truncated);
    let revenue = |table: &str| format!("SELECT CAST(SUM(revenue) AS STRING) AS n FROM behavior_stream.gold.{table}");
    let expected = project.query("SELECT CAST(SUM(amount) AS STRING) AS n FROM behavior_stream.silver.events");
    assert_eq!(project.query(&revenue("activity")), expected);
    assert_eq!(project.query(&revenue("products")), expected);
}

/// A figure of `events` in a layer.
fn of_events(name: &str, layer: &str) -> String {
    format!("medallion_{name}{{table=\"behavior_stream.{layer}.events\"}}")
}

/// The figures of a name that have a label.
fn labelled(samples: &Samples, name: &str, label: &str) -> Vec<f64> {
    let begin = format!("medallion_{name}{{table=\"behavior_stream.");
    let fits = |series: &&String| series.starts_with(&begin) && series.contains(label);
    samples.keys().filter(fits).map(|series| samples[series]).collect()
}

fn lags(samples: &Samples) -> Vec<f64> {
    labelled(samples, "lag_rows", ",partition=\"behavior/")
}

/// What an operator sees agrees with what was produced.
fn check_figures(samples: &Samples, produced: &Value) {
    let made = |name: &str| produced[name].as_f64().unwrap();
    let of = |name: &str, layer: &str| samples[&of_events(name, layer)];
    let good = made("rows") - made("bad") - made("duplicates");
    assert_eq!((of("rows_read_total", "bronze"), of("rows_written_total", "silver")), (made("rows"), good));
    assert_eq!(of("rows_dropped_total", "silver"), made("duplicates"));
    assert_eq!(of("rows_quarantined_total", "silver"), made("bad") - made("truncated"));
    // A key is `ses-` and 16 digits.
    assert_eq!(of("bytes_read_total", "bronze"), made("bytes") + 20.0 * made("rows"));
    assert_eq!(of("commit_seconds_count", "bronze"), of("batches_total", "bronze"));
    assert_eq!(of("end_to_end_seconds_count", "silver"), of("batches_total", "silver"));
    let rejects = |layer: &str| labelled(samples, "rejects_total", &format!("{layer}.events\",rule="));
    assert_eq!(rejects("bronze"), [made("truncated")]);
    let rejects = rejects("silver");
    assert_eq!((rejects.len(), rejects.iter().sum()), (4, made("bad") - made("truncated")));
    assert_eq!(lags(samples), [0.0; 8]);
    assert!(samples["process_resident_memory_bytes"] > 1e7);
}

#[test]
fn options_that_would_have_no_effect_are_told_together() {
    let project = project();
    let said = "--days is for data in a folder; leave it out, events to Kafka happen now; only `behavior` can be sent";
    project.fail(&["generate", "experiments", "--to", "kafka", "--days", "3"], 2, said);
    let said = "--rate is for events to Kafka; add --to kafka; --topic is for";
    project.fail(&["generate", "behavior", "--rate", "10", "--topic", "t", "--to", "landing"], 2, said);
}

#[test]
fn a_cluster_that_is_not_there_is_named() {
    let project = project();
    let generate = ["generate", "behavior", "--to", "kafka", "--rows", "1", "--brokers", "127.0.0.1:1"];
    project.fail(&generate, 75, "could not write to topic `behavior` at 127.0.0.1:1: no broker can be reached");
}
