//! `medallion check`: everything that is wrong, at once, offline.

use crate::golden::check_golden;
use crate::place::Place;
use crate::project::{Project, repository};
use crate::shop;

/// A project with something wrong in every file.
fn broken() -> Project {
    shop::project(Place::Folder)
        .with(
            "pipelines/shop/bronze/orders.toml",
            "[source.files]\npath = \"${var.landng}/orders\"\nformat = \"nd-json\"\n[schema]\nid = \"lng\"\n\
             [evolution]\nnew_columns = \"ad\"\n",
        )
        .with(
            "pipelines/shop/bronze/clicks.toml",
            "[source.files]\npath = \"${var.landing}/clicks\"\nformat = \"csv\"\n[schema]\nid = \"long\"\n\
             at = \"string\"\n[[expect]]\nname = \"has_id\"\nnot_null = [\"idd\"]\n",
        )
        .with("pipelines/shop/silver/keys.toml", "from = \"bronze.clicks\"\nwrit = \"append\"\n")
        .with(
            "pipelines/shop/silver/values.toml",
            "from = \"bronze.clicks\"\n[[expect]]\nname = \"late\"\non_fail = \"explode\"\n",
        )
        .with("pipelines/shop/silver/from.toml", "from = \"bronze.clcks\"\n")
        .with("pipelines/shop/silver/types.toml", "from = \"bronze.clicks\"\n[clean]\ncast = { at = \"timestmp\" }\n")
        .with(
            "pipelines/shop/silver/rules.toml",
            "from = \"bronze.clicks\"\n[[expect]]\nname = \"late\"\nexpect = \"at > \"\n\
             [[expect]]\nname = \"late\"\nbetween = { column = \"id\", min = 5, max = 1 }\n",
        )
        .with(
            "pipelines/shop/silver/visits.toml",
            "from = \"bronze.clicks\"\n[clean]\ncast = { when = \"timestamp\" }\n",
        )
        .with("pipelines/shop/silver/columns.toml", "from = \"bronze.clicks\"\n")
        .with("pipelines/shop/silver/columns.sql", "SELECT id,\n  att\nFROM bronze.clicks\n")
        .with("pipelines/shop/silver/counted.toml", "from = \"bronze.clicks\"\n")
        .with("pipelines/shop/silver/counted.sql", "SELECT id, COUNT(*) AS n\nFROM bronze.clicks\nGROUP BY id\n")
        .with("pipelines/shop/gold/lonely.sql", "SELECT 1\n")
        .with("pipelines/shop/gold/wrong.toml", "key = [\"id\"]\n")
        .with("pipelines/shop/gold/wrong.sql", "SELEC id FROM silver.visits\n")
        .with(
            "workflows/shop.json",
            "{\n  \"name\": \"shop\",\n  \"tasks\": [\n\
             \x20   { \"task_key\": \"a\", \"depends_on\": [{ \"task_key\": \"b\" }], \"bronze_task\": { \"table\": \"shop.bronze.orders\" } },\n\
             \x20   { \"task_key\": \"b\", \"depends_on\": [{ \"task_key\": \"a\" }], \"silver_task\": { \"table\": \"shop.silver.ordrs\" } },\n\
             \x20   { \"task_key\": \"c\", \"depends_on\": [{ \"task_key\": \"z\" }] }\n  ]\n}\n",
        )
}

#[test]
fn all_mistakes_are_told_at_once_with_their_places() {
    let project = broken();
    let ended = project.run(&["check"]);
    assert_eq!(ended.code, 2, "{ended:#?}");
    check_golden("check.txt", &ended.out);
    assert_eq!(ended.err, format!("{} problems\n", ended.out.lines().count()));
}

#[test]
fn every_mistake_names_a_file_a_line_and_a_column_for_programs() {
    let ended = broken().run(&["check", "--output", "json"]);
    let findings: Vec<serde_json::Value> = serde_json::from_str(&ended.out).unwrap();
    assert!(findings.len() > 10, "{findings:#?}");
    for finding in findings {
        assert!(finding["file"].is_string() && finding["message"].is_string(), "{finding}");
    }
}

#[test]
fn an_unknown_key_does_not_hide_the_other_mistakes_of_its_spec() {
    let project = shop::project(Place::Folder).with(
        "pipelines/shop/silver/orders.toml",
        "from = \"bronze.orders\"\ndescripton = \"orders\"\nnonsense = 1\n\
         partition_by = [\"id\", \"id\"]\n[clean]\ncast = { when = \"timestamp\" }\n",
    );
    let ended = project.run(&["check"]);
    let places: Vec<&str> = ended.out.lines().filter_map(|line| line.split(": ").next()).collect();
    let file = "pipelines/shop/silver/orders.toml";
    let expected = ["2:1", "3:1", "4:23", "6:10"].map(|place| format!("{file}:{place}"));
    assert_eq!((ended.code, places), (2, expected.iter().map(String::as_str).collect()), "{ended:#?}");
    project.fail(&["run", "shop"], 2, "unknown key `descripton`; nearest is `description`");
}

#[test]
fn a_command_on_a_broken_project_names_the_first_mistake_and_touches_nothing() {
    let project = broken();
    project.fail(&["run", "shop"], 2, "`medallion check` shows all");
    assert!(!project.lake().exists() && !project.path(".medallion").exists());
}

#[test]
fn the_demo_project_has_no_mistakes() {
    let project = Project::new(Place::Folder);
    let root = repository();
    let ended = project.succeed(&["check", "--project", root.to_str().unwrap()]);
    assert_eq!(ended.out, "");
}

#[test]
fn a_new_project_has_no_mistakes_and_runs() {
    let project = Project::new(Place::Folder);
    project.succeed(&["new", "fresh"]);
    project.succeed(&["check", "--project", "fresh"]);
    project.succeed(&["run", "shop", "--project", "fresh"]);
    assert!(project.path("fresh/lake/shop/gold").exists());
}

#[test]
fn the_written_schemas_are_those_of_the_program() {
    let project = Project::new(Place::Folder);
    project.succeed(&["schema", "--write", "schemas"]);
    for name in ["bronze", "silver", "gold", "workflow", "medallion"] {
        let file = format!("schemas/{name}.json");
        let written = std::fs::read_to_string(project.path(&file)).unwrap();
        let kept = std::fs::read_to_string(repository().join(&file)).unwrap();
        assert!(written == kept, "{file} is old; run `medallion schema --write schemas`");
    }
}
