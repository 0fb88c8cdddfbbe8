//! Whole projects, written to a folder and loaded.

use std::collections::BTreeMap;
use std::path::Path;

use super::*;

const SETTINGS: &str = "[project]\nname = \"demo\"\n[variables]\nlanding = \"./landing\"\n[lake]\npath = \"./lake\"\n";
const BRONZE: &str = "[source.files]\npath = \"${var.landing}/orders\"\nformat = \"csv\"\n\
                      [schema]\nid = \"long\"\nat = \"string\"\namount = \"double\"\n";
pub(super) const SILVER: &str = "from = \"bronze.orders\"\n[clean]\ncast = { at = \"timestamp\" }\n";
const WORKFLOW: &str =
    "{\"name\": \"shop\", \"tasks\": [\n{\"task_key\": \"a\", \"pipeline_task\": {\"pipeline\": \"shop\"}}]}";

pub(super) fn sound() -> BTreeMap<&'static str, String> {
    BTreeMap::from([
        ("medallion.toml", SETTINGS.to_owned()),
        ("pipelines/shop/bronze/orders.toml", BRONZE.to_owned()),
        ("pipelines/shop/silver/orders.toml", SILVER.to_owned()),
        ("pipelines/shop/silver/orders.sql", "SELECT id, at, amount FROM bronze.orders\n".to_owned()),
        ("pipelines/shop/gold/kpi.toml", "key = [\"id\"]\n".to_owned()),
        ("pipelines/shop/gold/kpi.sql", "SELECT id, SUM(amount) AS total\nFROM silver.orders GROUP BY id\n".to_owned()),
        ("workflows/shop.json", WORKFLOW.to_owned()),
    ])
}

pub(super) fn options() -> LoadOptions {
    LoadOptions { target: None, variables: BTreeMap::new(), environment: BTreeMap::new() }
}

fn write(root: &Path, files: &BTreeMap<&str, String>) {
    for (file, text) in files {
        let path = root.join(file);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
}

pub(super) fn loaded(
    files: &BTreeMap<&str, String>,
    options: &LoadOptions,
) -> (tempfile::TempDir, Option<Project>, Vec<String>) {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), files);
    let (project, findings) = load(folder.path(), options);
    (folder, project, findings.iter().map(ToString::to_string).collect())
}

/// What is found when one file of a sound project is another.
fn found_with(file: &'static str, text: &str) -> Vec<String> {
    let mut files = sound();
    files.insert(file, text.to_owned());
    loaded(&files, &options()).2
}

fn check_first(found: &[String], beginning: &str) {
    assert!(found.first().is_some_and(|first| first.starts_with(beginning)), "{found:?}");
}

#[test]
fn a_sound_project_is_loaded_with_its_order() {
    let (folder, project, found) = loaded(&sound(), &options());
    assert_eq!(found, Vec::<String>::new());
    let project = project.unwrap();
    let order: Vec<String> = project.order().iter().map(ToString::to_string).collect();
    assert_eq!(order, ["shop.bronze.orders", "shop.silver.orders", "shop.gold.kpi"]);
    let silver = &project.table("silver.orders").unwrap().name;
    assert_eq!(project.upstreams(silver).iter().map(ToString::to_string).collect::<Vec<_>>(), ["shop.bronze.orders"]);
    assert_eq!(project.downstreams(silver).iter().map(ToString::to_string).collect::<Vec<_>>(), ["shop.gold.kpi"]);
    assert_eq!(project.lake.path, folder.path().join("lake").to_string_lossy());
    let Definition::Bronze(spec) = &project.table("shop.bronze.orders").unwrap().definition else { panic!() };
    let bronze::spec::SourceSpec::Files(files) = &spec.source else { panic!() };
    assert_eq!(files.path, folder.path().join("landing/orders").to_string_lossy());
    assert!(project.table("shop.gold.kip").unwrap_err().message().contains("nearest is `shop.gold.kpi`"));
    assert!(project.workflow("shop").is_ok());
}

#[test]
fn all_findings_of_all_files_come_at_once_in_order() {
    let mut files = sound();
    files.insert("medallion.toml", SETTINGS.replace("[lake]", "[lke]"));
    files.insert("pipelines/shop/bronze/orders.toml", BRONZE.replace("var.landing", "var.landng"));
    files.insert("pipelines/shop/silver/orders.toml", SILVER.replace("[clean]", "[clen]"));
    files.insert("workflows/shop.json", WORKFLOW.replace("\"shop\"}", "\"shp\"}"));
    let (_folder, project, found) = loaded(&files, &options());
    assert!(project.is_some());
    assert_eq!(found.len(), 4, "{found:#?}");
    assert!(found[0].starts_with("medallion.toml:5:2: unknown key `lke`; nearest is `lake`"), "{found:#?}");
    let unknown = "pipelines/shop/bronze/orders.toml:2:9: unknown variable `landng`; nearest is `landing`";
    assert!(found[1].starts_with(unknown), "{found:#?}");
    assert!(found[2].starts_with("pipelines/shop/silver/orders.toml:2:2: unknown key `clen`; nearest is `clean`"));
    assert!(
        found[3].starts_with("workflows/shop.json:2:49: there is no pipeline `shp`; nearest is `shop`"),
        "{found:#?}"
    );
}

#[test]
fn names_of_tables_are_checked_where_they_stand() {
    let file = "pipelines/shop/silver/orders.toml";
    check_first(
        &found_with(file, &SILVER.replace("bronze.orders", "bronze.ordrs")),
        "pipelines/shop/silver/orders.toml:1:8: there is no table `shop.bronze.ordrs`; nearest is `shop.bronze.orders`",
    );
    check_first(
        &found_with(file, &SILVER.replace("bronze.orders", "orders")),
        "pipelines/shop/silver/orders.toml:1:8: `orders` is not",
    );
    check_first(
        &found_with("pipelines/shop/gold/kpi.sql", "SELECT 1 AS id FROM silver.orders\nJOIN silver.ordersx ON 1 = 1"),
        "pipelines/shop/gold/kpi.sql:2:6: there is no table `shop.silver.ordersx`; nearest is `shop.silver.orders`",
    );
    check_first(
        &found_with("pipelines/shop/silver/orders.sql", "SELECT id FROM shop.silver.orders"),
        "pipelines/shop/silver/orders.sql:1:16: these tables read each other in a circle",
    );
}

#[test]
fn a_table_whose_rows_change_is_no_incremental_upstream() {
    let mut files = sound();
    files.insert("pipelines/shop/silver/orders.toml", format!("write = \"overwrite\"\n{SILVER}"));
    files.insert("pipelines/shop/silver/more.toml", "from = \"silver.orders\"\n".to_owned());
    let found = loaded(&files, &options()).2;
    check_first(&found, "pipelines/shop/silver/more.toml:1:8: `shop.silver.orders` is written with overwrite");
    assert!(found[0].contains("set write = \"overwrite\" here"), "{found:?}");
    files.insert("pipelines/shop/silver/more.toml", "from = \"silver.orders\"\nwrite = \"overwrite\"\n".to_owned());
    assert_eq!(loaded(&files, &options()).2, Vec::<String>::new());
}

#[test]
fn a_merged_table_is_followed_by_its_keys() {
    let with = |write: &str| {
        let mut files = sound();
        let merge = "[write.merge]\nkeys = [\"id\"]\nsequence_by = \"at\"\n";
        let orders = SILVER.replace("[clean]", &format!("{merge}[clean]"));
        files.insert("pipelines/shop/silver/orders.toml", orders);
        files.insert("pipelines/shop/silver/more.toml", format!("from = \"silver.orders\"\n{write}\n"));
        loaded(&files, &options()).2
    };
    let merge = "write.merge = { keys = [\"id\"], sequence_by = [\"at\", \"id\"] }";
    assert_eq!(with(merge), Vec::<String>::new());
    check_first(
        &with(&merge.replace("[\"id\"],", "[\"at\"],")),
        "pipelines/shop/silver/more.toml:2:17: `shop.silver.orders` is merged by id",
    );
    check_first(
        &with("write.unique_key = [\"id\"]"),
        "pipelines/shop/silver/more.toml:1:8: `shop.silver.orders` is written with merge",
    );
    let filled = merge.replace(" }", ", ignore_null_updates = true }");
    check_first(&with(&filled), "pipelines/shop/silver/more.toml:2:");
}

#[test]
fn a_write_that_contradicts_itself_is_found() {
    let with = |write: &str| {
        let mut files = sound();
        files.insert("pipelines/shop/silver/more.toml", format!("from = \"bronze.orders\"\n{write}\n"));
        loaded(&files, &options()).2
    };
    let place = "pipelines/shop/silver/more.toml:2:";
    check_first(&with("write.merge = { keys = [\"id\"] }"), place);
    assert!(with("write.merge = { keys = [\"id\"] }")[0].contains("expected `sequence_by`"));
    assert_eq!(with("write.merge = { keys = [\"id\"], source = \"snapshots\" }"), Vec::<String>::new());
    let both = "write.merge = { keys = [\"id\"], source = \"snapshots\", delete_when = \"true\" }";
    assert!(with(both)[0].contains("`delete_when` is for changes"), "{:?}", with(both));
    let tracked = "write.scd2 = { keys = [\"id\"], sequence_by = \"at\", track = [\"amount\", \"at\"] }";
    assert!(with(tracked)[0].contains("`at` is a key or in `sequence_by`"), "{:?}", with(tracked));
    let days = "write.scd2 = { keys = [\"id\"], sequence_by = \"at\", remember = \"long\" }";
    assert!(with(days)[0].contains("time span"), "{:?}", with(days));
}

#[test]
fn gold_needs_a_query_and_a_query_needs_a_spec() {
    let mut files = sound();
    files.remove("pipelines/shop/gold/kpi.sql");
    files.insert("pipelines/shop/gold/other.sql", "SELECT 1".to_owned());
    let found = loaded(&files, &options()).2;
    assert_eq!(found.len(), 2, "{found:?}");
    assert!(found[0].starts_with("pipelines/shop/gold/kpi.toml: a gold table is the result of a query"), "{found:?}");
    assert!(found[1].starts_with("pipelines/shop/gold/other.sql: there is no spec beside this file"), "{found:?}");
}

#[test]
fn secrets_are_fetched_when_they_are_used_and_never_before() {
    let folder = tempfile::tempdir().unwrap();
    let marker = folder.path().join("ran");
    let settings = format!(
        "{SETTINGS}s3 = {{ region = \"x\", secret_access_key = \"${{secret.vault.key}}\", allow_http = \"${{var.http}}\" }}\n\
         [secrets.vault]\nprovider = \"command\"\ncommand = [\"sh\", \"-c\", \"touch {}; echo value\"]\n",
        marker.display()
    )
    .replace("[variables]", "[variables]\nhttp = \"true\"");
    let mut files = sound();
    files.insert("medallion.toml", settings.clone());
    let (_folder, project, found) = loaded(&files, &options());
    assert_eq!(found, Vec::<String>::new());
    assert!(!marker.exists());
    let project = project.unwrap();
    assert!(!format!("{project:?}").contains("\"value\""));
    let s3 = project.s3().unwrap();
    assert!(marker.exists());
    assert_eq!((s3.secret_access_key.unwrap().expose(), s3.allow_http), ("value", Some(true)));
    let wrong = settings.replace("region = \"x\"", "region = \"${secret.vault.key}\"");
    check_first(&found_with("medallion.toml", &wrong), "medallion.toml:8:17: a secret cannot stand here");
    let wrong = BRONZE.replace("${var.landing}", "${secret.vault.key}");
    files.insert("pipelines/shop/bronze/orders.toml", wrong);
    check_first(&loaded(&files, &options()).2, "pipelines/shop/bronze/orders.toml:2:8: a secret cannot stand here");
    let wrong = settings.replace("secret.vault.key", "secret.valt.key");
    check_first(
        &found_with("medallion.toml", &wrong),
        "medallion.toml:8:43: unknown secret scope `valt`; nearest is `vault`",
    );
}

#[test]
fn a_target_brings_its_own_values_and_must_exist() {
    let mut files = sound();
    let targets = "[targets.prod.variables]\nlanding = \"s3://prod${env.NOT_SET_HERE}\"\n[targets.prod.lake]\npath = \"s3://lake\"\n";
    files.insert("medallion.toml", format!("{SETTINGS}{targets}"));
    assert_eq!(loaded(&files, &options()).2, Vec::<String>::new());
    let mut options = options();
    options.target = Some("prod".into());
    let (_folder, project, found) = loaded(&files, &options);
    assert!(
        found[0].starts_with("medallion.toml:8:21: the environment variable `NOT_SET_HERE` is not set"),
        "{found:?}"
    );
    assert_eq!((project.unwrap().lake.path.as_str(), found.len()), ("s3://lake", 1));
    options.target = Some("prd".into());
    check_first(&loaded(&files, &options).2, "--target prd: there is no target `prd`; nearest is `prod`");
}

#[test]
fn a_folder_without_settings_is_no_project() {
    let folder = tempfile::tempdir().unwrap();
    let (project, findings) = load(folder.path(), &options());
    assert!(project.is_none());
    assert_eq!(findings[0].to_string(), "medallion.toml: the file cannot be read: there is no such file");
    assert!(find_root(folder.path()).is_err());
    write(folder.path(), &sound());
    assert_eq!(find_root(&folder.path().join("pipelines/shop")).unwrap(), folder.path());
}
