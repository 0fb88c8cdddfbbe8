//! The schedule of one workflow while a scheduler runs: what it remembers, and what it claims when something is due.

use std::collections::BTreeMap;

use chrono::{DateTime, SubsecRound as _, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use stage::Error;

use super::look::Seen;
use crate::cause::{Cause, CauseKind};
use crate::definition::Workflow;
use crate::history::{Claim, NewRun, ScheduleRecord};
use crate::schedule::{
    self, ContinuousState, Decision, Due, Ending, FileArrivalState, FoundFile, Missed, ON_TIME, Recurrence,
    TableUpdateState, Trigger, due,
};

/// The least time between the starts of continuous runs, so that idle ones do not take a processor for themselves.
pub(super) const LEAST_BETWEEN_STARTS: TimeDelta = TimeDelta::seconds(1);
/// How often files and tables are looked at.
pub(super) const LOOK_EVERY: TimeDelta = TimeDelta::seconds(10);
/// A look that took long is followed by one only after this many times as long, or after [`LONGEST_REST`].
const RESTS_PER_LOOK: i32 = 10;
/// The longest between two looks.
pub(super) const LONGEST_REST: TimeDelta = TimeDelta::minutes(2);

/// The schedule of a workflow that is not paused.
pub(super) struct Entry {
    workflow: String,
    trigger: Trigger,
    /// The trigger as it is kept in the history.
    written: String,
    last_due: DateTime<Utc>,
    memory: Memory,
    /// Whether somebody is out to look at files or tables.
    pub(super) is_looking: bool,
    next_look: DateTime<Utc>,
}

/// What a trigger remembers, as it is kept in the history.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Memory {
    /// The history has all there is: up to when times were dealt with.
    Times,
    Files(FileArrivalState),
    Tables(TableUpdateState),
    Continuous(ContinuousState),
}

impl Entry {
    /// The schedule as the history has it, with the claim that makes it begin anew if it was changed or paused since.
    pub(super) fn begin(
        workflow: &Workflow,
        trigger: &Trigger,
        record: Option<&ScheduleRecord>,
        state: Option<&str>,
        now: DateTime<Utc>,
    ) -> (Entry, Option<Claim>) {
        let written = trigger.to_string();
        let kept = record.filter(|record| record.trigger.as_ref() == Some(&written));
        let last_due = kept.and_then(|record| record.last_due_at);
        // The history keeps microseconds; times of an interval look better with whole seconds.
        let now = now.trunc_subsecs(0);
        let entry = Entry {
            workflow: workflow.name().to_owned(),
            trigger: trigger.clone(),
            written,
            last_due: last_due.unwrap_or(now),
            memory: Memory::read(trigger, state),
            is_looking: false,
            next_look: now,
        };
        let claim = last_due.is_none().then(|| entry.claim(now));
        (entry, claim)
    }

    /// Whether it is the schedule that the workflow still has.
    pub(super) fn is_of(&self, trigger: &Trigger) -> bool {
        self.trigger == *trigger
    }

    /// Begins anew, with what is wrong, when the clock was ahead and is set back: what was dealt with up to a time to come
    /// would keep the schedule standing still until then. The history refuses a second run for a time that had its run.
    pub(super) fn set_back(&mut self, now: DateTime<Utc>) -> Option<(Error, Claim)> {
        self.next_look = self.next_look.min(now + LONGEST_REST);
        if let Memory::Continuous(state) = &mut self.memory {
            let latest = state.latest_start(now).max(now + LEAST_BETWEEN_STARTS);
            state.next_start = state.next_start.map(|start| start.min(latest));
        }
        if self.last_due <= now + ON_TIME {
            return None;
        }
        let message = format!(
            "the clock was ahead: runs were started up to {}, which is still to come; the schedule begins anew now",
            self.last_due.format("%Y-%m-%d %H:%M:%S UTC")
        );
        self.last_due = now.trunc_subsecs(0);
        Some((Error::unavailable(message), self.claim(now)))
    }

    /// What is due by the clock, or after the run before; `open` runs of the workflow are going or waiting.
    pub(super) fn due(&mut self, workflow: &Workflow, open: usize, now: DateTime<Utc>) -> Option<Claim> {
        let policy = workflow.catch_up();
        match &self.trigger {
            Trigger::Cron(cron) => {
                let due = due(cron, self.last_due, now, policy);
                self.claim_times(workflow, CauseKind::Schedule, &due, now)
            }
            Trigger::Periodic(periodic) => {
                let due = due(&periodic.since(self.last_due), self.last_due, now, policy);
                self.claim_times(workflow, CauseKind::Periodic, &due, now)
            }
            Trigger::Continuous(_) if open == 0 && self.next_start().is_none_or(|start| start <= now) => {
                Some(self.claim_now(workflow, Cause::new(CauseKind::Continuous), now))
            }
            Trigger::FileArrival(_) | Trigger::TableUpdate(_) | Trigger::Continuous(_) => None,
        }
    }

    /// When something may be due next, if that is known.
    pub(super) fn wakes_at(&self) -> Option<DateTime<Utc>> {
        match &self.trigger {
            Trigger::Cron(cron) => cron.next_after(self.last_due),
            Trigger::Periodic(periodic) => periodic.since(self.last_due).next_after(self.last_due),
            Trigger::Continuous(_) => self.next_start(),
            Trigger::FileArrival(_) | Trigger::TableUpdate(_) => (!self.is_looking).then_some(self.next_look),
        }
    }

    /// What it is time to look at.
    pub(super) fn looks_at(&self, now: DateTime<Utc>) -> Option<&Trigger> {
        let watches = matches!(self.trigger, Trigger::FileArrival(_) | Trigger::TableUpdate(_));
        (watches && !self.is_looking && self.next_look <= now).then_some(&self.trigger)
    }

    /// Takes note of what a look has found. The claim starts a run, or only keeps what was seen.
    ///
    /// # Errors
    /// With what is wrong with what was found.
    pub(super) fn seen(
        &mut self,
        workflow: &Workflow,
        seen: &Seen,
        now: DateTime<Utc>,
    ) -> Result<Option<Claim>, String> {
        let before = self.memory.clone();
        let (decision, cause) = match (&self.trigger, &mut self.memory, seen) {
            (Trigger::FileArrival(trigger), Memory::Files(state), Seen::Files(files)) => {
                let found = files.iter().map(|file| FoundFile { path: &file.path, modified: file.modified });
                let decision = trigger.observe(state, now, found)?;
                let cause = Cause { location: Some(trigger.url().to_owned()), ..Cause::new(CauseKind::FileArrival) };
                (decision, cause)
            }
            (Trigger::TableUpdate(trigger), Memory::Tables(state), Seen::Tables(tables)) => {
                let versions: BTreeMap<String, i64> = tables
                    .iter()
                    .map(|(name, table)| (name.clone(), i64::try_from(table.version).unwrap_or(i64::MAX)))
                    .collect();
                let decision = trigger.observe(state, now, &versions);
                let mut cause = Cause::new(CauseKind::TableUpdate);
                if let Decision::Fire(schedule::Cause::TableUpdate { tables: updated }) = &decision {
                    let table = |name: &String| Some((name.clone(), tables.get(name)?));
                    let updated = updated.iter().filter_map(table);
                    cause.tables = updated.map(|(name, table)| (name, (table.version, table.committed))).collect();
                }
                (decision, cause)
            }
            // The schedule was changed while somebody was out to look.
            _ => return Ok(None),
        };
        Ok(match decision {
            Decision::Fire(_) => Some(self.claim_now(workflow, cause, now)),
            Decision::Wait { until } => {
                if let Some(until) = until {
                    self.next_look = self.next_look.min(until);
                }
                (self.memory != before).then(|| self.claim(now))
            }
        })
    }

    /// Takes note that a look is over, which took so long.
    pub(super) fn looked(&mut self, took: TimeDelta, now: DateTime<Utc>) {
        self.is_looking = false;
        self.next_look = now + (took.min(LONGEST_REST) * RESTS_PER_LOOK).clamp(LOOK_EVERY, LONGEST_REST);
    }

    /// Takes note of the end of a run of a continuous schedule that began at `started`.
    pub(super) fn ended(&mut self, ending: Ending, started: DateTime<Utc>, now: DateTime<Utc>) -> Option<Claim> {
        let Memory::Continuous(state) = &mut self.memory else { return None };
        let next = state.ended(ending, now);
        state.next_start = Some(next.max(started + LEAST_BETWEEN_STARTS));
        Some(self.claim(now))
    }

    fn next_start(&self) -> Option<DateTime<Utc>> {
        match &self.memory {
            Memory::Continuous(state) => state.next_start,
            _ => None,
        }
    }

    /// A claim of all times that are due.
    fn claim_times(&mut self, workflow: &Workflow, kind: CauseKind, due: &Due, now: DateTime<Utc>) -> Option<Claim> {
        let newest = due.run.last().copied().or(due.missed.map(|missed| missed.last))?;
        self.last_due = newest;
        let run_at = |time: &DateTime<Utc>| run(workflow, Cause { due_at: Some(*time), ..Cause::new(kind) });
        let missed = due.missed.map(|missed| {
            let cause = Cause { due_at: Some(missed.last), missed: Some(missed), ..Cause::new(kind) };
            (run(workflow, cause), reason(missed))
        });
        Some(Claim { runs: due.run.iter().map(run_at).collect(), missed, ..self.claim(now) })
    }

    /// A claim of one run that is due now.
    fn claim_now(&mut self, workflow: &Workflow, cause: Cause, now: DateTime<Utc>) -> Claim {
        self.last_due = now;
        let cause = Cause { due_at: Some(now), ..cause };
        Claim { runs: vec![run(workflow, cause)], ..self.claim(now) }
    }

    /// A claim of nothing but what is remembered.
    fn claim(&self, now: DateTime<Utc>) -> Claim {
        Claim {
            workflow: self.workflow.clone(),
            trigger: self.written.clone(),
            last_due_at: self.last_due,
            state: self.memory.written(),
            runs: Vec::new(),
            missed: None,
            now,
        }
    }
}

impl Memory {
    /// What is kept, if it is of the same sort of trigger.
    fn read(trigger: &Trigger, state: Option<&str>) -> Memory {
        let kept = state.and_then(|state| serde_json::from_str(state).ok());
        match (trigger, kept) {
            (Trigger::Cron(_) | Trigger::Periodic(_), _) => Memory::Times,
            (Trigger::FileArrival(_), Some(Memory::Files(state))) => Memory::Files(state),
            (Trigger::FileArrival(_), _) => Memory::Files(FileArrivalState::default()),
            (Trigger::TableUpdate(_), Some(Memory::Tables(state))) => Memory::Tables(state),
            (Trigger::TableUpdate(_), _) => Memory::Tables(TableUpdateState::default()),
            (Trigger::Continuous(_), Some(Memory::Continuous(state))) => Memory::Continuous(state),
            (Trigger::Continuous(_), _) => Memory::Continuous(ContinuousState::default()),
        }
    }

    fn written(&self) -> Option<String> {
        match self {
            Memory::Times => None,
            memory => serde_json::to_string(memory).ok(),
        }
    }
}

fn run(workflow: &Workflow, cause: Cause) -> NewRun {
    NewRun { workflow: workflow.name().to_owned(), parameters: workflow.parameters().clone(), cause, parent: None }
}

fn reason(missed: Missed) -> String {
    let Missed { count, first, last } = missed;
    let (first, last) = (first.format("%Y-%m-%d %H:%M:%S UTC"), last.format("%Y-%m-%d %H:%M:%S UTC"));
    match count {
        1 => format!("no scheduler was there to start the run of {first}"),
        count => format!("no scheduler was there to start {count} runs, from {first} to {last}"),
    }
}
