//! Jobs of Databricks: definitions of a workspace and bundles, run as they are.

use serde_json::Value;

use crate::place::Place;
use crate::project::Project;
use crate::shop;

const BUNDLE: &str = "\
bundle:
  name: shop
include: [resources/*.yml]
variables:
  layer:
    default: gold
targets:
  dev:
    mode: development
    default: true
  prod:
    mode: production
";

/// Relative to the project this lies one folder down.
const JOB: &str = "\
resources:
  jobs:
    nightly:
      name: nightly ${bundle.target}
      job_clusters:
        - job_cluster_key: main
          new_cluster: {num_workers: 2}
      tasks:
        - task_key: bronze
          job_cluster_key: main
          bronze_task: {table: \"${bundle.name}.bronze.orders\"}
        - task_key: silver
          depends_on: [{task_key: bronze}]
          pipeline_task: {pipeline_id: \"${resources.pipelines.shop.id}\", layer: silver}
        - task_key: gold
          depends_on: [{task_key: silver}]
          pipeline_task: {pipeline_id: shop, layer: \"${var.layer}\"}
    all:
      tasks:
        - task_key: nightly
          run_job_task: {job_id: \"${resources.jobs.nightly.id}\"}
  pipelines:
    shop: {name: a shop}
";

fn project() -> Project {
    let project = shop::project(Place::Folder).with("databricks.yml", BUNDLE).with("resources/nightly.job.yml", JOB);
    project.land("orders/1.json", shop::orders(1..=3));
    project
}

#[test]
fn a_job_of_a_bundle_runs_under_its_key_and_under_its_name() {
    let project = project();
    let ended = project.succeed(&["run", "nightly", "--target", "prod", "--output", "json"]);
    let told: Value = serde_json::from_str(&ended.out).unwrap();
    assert_eq!((&told["state"], &told["run_id"]), (&"SUCCESS".into(), &"nightly-prod-1".into()), "{told}");
    assert_eq!(project.count("shop.gold.spent"), 3);
    project.land("orders/2.json", shop::orders(4..=5));
    project.succeed(&["run", "all", "--target", "prod", "--var", "layer=gold"]);
    assert_eq!(project.count("shop.gold.spent"), 5);
    project.land("orders/3.json", shop::orders(6..=6));
    let user = "[dev somebody] nightly dev";
    let ended = project.command(&["run", user]).env("USER", "somebody").output().unwrap();
    assert!(ended.status.success(), "{}", String::from_utf8_lossy(&ended.stderr));
    assert_eq!(project.count("shop.gold.spent"), 6);
}

#[test]
fn a_bundle_is_checked_with_a_note_for_people_and_for_programs() {
    let project = project();
    let ended = project.succeed(&["check"]);
    assert_eq!(
        ended.out,
        "note: resources/nightly.job.yml: ignored, they are about clusters and workspaces: resources/pipelines, \
         resources/jobs/nightly/job_clusters, resources/jobs/nightly/tasks/0/job_cluster_key\n"
    );
    let ended = project.succeed(&["check", "--output", "json"]);
    let told: Vec<Value> = serde_json::from_str(&ended.out).unwrap();
    assert_eq!((told.len(), &told[0]["level"]), (1, &"note".into()));
    let ended = project.run(&["check", "--target", "prd"]);
    assert!(
        ended.code == 2 && ended.out.starts_with("--target prd: there is no target `prd`; nearest is `prod`"),
        "{ended:#?}"
    );
}

#[test]
fn what_jobs_get_prints_runs_once_what_cannot_run_is_taken_out() {
    let job = |body: &str| {
        format!(
            "{{\"job_id\": 7, \"creator_user_name\": \"a@b.c\", \"settings\": {{\"name\": \"from there\", \"tasks\": [\
             {{\"task_key\": \"bronze\", \"existing_cluster_id\": \"1\", {body}}}]}}}}"
        )
    };
    let project = project();
    project.write("workflows/job.json", &job("\"notebook_task\": {\"notebook_path\": \"/x\"}"));
    project.fail(&["run", "from there"], 2, "`notebook_task` cannot be run here: there are no notebooks here");
    project.write("workflows/job.json", &job("\"bronze_task\": {\"table\": \"shop.bronze.orders\"}"));
    project.succeed(&["run", "from there"]);
    assert_eq!(project.count("shop.bronze.orders"), 3);
}
