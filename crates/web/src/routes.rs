//! What is answered where.

use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::header::CONTENT_TYPE;
use axum::middleware::from_fn_with_state;
use axum::routing::{MethodRouter, get, post};
use tokio::sync::Semaphore;
use workflow::History;
use workflow::history::RunDetails;

use crate::access::{Access, guard};
use crate::failure::Failure;
use crate::host::{Host, Plan};
use crate::{actions, events, health, page, runs, workflows};

/// The HTTP interface in OpenAPI 3.1, as JSON.
pub const OPENAPI: &str = include_str!("openapi.json");

/// The longest body of a request.
const LONGEST_BODY: usize = 64 << 10;

/// What all answers are made from.
pub(crate) struct Site {
    pub(crate) host: Arc<dyn Host>,
    pub(crate) history: History,
    /// Places for those who listen to events.
    pub(crate) streams: Arc<Semaphore>,
}

type Route = (&'static str, &'static str, MethodRouter<Arc<Site>>);

/// Every route of the interface, with its method; the files of the page are not among them.
pub(crate) fn routes() -> Vec<Route> {
    let openapi = || async { ([(CONTENT_TYPE, "application/json")], OPENAPI) };
    vec![
        ("get", "/api/project", get(health::project)),
        ("get", "/api/workflows", get(workflows::list)),
        ("get", "/api/workflows/{name}", get(workflows::show)),
        ("post", "/api/workflows/{name}/run", post(actions::start)),
        ("post", "/api/workflows/{name}/pause", post(actions::pause)),
        ("post", "/api/workflows/{name}/resume", post(actions::resume)),
        ("get", "/api/runs", get(runs::list)),
        ("get", "/api/runs/{number}", get(runs::show)),
        ("get", "/api/runs/{number}/log", get(runs::log)),
        ("get", "/api/runs/{number}/graph.svg", get(runs::graph)),
        ("post", "/api/runs/{number}/repair", post(actions::repair)),
        ("post", "/api/runs/{number}/cancel", post(actions::cancel)),
        ("get", "/api/events", get(events::events)),
        ("get", "/api/openapi.json", get(openapi)),
        ("get", "/health", get(health::health)),
        ("get", "/metrics", get(health::metrics)),
    ]
}

/// The whole site behind its guard.
pub(crate) fn router(site: Site, access: Access) -> Router {
    let mut router = Router::new();
    for (_, path, answer) in routes() {
        router = router.route(path, answer);
    }
    for file in page::FILES {
        router = router.route(file.path, get(move || async move { file }));
    }
    router
        .fallback(|| async { Failure::missing("there is nothing here; /api/openapi.json tells what there is") })
        .method_not_allowed_fallback(|| async { Failure::method() })
        .layer(DefaultBodyLimit::max(LONGEST_BODY))
        .layer(from_fn_with_state(Arc::new(access), guard))
        .with_state(Arc::new(site))
}

impl Site {
    pub(crate) fn new(host: Arc<dyn Host>, history: History) -> Site {
        Site { host, history, streams: Arc::new(Semaphore::new(events::MOST_STREAMS)) }
    }

    /// The workflow of that name.
    pub(crate) async fn plan(&self, name: &str) -> Result<Plan, Failure> {
        let plans = self.host.plans().await?;
        let plan = plans.into_iter().find(|plan| plan.workflow.name() == name);
        plan.ok_or_else(|| Failure::missing(format!("there is no workflow `{name}`")))
    }

    /// The run of that number.
    pub(crate) async fn run(&self, number: i64) -> Result<RunDetails, Failure> {
        let details = self.history.run(number).await?;
        details.ok_or_else(|| Failure::missing(format!("there is no run {number}")))
    }
}
