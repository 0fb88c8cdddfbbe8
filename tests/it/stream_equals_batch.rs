//! A stream ends with the tables that one run over the same topic gives.
//!
//! `MEDALLION_SEED` repeats the random numbers of an earlier test. Random cuts of small inputs, for every way to write a
//! table, are tried beside the stages themselves, in the tests of the crate `cli`.

use crate::broker::Broker;
use crate::orders_topic::{PARTITIONS, Producer, TABLES, TOPIC, project};
use crate::place::Place;
use crate::project::Project;
use crate::soak::seed;
use crate::streaming::Streaming;

/// How many batches of a stream at least are held against the one batch of a run.
const BATCHES: u64 = 20;

/// Every table without what tells of batches, as sorted rows.
fn tables(project: &Project) -> Vec<(String, Vec<String>)> {
    let quarantine = "SELECT source, \"position\", reasons FROM shop.quarantine";
    let mut queries: Vec<String> = TABLES.iter().map(|table| format!("SELECT * FROM {table}")).collect();
    queries[0] = format!("SELECT * EXCEPT (_batch, _ingested_at) FROM {}", TABLES[0]);
    queries.extend(["bronze_orders", "silver_orders"].map(|table| format!("{quarantine}.{table}")));
    let rows = |sql: String| {
        let mut rows: Vec<String> = project.query(&sql).iter().map(ToString::to_string).collect();
        assert!(!rows.is_empty(), "{sql}");
        rows.sort();
        (sql, rows)
    };
    queries.into_iter().map(rows).collect()
}

#[test]
fn a_stream_ends_with_the_tables_that_one_run_gives() {
    let seed = seed();
    let broker = Broker::with(&[(TOPIC, PARTITIONS)]);
    let streamed = project(Place::Folder, &broker.address(), "");
    let producer = Producer::start(&broker.address(), seed);
    let stream = Streaming::start(&streamed, &["shop"]);
    stream.wait_for_figure("shop.bronze.orders", "batches", BATCHES);
    let written = producer.end();
    written.wait_for_all(&streamed);
    let ended = stream.stop();
    assert_eq!(ended.code, 0, "{ended:#?}");
    streamed.succeed(&["run", "shop"]);

    let at_once = project(Place::Folder, &broker.address(), "");
    let bronze = std::fs::read_to_string(at_once.path("pipelines/shop/bronze/orders.toml")).unwrap();
    at_once.write("pipelines/shop/bronze/orders.toml", &bronze.replace("max_rows = 2000\n", ""));
    at_once.succeed(&["run", "shop"]);
    assert_eq!(at_once.versions()["shop.bronze.orders"], 1, "all in one batch");
    for (found, expected) in tables(&streamed).into_iter().zip(tables(&at_once)) {
        assert_eq!(found, expected);
    }
}
