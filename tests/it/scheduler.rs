//! `medallion serve`: workflows that start by themselves, one scheduler at a time, and what a killed one leaves.

use std::time::{Duration, Instant};

use serde_json::Value;

use crate::place::Place;
use crate::project::Project;
use crate::running::Running;
use crate::shop;
use crate::waiting::wait_for;

const BATCH: i64 = 50;

/// The shop, whose pipeline is run when this says so.
fn project(place: Place, start: &str) -> Project {
    shop::project(place).with("workflows/shop.json", &workflow(start))
}

fn workflow(start: &str) -> String {
    format!(
        r#"{{ "name": "shop", {start}, "tasks": [{{ "task_key": "all", "pipeline_task": {{ "pipeline": "shop" }} }}] }}"#
    )
}

fn land(project: &Project, number: i64) {
    let name = format!("orders/{number:04}.json");
    project.land(&name, shop::orders(number * BATCH..(number + 1) * BATCH));
}

fn runs(project: &Project) -> Vec<Value> {
    let listed = project.succeed(&["runs", "--output", "json"]).out;
    serde_json::from_str(&listed).unwrap()
}

fn states(project: &Project) -> Vec<String> {
    runs(project).iter().map(|run| run["state"].as_str().unwrap_or("GOING").to_owned()).collect()
}

/// Waits until the scheduler says something.
fn heard(scheduler: &Running, what: &str) {
    wait_for(what, || scheduler.told().contains(what).then_some(()));
}

#[test]
fn after_kills_a_continuous_workflow_has_read_each_row_once_and_no_run_is_left_interrupted() {
    let project = project(Place::Folder, r#""continuous": {}"#);
    for round in 0..4 {
        let scheduler = Running::start(&project, &["serve"]);
        heard(&scheduler, "serving 1 workflow");
        land(&project, round);
        // From the reading of the project into its second run.
        scheduler.kill_after(Duration::from_millis(100 + 350 * round.unsigned_abs()));
    }
    let scheduler = Running::start(&project, &["serve"]);
    wait_for("all rows", || (project.run(&["query", "SELECT 1 FROM shop.gold.spent"]).code == 0).then_some(()));
    wait_for("all orders", || {
        (project.number("SELECT SUM(orders) AS n FROM shop.gold.spent") == 4 * BATCH).then_some(())
    });
    project.succeed(&["pause", "shop"]);
    heard(&scheduler, "shop is paused");
    wait_for("the last run", || (!states(&project).contains(&"GOING".to_owned())).then_some(()));
    let ended = scheduler.stop();
    assert_eq!(ended.code, 0, "{ended:#?}");
    assert!(states(&project).iter().all(|state| state == "SUCCESS"), "{:?}", states(&project));
    assert_eq!(project.count("shop.silver.orders"), 4 * BATCH);
}

#[test]
fn the_second_scheduler_is_told_who_runs_already() {
    let project = project(Place::Folder, r#""continuous": {"pause_status": "PAUSED"}"#);
    let scheduler = Running::start(&project, &["serve"]);
    heard(&scheduler, "serving");
    project.fail(&["serve"], 75, "a scheduler of this project is running already: process ");
    assert_eq!(scheduler.stop().code, 0);
    // A schedule that is paused by its file is resumed, and begins.
    project.succeed(&["resume", "shop"]);
    let scheduler = Running::start(&project, &["serve"]);
    heard(&scheduler, "run 1 of shop begins");
    scheduler.stop();
}

#[test]
fn a_file_that_arrives_starts_a_run_and_what_it_commits_another() {
    for place in [Place::Folder, Place::S3] {
        let project = Project::new(place);
        let url = project.location("landing");
        let start = format!(r#""trigger": {{"file_arrival": {{"url": "{url}"}}}}"#);
        let project = project
            .with("pipelines/shop/bronze/orders.toml", shop::BRONZE)
            .with("workflows/shop.json", &workflow(&start))
            .with(
                "workflows/after.json",
                r#"{ "name": "after", "trigger": {"table_update": {"table_names": ["shop.bronze.orders"]}},
                     "tasks": [{ "task_key": "audit", "quality_task": { "table": "shop.bronze.orders" } }] }"#,
            );
        let scheduler = Running::start(&project, &["serve"]);
        // What is there at the first look starts nothing, so files land until one comes after it.
        let mut landed = 0;
        let mut landing = Instant::now();
        wait_for("a run", || {
            if landing <= Instant::now() {
                land(&project, landed);
                landed += 1;
                landing += Duration::from_secs(3);
            }
            scheduler.told().contains("of shop SUCCESS").then_some(())
        });
        heard(&scheduler, "of after SUCCESS");
        scheduler.stop();
        let rows = project.count("shop.bronze.orders");
        assert!(rows > 0 && rows % BATCH == 0, "{rows}");
        let causes: Vec<Value> = runs(&project).iter().map(|run| run["cause"]["type"].clone()).collect();
        assert_eq!(causes[causes.len() - 2..], ["table_update", "file_arrival"]);
    }
}

#[test]
fn a_changed_project_is_followed_and_a_broken_one_is_told_once() {
    let project = project(Place::Folder, r#""description": "by hand""#);
    land(&project, 0);
    let scheduler = Running::start(&project, &["serve"]);
    heard(&scheduler, "serving 1 workflow, 0 with a schedule");
    project.write("workflows/shop.json", &workflow(r#""continous": {}"#));
    heard(&scheduler, "nearest is `continuous`");
    project.write("workflows/shop.json", &workflow(r#""continuous": {}"#));
    heard(&scheduler, "the project was read anew: 1 workflow");
    heard(&scheduler, "of shop SUCCESS");
    let told = scheduler.stop().err;
    assert_eq!(told.matches("its files have problems").count(), 1, "{told}");
}

#[test]
fn coming_runs_are_shown_with_the_time_of_their_zone() {
    let at = r#""schedule": {"quartz_cron_expression": "0 30 4 ? * MON-FRI", "timezone_id": "Asia/Kolkata"}"#;
    let project = project(Place::Folder, at)
        .with("workflows/hand.json", &shop::WORKFLOW.replace("\"shop\", \"tasks", "\"hand\", \"tasks"));
    let next = project.succeed(&["next", "shop", "--count", "3", "--output", "json"]).out;
    let next: Vec<Value> = serde_json::from_str(&next).unwrap();
    assert_eq!(next.len(), 3);
    for run in next {
        // Half past four there is eleven o'clock of the day before in UTC.
        assert!(run["at"].as_str().unwrap().ends_with("T23:00:00Z"), "{run}");
        assert!(run["local"].as_str().unwrap().ends_with(" 04:30:00 Asia/Kolkata"), "{run}");
    }
    assert!(project.succeed(&["next"]).out.contains("has no schedule"));
    project.succeed(&["pause", "shop"]);
    assert!(project.succeed(&["next", "shop"]).out.contains("paused: 0 30 4 ? * MON-FRI Asia/Kolkata"));
    assert!(project.succeed(&["pause", "shop"]).out.contains("paused already"));
    project.fail(&["pause", "hand"], 2, "has no schedule");
    project.fail(&["resume", "shp"], 2, "nearest is `shop`");
}
