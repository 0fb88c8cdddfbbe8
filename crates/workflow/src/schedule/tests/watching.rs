//! Files that arrive and tables that are committed to.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use proptest::prelude::*;

use super::at;
use crate::schedule::{
    Cause, Decision, FileArrival, FileArrivalState, FoundFile, Pace, TableUpdate, TableUpdateCondition,
    TableUpdateState,
};

const NOTHING_NEW: Decision = Decision::Wait { until: None };

fn second(second: i64) -> DateTime<Utc> {
    at("2025-01-01T00:00:00Z") + TimeDelta::seconds(second)
}

fn until(time: i64) -> Decision {
    Decision::Wait { until: Some(second(time)) }
}

/// A location that is looked at again and again, with the state kept as JSON in between.
struct Location {
    trigger: FileArrival,
    kept: String,
}

impl Location {
    fn new(between: Option<i64>, quiet: Option<i64>) -> Location {
        let trigger = FileArrival::new("landing/", Pace::new(between, quiet).unwrap()).unwrap();
        Location { trigger, kept: serde_json::to_string(&FileArrivalState::default()).unwrap() }
    }

    /// Files as path and second of the last write.
    fn look(&mut self, now: i64, files: &[(&str, i64)]) -> Decision {
        let mut state: FileArrivalState = serde_json::from_str(&self.kept).unwrap();
        let found = files.iter().map(|(path, modified)| FoundFile { path, modified: second(*modified) });
        let decision = self.trigger.observe(&mut state, second(now), found).unwrap();
        self.kept = serde_json::to_string(&state).unwrap();
        decision
    }
}

fn arrived(files: usize) -> Decision {
    Decision::Fire(Cause::FileArrival { location: "landing/".to_owned(), files })
}

#[test]
fn only_files_that_were_not_there_before_start_a_run() {
    let mut location = Location::new(None, None);
    assert_eq!(location.look(0, &[("a", 0), ("b", 0)]), NOTHING_NEW, "what was there before");
    assert_eq!(location.look(60, &[("a", 50), ("b", 0)]), NOTHING_NEW, "an overwritten file");
    assert_eq!(location.look(120, &[("a", 50), ("b", 0), ("c", 1), ("d/e", 1)]), arrived(2));
    assert_eq!(location.look(180, &[("a", 50), ("b", 0), ("c", 1), ("d/e", 1)]), NOTHING_NEW);
    assert_eq!(location.look(240, &[("c", 1)]), NOTHING_NEW, "files that have gone");
    assert_eq!(location.look(300, &[("c", 1), ("a", 290)]), arrived(1), "one that came back");
}

#[test]
fn an_empty_location_is_a_baseline_too() {
    let mut location = Location::new(None, None);
    assert_eq!(location.look(0, &[]), NOTHING_NEW);
    assert_eq!(location.look(60, &[("a", 30)]), arrived(1));
}

#[test]
fn a_run_waits_until_no_file_has_come_or_been_written_for_some_time() {
    let mut location = Location::new(None, Some(100));
    location.look(0, &[]);
    assert_eq!(location.look(60, &[("a", 55)]), until(160));
    assert_eq!(location.look(120, &[("a", 55), ("b", 5)]), until(220), "an older file that comes later");
    assert_eq!(location.look(180, &[("a", 170), ("b", 5)]), until(280), "a file that is still written");
    assert_eq!(location.look(240, &[("a", 170), ("b", 5)]), until(280));
    assert_eq!(location.look(280, &[("a", 170), ("b", 5)]), arrived(2));
    assert_eq!(location.look(340, &[("a", 330), ("b", 5)]), NOTHING_NEW);
}

#[test]
fn files_that_go_before_the_run_start_none() {
    let mut location = Location::new(None, Some(60));
    location.look(0, &[("a", 0)]);
    assert_eq!(location.look(60, &[("a", 0), ("upload.tmp", 60)]), until(120));
    assert_eq!(location.look(120, &[("a", 0)]), NOTHING_NEW);
}

#[test]
fn runs_keep_their_distance_and_lose_no_file() {
    let mut location = Location::new(Some(600), None);
    location.look(0, &[]);
    assert_eq!(location.look(60, &[("a", 60)]), arrived(1));
    assert_eq!(location.look(120, &[("a", 60), ("b", 120)]), until(660));
    assert_eq!(location.look(660, &[("a", 60), ("b", 120), ("c", 650)]), arrived(2));
}

#[test]
fn a_clock_that_was_ahead_holds_no_run_back_for_longer_than_its_distance() {
    let mut location = Location::new(Some(600), None);
    location.look(0, &[]);
    assert_eq!(location.look(1_000_000, &[("a", 0)]), arrived(1));
    assert_eq!(location.look(60, &[("a", 0), ("b", 0)]), until(660));
    assert_eq!(location.look(660, &[("a", 0), ("b", 0)]), arrived(1));
}

#[test]
fn another_location_is_a_new_beginning() {
    let mut location = Location::new(None, None);
    location.look(0, &[("a", 0)]);
    location.trigger = FileArrival::new("elsewhere/", Pace::default()).unwrap();
    assert_eq!(location.look(60, &[("x", 0), ("y", 0)]), NOTHING_NEW);
}

#[test]
fn a_damaged_state_is_refused() {
    for kept in
        [r#"{"location":null,"known":"12","fresh":""}"#, r#"{"known":"zzzzzzzzzzzzzzzz"}"#, r#"{"known":"ööööööööö"}"#]
    {
        assert!(serde_json::from_str::<FileArrivalState>(kept).is_err());
    }
}

proptest! {
    #[test]
    fn every_new_file_is_in_exactly_one_run(
        batches in proptest::collection::vec((1i64..500, proptest::collection::btree_set(0u16..400, 0..8)), 1..30),
        between in proptest::option::of(60i64..400),
        quiet in proptest::option::of(60i64..400),
    ) {
        let mut location = Location::new(between, quiet);
        let mut names: Vec<String> = Vec::new();
        let (mut now, mut started, mut last_start) = (0, 0, None);
        location.look(now, &[]);
        for (passed, batch) in batches.into_iter().chain([(2000, Default::default()), (2000, Default::default())]) {
            now += passed;
            names.extend(batch.into_iter().map(|name| name.to_string()));
            names.sort();
            names.dedup();
            let files: Vec<_> = names.iter().map(|name| (name.as_str(), 0)).collect();
            if let Decision::Fire(Cause::FileArrival { files, .. }) = location.look(now, &files) {
                started += files;
                prop_assert!(last_start.is_none_or(|last| now - last >= between.unwrap_or(0)));
                last_start = Some(now);
            }
        }
        prop_assert_eq!(started, names.len());
    }
}

/// Tables that are looked at again and again, with the state kept as JSON in between.
struct Tables {
    trigger: TableUpdate,
    kept: String,
}

impl Tables {
    fn new(condition: TableUpdateCondition, between: Option<i64>, quiet: Option<i64>) -> Tables {
        let names = ["shop.silver.orders", "shop.silver.customers"].map(str::to_owned).to_vec();
        let trigger = TableUpdate::new(names, condition, Pace::new(between, quiet).unwrap()).unwrap();
        Tables { trigger, kept: serde_json::to_string(&TableUpdateState::default()).unwrap() }
    }

    /// Versions of orders and customers; -1 is a table that does not exist.
    fn look(&mut self, now: i64, orders: i64, customers: i64) -> Decision {
        let mut state: TableUpdateState = serde_json::from_str(&self.kept).unwrap();
        let versions: BTreeMap<String, i64> = [("shop.silver.orders", orders), ("shop.silver.customers", customers)]
            .into_iter()
            .filter(|(_, version)| *version >= 0)
            .map(|(name, version)| (name.to_owned(), version))
            .collect();
        let decision = self.trigger.observe(&mut state, second(now), &versions);
        self.kept = serde_json::to_string(&state).unwrap();
        decision
    }
}

fn updated(tables: &[&str]) -> Decision {
    let tables = tables.iter().map(|table| format!("shop.silver.{table}")).collect();
    Decision::Fire(Cause::TableUpdate { tables })
}

#[test]
fn any_update_starts_a_run_that_names_the_updated_tables() {
    let mut tables = Tables::new(TableUpdateCondition::AnyUpdated, None, None);
    assert_eq!(tables.look(0, 7, 3), NOTHING_NEW, "the versions from before");
    assert_eq!(tables.look(60, 7, 4), updated(&["customers"]));
    assert_eq!(tables.look(120, 7, 4), NOTHING_NEW);
    assert_eq!(tables.look(180, 9, 5), updated(&["orders", "customers"]));
    assert_eq!(tables.look(240, 0, 5), updated(&["orders"]), "a table that was made anew");
}

#[test]
fn all_tables_must_have_been_updated_since_the_last_run() {
    let mut tables = Tables::new(TableUpdateCondition::AllUpdated, None, None);
    tables.look(0, 7, 3);
    assert_eq!(tables.look(60, 8, 3), NOTHING_NEW);
    assert_eq!(tables.look(120, 9, 3), NOTHING_NEW);
    assert_eq!(tables.look(180, 9, 4), updated(&["orders", "customers"]));
    assert_eq!(tables.look(240, 9, 5), NOTHING_NEW);
}

#[test]
fn the_first_version_of_a_table_is_an_update_and_its_end_is_none() {
    let mut tables = Tables::new(TableUpdateCondition::AnyUpdated, None, None);
    tables.look(0, -1, 3);
    assert_eq!(tables.look(60, 0, 3), updated(&["orders"]));
    assert_eq!(tables.look(120, -1, 3), NOTHING_NEW);
}

#[test]
fn a_run_waits_for_quiet_and_keeps_its_distance() {
    let mut tables = Tables::new(TableUpdateCondition::AnyUpdated, Some(300), Some(60));
    tables.look(0, 0, 0);
    assert_eq!(tables.look(10, 1, 0), until(70));
    assert_eq!(tables.look(50, 1, 1), until(110));
    assert_eq!(tables.look(110, 1, 1), updated(&["orders", "customers"]));
    assert_eq!(tables.look(120, 2, 1), until(410));
    assert_eq!(tables.look(400, 3, 1), until(460));
    assert_eq!(tables.look(460, 3, 1), updated(&["orders"]));
}

#[test]
fn a_table_that_is_named_later_starts_nothing_by_what_it_had() {
    let mut tables = Tables::new(TableUpdateCondition::AnyUpdated, None, None);
    tables.look(0, 7, 3);
    tables.trigger =
        TableUpdate::new(vec!["shop.gold.sales".to_owned()], TableUpdateCondition::AnyUpdated, Pace::default())
            .unwrap();
    let mut state: TableUpdateState = serde_json::from_str(&tables.kept).unwrap();
    let versions = BTreeMap::from([("shop.gold.sales".to_owned(), 12)]);
    assert_eq!(tables.trigger.observe(&mut state, second(60), &versions), NOTHING_NEW);
}
