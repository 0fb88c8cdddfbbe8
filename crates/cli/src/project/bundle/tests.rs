//! Bundles beside a small project: what becomes of their jobs, and what is found.

use std::collections::BTreeMap;

use workflow::Body;

use crate::project::tests::{loaded, options, sound};
use crate::project::{LoadOptions, Project};

const BUNDLE: &str = include_str!("testdata/databricks.yml");
const RESOURCES: &str = include_str!("testdata/nightly.job.yml");

/// A sound project with a bundle.
fn with_bundle(bundle: &str) -> BTreeMap<&'static str, String> {
    let mut files = sound();
    files.insert("databricks.yml", bundle.to_owned());
    files
}

/// The sample: a root file, an included job, and the query that it names.
fn sample() -> BTreeMap<&'static str, String> {
    let mut files = with_bundle(BUNDLE);
    files.insert("resources/nightly.job.yml", RESOURCES.to_owned());
    files.insert("sql/count.sql", "SELECT COUNT(*) AS orders FROM silver.orders\n".to_owned());
    files
}

fn asked(target: Option<&str>, variables: &[(&str, &str)], environment: &[(&str, &str)]) -> LoadOptions {
    let owned =
        |pairs: &[(&str, &str)]| pairs.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
    let mut environment: BTreeMap<String, String> = owned(environment);
    environment.insert("USER".into(), "alice".into());
    LoadOptions { target: target.map(str::to_owned), variables: owned(variables), environment }
}

fn sound_project(files: &BTreeMap<&'static str, String>, options: &LoadOptions) -> Project {
    let (_folder, project, found) = loaded(files, options);
    assert_eq!(found, Vec::<String>::new());
    project.unwrap()
}

/// What is found in a bundle of one job of one task.
fn found_in(bundle: &str) -> Vec<String> {
    loaded(&with_bundle(bundle), &asked(None, &[], &[])).2
}

fn one_job(more: &str) -> String {
    format!("bundle:\n  name: b\nresources:\n  jobs:\n    j:\n      tasks:\n        - task_key: a\n          {more}\n")
}

fn body<'a>(project: &'a Project, workflow: &str, task: &str) -> &'a Body {
    let workflow = project.workflow(workflow).unwrap();
    workflow.tasks()[workflow.index_of(task).unwrap()].body()
}

#[test]
fn the_jobs_of_a_bundle_are_workflows() {
    let project = sound_project(&sample(), &asked(Some("prod"), &[], &[]));
    let names: Vec<&str> = project.workflows.keys().map(String::as_str).collect();
    assert_eq!(names, ["nightly shop prod", "shop", "tidy"]);
    let nightly = project.workflow("nightly").unwrap();
    assert_eq!(nightly.name(), "nightly shop prod");
    let order: Vec<&str> = nightly.tasks().iter().map(workflow::Task::key).collect();
    assert_eq!(order, ["ingest", "refresh", "count", "enough", "each", "tidy"]);
    assert_eq!(body(&project, "nightly", "ingest").to_string(), "shop.bronze.orders");
    assert_eq!(body(&project, "nightly", "refresh").to_string(), "shop");
    assert_eq!(body(&project, "nightly", "count").to_string(), "sql sql/count.sql");
    assert_eq!(
        body(&project, "nightly", "enough").to_string(),
        "if {{tasks.count.output.first_row.orders}} GREATER_THAN 500"
    );
    assert_eq!(body(&project, "nightly", "tidy").to_string(), "workflow tidy");
    // The target says more of a task than the job does; the rest stays.
    assert_eq!(nightly.tasks()[0].retry().max_retries, Some(5));
    assert_eq!(nightly.tasks()[1].retry().max_retries, Some(2));
    assert_eq!(nightly.timeout().unwrap().as_secs(), 7200);
    assert_eq!(nightly.parameters()["day"], "2024-01-31");
    assert_eq!((nightly.tags()["team"].as_str(), nightly.max_concurrent_runs()), ("shop", 1));
}

#[test]
fn what_is_ignored_is_told_once_for_each_file() {
    let project = sound_project(&sample(), &asked(Some("prod"), &[], &[]));
    let notes: Vec<String> = project.notes.iter().map(ToString::to_string).collect();
    assert_eq!(
        notes,
        [
            "databricks.yml: ignored, they are about clusters and workspaces: artifacts, workspace, run_as, \
             resources/pipelines",
            "resources/nightly.job.yml: ignored, they are about clusters and workspaces: resources/jobs/nightly/permissions, \
             resources/jobs/nightly/job_clusters, resources/jobs/nightly/tasks/0/job_cluster_key, \
             resources/jobs/nightly/tasks/2/sql_task/warehouse_id",
        ]
    );
}

#[test]
fn development_is_the_default_target_here_and_keeps_things_quiet() {
    let project = sound_project(&sample(), &asked(None, &[], &[]));
    let nightly = project.workflow("nightly").unwrap();
    assert_eq!(nightly.name(), "[dev alice] nightly shop dev");
    assert!(nightly.schedule().unwrap().paused);
    let prod = sound_project(&sample(), &asked(Some("prod"), &[], &[]));
    assert!(!prod.workflow("nightly").unwrap().schedule().unwrap().paused);
    assert_eq!(nightly.max_concurrent_runs(), 4);
    assert_eq!(nightly.tags()["team"], "shop");
    assert_eq!(body(&project, "nightly", "tidy").to_string(), "workflow [dev alice] tidy");
    assert_eq!(nightly.tasks()[0].retry().max_retries, Some(2));
}

#[test]
fn the_nearest_value_of_a_variable_wins() {
    let limit = |options: &LoadOptions, files: &BTreeMap<&'static str, String>| {
        body(&sound_project(files, options), "nightly", "enough").to_string().rsplit_once(' ').unwrap().1.to_owned()
    };
    let mut files = sample();
    assert_eq!(limit(&asked(None, &[], &[]), &files), "100");
    assert_eq!(limit(&asked(Some("prod"), &[], &[]), &files), "500");
    files.insert(".databricks/bundle/prod/variable-overrides.json", "{\"least_orders\": 600}".to_owned());
    assert_eq!(limit(&asked(Some("prod"), &[], &[]), &files), "600");
    let environment = [("BUNDLE_VAR_least_orders", "700")];
    assert_eq!(limit(&asked(Some("prod"), &[], &environment), &files), "700");
    assert_eq!(limit(&asked(Some("prod"), &[("least_orders", "800")], &environment), &files), "800");
}

#[test]
fn a_target_may_be_known_to_the_settings_only() {
    let mut files = sample();
    let settings = format!("{}[targets.laptop.variables]\nlanding = \"/tmp\"\n", files["medallion.toml"]);
    files.insert("medallion.toml", settings);
    let project = sound_project(&files, &asked(Some("laptop"), &[], &[]));
    assert!(project.workflows.contains_key("nightly shop laptop"));
    let found = loaded(&files, &asked(Some("prd"), &[], &[])).2;
    assert!(found[0].contains("there is no target `prd`; nearest is `prod`"), "{found:?}");
}

#[test]
fn a_whole_reference_keeps_its_type_and_values_without_quotes_fit_their_field() {
    let bundle = "bundle: {name: b}\nvariables:\n  retries: {default: 3}\n  steps:\n    type: complex\n    default:\n\
                  \x20     - {task_key: a, bronze_task: {table: shop.bronze.orders}, max_retries: '${var.retries}'}\n\
                  resources:\n  jobs:\n    j:\n      name: 2024\n      tasks: ${var.steps}\n      queue: {enabled: no}\n\
                  \x20     parameters:\n        - {name: n, default: 5}\n        - {name: b, default: true}\n\
                  \x20     tags: {year: 2024, share: 1.0}\n";
    let project = sound_project(&with_bundle(bundle), &asked(None, &[], &[]));
    let job = project.workflow("j").unwrap();
    assert_eq!((job.name(), job.queues(), job.tasks()[0].retry().max_retries), ("2024", false, Some(3)));
    assert_eq!((job.parameters()["n"].as_str(), job.parameters()["b"].as_str()), ("5", "true"));
    assert_eq!((job.tags()["year"].as_str(), job.tags()["share"].as_str()), ("2024", "1"));
}

#[test]
fn texts_for_a_shell_and_secrets_stay_what_they_are() {
    let bundle = one_job("shell_task: {command: 'echo $HOME ${HOME} $$ ${X:-y}', env: {A: 'a${secret.vault.key}$'}}");
    let mut files = with_bundle(&bundle);
    let settings = format!("{}[secrets.vault]\nprovider = \"env\"\n", files["medallion.toml"]);
    files.insert("medallion.toml", settings);
    let project = sound_project(&files, &asked(None, &[], &[]));
    let Body::Work(workflow::Work::Shell { command, environment, .. }) = body(&project, "j", "a") else { panic!() };
    assert_eq!(command[2], "echo $HOME ${HOME} $$ ${X:-y}");
    assert_eq!(environment["A"], "a${secret.vault.key}$$");
}

#[test]
fn mistakes_are_told_where_they_stand_in_their_file() {
    let mut files = sample();
    files.insert("resources/nightly.job.yml", RESOURCES.replace("sql/count.sql", "sql/cont.sql"));
    let found = loaded(&files, &asked(None, &[], &[])).2;
    assert_eq!(found, ["resources/nightly.job.yml:30:26: `sql/cont.sql`: there is no such file in the project"]);
    for (bundle, expected) in [
        (one_job("bronze_task: {table: shop.bronze.ordrs}"), "databricks.yml:8:32: there is no table"),
        (one_job("bronze_tsk: {table: shop.bronze.orders}"), "databricks.yml:8:11: unknown key `bronze_tsk`"),
        (one_job("notebook_task: {notebook_path: x}"), "databricks.yml:8:11: `notebook_task` cannot be run here"),
        (
            one_job("bronze_task: {table: '${var.t}'}"),
            "databricks.yml:8:33: `${var.t}` has no value: the bundle has no",
        ),
        (one_job("bronze_task: {table: '${vra.t}'}"), "databricks.yml:8:33: `${vra.t}` has no value: `vra` is nothing"),
        (
            one_job("bronze_task: {table: '${workspace.host}'}"),
            "databricks.yml:8:33: `${workspace.host}` has no value: there is no workspace here",
        ),
        (
            one_job("run_job_task: {job_id: '${resources.jobs.jj.id}'}"),
            "databricks.yml:8:35: `${resources.jobs.jj.id}` has no value: the bundle has no job `jj`; nearest is `j`",
        ),
        (
            "bundle: {name: b}\nvariables:\n  x:\n    description: d\n".to_owned(),
            "databricks.yml:3:3: no value for the variable `x`: give it with --var x=...",
        ),
        (
            "bundle: {name: b}\nvariables:\n  x:\n    lookup: {cluster: c}\n".to_owned(),
            "databricks.yml:4:13: a lookup asks a workspace",
        ),
        (
            "bundle: {name: b}\nvariables:\n  x: {default: [1]}\n".to_owned(),
            "databricks.yml:3:3: the value of `x` is a list or a table",
        ),
        ("bundle: {name: b}\nresorces: {}\n".to_owned(), "databricks.yml:2:1: unknown key `resorces`; nearest is"),
        ("bundle: {name: b}\ninclude: [more.yml]\n".to_owned(), "databricks.yml:2:11: there is no file `more.yml`"),
        (
            "bundle: {name: b}\ntargets: {dev: {}, prod: {}}\n".to_owned(),
            "databricks.yml:2:11: none of the targets is the default; choose one with --target (dev, prod)",
        ),
        ("bundle: {name: b\n".to_owned(), "databricks.yml:2:1: this is not YAML"),
    ] {
        // A reference without a value stays as it is, so that what it stands in may not make sense either.
        let follows = |one: &String| one.contains("`${") && !one.contains("has no value");
        let found: Vec<String> = found_in(&bundle).into_iter().filter(|one| !follows(one)).collect();
        assert!(found.len() == 1 && found[0].starts_with(expected), "{bundle}\n{found:#?}\n{expected}");
    }
}

#[test]
fn references_in_a_circle_are_told_and_come_to_an_end() {
    let bundle = format!(
        "variables:\n  a: {{default: '${{var.b}}${{var.b}}'}}\n  b: {{default: '${{var.a}}${{var.a}}'}}\n{}",
        one_job("bronze_task: {table: '${var.a}'}")
    );
    let found = found_in(&bundle);
    assert!(found.iter().any(|one| one.contains("leads in a circle, or through more than 11 others")), "{found:?}");
}

#[test]
fn anchors_may_stand_under_a_key_of_their_own_and_nobody_else() {
    let bundle = "bundle: {name: b}\ndefinitions:\n  retry: &retry {max_retries: 2}\nresources:\n  jobs:\n    j:\n\
                  \x20     tasks:\n        - task_key: a\n          <<: *retry\n          bronze_task: {table: shop.bronze.orders}\n";
    let project = sound_project(&with_bundle(bundle), &asked(None, &[], &[]));
    assert_eq!(project.workflow("j").unwrap().tasks()[0].retry().max_retries, Some(2));
    assert_eq!(found_in("bundle: {name: b}\ndefinitions:\n  retry: {max_retries: 2}\n").len(), 1);
}

#[test]
fn a_project_without_a_bundle_knows_nothing_of_one() {
    let (_folder, project, found) = loaded(&sound(), &options());
    assert!(found.is_empty() && project.unwrap().job_keys.is_empty());
}
