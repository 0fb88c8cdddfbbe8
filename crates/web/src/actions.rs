//! What changes something: starting, repairing and cancelling runs, pausing and resuming workflows.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use workflow::Again;

use crate::asked::{Named, Told};
use crate::failure::Failure;
use crate::routes::Site;
use crate::status;

/// What a new run is given.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Start {
    #[serde(default)]
    parameters: BTreeMap<String, String>,
}

/// What of a run is done again.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Repair {
    /// Empty for all that did not succeed.
    #[serde(default)]
    tasks: Vec<String>,
    /// Also everything after them.
    #[serde(default)]
    dependents: bool,
}

/// Nothing but that it is wanted.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Nothing {}

/// The run that something was asked of.
#[derive(Debug, Serialize)]
pub(crate) struct Asked {
    run: i64,
}

/// Whether a workflow is paused now.
#[derive(Debug, Serialize)]
pub(crate) struct Paused {
    paused: bool,
}

type Accepted = Result<(StatusCode, Json<Asked>), Failure>;

/// Starts a run.
pub(crate) async fn start(
    State(site): State<Arc<Site>>,
    Named(name): Named<String>,
    Told(Start { parameters }): Told<Start>,
) -> Accepted {
    let plan = site.plan(&name).await?;
    let run = site.host.start(plan.workflow.name(), parameters).await?;
    Ok((StatusCode::ACCEPTED, Json(Asked { run })))
}

/// Keeps runs from starting by themselves.
pub(crate) async fn pause(
    State(site): State<Arc<Site>>,
    Named(name): Named<String>,
    Told(Nothing {}): Told<Nothing>,
) -> Result<Json<Paused>, Failure> {
    set_paused(&site, &name, true).await
}

/// Lets them start again.
pub(crate) async fn resume(
    State(site): State<Arc<Site>>,
    Named(name): Named<String>,
    Told(Nothing {}): Told<Nothing>,
) -> Result<Json<Paused>, Failure> {
    set_paused(&site, &name, false).await
}

async fn set_paused(site: &Site, name: &str, paused: bool) -> Result<Json<Paused>, Failure> {
    let plan = site.plan(name).await?;
    if plan.schedule.is_none() {
        return Err(Failure::conflict(format!("nothing starts runs of `{name}` by itself; there is nothing to pause")));
    }
    site.host.pause(name, paused).await?;
    Ok(Json(Paused { paused }))
}

/// Does what did not succeed again.
pub(crate) async fn repair(
    State(site): State<Arc<Site>>,
    Named(number): Named<i64>,
    Told(Repair { tasks, dependents }): Told<Repair>,
) -> Accepted {
    let details = site.run(number).await?;
    if details.run.state.is_none() {
        return Err(Failure::conflict(format!("run {number} has not ended; cancel it first, or wait for its end")));
    }
    let again = Again::Repair { tasks, dependents };
    again.check(&details.run).map_err(Failure::of_state)?;
    site.host.repair(number, again).await?;
    Ok((StatusCode::ACCEPTED, Json(Asked { run: number })))
}

/// Asks a run to end.
pub(crate) async fn cancel(
    State(site): State<Arc<Site>>,
    Named(number): Named<i64>,
    Told(Nothing {}): Told<Nothing>,
) -> Accepted {
    let details = site.run(number).await?;
    if details.run.state.is_some() {
        let status = status::of_run(&details.run);
        return Err(Failure::conflict(format!("run {number} has ended already ({status})")));
    }
    site.host.cancel(number).await.map_err(Failure::of_state)?;
    Ok((StatusCode::ACCEPTED, Json(Asked { run: number })))
}
