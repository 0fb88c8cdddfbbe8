//! What is known of the coming runs of a workflow, from its schedule and what is kept of it.

use chrono::{DateTime, Utc};

use crate::definition::Workflow;
use crate::history::ScheduleRecord;
use crate::schedule::{Recurrence, Schedule, Trigger};

/// When the next runs of a workflow start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Coming {
    /// At these times.
    At(Vec<DateTime<Utc>>),
    /// So many after the scheduler has first seen the workflow; these if it does now.
    OnceSeen(Vec<DateTime<Utc>>),
    /// Whenever something happens; what, in words.
    When(String),
    /// Not before somebody resumes the schedule.
    Paused,
    /// Never again: the years of its expression are over.
    Never,
    /// When somebody asks for one; it has no schedule.
    Asked,
}

/// The next `count` runs of a workflow after `now`, given what is kept of its schedule.
pub fn coming(workflow: &Workflow, record: Option<&ScheduleRecord>, now: DateTime<Utc>, count: usize) -> Coming {
    let Some(schedule) = workflow.schedule() else { return Coming::Asked };
    if is_paused(schedule, record) {
        return Coming::Paused;
    }
    let record = record.filter(|record| record.trigger.as_deref() == Some(schedule.trigger.to_string().as_str()));
    match &schedule.trigger {
        Trigger::Cron(cron) => match times(cron, now, count) {
            times if times.is_empty() => Coming::Never,
            times => Coming::At(times),
        },
        Trigger::Periodic(periodic) => match record.and_then(|record| record.last_due_at) {
            Some(anchor) => Coming::At(times(&periodic.since(anchor), now, count)),
            None => Coming::OnceSeen(times(&periodic.since(now), now, count)),
        },
        Trigger::FileArrival(files) => Coming::When(format!("files arrive in {}", files.url())),
        Trigger::TableUpdate(tables) => Coming::When(format!("{} change", tables.table_names().join(", "))),
        Trigger::Continuous(_) => Coming::When("the run before has ended".to_owned()),
    }
}

/// Whether a schedule starts nothing: what somebody asked for, else what the file says.
pub(super) fn is_paused(schedule: &Schedule, record: Option<&ScheduleRecord>) -> bool {
    record.and_then(|record| record.paused).unwrap_or(schedule.paused)
}

fn times(times: &impl Recurrence, now: DateTime<Utc>, count: usize) -> Vec<DateTime<Utc>> {
    std::iter::successors(times.next_after(now), |time| times.next_after(*time)).take(count).collect()
}
