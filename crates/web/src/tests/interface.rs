//! What is asked for and answered, held against its description.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use workflow::history::NewRun;
use workflow::{Cause, CauseKind};

use super::Site;
use super::client::Answer;
use super::schema::misfits;
use crate::OPENAPI;
use crate::routes::routes;

fn description() -> Value {
    serde_json::from_str(OPENAPI).unwrap()
}

/// Checks an answer against what the description says of its route and status.
#[track_caller]
fn check(method: &str, route: &str, answer: &Answer) {
    let document = description();
    let described = &document["paths"][route][method]["responses"][answer.status.to_string()]["content"];
    let (kind, content) = described.as_object().and_then(|content| content.iter().next()).unwrap_or_else(|| {
        panic!("{method} {route} is not said to answer {}: {}", answer.status, answer.body);
    });
    assert_eq!(answer.field("content-type").split(';').next(), Some(&**kind), "{route}");
    if kind == "application/json" {
        let found = misfits(&document, &content["schema"], &answer.json(), "");
        assert!(found.is_empty(), "{method} {route}: {found:#?}");
    }
}

#[test]
fn the_description_names_every_route_and_no_other() {
    let document = description();
    let paths = document["paths"].as_object().unwrap();
    let described: BTreeSet<(String, String)> = paths
        .iter()
        .flat_map(|(path, methods)| methods.as_object().unwrap().keys().map(|method| (method.clone(), path.clone())))
        .collect();
    let there = routes().into_iter().map(|(method, path, _)| (method.to_owned(), path.to_owned())).collect();
    assert_eq!(described, there);
}

#[tokio::test]
async fn answers_are_as_they_are_described() {
    let site = Site::new().await;
    let run = site.start("flaky").await;
    site.wait_for(run, "FAILED").await;
    let long = site.start("long").await;
    for (route, path) in [
        ("/api/project", "/api/project".to_owned()),
        ("/api/workflows", "/api/workflows".to_owned()),
        ("/api/workflows/{name}", "/api/workflows/flaky".to_owned()),
        ("/api/workflows/{name}", "/api/workflows/other".to_owned()),
        ("/api/runs", "/api/runs".to_owned()),
        ("/api/runs", "/api/runs?workflow=flaky&state=FAILED&limit=1&before=7".to_owned()),
        ("/api/runs", "/api/runs?limit=0".to_owned()),
        ("/api/runs", "/api/runs?state=GREAT".to_owned()),
        ("/api/runs", "/api/runs?stat=FAILED".to_owned()),
        ("/api/runs/{number}", format!("/api/runs/{run}")),
        ("/api/runs/{number}", format!("/api/runs/{long}")),
        ("/api/runs/{number}", "/api/runs/99".to_owned()),
        ("/api/runs/{number}", "/api/runs/ninety".to_owned()),
        ("/api/runs/{number}/log", format!("/api/runs/{run}/log?task=first")),
        ("/api/runs/{number}/log", format!("/api/runs/{run}/log?task=..%2F..%2Fsecret")),
        ("/api/runs/{number}/log", format!("/api/runs/{run}/log")),
        ("/api/runs/{number}/graph.svg", format!("/api/runs/{run}/graph.svg")),
        ("/api/runs/{number}/graph.svg", "/api/runs/99/graph.svg".to_owned()),
        ("/api/openapi.json", "/api/openapi.json".to_owned()),
        ("/health", "/health".to_owned()),
        ("/metrics", "/metrics".to_owned()),
    ] {
        check("get", route, &site.get(&path).await);
    }
    for (route, path, body, status) in [
        ("/api/workflows/{name}/run", "/api/workflows/flaky/run".to_owned(), r#"{"parameters": {"day": "x"}}"#, 202),
        ("/api/workflows/{name}/run", "/api/workflows/other/run".to_owned(), "", 404),
        ("/api/workflows/{name}/pause", "/api/workflows/flaky/pause".to_owned(), "", 200),
        ("/api/workflows/{name}/resume", "/api/workflows/flaky/resume".to_owned(), "{}", 200),
        ("/api/workflows/{name}/pause", "/api/workflows/long/pause".to_owned(), "", 409),
        ("/api/runs/{number}/repair", format!("/api/runs/{long}/repair"), "", 409),
        ("/api/runs/{number}/repair", format!("/api/runs/{run}/repair"), r#"{"tasks": ["frist"]}"#, 400),
        ("/api/runs/{number}/cancel", format!("/api/runs/{run}/cancel"), "", 409),
        ("/api/runs/{number}/cancel", format!("/api/runs/{long}/cancel"), "", 202),
        ("/api/runs/{number}/cancel", "/api/runs/99/cancel".to_owned(), "", 404),
    ] {
        let answer = site.post(&path, body).await;
        assert_eq!(answer.status, status, "{path}: {}", answer.body);
        check("post", route, &answer);
    }
    site.wait_for(long, "CANCELED").await;
}

#[tokio::test]
async fn a_failed_run_is_repaired_under_its_number() {
    let site = Site::new().await;
    let run = site.start("flaky").await;
    let failed = site.wait_for(run, "FAILED").await;
    let statuses = |view: &Value| {
        let tasks = view["tasks"].as_array().unwrap();
        tasks.iter().map(|task| task["status"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(statuses(&failed), ["SUCCESS", "FAILED", "UPSTREAM_FAILED"]);
    assert_eq!(site.post(&format!("/api/runs/{run}/repair"), "{}").await.json(), json!({ "run": run }));
    let repaired = site.wait_for(run, "SUCCESS").await;
    assert_eq!(statuses(&repaired), ["SUCCESS"; 3]);
    let attempts = repaired["attempts"].as_array().unwrap();
    let told = attempts.iter().map(|one| format!("{} {}", one["task_key"].as_str().unwrap(), one["repair"]));
    assert_eq!(told.collect::<Vec<_>>(), ["first 0", "second 0", "second 1", "third 1"]);
}

#[tokio::test]
async fn what_needs_no_repair_is_not_repaired() {
    let site = Site::new().await;
    let run = site.start("flaky").await;
    site.wait_for(run, "FAILED").await;
    let path = format!("/api/runs/{run}/repair");
    site.post(&path, "").await;
    site.wait_for(run, "SUCCESS").await;
    let answer = site.post(&path, "").await;
    assert_eq!(answer.status, 409, "{}", answer.body);
    check("post", "/api/runs/{number}/repair", &answer);
    assert_eq!(site.post(&path, r#"{"tasks": ["third"]}"#).await.status, 202, "a task that is named runs once more");
}

#[tokio::test]
async fn a_run_in_progress_shows_where_its_tasks_stand() {
    let site = Site::new().await;
    let run = site.start("long").await;
    let mut view = site.wait_for(run, "RUNNING").await;
    while view["tasks"][0]["status"] != "RUNNING" {
        view = site.wait_for(run, "RUNNING").await;
    }
    assert_eq!(view["tasks"][1]["status"], "BLOCKED");
    let svg = site.get(&format!("/api/runs/{run}/graph.svg")).await.body;
    assert!(svg.contains(r#"data-task="only" class="task state-RUNNING""#), "{svg}");
    let list = site.get("/api/workflows").await.json();
    let long = list.as_array().unwrap().iter().find(|workflow| workflow["name"] == "long").unwrap();
    assert_eq!(
        (&long["running"], &long["queued"], &long["last_runs"][0]["status"]),
        (&json!(1), &json!(0), &json!("RUNNING"))
    );
    assert_eq!(site.get("/api/runs?state=RUNNING").await.json().as_array().unwrap().len(), 1);
    assert_eq!(site.get("/api/runs?state=running").await.json().as_array().unwrap().len(), 1, "as on the command line");
    assert_eq!(site.get("/api/runs?state=QUEUED").await.json(), json!([]));
}

#[tokio::test]
async fn runs_are_listed_page_by_page() {
    let site = Site::new().await;
    for _ in 0..5 {
        let run = site.start("flaky").await;
        site.wait_for(run, "FAILED").await;
    }
    let (mut seen, mut before) = (Vec::new(), String::new());
    loop {
        let page = site.get(&format!("/api/runs?workflow=flaky&limit=2{before}")).await.json();
        let numbers: Vec<i64> = page.as_array().unwrap().iter().map(|run| run["number"].as_i64().unwrap()).collect();
        let Some(last) = numbers.last() else { break };
        before = format!("&before={last}");
        seen.extend(numbers);
    }
    assert_eq!(seen, [5, 4, 3, 2, 1]);
}

#[tokio::test]
async fn logs_go_on_where_they_were_left() {
    let site = Site::new().await;
    let run = site.start("flaky").await;
    site.wait_for(run, "FAILED").await;
    let read = async |from: i64| site.get(&format!("/api/runs/{run}/log?task=first&from={from}")).await.json();
    let whole = read(0).await;
    assert_eq!(whole["text"].as_str().unwrap().lines().count(), 3);
    assert!(whole["text"].as_str().unwrap().contains("<orders> & \"more\""));
    let next = whole["next"].as_i64().unwrap();
    assert_eq!(read(next).await["text"], "");
    assert_eq!(read(-10).await["next"], next);
}

#[tokio::test]
async fn figures_are_those_of_the_history() {
    let site = Site::new().await;
    let run = site.start("flaky").await;
    site.wait_for(run, "FAILED").await;
    let long = site.start("long").await;
    site.wait_for(long, "RUNNING").await;
    let figures = site.get("/metrics").await.body;
    for line in [
        "medallion_runs{state=\"FAILED\"} 1",
        "medallion_runs_open{workflow=\"long\",status=\"RUNNING\"} 1",
        "medallion_schedule_lag_seconds{workflow=\"flaky\"} 0",
    ] {
        assert!(figures.lines().any(|found| found == line), "{line} is not in {figures}");
    }
    let due_at = Some(chrono::Utc::now() - chrono::TimeDelta::seconds(90));
    let cause = Cause { due_at, ..Cause::new(CauseKind::Schedule) };
    site.host.history().queue_run(NewRun { workflow: "flaky".to_owned(), cause, ..NewRun::default() }).await.unwrap();
    let figures = site.get("/metrics").await.body;
    let lag = figures.lines().find_map(|line| line.strip_prefix("medallion_schedule_lag_seconds{workflow=\"flaky\"} "));
    assert!((90.0..120.0).contains(&lag.unwrap().parse().unwrap()), "{figures}");
}

#[tokio::test]
async fn what_is_not_there_is_said_in_json() {
    let site = Site::new().await;
    for (method, path, status, kind) in [
        ("GET", "/api/nothing", 404, "not_found"),
        ("GET", "/api/workflows/flaky/run", 405, "method_not_allowed"),
        ("GET", "/page/../../etc/passwd", 404, "not_found"),
    ] {
        let answer = site.client().await.ask(method, path, &[], "").await;
        assert_eq!((answer.status, answer.json()["kind"].as_str()), (status, Some(kind)), "{path}");
    }
}
