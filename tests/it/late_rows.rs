//! Rows that come too late: which they are, and where they go.

use crate::place::Place;
use crate::project::Project;

const BRONZE: &str = "[source.files]\npath = \"${var.landing}\"\nformat = \"ndjson\"\n";
const SCHEMA: &str = "[schema]\nid = \"long\"\nat = \"string\"\namount = \"string\"\n";
const SILVER: &str = "from = \"bronze.t\"\nwatermark = { column = \"event_time\", delay = \"1h\" }\n\
    write = { unique_key = [\"id\"] }\n[clean]\nrename = { at = \"event_time\" }\n\
    cast = { event_time = \"timestamp\", amount = \"double\" }\ndeduplicate = [\"id\"]\n";

fn project() -> Project {
    Project::new(Place::Folder)
        .with("pipelines/p/bronze/t.toml", &format!("{BRONZE}{SCHEMA}"))
        .with("pipelines/p/silver/t.toml", SILVER)
        .with("pipelines/p/silver/t.sql", "SELECT id, amount FROM bronze.t\n")
}

fn row(id: i64, time: &str, amount: &str) -> String {
    format!("{{\"id\":{id},\"at\":\"2024-03-01T{time}:00Z\",\"amount\":\"{amount}\"}}\n")
}

fn advance(project: &Project, file: &str, rows: &str) {
    project.land(file, rows);
    project.succeed(&["bronze", "bronze.t"]);
    project.succeed(&["silver", "silver.t"]);
}

#[test]
fn late_rows_are_put_aside_with_their_reason_and_counted() {
    let project = project();
    let first = row(1, "10:00", "1") + &row(2, "12:00", "2") + &row(3, "10:30", "3") + &row(4, "11:00", "4");
    advance(&project, "1.json", &first);
    let second = row(5, "10:59", "much") + &row(4, "11:00", "4") + &row(6, "11:30", "6") + &row(7, "10:00", "7");
    advance(&project, "2.json", &second);
    let kept = project.lines("SELECT id FROM p.silver.t ORDER BY id");
    assert_eq!(kept, "{\"id\":1}\n{\"id\":2}\n{\"id\":4}\n{\"id\":6}\n");
    let aside =
        project.query("SELECT row, reasons, source, position FROM p.quarantine.silver_t ORDER BY source, position");
    let told: Vec<String> =
        aside.iter().map(|row| format!("{} {} {}", row["source"], row["position"], row["reasons"])).collect();
    assert_eq!(
        told,
        ["\"1.json\" 3 [\"late\"]", "\"2.json\" 1 [\"late\",\"cast_amount\"]", "\"2.json\" 4 [\"late\"]"],
        "{aside:#?}"
    );
    assert!(aside[0]["row"].as_str().unwrap().contains("2024-03-01T10:30:00Z"), "{aside:#?}");
    let counted = "SELECT SUM(failed) AS n FROM p.system.quality WHERE rule = 'late' AND \"table\" = 'p.silver.t'";
    assert_eq!(project.number(counted), 3);
}

#[test]
fn a_full_refresh_decides_anew_and_comes_to_the_same() {
    let project = project();
    advance(&project, "1.json", &(row(1, "12:00", "1") + &row(2, "10:00", "2")));
    advance(&project, "2.json", &(row(3, "10:30", "3") + &row(4, "11:30", "4")));
    project.succeed(&["silver", "silver.t", "--full-refresh"]);
    assert_eq!(project.lines("SELECT id FROM p.silver.t ORDER BY id"), "{\"id\":1}\n{\"id\":4}\n");
    let aside = "SELECT COUNT(DISTINCT row) AS n FROM p.quarantine.silver_t";
    assert_eq!(project.number(aside), 2, "each time the two that are late");
}

/// `check` finds just this.
fn check_only(project: &Project, beginning: &str) {
    let ended = project.run(&["check"]);
    assert!(ended.code == 2 && ended.out.lines().count() == 1 && ended.out.starts_with(beginning), "{ended:#?}");
}

#[test]
fn a_watermark_that_does_not_fit_is_refused_in_one_line() {
    let wrong = SILVER.replace("\"event_time\", delay", "\"event_tme\", delay");
    let project = project().with("pipelines/p/silver/t.toml", &wrong);
    check_only(&project, "pipelines/p/silver/t.toml:2:24: there is no column `event_tme`; did you mean `event_time`?");
    project.write("pipelines/p/bronze/t.toml", BRONZE);
    project.land("1.json", row(1, "12:00", "1"));
    project.succeed(&["bronze", "bronze.t"]);
    project.fail(&["silver", "silver.t"], 2, "the watermark of p.silver.t: there is no column `event_tme`");
    let later = "from = \"silver.t\"\nwatermark = { column = \"amount\", delay = \"1h\" }\n";
    let project = project.with("pipelines/p/silver/t.toml", SILVER).with("pipelines/p/silver/later.toml", later);
    check_only(&project, "pipelines/p/silver/later.toml:2:1: a watermark follows the order of a source");
}
