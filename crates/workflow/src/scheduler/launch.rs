//! One run of a scheduler, from its number to its end.

use std::collections::{BTreeMap, BTreeSet};
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex};

use chrono::{DateTime, Utc};
use futures::FutureExt as _;
use stage::{Context, Error, Result, TableName};
use tokio_util::sync::CancellationToken;

use super::event::Event;
use super::site::Project;
use super::{Shared, guard};
use crate::Event as RunEvent;
use crate::definition::Workflow;
use crate::outcome::RunOutcome;
use crate::request::{Again, Request};
use crate::runner::{Surroundings, run, run_again};
use crate::state::ResultState;

/// A run that is to be started.
pub(super) struct Launch {
    pub(super) number: i64,
    pub(super) workflow: Workflow,
    pub(super) parameters: BTreeMap<String, String>,
    pub(super) how: How,
    pub(super) cancellation: CancellationToken,
}

/// How a run starts.
pub(super) enum How {
    /// It waited for its turn.
    Queued(Box<Request>),
    /// It has ended and goes on.
    Again(Again),
}

/// A run that has ended, or could not begin.
pub(super) struct Ended {
    pub(super) number: i64,
    pub(super) workflow: String,
    pub(super) parameters: BTreeMap<String, String>,
    pub(super) started: DateTime<Utc>,
    pub(super) result: Result<ResultState>,
}

/// Runs it, and does what is left to do after a run.
pub(super) async fn launched(shared: Arc<Shared>, project: Arc<Project>, launch: Launch) -> Ended {
    let started = shared.clock.now();
    let (number, workflow) = (launch.number, launch.workflow.name().to_owned());
    let ran = AssertUnwindSafe(ran(&shared, &project, &launch)).catch_unwind().await;
    let result = ran.unwrap_or_else(|_| Err(Error::bug(format!("run {number} broke off"))));
    Ended { number, workflow, parameters: launch.parameters, started, result: result.map(|outcome| outcome.state) }
}

async fn ran(shared: &Shared, project: &Project, launch: &Launch) -> Result<RunOutcome> {
    let Launch { number, workflow, parameters, how, cancellation } = launch;
    let advanced: Mutex<BTreeSet<TableName>> = Mutex::default();
    let given = Arc::new(parameters.clone());
    let tell = |event: RunEvent| {
        if let RunEvent::StageAdvanced { table, .. } = &event {
            guard(&advanced).insert(table.clone());
        }
        let event = if shared.is_left(*number) { as_left(event) } else { event };
        let (workflow, parameters) = (workflow.name().to_owned(), Arc::clone(&given));
        shared.tell(Event::Run { number: *number, workflow, parameters, event });
    };
    let surroundings = Surroundings {
        workshop: &SiteOf(project),
        history: &shared.history,
        workspace: &project.workspace,
        events: &tell,
    };
    let context =
        Context { cancellation: cancellation.clone(), parameters: parameters.clone(), ..Context::new(workflow.name()) };
    let outcome = match how {
        How::Queued(request) => run(&context, workflow, request, &surroundings).await?,
        How::Again(again) => run_again(&context, workflow, *number, again, &surroundings).await?,
    };
    let advanced = std::mem::take(&mut *guard(&advanced));
    let finished = tokio::select! {
        biased;
        () = cancellation.cancelled() => Ok(()),
        finished = project.site.finish(&advanced) => finished,
    };
    if let Err(error) = finished {
        shared.trouble(Some(workflow.name()), &error.context("the run is done; what follows it is not"));
    }
    Ok(outcome)
}

/// The event of a run that is stopped to be gone on with later.
fn as_left(event: RunEvent) -> RunEvent {
    match event {
        RunEvent::RunEnded { state: ResultState::Canceled, progress, seconds } => {
            RunEvent::RunEnded { state: ResultState::Interrupted, progress, seconds }
        }
        event => event,
    }
}

/// The site of a project, whose workflows are those it was read with.
struct SiteOf<'a>(&'a Project);

impl crate::workshop::Workshop for SiteOf<'_> {
    fn build(&self, work: &crate::definition::Work) -> Result<crate::workshop::Built> {
        self.0.site.build(work)
    }

    fn workflow(&self, name: &str) -> Result<Workflow> {
        let found = self.0.workflows.get(name).cloned();
        found.ok_or_else(|| Error::config(format!("there is no workflow `{name}` in this project")))
    }

    fn breakers(&self) -> Option<&crate::Breakers> {
        self.0.site.breakers()
    }
}
