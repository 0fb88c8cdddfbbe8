//! Rows in quarantine once more: what a mended rule accepts enters its table once, and everything after it is as if the
//! rule had been right from the start.
//!
//! `MEDALLION_REFUSED` says how many rows the crash test refuses, `MEDALLION_CRASHES` how often it kills.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::broker::Broker;
use crate::place::Place;
use crate::project::Project;
use crate::running::{Running, kill_in_rounds};
use crate::shop;
use crate::soak::number;

const WRONG: &str = "[[expect]]\nname = \"small\"\nexpect = \"id < 10\"\n";

/// The shop, whose silver table refuses all but the first orders.
fn refusing(silver: &str) -> Project {
    shop::project(Place::Folder).with("pipelines/shop/silver/orders.toml", &format!("{silver}{WRONG}"))
}

fn mend(project: &Project, silver: &str) {
    project.write("pipelines/shop/silver/orders.toml", silver);
}

/// The tables behind bronze.
fn results(project: &Project) -> Vec<Vec<String>> {
    ["shop.silver.orders", "shop.gold.spent"].iter().map(|table| project.all_rows(table)).collect()
}

/// The same orders in a project that was right from the start.
fn right_from_the_start(silver: &str, files: &[String]) -> Vec<Vec<String>> {
    let project = shop::project(Place::Folder).with("pipelines/shop/silver/orders.toml", silver);
    files.iter().enumerate().for_each(|(number, text)| project.land(&format!("orders/{number}.json"), text));
    project.succeed(&["run", "shop"]);
    results(&project)
}

fn list(project: &Project) -> Vec<Value> {
    let ended = project.succeed(&["quarantine", "list", "silver.orders", "--output", "json"]);
    serde_json::from_str(&ended.out).unwrap()
}

/// How many rows are in each state.
fn states(project: &Project) -> Vec<(String, i64)> {
    let text = |row: &Value| (row["state"].as_str().unwrap().to_owned(), row["n"].as_i64().unwrap());
    let rows =
        project.query("SELECT state, COUNT(*) AS n FROM shop.quarantine.silver_orders GROUP BY state ORDER BY state");
    rows.iter().map(text).collect()
}

fn check_replay(silver: &str) {
    let files = [shop::orders(0..30), shop::orders(20..50)];
    let project = refusing(silver);
    files.iter().enumerate().for_each(|(number, text)| project.land(&format!("orders/{number}.json"), text));
    project.succeed(&["run", "shop"]);
    assert_eq!(project.count("shop.silver.orders"), 10);
    mend(&project, silver);
    let ended = project.succeed(&["quarantine", "replay", "silver.orders", "--output", "json"]);
    let told: Value = serde_json::from_str(&ended.out).unwrap();
    assert_eq!(told["progress"]["rows_read"], 50, "{told}");
    project.succeed(&["run", "shop"]);
    assert_eq!(results(&project), right_from_the_start(silver, &files), "{silver}");
    assert_eq!(states(&project), [("replayed".to_owned(), 50)]);
    let versions = project.versions().get("shop.silver.orders").copied();
    project.succeed(&["quarantine", "replay", "silver.orders"]);
    assert_eq!(project.versions().get("shop.silver.orders").copied(), versions);
}

#[test]
fn a_mended_rule_lets_rows_in_by_every_way_to_write() {
    check_replay(&shop::SILVER.replace("write = { unique_key = [\"id\"] }\n", ""));
    check_replay(shop::SILVER);
    let merge = "write = { merge = { keys = [\"id\"], sequence_by = \"at\" } }";
    check_replay(&shop::SILVER.replace("write = { unique_key = [\"id\"] }", merge));
}

#[test]
fn rows_are_replayed_through_todays_steps_and_query() {
    let project = shop::project(Place::Folder);
    let nobody = "{\"id\":1,\"customer\":null,\"amount\":1.0,\"at\":\"2024-03-01T10:00:00Z\"}\n";
    let no_time = "{\"id\":2,\"customer\":\"b\",\"amount\":2.00,\"at\":\"01/03/2024\"}\n";
    project.land("orders/1.json", format!("{nobody}{no_time}{}", shop::order(3)));
    project.succeed(&["run", "shop"]);
    let silver = shop::SILVER
        .replace("trim = [\"customer\"]", "fill = { customer = \"nobody\" }")
        .replace("at = \"timestamp\"", "at = { type = \"timestamp\", format = \"%d/%m/%Y\" }");
    mend(&project, &silver);
    project.write(
        "pipelines/shop/silver/orders.sql",
        "SELECT id, upper(customer) AS customer, amount, at FROM bronze.orders\n",
    );
    project.succeed(&["quarantine", "replay", "silver.orders", "--rule", "cast_at"]);
    assert_eq!(
        project.lines("SELECT id, customer FROM shop.silver.orders WHERE id < 3"),
        "{\"id\":2,\"customer\":\"B\"}\n"
    );
    project.succeed(&["quarantine", "replay", "silver.orders"]);
    // The first row has its customer now, and its time no longer fits.
    assert_eq!(project.count("shop.silver.orders"), 2);
    let again = project.query("SELECT reasons, state, replays FROM shop.quarantine.silver_orders WHERE position = 1");
    assert_eq!((&again[0]["reasons"], &again[0]["state"]), (&json!(["has_customer"]), &json!("quarantined")));
    assert_eq!(again[0]["replays"][0]["reasons"], json!(["cast_at"]), "{again:?}");
    let listed: Vec<Value> = list(&project);
    assert_eq!(
        (&listed[0]["rule"], &listed[0]["state"], &listed[0]["rows"]),
        (&json!("cast_at"), &json!("quarantined"), &json!(1))
    );
    assert_eq!((&listed[1]["rule"], &listed[1]["state"]), (&json!("cast_at"), &json!("replayed")));
    let ended = project.succeed(&["quarantine", "show", "silver.orders", "--output", "json"]);
    let shown: Vec<Value> = serde_json::from_str(&ended.out).unwrap();
    let went = shown.iter().find(|row| row["state"] == "replayed").unwrap();
    assert_eq!(went["replays"][0]["version"], 1);
    assert_eq!(went["replays"][0]["run"], "replay-shop.silver.orders-2");
}

#[test]
fn what_cannot_be_replayed_is_told_in_one_line() {
    let project = shop::project(Place::Folder);
    project.land("orders/1.json", shop::orders(1..3));
    project.succeed(&["run", "shop"]);
    project.fail(&["quarantine", "replay", "gold.spent"], 2, "made anew by its query");
    assert_eq!(project.succeed(&["quarantine", "list"]).out, "nothing is in quarantine\n");
}

/// Starts a replay and kills it after `delay`, unless it has ended by then. Whether it was killed.
fn replay_and_kill(project: &Project, delay: Duration) -> bool {
    let ended = Running::start(project, &["quarantine", "replay", "silver.orders"]).kill_after(delay);
    assert!([0, -9].contains(&ended.code), "{ended:#?}");
    ended.code == -9
}

#[test]
fn a_killed_replay_lets_every_row_in_once() {
    let refused = number("MEDALLION_REFUSED", 500) as i64;
    let crashes = number("MEDALLION_CRASHES", 6);
    let silver = &shop::SILVER.replace("write = { unique_key = [\"id\"] }\n", "");
    let files = [shop::orders(0..10 + refused)];
    let expected = right_from_the_start(silver, &files);
    let prepared = || {
        let project = refusing(silver);
        project.land("orders/0.json", &files[0]);
        project.succeed(&["run", "shop"]);
        assert_eq!(project.count("shop.quarantine.silver_orders"), refused);
        mend(&project, silver);
        project
    };
    let undisturbed = prepared();
    let begun = Instant::now();
    undisturbed.succeed(&["quarantine", "replay", "silver.orders"]);
    let duration = begun.elapsed();
    // Spread over the second half, in which commits are made.
    kill_in_rounds(duration, 0.4, crashes, |delay| {
        let project = prepared();
        let was_killed = replay_and_kill(&project, delay);
        project.succeed(&["quarantine", "replay", "silver.orders"]);
        project.succeed(&["run", "shop"]);
        assert_eq!(results(&project), expected, "killed after {delay:?} of {duration:?}");
        assert_eq!(states(&project), [("replayed".to_owned(), refused)]);
        was_killed
    });
}

#[test]
fn a_replay_that_was_cut_off_behind_its_commit_is_told_to_the_quarantine_table_whatever_file_rows_lie_in_by_then() {
    let silver = &shop::SILVER.replace("write = { unique_key = [\"id\"] }\n", "");
    let project = refusing(silver);
    for (number, ids) in [0..30, 30..60].into_iter().enumerate() {
        project.land(&format!("orders/{number}.json"), shop::orders(ids));
        project.succeed(&["run", "shop"]);
    }
    mend(&project, silver);
    project.succeed(&["quarantine", "replay", "silver.orders"]);
    // As if it had died before it came to the quarantine table: that commit was never made.
    std::fs::remove_file(project.table("shop.quarantine.silver_orders").join("_delta_log/00000000000000000002.json"))
        .unwrap();
    assert_eq!((project.count("shop.silver.orders"), states(&project)), (60, vec![("quarantined".to_owned(), 50)]));
    project.succeed(&["optimize", "shop.quarantine.silver_orders"]);
    let vacuum = ["vacuum", "shop.quarantine.silver_orders", "--retain", "0s", "--force"];
    project.succeed(&vacuum);
    project.succeed(&["quarantine", "replay", "silver.orders"]);
    assert_eq!((project.count("shop.silver.orders"), states(&project)), (60, vec![("replayed".to_owned(), 50)]));
    let files = || std::fs::read_dir(project.table("shop.quarantine.silver_orders")).unwrap().count();
    let before = files();
    project.succeed(&vacuum);
    assert!(files() < before, "what was decided is no longer needed");
}

#[test]
fn lines_that_did_not_decode_are_decoded_by_todays_schema() {
    let strict = "[evolution]\nmismatch = \"quarantine\"\n";
    let project = shop::project(Place::Folder)
        .with("pipelines/shop/bronze/orders.toml", &format!("{}{strict}", shop::BRONZE.replace("id = \"long\"\n", "")));
    // The first file makes `id` a number; the second has texts there, and a line that is no JSON.
    project.land("orders/1.json", shop::orders(1..3));
    project.succeed(&["run", "shop"]);
    project.land("orders/2.json", format!("{}{{\"id\":\n{}", shop::order(3).replace(":3,", ":\"3\","), shop::order(4)));
    project.succeed(&["run", "shop"]);
    assert_eq!(project.count("shop.quarantine.bronze_orders"), 2);
    project.write("pipelines/shop/bronze/orders.toml", shop::BRONZE);
    project.succeed(&["quarantine", "replay", "bronze.orders"]);
    let rows = project.lines(
        "SELECT id, customer, _source, _position, _batch, _rescued_data FROM shop.bronze.orders WHERE _source = '2.json' ORDER BY _position",
    );
    let expected = "{\"customer\":\"customer 3\",\"_source\":\"2.json\",\"_position\":1,\"_batch\":1,\"_rescued_data\":\"{\\\"id\\\":\\\"3\\\"}\"}\n\
        {\"id\":4,\"customer\":\"customer 4\",\"_source\":\"2.json\",\"_position\":3,\"_batch\":1}\n";
    assert_eq!(rows, expected);
    let left = project.query("SELECT position, state FROM shop.quarantine.bronze_orders ORDER BY position");
    assert_eq!(left, [json!({ "position": 1, "state": "replayed" }), json!({ "position": 2, "state": "quarantined" })]);
    project.succeed(&["run", "shop"]);
    assert_eq!(project.count("shop.silver.orders"), 4, "the mended line went on to silver");
}

#[test]
fn records_of_csv_find_their_columns_by_the_header_of_their_file() {
    let bronze = "[source.files]\npath = \"${var.landing}/orders\"\nformat = \"csv\"\n[schema]\nid = \"long\"\ncustomer = \"string\"\n\
        amount = \"decimal(10,2)\"\nat = \"string\"\n";
    let rule = "[[expect]]\nname = \"small\"\nexpect = \"amount < 5\"\n[evolution]\nmismatch = \"quarantine\"\n";
    let project = shop::project(Place::Folder).with("pipelines/shop/bronze/orders.toml", &format!("{bronze}{rule}"));
    let lines = "amount,id,at,customer\n1.00,1,2024-03-01,\"a, \"\"b\"\"\"\nmany,2,2024-03-01,c\n9.00,3,2024-03-01,d\n";
    project.land("orders/1.csv", lines);
    project.land("orders/2.csv", "id,amount,customer,at\n4,few,e,2024-03-01\n");
    project.succeed(&["run", "shop"]);
    assert_eq!((project.count("shop.bronze.orders"), project.count("shop.quarantine.bronze_orders")), (1, 3));
    std::fs::remove_file(project.path("landing/orders/2.csv")).unwrap();
    project.write("pipelines/shop/bronze/orders.toml", bronze);
    project.succeed(&["quarantine", "replay", "bronze.orders"]);
    let rows =
        project.lines("SELECT id, customer, amount, _position, _rescued_data FROM shop.bronze.orders ORDER BY id");
    let expected = "{\"id\":1,\"customer\":\"a, \\\"b\\\"\",\"amount\":1.0,\"_position\":2}\n\
        {\"id\":2,\"customer\":\"c\",\"_position\":3,\"_rescued_data\":\"{\\\"amount\\\":\\\"many\\\"}\"}\n\
        {\"id\":3,\"customer\":\"d\",\"amount\":9.0,\"_position\":4}\n";
    assert_eq!(rows, expected);
    let shown = project.succeed(&["quarantine", "show", "bronze.orders", "--rule", "parse", "--output", "json"]).out;
    assert!(shown.contains("the file is gone"), "{shown}");
}

#[test]
fn late_rows_are_let_in_once_the_delay_is_longer() {
    let silver = |delay: &str| {
        format!(
            "from = \"bronze.orders\"\nwatermark = {{ column = \"at\", delay = \"{delay}\" }}\n[clean]\ncast = {{ at = \"timestamp\" }}\n"
        )
    };
    let at = |id: i64, hour: i64| shop::order(id).replace("T10:", &format!("T{hour:02}:"));
    let files = [at(1, 10) + &at(2, 14) + &at(3, 11), at(4, 9) + &at(5, 20)];
    let project = refusing(&silver("1h"));
    mend(&project, &silver("1h"));
    for (number, text) in files.iter().enumerate() {
        project.land(&format!("orders/{number}.json"), text);
        project.succeed(&["run", "shop"]);
    }
    assert_eq!(states(&project), [("quarantined".to_owned(), 2)]);
    mend(&project, &silver("4h"));
    project.succeed(&["quarantine", "replay", "silver.orders"]);
    project.succeed(&["run", "shop"]);
    assert_eq!(results(&project), right_from_the_start(&silver("4h"), &files));
    assert_eq!(states(&project), [("quarantined".to_owned(), 1), ("replayed".to_owned(), 1)]);
}

#[test]
fn rows_of_one_origin_are_not_added_twice() {
    let silver = "from = \"bronze.orders\"\n[clean]\ncast = { at = \"timestamp\" }\n";
    let project = refusing(silver);
    project.land("orders/1.json", shop::orders(9..12));
    project.write(
        "pipelines/shop/silver/orders.sql",
        "SELECT o.id, o.customer, o.amount, o.at, n FROM bronze.orders o JOIN (VALUES (1), (2)) AS v(n) ON true\n",
    );
    project.succeed(&["run", "shop"]);
    assert_eq!(project.count("shop.silver.orders"), 2);
    mend(&project, silver);
    project.fail(&["quarantine", "replay", "silver.orders"], 1, "becomes several rows of shop.silver.orders");
    assert_eq!(project.count("shop.silver.orders"), 2);
}

#[test]
fn messages_that_did_not_decode_are_decoded_again() {
    let broker = Broker::with(&[("events", 1)]);
    let bronze = |format: &str| {
        let brokers = broker.address();
        format!(
            "[source.kafka]\nbrokers = \"{brokers}\"\ntopics = [\"events\"]\nformat = \"json\"\n[schema]\nid = \"long\"\n{format}"
        )
    };
    let strict = "[evolution]\nmismatch = \"quarantine\"\n[[expect]]\nname = \"small\"\nexpect = \"id < 2\"\n";
    let project = Project::new(Place::Folder).with("pipelines/p/bronze/t.toml", &bronze(strict));
    broker.write("events", 0, [&b"{\"id\":1}"[..], b"{\"id\":\"x\"}", b"{\"id\":3}", b"{"]);
    project.succeed(&["bronze", "bronze.t"]);
    assert_eq!((project.count("p.bronze.t"), project.count("p.quarantine.bronze_t")), (1, 3));
    project.write("pipelines/p/bronze/t.toml", &bronze(""));
    project.succeed(&["quarantine", "replay", "bronze.t"]);
    let rows = project.lines("SELECT id, _source, _position, _rescued_data FROM p.bronze.t ORDER BY _position");
    let expected = "{\"id\":1,\"_source\":\"events/0\",\"_position\":0}\n\
        {\"_source\":\"events/0\",\"_position\":1,\"_rescued_data\":\"{\\\"id\\\":\\\"x\\\"}\"}\n\
        {\"id\":3,\"_source\":\"events/0\",\"_position\":2}\n";
    assert_eq!(rows, expected);
    broker.write("events", 0, [&b"{\"id\":4}"[..]]);
    project.succeed(&["bronze", "bronze.t"]);
    assert_eq!(project.count("p.bronze.t"), 4);
    assert_eq!(project.number("SELECT COUNT(*) AS n FROM p.quarantine.bronze_t WHERE state = 'quarantined'"), 1);
}
