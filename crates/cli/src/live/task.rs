//! What is known of a task while a run goes on.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use stage::{Meter, TableName};
use workflow::pictures::{BLOCKED, PENDING, RUNNING, WAITING_FOR_RETRY};
use workflow::{Event, ResultState};

/// A task, or one of a workflow that a task runs.
#[derive(Debug, Default)]
pub(super) struct LiveTask {
    pub(super) phase: Phase,
    pub(super) started: Option<Instant>,
    /// How long it took, once it has ended.
    pub(super) seconds: Option<f64>,
    /// The number of the attempt, counted from 0.
    pub(super) attempt: u32,
    pub(super) outcome: Option<bool>,
    pub(super) items: Items,
    /// The tables at work, by the task or item that brings them forward.
    pub(super) tables: BTreeMap<(String, TableName), Meter>,
    /// Rows of what has ended.
    rows: u64,
}

/// Where a task stands.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    #[default]
    NotStarted,
    Running,
    /// Between two attempts, until then.
    WaitingForRetry(Instant),
    Ended(ResultState),
}

/// The items of a loop.
#[derive(Debug, Default)]
pub(super) struct Items {
    pub(super) all: Option<usize>,
    pub(super) succeeded: usize,
    pub(super) failed: usize,
}

impl LiveTask {
    /// Takes in an event of the task itself.
    pub(super) fn follow(&mut self, event: &Event, now: Instant) {
        match event {
            Event::TaskLeft { state, .. } => self.phase = Phase::Ended(*state),
            Event::TaskStarted { .. } => {
                self.phase = Phase::Running;
                self.started = Some(now);
            }
            Event::StageStarted { task_key, table, meter } => {
                self.phase = Phase::Running;
                self.tables.insert((task_key.clone(), table.clone()), meter.clone());
            }
            Event::ItemsCounted { items, .. } => {
                self.phase = Phase::Running;
                self.items = Items { all: Some(*items), ..Items::default() };
            }
            Event::ConditionDecided { outcome, .. } => self.outcome = Some(*outcome),
            Event::AttemptFailed { attempt_number, will_retry_in: Some(wait), .. } => {
                self.attempt = attempt_number + 1;
                self.phase = Phase::WaitingForRetry(now + *wait);
                self.tables.clear();
            }
            Event::TaskEnded { state, progress, seconds, .. } => {
                self.phase = Phase::Ended(*state);
                self.seconds = self.started.map(|_| *seconds);
                self.rows = progress.rows_written;
                self.tables.clear();
            }
            _ => {}
        }
    }

    /// Takes in an event of an item of the loop that the task is.
    pub(super) fn follow_item(&mut self, event: &Event) {
        match event {
            Event::StageStarted { task_key, table, meter } => {
                self.tables.insert((task_key.clone(), table.clone()), meter.clone());
            }
            Event::TaskEnded { task_key, state, progress, .. } => {
                self.rows += progress.rows_written;
                self.tables.retain(|(item, _), _| item != task_key);
                *(if state.is_success() { &mut self.items.succeeded } else { &mut self.items.failed }) += 1;
            }
            _ => {}
        }
    }

    /// The state as drawings know it; `is_blocked` says whether it waits for other tasks. A wait that is over is one for a
    /// place to run in.
    pub(super) fn state(&self, is_blocked: bool, now: Instant) -> &'static str {
        match self.phase {
            Phase::NotStarted if is_blocked => BLOCKED,
            Phase::NotStarted => PENDING,
            Phase::Running => RUNNING,
            Phase::WaitingForRetry(until) if until > now => WAITING_FOR_RETRY,
            Phase::WaitingForRetry(_) => RUNNING,
            Phase::Ended(state) => state.name(),
        }
    }

    pub(super) fn is_at_work(&self) -> bool {
        matches!(self.phase, Phase::Running | Phase::WaitingForRetry(_))
    }

    pub(super) fn has_ended(&self) -> bool {
        matches!(self.phase, Phase::Ended(_))
    }

    pub(super) fn has_failed(&self) -> bool {
        matches!(self.phase, Phase::Ended(state) if state.is_failure() && state.is_executed())
    }

    /// How long until the next attempt.
    pub(super) fn wait(&self, now: Instant) -> Option<Duration> {
        match self.phase {
            Phase::WaitingForRetry(until) => until.checked_duration_since(now).filter(|wait| !wait.is_zero()),
            _ => None,
        }
    }

    /// Rows so far.
    pub(super) fn rows(&self) -> u64 {
        self.rows + self.tables.values().map(Meter::rows).sum::<u64>()
    }

    /// How long it took, or has taken so far.
    pub(super) fn time(&self, now: Instant) -> Option<f64> {
        let so_far = || self.started.filter(|_| self.is_at_work()).map(|started| (now - started).as_secs_f64());
        self.seconds.or_else(so_far)
    }
}
