//! `/health` and `/metrics`, for whoever watches the scheduler.

use std::collections::BTreeMap;
use std::fmt::{Display, Write as _};
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use chrono::Utc;
use serde::Serialize;
use serde_json::{Value, json};

use crate::failure::Failure;
use crate::routes::Site;
use crate::status;

/// What page belongs to which project.
#[derive(Debug, Serialize)]
pub(crate) struct ProjectView {
    project: String,
    version: &'static str,
}

/// The project.
pub(crate) async fn project(State(site): State<Arc<Site>>) -> Json<ProjectView> {
    Json(ProjectView { project: site.host.project(), version: env!("CARGO_PKG_VERSION") })
}

/// Whether the history can be read.
pub(crate) async fn health(State(site): State<Arc<Site>>) -> Result<Json<Value>, Failure> {
    site.history.open_runs().await?;
    Ok(Json(json!({ "status": "ok" })))
}

/// Figures in the text format of Prometheus.
pub(crate) async fn metrics(State(site): State<Arc<Site>>) -> Result<Response, Failure> {
    let ended = site.history.count_ended_runs().await?;
    let open = site.history.open_runs().await?;
    let mut page = Page::default();
    page.family("medallion_runs", "gauge", "Runs in the history, by how they ended.");
    for (state, count) in ended {
        page.sample("medallion_runs", &[("state", state.name())], count);
    }
    page.family("medallion_runs_open", "gauge", "Runs that have not ended, by workflow and by whether they go on.");
    let mut by_workflow: BTreeMap<(&str, &str), u64> = BTreeMap::new();
    for run in &open {
        *by_workflow.entry((&run.workflow, status::of_run(run))).or_default() += 1;
    }
    for ((workflow, status), count) in by_workflow {
        page.sample("medallion_runs_open", &[("workflow", workflow), ("status", status)], count);
    }
    page.family("medallion_schedule_lag_seconds", "gauge", "How long the oldest run has been due that waits to start.");
    for plan in site.host.plans().await? {
        let workflow = plan.workflow.name();
        let waiting = open.iter().filter(|run| run.workflow == workflow && run.started_at.is_none());
        let oldest = waiting.map(|run| run.cause.due_at.unwrap_or(run.queued_at)).min();
        let lag = oldest.map_or(0.0, |due| (Utc::now() - due).as_seconds_f64().max(0.0));
        page.sample("medallion_schedule_lag_seconds", &[("workflow", workflow)], lag);
    }
    Ok(([(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], page.text).into_response())
}

/// The text format of Prometheus, version 0.0.4.
#[derive(Default)]
struct Page {
    text: String,
}

impl Page {
    // Writing to a string cannot fail.
    fn family(&mut self, name: &str, kind: &str, help: &str) {
        let _ = writeln!(self.text, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: impl Display) {
        let escaped = |value: &str| value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
        let labels = labels.iter().map(|(label, value)| format!("{label}=\"{}\"", escaped(value)));
        let _ = writeln!(self.text, "{name}{{{}}} {value}", labels.collect::<Vec<_>>().join(","));
    }
}
