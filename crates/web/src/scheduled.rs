//! The scheduler of a project as the [`Host`] of its page.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use futures::stream::BoxStream;
use stage::Result;
use workflow::Again;
use workflow::scheduler::{Event, ScheduleStatus, Scheduler};

use crate::host::{Change, Host, Plan, changes_of};

/// A scheduler, as the page sees it.
#[derive(Clone)]
pub struct Scheduled {
    scheduler: Scheduler,
}

impl Scheduled {
    /// That scheduler, which has to be served by somebody.
    pub fn new(scheduler: Scheduler) -> Scheduled {
        Scheduled { scheduler }
    }
}

#[async_trait]
impl Host for Scheduled {
    fn project(&self) -> String {
        self.scheduler.project().workspace.id.clone()
    }

    async fn plans(&self) -> Result<Vec<Plan>> {
        let statuses = self.scheduler.status().await?;
        let project = self.scheduler.project();
        let plan = |status: ScheduleStatus| {
            let workflow = project.workflows.get(&status.workflow)?;
            Some(Plan {
                workflow: Arc::new(workflow.clone()),
                schedule: status.trigger,
                next: status.next,
                waits_for: status.waits_for,
                paused: status.paused,
            })
        };
        Ok(statuses.into_iter().filter_map(plan).collect())
    }

    fn changes(&self) -> BoxStream<'static, Change> {
        changes_of(self.scheduler.subscribe(), change)
    }

    async fn start(&self, workflow: &str, parameters: BTreeMap<String, String>) -> Result<i64> {
        self.scheduler.run_now(workflow, parameters).await
    }

    async fn pause(&self, workflow: &str, paused: bool) -> Result<()> {
        match paused {
            true => self.scheduler.pause(workflow).await,
            false => self.scheduler.resume(workflow).await,
        }
    }

    async fn repair(&self, run: i64, again: Again) -> Result<()> {
        self.scheduler.go_on(run, again, BTreeMap::new()).await
    }

    /// Runs of other processes are asked through the history.
    async fn cancel(&self, run: i64) -> Result<()> {
        let Err(error) = self.scheduler.cancel(run).await else { return Ok(()) };
        if self.scheduler.history().ask_cancel(run).await? { Ok(()) } else { Err(error) }
    }
}

fn change(event: Event) -> Option<Change> {
    let of_run = |run: i64, workflow: String, status: &str| Change::Run { run, workflow, status: status.to_owned() };
    match event {
        Event::Run { number, workflow, event, .. } => Change::of(number, &workflow, &event),
        Event::RunQueued { number, workflow, .. } => Some(of_run(number, workflow, crate::status::QUEUED)),
        Event::RunSkipped { number, workflow, .. } => {
            let status = workflow::ResultState::MaximumConcurrentRunsReached.name();
            Some(of_run(number, workflow, status))
        }
        Event::Missed { number, workflow, .. } => Some(of_run(number, workflow, workflow::ResultState::Missed.name())),
        Event::Paused { .. } | Event::Reloaded { .. } => Some(Change::Workflows),
        _ => None,
    }
}
