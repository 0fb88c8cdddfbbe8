//! Workflows of small projects: what is taken out, what is refused, and what they lack.

use crate::project::tests::{loaded, options, sound};

/// What is found and what is noted when the workflow of a sound project is another.
fn checked(workflow: &str) -> (Vec<String>, Vec<String>) {
    checked_with(workflow, &[])
}

fn checked_with(workflow: &str, more: &[(&'static str, &str)]) -> (Vec<String>, Vec<String>) {
    let mut files = sound();
    files.insert("workflows/shop.json", workflow.to_owned());
    files.extend(more.iter().map(|(file, text)| (*file, (*text).to_owned())));
    let (_folder, project, found) = loaded(&files, &options());
    (found, project.unwrap().notes.iter().map(ToString::to_string).collect())
}

/// A workflow of tasks, each as its key, what it depends on, and its body.
fn tasks(tasks: &[(&str, &[&str], &str)]) -> String {
    let tasks = tasks.iter().map(|(key, depends_on, body)| {
        let before: Vec<String> = depends_on.iter().map(|key| format!("{{\"task_key\": \"{key}\"}}")).collect();
        format!("{{\"task_key\": \"{key}\", \"depends_on\": [{}], {body}}}", before.join(", "))
    });
    format!("{{\"tasks\": [{}]}}", tasks.collect::<Vec<_>>().join(",\n"))
}

const BRONZE: &str = r#""bronze_task": {"table": "shop.bronze.orders"}"#;
const SILVER: &str = r#""silver_task": {"table": "shop.silver.orders"}"#;
const GOLD: &str = r#""gold_task": {"table": "shop.gold.kpi"}"#;

const MULTITASK: &str = include_str!("testdata/multitask.json");
const PRINTED: &str = include_str!("testdata/printed.json");

#[test]
fn a_job_of_a_workspace_is_told_what_is_ignored_and_what_cannot_run() {
    let (found, notes) = checked(MULTITASK);
    assert_eq!(
        found,
        [
            "workflows/shop.json:10:7: `spark_jar_task` cannot be run here: there is no Spark here; run the program from a \
             shell_task",
            "workflows/shop.json:43:7: `notebook_task` cannot be run here: there are no notebooks here; write its SQL as \
             tables of a pipeline, or run it from a shell_task",
        ]
    );
    assert_eq!(
        notes,
        ["workflows/shop.json: ignored, they are about clusters and workspaces: job_clusters, format, \
          tasks/0/existing_cluster_id, tasks/0/libraries, tasks/1/job_cluster_key, tasks/1/libraries, \
          tasks/2/new_cluster"]
    );
}

#[test]
fn what_jobs_get_prints_is_read_and_named_after_its_file_when_it_has_no_name() {
    let (found, notes) = checked(PRINTED);
    assert_eq!(found, Vec::<String>::new());
    assert_eq!(
        notes,
        [
            "workflows/shop.json: ignored, they are about clusters and workspaces: created_time, creator_user_name, job_id, \
          run_as_user_name, settings/format, settings/run_as, settings/tasks/0/for_each_task/task/environment_key, \
          settings/tasks/1/sql_task/warehouse_id, settings/tasks/1/sql_task/file/source"
        ]
    );
    let mut files = sound();
    files.insert("workflows/nightly.json", tasks(&[("a", &[], BRONZE)]));
    let (_folder, project, found) = loaded(&files, &options());
    assert_eq!(found, Vec::<String>::new());
    assert!(project.unwrap().workflows.contains_key("nightly"));
}

#[test]
fn an_unknown_key_is_still_an_error_with_the_nearest_name() {
    let (found, _) = checked(r#"{"job_id": 1, "settngs": {}, "settings": {"job_cluster": [], "tasks": []}}"#);
    let messages: Vec<&str> = found.iter().map(|one| one.rsplit_once(": ").unwrap().1).collect();
    assert!(messages.iter().any(|one| one.contains("unknown key `settngs`; nearest is `settings`")), "{found:?}");
    assert!(messages.iter().any(|one| one.contains("unknown key `job_cluster`")), "{found:?}");
}

#[test]
fn a_text_that_is_nearly_a_reference_is_noted_where_it_stands() {
    let body = r#""shell_task": {"command": ["echo", "{{job.parameters.run-date}}", "{{ other }}"]}"#;
    let (found, notes) = checked(&tasks(&[("a", &[], body)]));
    assert_eq!(found, Vec::<String>::new());
    assert_eq!(notes.len(), 1, "{notes:?}");
    assert!(notes[0].starts_with("workflows/shop.json:1:") && notes[0].contains("{{job.parameters.run-date}}"));
}

#[test]
fn a_missing_edge_between_a_writer_and_its_reader_is_told_with_the_edge() {
    let (found, _) = checked(&tasks(&[("a", &[], BRONZE), ("b", &[], SILVER), ("c", &["b"], GOLD)]));
    assert_eq!(
        found,
        [
            "workflows/shop.json:2:14: `b` reads shop.bronze.orders, which `a` writes; nothing says which comes first: add \
          {\"task_key\": \"a\"} to its depends_on"
        ]
    );
    let through_another = [("a", &[][..], BRONZE), ("w", &["a"], r#""shell_task": {"command": "true"}"#)];
    let ordered: Vec<_> = through_another.into_iter().chain([("b", &["w"][..], SILVER)]).collect();
    assert_eq!(checked(&tasks(&ordered)).0, Vec::<String>::new());
}

#[test]
fn a_reader_before_the_writer_and_branches_that_exclude_each_other_lack_nothing() {
    assert_eq!(checked(&tasks(&[("b", &[], SILVER), ("a", &["b"], BRONZE)])).0, Vec::<String>::new());
    let branch = |key: &str, outcome: &str, body: &str| {
        format!(
            "{{\"task_key\": \"{key}\", \"depends_on\": [{{\"task_key\": \"if\", \"outcome\": \"{outcome}\"}}], {body}}}"
        )
    };
    let condition = r#"{"task_key": "if", "condition_task": {"op": "EQUAL_TO", "left": "1", "right": "1"}}"#;
    let of = |one: &str, other: &str| {
        format!("{{\"tasks\": [{condition}, {}, {}]}}", branch("a", one, BRONZE), branch("b", other, SILVER))
    };
    assert_eq!(checked(&of("true", "false")).0, Vec::<String>::new());
    assert_eq!(checked(&of("true", "true")).0.len(), 1);
}

#[test]
fn a_reader_that_runs_whatever_the_outcome_lacks_an_edge_to_a_writer_in_a_branch() {
    let other = r#""shell_task": {"command": "true"}"#;
    let of = |after: &str, run_if: &str| {
        format!(
            r#"{{"tasks": [
            {{"task_key": "if", "condition_task": {{"op": "EQUAL_TO", "left": "1", "right": "1"}}}},
            {{"task_key": "w", "depends_on": [{{"task_key": "if", "outcome": "true"}}], {BRONZE}}},
            {{"task_key": "b", "depends_on": [{{"task_key": "if", "outcome": "false"}}], {other}}},
            {{"task_key": "other", {other}}},
            {{"task_key": "r", "depends_on": [{after}], "run_if": "{run_if}", {SILVER}}}]}}"#
        )
    };
    let (branch, both) = (r#"{"task_key": "b"}"#, r#"{"task_key": "b"}, {"task_key": "other"}"#);
    let outcome = r#"{"task_key": "if", "outcome": "false"}, {"task_key": "other"}"#;
    // Excluded is as good as succeeded for the task after it, but who comes after excluded tasks alone is excluded too.
    for (after, run_if, missing) in [
        (branch, "ALL_SUCCESS", 0),
        (branch, "ALL_DONE", 0),
        (both, "ALL_SUCCESS", 1),
        (both, "ALL_DONE", 1),
        (outcome, "ALL_SUCCESS", 0),
        (outcome, "ALL_DONE", 1),
    ] {
        assert_eq!(checked(&of(after, run_if)).0.len(), missing, "{after} {run_if}");
    }
}

#[test]
fn items_of_a_loop_that_would_tell_somebody_are_noted() {
    let body = r#""for_each_task": {"inputs": "[1]", "task": {"task_key": "inner",
        "webhook_notifications": {"on_failure": [{"id": "ops"}]}, "shell_task": {"command": "true"}}}"#;
    let (found, notes) = checked(&tasks(&[("each", &[], body)]));
    assert_eq!(found, Vec::<String>::new());
    assert!(notes[0].contains("put the notifications on the for_each task"), "{notes:?}");
}

#[test]
fn queries_audits_maintenance_loops_and_nested_workflows_read_and_write_tables_too() {
    let query =
        r#""sql_task": {"file": {"path": "reports/day.sql"}, "parameters": {"day": "{{job.start_time.iso_date}}"}}"#;
    let bodies = [
        query,
        r#""quality_task": {"table": "shop.silver.orders"}"#,
        r#""optimize_task": {"table": "shop.silver.orders"}"#,
        r#""for_each_task": {"inputs": "[1]", "task": {"task_key": "inner", "gold_task": {"table": "shop.gold.kpi"}}}"#,
        r#""pipeline_task": {"pipeline": "shop", "layer": "gold"}"#,
        r#""run_job_task": {"job_id": "inner"}"#,
    ];
    for body in bodies {
        let workflow = tasks(&[("write", &[], SILVER), ("read", &[], body)]);
        let inner = tasks(&[("gold", &[], GOLD)]);
        let more = [("reports/day.sql", "SELECT id FROM silver.orders"), ("workflows/inner.json", inner.as_str())];
        let (found, _) = checked_with(&workflow, &more);
        assert_eq!(found.len(), 1, "{body}: {found:?}");
        assert!(found[0].contains("`read` reads shop.silver.orders, which `write` writes"), "{found:?}");
    }
}

#[test]
fn the_file_of_a_query_must_be_there_and_be_one_select_from_known_tables() {
    let of = |path: &str| tasks(&[("q", &[], &format!(r#""sql_task": {{"file": {{"path": "{path}"}}}}"#))]);
    let (found, _) = checked(&of("reports/dy.sql"));
    assert!(found[0].contains("`reports/dy.sql`: there is no such file"), "{found:?}");
    let (found, _) = checked_with(&of("day.sql"), &[("day.sql", "SELECT 1\nFROM silver.order")]);
    assert!(found[0].starts_with("day.sql:2:6: there is no table `shop.silver.order`; nearest is"), "{found:?}");
    let (found, _) = checked_with(&of("day.sql"), &[("day.sql", "DELETE FROM silver.orders")]);
    assert!(found[0].starts_with("day.sql:1:1: "), "{found:?}");
    let folder = r#""shell_task": {"command": "true", "working_folder": "scripts"}"#;
    assert!(checked(&tasks(&[("s", &[], folder)])).0[0].contains("there is no folder `scripts`"));
}

#[test]
fn workflows_are_checked_against_each_other() {
    let inner = tasks(&[("gold", &[], GOLD)]);
    let outer = tasks(&[("run", &[], r#""run_job_task": {"job_id": "iner", "job_parameters": {}}"#)]);
    let (found, _) = checked_with(&outer, &[("workflows/inner.json", &inner)]);
    assert!(found[0].contains("there is no workflow `iner` in this project; did you mean `inner`?"), "{found:?}");
}

#[test]
fn who_is_told_must_be_known_to_the_settings() {
    let workflow = format!(
        r#"{{"email_notifications": {{"on_failure": ["a@b.c", "d@e.f"]}}, "tasks": [{{"task_key": "a", {BRONZE},
           "webhook_notifications": {{"on_start": [{{"id": "opps"}}]}}}}]}}"#
    );
    let settings = &sound()["medallion.toml"];
    let (found, _) = checked(&workflow);
    assert_eq!(found.len(), 2, "{found:?}");
    assert!(found[0].contains("no mail server is known; write [notifications.mail]"), "{found:?}");
    let known = format!(
        "{settings}[notifications.mail]\nhost = \"mail.example.com\"\nfrom = \"a@b.c\"\n\
         [notifications.webhooks.ops]\nkind = \"generic\"\nurl = \"https://example.com/x\"\n"
    );
    let (found, _) = checked_with(&workflow, &[("medallion.toml", &known)]);
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].contains("unknown webhook `opps`") && found[0].ends_with("nearest is `ops`"), "{found:?}");
    let wrong = format!("{settings}[notifications.mail]\nhost = \"mail.example.com:25\"\nfrom = \"a@b.c\"\n");
    let (found, _) = checked_with(&tasks(&[("a", &[], BRONZE)]), &[("medallion.toml", &wrong)]);
    assert!(found[0].starts_with("medallion.toml:8:8: a port cannot stand here"), "{found:?}");
}
