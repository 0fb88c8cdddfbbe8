//! The generated experiments pipeline of the demo project, as its users run it.

use std::path::PathBuf;

use serde_json::Value;

use crate::place::Place;
use crate::project::{Project, files_below};

const ROWS: i64 = 2_000;
const GOLD: [&str; 7] = [
    "cohort",
    "conversion",
    "country_distribution",
    "daily_participants",
    "participation",
    "significance",
    "tier_distribution",
];

/// Generated files, not landed yet.
struct Generated {
    folder: tempfile::TempDir,
    summary: Value,
    files: Vec<PathBuf>,
}

fn generate(project: &Project) -> Generated {
    let folder = tempfile::tempdir().unwrap();
    let to = folder.path().to_str().unwrap();
    let rows = ROWS.to_string();
    let arguments = ["generate", "experiments", "--rows", &rows, "--bad", "0.02", "--duplicate", "0.02", "--days", "2"];
    let ended = project.succeed(&[&arguments[..], &["--to", to, "--output", "json"]].concat());
    let summary = serde_json::from_str(&ended.out).unwrap();
    let files = files_below(folder.path());
    Generated { folder, summary, files }
}

impl Generated {
    /// Lands the files of which `wanted` says so, told by their index.
    fn land(&self, project: &Project, wanted: impl Fn(usize) -> bool) {
        for (_, file) in self.files.iter().enumerate().filter(|(index, _)| wanted(*index)) {
            let path = file.strip_prefix(self.folder.path()).unwrap();
            project.land(path.to_str().unwrap(), std::fs::read(file).unwrap());
        }
    }
}

fn gold(project: &Project) -> Vec<Vec<String>> {
    GOLD.iter().map(|table| project.all_rows(&format!("experiments.gold.{table}"))).collect()
}

fn check_every_row_is_accounted_for(place: Place) {
    let project = Project::with_demo_pipeline(place, "experiments");
    let generated = generate(&project);
    generated.land(&project, |_| true);
    project.succeed(&["run", "experiments"]);

    assert_eq!(generated.summary["rows"], ROWS);
    let count = |table: &str| project.count(&format!("experiments.{table}"));
    let bronze = count("bronze.events");
    assert_eq!(bronze + count("quarantine.bronze_events"), ROWS);
    assert_eq!(count("quarantine.bronze_events"), generated.summary["truncated"].as_i64().unwrap());
    let silver = count("silver.events");
    let left_out = project.number(
        "SELECT SUM(rows_dropped) AS n FROM experiments.system.events WHERE \"table\" = 'experiments.silver.events'",
    );
    assert_eq!(silver + count("quarantine.silver_events") + left_out, bronze);
    assert!(
        left_out > 0 && count("quarantine.silver_events") > 0,
        "the generated data must hold bad and repeated rows"
    );
    assert_eq!(
        project.number(
            "SELECT COUNT(*) AS n FROM (SELECT DISTINCT ts, flag_key, user_key FROM experiments.silver.events)"
        ),
        silver
    );
    assert_eq!(
        project.number("SELECT COUNT(*) AS n FROM (SELECT DISTINCT _source, _position FROM experiments.bronze.events)"),
        bronze
    );
    for table in ["participation", "cohort"] {
        let total = format!("SELECT SUM(participants) AS n FROM experiments.gold.{table}");
        assert_eq!(project.number(&total), silver, "{table}");
    }

    let versions = project.versions();
    project.succeed(&["run", "experiments"]);
    assert_eq!(project.versions(), versions, "a run without anything new must write nothing");
}

fn check_two_halves_give_what_all_at_once_gives(place: Place) {
    let whole = Project::with_demo_pipeline(place, "experiments");
    let generated = generate(&whole);
    generated.land(&whole, |_| true);
    whole.succeed(&["run", "experiments"]);

    let halves = Project::with_demo_pipeline(place, "experiments");
    generated.land(&halves, |index| index % 2 == 0);
    halves.succeed(&["run", "experiments"]);
    generated.land(&halves, |index| index % 2 == 1);
    halves.succeed(&["run", "experiments"]);

    assert_eq!(halves.versions()["experiments.bronze.events"], 2);
    assert_eq!(gold(&halves), gold(&whole));
}

#[test]
fn every_generated_row_is_accounted_for_in_a_folder() {
    check_every_row_is_accounted_for(Place::Folder);
}

#[test]
fn every_generated_row_is_accounted_for_on_s3() {
    check_every_row_is_accounted_for(Place::S3);
}

#[test]
fn two_halves_give_what_all_at_once_gives_in_a_folder() {
    check_two_halves_give_what_all_at_once_gives(Place::Folder);
}

#[test]
fn two_halves_give_what_all_at_once_gives_on_s3() {
    check_two_halves_give_what_all_at_once_gives(Place::S3);
}
