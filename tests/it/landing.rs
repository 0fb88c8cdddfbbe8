//! Which files of the landing folder are read, and when they are read again.

use crate::place::Place;
use crate::project::Project;

fn project(place: Place, more: &str) -> Project {
    Project::new(place).with(
        "pipelines/p/bronze/t.toml",
        &format!(
            "[source.files]\npath = \"${{var.landing}}\"\nformat = \"ndjson\"\npattern = \"*.json\"\n{more}\n\
             [schema]\nid = \"long\"\n"
        ),
    )
}

fn advance(project: &Project) -> String {
    project.succeed(&["bronze", "bronze.t"]);
    project.lines("SELECT id FROM p.bronze.t ORDER BY id").replace("{\"id\":", "").replace("}\n", " ")
}

/// A file that was read and is another now.
fn changed(place: Place, on_change: &str) -> Project {
    let project = project(place, on_change);
    project.land("a.json", "{\"id\":1}\n");
    assert_eq!(advance(&project), "1 ");
    project.land("a.json", "{\"id\":1}\n{\"id\":2}\n");
    project
}

fn check_a_changed_file_is_ignored_read_again_or_refused(place: Place) {
    assert_eq!(advance(&changed(place, "")), "1 ");
    let again = changed(place, "on_change = \"ingest\"");
    assert_eq!((advance(&again), advance(&again)), ("1 1 2 ".into(), "1 1 2 ".into()));
    for id in 3..=5 {
        again.land("a.json", format!("{{\"id\":{id}}}\n"));
        advance(&again);
    }
    assert_eq!(advance(&again), "1 1 2 3 4 5 ");
    let refused = changed(place, "on_change = \"fail\"");
    refused.fail(&["bronze", "bronze.t"], 1, "a.json` changed after it was read");
    assert_eq!(refused.count("p.bronze.t"), 1);
}

fn check_only_complete_files_that_match_are_read(place: Place) {
    let project = project(place, "");
    for (path, id) in
        [("a.json", 1), ("b.txt", 2), ("_c.json", 3), ("d.json.tmp", 4), ("deep/er/e.json", 5), ("_x/f.json", 6)]
    {
        project.land(path, format!("{{\"id\":{id}}}\n"));
    }
    assert_eq!(advance(&project), "1 5 ");
}

fn check_a_batch_holds_no_more_files_than_it_may(place: Place) {
    let project = project(place, "max_files = 2");
    for id in 1..=5 {
        project.land(&format!("{id}.json"), format!("{{\"id\":{id}}}\n"));
    }
    assert_eq!(advance(&project), "1 2 3 4 5 ");
    assert_eq!(project.versions()["p.bronze.t"], 3);
    let batches = project.query("SELECT COUNT(*) AS rows FROM p.bronze.t GROUP BY _batch ORDER BY _batch");
    assert_eq!(batches.iter().map(|batch| batch["rows"].as_i64().unwrap()).collect::<Vec<_>>(), [2, 2, 1]);
}

fn check_landing(place: Place) {
    check_a_changed_file_is_ignored_read_again_or_refused(place);
    check_only_complete_files_that_match_are_read(place);
    check_a_batch_holds_no_more_files_than_it_may(place);
}

#[test]
fn files_are_chosen_by_name_and_content_and_read_once_in_a_folder() {
    check_landing(Place::Folder);
}

#[test]
fn files_are_chosen_by_name_and_content_and_read_once_on_s3() {
    check_landing(Place::S3);
}

#[test]
fn a_project_that_was_moved_goes_on_where_it_stood() {
    let project = project(Place::Folder, "");
    project.land("a.json", "{\"id\":1}\n");
    advance(&project);
    let elsewhere = Project::new(Place::Folder);
    for name in ["landing", "lake", "pipelines"] {
        std::fs::rename(project.path(name), elsewhere.path(name)).unwrap();
    }
    elsewhere.land("b.json", "{\"id\":2}\n");
    assert_eq!(advance(&elsewhere), "1 2 ");
}
