//! Several processes on one lake at the same time.

use crate::place::Place;
use crate::project::{Ended, Project};
use crate::running::Running;
use crate::shop;

/// Runs commands at the same time.
fn together<'a>(commands: impl IntoIterator<Item = (&'a Project, Vec<&'a str>)>) -> Vec<Ended> {
    let all: Vec<Running> =
        commands.into_iter().map(|(project, arguments)| Running::start(project, &arguments)).collect();
    all.into_iter().map(Running::ended).collect()
}

fn check_two_on_one_source(place: Place) {
    let project = shop::project(place);
    for round in 0..3 {
        project.land(&format!("orders/{round}.json"), shop::orders(round * 100..round * 100 + 100));
        for table in ["bronze", "silver"] {
            let name = format!("{table}.orders");
            let ended = together([(&project, vec![table, &name]), (&project, vec![table, &name])]);
            assert!(ended.iter().any(|ended| ended.code == 0), "{ended:#?}");
            for loser in ended.into_iter().filter(|ended| ended.code != 0) {
                let loser = loser.check_failed(75, "this batch was dropped");
                assert!(loser.err.contains(&format!("shop.{table}.orders")), "{loser:#?}");
            }
        }
    }
    let ids = project.query("SELECT COUNT(*) AS rows, COUNT(DISTINCT id) AS ids FROM shop.bronze.orders");
    assert_eq!(ids[0], serde_json::json!({ "rows": 300, "ids": 300 }));
    assert_eq!(project.count("shop.silver.orders"), 300);
}

/// A project with another name and another landing folder than its neighbours, and 50 orders of its own.
fn writer_of_its_own(place: Place, writer: i64) -> Project {
    let project = shop::project(place);
    let settings = std::fs::read_to_string(project.path("medallion.toml")).unwrap();
    project.write("medallion.toml", &settings.replace("\"test\"", &format!("\"test{writer}\"")));
    project.land("orders/1.json", shop::orders(writer * 50..writer * 50 + 50));
    project
}

/// Projects with one lake.
fn check_many_sources_into_one_table(place: Place, writers: i64) {
    let projects: Vec<Project> = (0..writers).map(|writer| writer_of_its_own(place, writer)).collect();
    let lake = format!("lake={}", projects[0].location("lake"));
    let ended =
        together(projects.iter().map(|project| (project, vec!["bronze", "shop.bronze.orders", "--var", &lake])));
    for one in &ended {
        assert_eq!(one.code, 0, "{ended:#?}");
    }
    let rows = projects[0].query("SELECT COUNT(*) AS rows, COUNT(DISTINCT id) AS ids FROM shop.bronze.orders");
    assert_eq!(rows[0], serde_json::json!({ "rows": writers * 50, "ids": writers * 50 }));
    assert_eq!(projects[0].versions()["shop.bronze.orders"], writers as usize);
}

#[test]
fn of_two_processes_on_one_source_one_wins_in_a_folder() {
    check_two_on_one_source(Place::Folder);
}

#[test]
fn of_two_processes_on_one_source_one_wins_on_s3() {
    check_two_on_one_source(Place::S3);
}

#[test]
fn processes_with_different_sources_all_append_to_one_table_in_a_folder() {
    check_many_sources_into_one_table(Place::Folder, 4);
}

#[test]
fn eight_processes_with_different_sources_all_append_to_one_table_on_s3() {
    check_many_sources_into_one_table(Place::S3, 8);
}
