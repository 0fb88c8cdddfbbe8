//! Intervals of event time: made anew in one commit, and found where they are missing.

use std::time::Instant;

use serde_json::{Value, json};

use crate::place::Place;
use crate::project::Project;
use crate::running::{Running, kill_in_rounds};
use crate::shop;
use crate::soak::number;

const SILVER: &str = "from = \"bronze.orders\"\nevent_time = \"day\"\n[clean]\ncast = { at = \"timestamp\" }\n";
const SQL: &str = "SELECT id, customer, amount, at, CAST(at AS DATE) AS day FROM bronze.orders\n";
const DAYS: i64 = 5;

/// The shop with an event time, whose query is wrong by a factor.
fn wrong(silver: &str) -> Project {
    shop::project(Place::Folder).with("pipelines/shop/silver/orders.toml", silver).with(
        "pipelines/shop/silver/orders.sql",
        &SQL.replace("amount,", "CAST(amount * 2 AS DECIMAL(10, 2)) AS amount,"),
    )
}

/// Orders of each of the first days of March, ten a day.
fn orders() -> String {
    (0..10 * DAYS).map(|id| shop::order(id).replace("03-01", &format!("03-0{}", 1 + id / 10))).collect()
}

/// What each day amounts to.
fn days(project: &Project) -> Vec<Value> {
    project.query("SELECT CAST(day AS VARCHAR) AS day, COUNT(*) AS n, SUM(amount) AS total FROM shop.silver.orders GROUP BY day ORDER BY day")
}

fn total(day: i64) -> f64 {
    (10 * (day - 1)..10 * day).map(|id| id as f64 + 0.25).sum()
}

/// The days as they are once those of the interval are mended.
fn expected(mended: &[i64]) -> Vec<Value> {
    let told = |day: i64| {
        let factor = if mended.contains(&day) { 1.0 } else { 2.0 };
        json!({ "day": format!("2024-03-0{day}"), "n": 10, "total": total(day) * factor })
    };
    (1..=DAYS).map(told).collect()
}

/// The positions that the newest commit of silver tells, of upstream tables.
fn positions(project: &Project) -> Vec<(String, i64)> {
    let log = project.log("shop.silver.orders");
    let record =
        log.last().unwrap().iter().find_map(|action| action["commitInfo"]["medallion"]["positions"].as_object());
    let positions = record.unwrap().iter().filter(|(id, _)| id.starts_with("table/"));
    positions.map(|(id, next)| (id.clone(), next.as_i64().unwrap())).collect()
}

fn check_interval(silver: &str) {
    let project = wrong(silver);
    project.land("orders/1.json", orders());
    project.succeed(&["run", "shop"]);
    let before = positions(&project);
    project.write("pipelines/shop/silver/orders.sql", SQL);
    project.succeed(&["run", "shop", "--from", "2024-03-02", "--to", "2024-03-04"]);
    assert_eq!(days(&project), expected(&[2, 3]), "{silver}");
    assert_eq!(positions(&project), before);
    let spent = project.query("SELECT (SELECT SUM(spent) FROM shop.gold.spent) AS gold, (SELECT SUM(amount) FROM shop.silver.orders) AS silver");
    assert_eq!(spent[0]["gold"], spent[0]["silver"]);
    project.land("orders/2.json", shop::orders(100..103));
    project.succeed(&["run", "shop", "--from", "2024-03-05T00:00:00Z", "--to", "2024-03-06"]);
    assert_eq!(project.count("shop.silver.orders"), 10 * DAYS + 3);
    assert_eq!(days(&project)[4], expected(&[5])[4]);
}

#[test]
fn the_rows_of_an_interval_are_made_anew_and_no_others() {
    check_interval(SILVER);
    check_interval(&format!("partition_by = [\"day\"]\n{SILVER}"));
    check_interval(&format!("write = {{ unique_key = [\"id\"] }}\n{SILVER}"));
}

#[test]
fn files_of_other_partitions_stay() {
    let project = wrong(&format!("partition_by = [\"day\"]\n{SILVER}"));
    project.land("orders/1.json", orders());
    project.succeed(&["run", "shop"]);
    project.succeed(&["run", "shop", "--from", "2024-03-02", "--to", "2024-03-03"]);
    let log = project.log("shop.silver.orders");
    let newest: Vec<String> = log
        .last()
        .unwrap()
        .iter()
        .flat_map(|action| [&action["add"], &action["remove"]])
        .filter_map(|file| file["partitionValues"]["day"].as_str().map(str::to_owned))
        .collect();
    assert_eq!(newest, ["2024-03-02", "2024-03-02"]);
    assert_eq!(days(&project), expected(&[]));
}

/// How many rows wait in quarantine.
fn waiting(project: &Project) -> i64 {
    project.number("SELECT COUNT(*) AS n FROM shop.quarantine.silver_orders WHERE state = 'quarantined'")
}

#[test]
fn rows_in_quarantine_enter_with_their_interval_and_new_ones_are_refused_once() {
    let rule = |rule: &str| format!("{SILVER}[[expect]]\nname = \"rule\"\nexpect = \"{rule}\"\n");
    let project = wrong(&rule("id % 2 = 0")).with("pipelines/shop/silver/orders.sql", SQL);
    let untimely = "{\"id\":999,\"customer\":\"x\",\"amount\":1.00,\"at\":\"soon\"}\n";
    project.land("orders/1.json", orders() + untimely);
    project.succeed(&["run", "shop"]);
    assert_eq!((project.count("shop.silver.orders"), waiting(&project)), (25, 26));
    project.write("pipelines/shop/silver/orders.toml", &rule("id <> 14"));
    let run = ["run", "shop", "--from", "2024-03-02", "--to", "2024-03-03"];
    for _ in 0..2 {
        project.succeed(&run);
        assert_eq!((project.count("shop.silver.orders"), waiting(&project)), (29, 22));
    }
    project.succeed(&["quarantine", "replay", "silver.orders"]);
    assert_eq!((project.count("shop.silver.orders"), waiting(&project)), (49, 2));
    assert_eq!(project.number("SELECT COUNT(DISTINCT id) AS n FROM shop.silver.orders"), 49);
}

#[test]
fn a_killed_backfill_is_done_or_not() {
    let silver = &format!("partition_by = [\"day\"]\n{SILVER}");
    let run = ["run", "shop", "--from", "2024-03-02", "--to", "2024-03-05"];
    let prepared = || {
        let project = wrong(silver);
        project.land("orders/1.json", orders());
        project.succeed(&["run", "shop"]);
        project.write("pipelines/shop/silver/orders.sql", SQL);
        project
    };
    let undisturbed = prepared();
    let begun = Instant::now();
    undisturbed.succeed(&run);
    let duration = begun.elapsed();
    kill_in_rounds(duration, 0.3, number("MEDALLION_CRASHES", 4), |delay| {
        let project = prepared();
        let ended = Running::start(&project, &run).kill_after(delay);
        assert!([0, -9].contains(&ended.code), "{ended:#?}");
        let found = days(&project);
        assert!(found == expected(&[]) || found == expected(&[2, 3, 4]), "{found:?}");
        project.succeed(&run);
        assert_eq!(days(&project), expected(&[2, 3, 4]));
        assert_eq!(project.all_rows("shop.gold.spent"), undisturbed.all_rows("shop.gold.spent"));
        ended.code == -9
    });
}

#[test]
fn an_interval_that_cannot_be_followed_is_refused_before_anything_runs() {
    let project = shop::project(Place::Folder);
    project.land("orders/1.json", orders());
    let interval = ["run", "shop", "--from", "2024-03-02", "--to", "2024-03-03"];
    project.fail(&interval, 2, "write event_time = \"<column>\" in pipelines/shop/silver/orders.toml");
    assert!(!project.lake().exists());
    project.fail(&["run", "shop", "--from", "2024-03-02"], 2, "say where it ends with --to");
    project.fail(&["run", "shop", "--from", "2024-03-02", "--to", "March"], 2, "expected a date such as 2024-01-31");
    project.write(
        "pipelines/shop/silver/orders.toml",
        &shop::SILVER.replace("[clean]", "event_time = \"customer\"\n[clean]"),
    );
    let ended = project.run(&["check"]);
    assert!(
        ended.out.contains("orders.toml:3:1: `event_time` needs a timestamp or date, and `customer` is string"),
        "{}",
        ended.out
    );
}

#[test]
fn gaps_are_the_days_or_hours_without_rows() {
    let project = wrong(SILVER);
    let at = |id: i64, time: &str| shop::order(id).replace("01T10", time);
    project.land("orders/1.json", at(1, "01T10") + &at(2, "01T13") + &at(3, "04T00") + &at(4, "05T00"));
    project.succeed(&["run", "shop"]);
    let told: Value =
        serde_json::from_str(&project.succeed(&["gaps", "silver.orders", "--output", "json"]).out).unwrap();
    let gap = json!({ "from": "2024-03-02T00:00:00Z", "to": "2024-03-04T00:00:00Z", "missing": 2 });
    assert_eq!((&told["gaps"], &told["to"]), (&json!([gap]), &json!("2024-03-06T00:00:00Z")));
    let hours = project.succeed(&["gaps", "silver.orders", "--column", "at", "--every", "hour", "--output", "csv"]).out;
    assert_eq!(hours.lines().nth(1), Some("2024-03-01T11:00:00Z,2024-03-01T13:00:00Z,2"));
    project.fail(&["gaps", "gold.spent"], 2, "name it with --column");
    project.fail(&["gaps", "silver.orders", "--column", "customr"], 2, "nearest is `customer`");
}
