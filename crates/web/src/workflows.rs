//! `/api/workflows`: what can run, when it runs next, and how its last runs went.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use chrono::{DateTime, Utc};
use serde::Serialize;
use workflow::Task;
use workflow::history::{RunFilter, RunRecord};

use crate::asked::Named;
use crate::failure::Failure;
use crate::host::Plan;
use crate::routes::Site;
use crate::{pictures, status};

/// How many runs the health of a workflow is judged by.
const LAST_RUNS: usize = 20;

/// A workflow in the list.
#[derive(Debug, Serialize)]
pub(crate) struct WorkflowRow {
    name: String,
    description: String,
    /// What starts its runs, in words.
    schedule: Option<String>,
    next: Option<DateTime<Utc>>,
    /// What the next one waits for, when that is no time.
    waits_for: Option<String>,
    paused: bool,
    /// Parameters and their defaults.
    parameters: BTreeMap<String, String>,
    running: usize,
    queued: usize,
    /// The newest first.
    last_runs: Vec<RunBrief>,
}

/// A run in the health of a workflow.
#[derive(Debug, Serialize)]
pub(crate) struct RunBrief {
    number: i64,
    status: &'static str,
    queued_at: DateTime<Utc>,
    started_at: Option<DateTime<Utc>>,
    ended_at: Option<DateTime<Utc>>,
}

/// A workflow with its tasks.
#[derive(Debug, Serialize)]
pub(crate) struct WorkflowView {
    #[serde(flatten)]
    row: WorkflowRow,
    max_concurrent_runs: usize,
    tags: BTreeMap<String, String>,
    tasks: Vec<TaskPlan>,
    /// The tasks and their order, as SVG.
    drawing: String,
}

/// A task of a workflow.
#[derive(Debug, Serialize)]
pub(crate) struct TaskPlan {
    task_key: String,
    description: String,
    /// What it does, in words.
    does: String,
    depends_on: Vec<String>,
    disabled: bool,
}

/// Every workflow.
pub(crate) async fn list(State(site): State<Arc<Site>>) -> Result<Json<Vec<WorkflowRow>>, Failure> {
    let open = site.history.open_runs().await?;
    let mut rows = Vec::new();
    for plan in site.host.plans().await? {
        rows.push(row(&site, &plan, &open).await?);
    }
    Ok(Json(rows))
}

/// One workflow.
pub(crate) async fn show(
    State(site): State<Arc<Site>>,
    Named(name): Named<String>,
) -> Result<Json<WorkflowView>, Failure> {
    let plan = site.plan(&name).await?;
    let open = site.history.open_runs().await?;
    let workflow = &plan.workflow;
    let tasks = workflow.tasks().iter().enumerate().map(|(index, task)| {
        let before = workflow.dag().dependencies(index).iter().map(|before| workflow.tasks()[*before].key().to_owned());
        task_plan(task, before.collect())
    });
    Ok(Json(WorkflowView {
        row: row(&site, &plan, &open).await?,
        max_concurrent_runs: workflow.max_concurrent_runs(),
        tags: workflow.tags().clone(),
        tasks: tasks.collect(),
        drawing: pictures::of_workflow(workflow),
    }))
}

async fn row(site: &Site, plan: &Plan, open: &[RunRecord]) -> Result<WorkflowRow, Failure> {
    let workflow = &plan.workflow;
    let filter = RunFilter { workflow: Some(workflow.name().to_owned()), ..RunFilter::newest(LAST_RUNS) };
    let runs = site.history.select_runs(filter).await?;
    let of_this = || open.iter().filter(|run| run.workflow == workflow.name());
    Ok(WorkflowRow {
        name: workflow.name().to_owned(),
        description: workflow.description().to_owned(),
        schedule: plan.schedule.clone(),
        next: plan.next,
        waits_for: plan.waits_for.clone(),
        paused: plan.paused,
        parameters: workflow.parameters().clone(),
        running: of_this().filter(|run| run.started_at.is_some()).count(),
        queued: of_this().filter(|run| run.started_at.is_none()).count(),
        last_runs: runs.iter().map(brief).collect(),
    })
}

fn brief(run: &RunRecord) -> RunBrief {
    RunBrief {
        number: run.number,
        status: status::of_run(run),
        queued_at: run.queued_at,
        started_at: run.started_at,
        ended_at: run.ended_at,
    }
}

fn task_plan(task: &Task, depends_on: Vec<String>) -> TaskPlan {
    TaskPlan {
        task_key: task.key().to_owned(),
        description: task.description().to_owned(),
        does: task.body().to_string(),
        depends_on,
        disabled: task.is_disabled(),
    }
}
