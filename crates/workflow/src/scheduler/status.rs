//! How the workflows of a scheduler stand.

use chrono::{DateTime, Utc};
use serde::Serialize;
use stage::Result;

use super::Scheduler;
use super::coming::{Coming, coming, is_paused};
use crate::history::RunRecord;

/// How a workflow stands.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ScheduleStatus {
    /// The workflow.
    pub workflow: String,
    /// What starts it, such as `0 0 4 * * ? Europe/Berlin` or `every 2 hours`; `None` when only somebody who asks does.
    pub trigger: Option<String>,
    /// Whether its schedule is paused.
    pub paused: bool,
    /// When the next run is due, if the clock decides.
    pub next: Option<DateTime<Utc>>,
    /// What the next run waits for, if something else decides: `files arrive in landing`.
    pub waits_for: Option<String>,
    /// The newest run that has ended.
    pub last: Option<RunRecord>,
    /// The runs that are going, oldest first, those of other processes included.
    pub running: Vec<i64>,
    /// The runs that wait for their turn, oldest first.
    pub queued: Vec<i64>,
}

/// Newest runs that are looked at to find one that has ended.
const LOOKED_AT: usize = 20;

impl Scheduler {
    /// How each workflow stands, in order of their names.
    ///
    /// # Errors
    /// As [`crate::History::open`].
    pub async fn status(&self) -> Result<Vec<ScheduleStatus>> {
        let history = self.history();
        let (records, open) = (history.schedules().await?, history.open_runs().await?);
        let now = self.shared.clock.now();
        let mut statuses = Vec::new();
        for (name, workflow) in &self.project().workflows {
            let record = records.get(name);
            let of_workflow = |has_begun: bool| {
                let runs = open.iter().filter(|run| run.workflow == *name && run.started_at.is_some() == has_begun);
                runs.map(|run| run.number).collect()
            };
            let (next, waits_for) = match coming(workflow, record, now, 1) {
                Coming::At(times) | Coming::OnceSeen(times) => (times.first().copied(), None),
                Coming::When(what) => (None, Some(what)),
                Coming::Paused | Coming::Never | Coming::Asked => (None, None),
            };
            statuses.push(ScheduleStatus {
                workflow: name.clone(),
                trigger: workflow.schedule().map(|schedule| schedule.trigger.to_string()),
                paused: workflow.schedule().is_some_and(|schedule| is_paused(schedule, record)),
                next,
                waits_for,
                last: history.runs(Some(name), LOOKED_AT).await?.into_iter().find(|run| run.state.is_some()),
                running: of_workflow(true),
                queued: of_workflow(false),
            });
        }
        Ok(statuses)
    }
}
