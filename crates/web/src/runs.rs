//! `/api/runs`: what ran, how each attempt went, what tasks said, and the drawing of a run.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::header::{CONTENT_SECURITY_POLICY, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use workflow::history::{AttemptRecord, RunFilter, RunRecord, RunStatus, TaskRecord};
use workflow::pictures::state_of;

use crate::asked::{Asked, Named};
use crate::failure::Failure;
use crate::log_part::LogPart;
use crate::routes::Site;
use crate::{pictures, status};

/// How many runs are listed when nothing is said.
const SOME: usize = 50;
/// How many runs are listed at most.
const MOST: usize = 500;
/// A drawing stands alone and has its style inside; nothing else in it is done.
const DRAWING_POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; sandbox";

/// Which runs are listed.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ListQuery {
    workflow: Option<String>,
    state: Option<String>,
    limit: Option<usize>,
    before: Option<i64>,
}

/// Which log is read, and from where.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct LogQuery {
    task: String,
    #[serde(default)]
    from: i64,
}

/// A run in the list.
#[derive(Debug, Serialize)]
pub(crate) struct RunRow {
    status: &'static str,
    #[serde(flatten)]
    run: RunRecord,
}

/// A run with its parts.
#[derive(Debug, Serialize)]
pub(crate) struct RunView {
    /// When this was true.
    now: DateTime<Utc>,
    run: RunRow,
    tasks: Vec<TaskRow>,
    attempts: Vec<AttemptRecord>,
}

/// A task of a run.
#[derive(Debug, Serialize)]
pub(crate) struct TaskRow {
    status: &'static str,
    #[serde(flatten)]
    task: TaskRecord,
}

impl From<RunRecord> for RunRow {
    fn from(run: RunRecord) -> RunRow {
        RunRow { status: status::of_run(&run), run }
    }
}

/// The newest runs, or those before a number.
pub(crate) async fn list(
    State(site): State<Arc<Site>>,
    Asked(query): Asked<ListQuery>,
) -> Result<Json<Vec<RunRow>>, Failure> {
    let limit = query.limit.unwrap_or(SOME);
    if !(1..=MOST).contains(&limit) {
        return Err(Failure::wrong(format!("limit: between 1 and {MOST}")));
    }
    let status = query.state.map(|state| RunStatus::parse(&state)).transpose();
    let status = status.map_err(|error| Failure::wrong(format!("state: {error}")))?;
    let filter = RunFilter { workflow: query.workflow, status, before: query.before, limit };
    let runs = site.history.select_runs(filter).await?;
    Ok(Json(runs.into_iter().map(RunRow::from).collect()))
}

/// One run.
pub(crate) async fn show(State(site): State<Arc<Site>>, Named(number): Named<i64>) -> Result<Json<RunView>, Failure> {
    let details = site.run(number).await?;
    let statuses: Vec<_> = details.tasks.iter().map(|task| state_of(&details, task)).collect();
    let tasks = details.tasks.into_iter().zip(statuses).map(|(task, status)| TaskRow { status, task });
    Ok(Json(RunView { now: Utc::now(), run: details.run.into(), tasks: tasks.collect(), attempts: details.attempts }))
}

/// What a task of a run said.
pub(crate) async fn log(
    State(site): State<Arc<Site>>,
    Named(number): Named<i64>,
    Asked(query): Asked<LogQuery>,
) -> Result<Json<LogPart>, Failure> {
    let details = site.run(number).await?;
    if !details.tasks.iter().any(|task| task.task_key == query.task) {
        return Err(Failure::missing(format!("run {number} has no task `{}`", query.task)));
    }
    let path = site.history.logs().path(number, &query.task);
    let read = tokio::task::spawn_blocking(move || LogPart::read(&path, query.from)).await;
    let part = read.map_err(|error| stage::Error::bug("reading a log broke off").with_source(error))?;
    Ok(Json(part?))
}

/// The tasks of a run as a drawing.
pub(crate) async fn graph(State(site): State<Arc<Site>>, Named(number): Named<i64>) -> Result<Response, Failure> {
    let details = site.run(number).await?;
    let plans = site.host.plans().await?;
    let workflow = plans.iter().find(|plan| plan.workflow.name() == details.run.workflow);
    let svg = pictures::of_run(&details, workflow.map(|plan| &*plan.workflow), Utc::now());
    Ok(([(CONTENT_TYPE, "image/svg+xml"), (CONTENT_SECURITY_POLICY, DRAWING_POLICY)], svg).into_response())
}
