//! What is asked of a run: which tasks, why, and what is taken over from an earlier try.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use serde_json::Value;
use stage::{Error, Result};

use crate::cause::Cause;
use crate::definition::Workflow;
use crate::history::{History, RunDetails, RunRecord, TaskRecord};
use crate::outcome::TaskOutcome;
use crate::selection::Selection;
use crate::state::ResultState;

/// What is asked of a new run.
#[derive(Debug, Clone, Default)]
pub struct Request {
    /// The tasks it is for.
    pub selection: Selection,
    /// Why it takes place.
    pub cause: Cause,
    /// The number it was given while it waited for its turn.
    pub queued: Option<i64>,
    /// The start of the interval it repeats, when it belongs to a backfill.
    pub backfill: Option<DateTime<Utc>>,
}

/// How a run that has ended goes on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Again {
    /// What had not ended when its process died; how the others ended stays, failures included. Attempts go on with their
    /// numbers, and retries are counted anew: what was interrupted may be tried again as often as at first.
    Resume,
    /// What did not succeed, or these tasks.
    Repair {
        /// Only these tasks, whether they succeeded or not; empty for all that did not succeed.
        tasks: Vec<String>,
        /// Also everything after them.
        dependents: bool,
    },
}

/// What a run takes over from before: how tasks ended that are not run again.
#[derive(Debug, Default)]
pub(crate) struct Kept {
    /// Tasks by their index.
    pub(crate) tasks: BTreeMap<usize, TaskOutcome>,
    /// Items of loops that succeeded, with what they were run for, by their key `load[3]`.
    pub(crate) items: BTreeMap<String, (Value, TaskOutcome)>,
    /// How often tasks and items were started before.
    pub(crate) starts: BTreeMap<String, Starts>,
}

/// How often a task, or an item of a loop, was started.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Starts {
    /// Over all repairs.
    pub(crate) executions: u32,
    /// In this repair, which is also the number of the next attempt.
    pub(crate) next_attempt: u32,
}

impl Kept {
    /// The tasks and items whose end stands, by their keys.
    pub(crate) fn keys(&self, before: &RunDetails) -> BTreeSet<String> {
        let tasks: BTreeSet<&str> = self.tasks.values().map(|task| task.task_key.as_str()).collect();
        let stands = |key: &str| {
            let of_loop = key.split_once('[').map(|(task, _)| task);
            tasks.contains(key) || self.items.contains_key(key) || of_loop.is_some_and(|task| tasks.contains(task))
        };
        before.tasks.iter().map(|task| task.task_key.clone()).filter(|key| stands(key)).collect()
    }
}

impl Again {
    /// Whether somebody may ask this of a run that stands so; whether it has ended is seen where it is taken up.
    ///
    /// # Errors
    /// [`stage::Kind::Config`] when the run is part of another one, or nothing of it is left to be done.
    pub fn check(&self, run: &RunRecord) -> Result<()> {
        let RunRecord { number, workflow, parent, state, .. } = run;
        if let Some(parent) = parent {
            return Err(Error::config(format!(
                "run {number} is part of run {parent}; go on with that one, which runs workflow `{workflow}` again where needed"
            )));
        }
        let refused = match (self, state) {
            (Again::Repair { tasks, .. }, Some(ResultState::Success)) if tasks.is_empty() => {
                "succeeded, so nothing is to be repaired; name tasks (--tasks) to run them once more"
            }
            (Again::Resume, Some(state)) if state.is_success() => "succeeded, so nothing is left to do",
            (Again::Repair { .. }, _)
            | (Again::Resume, Some(ResultState::Interrupted | ResultState::Canceled) | None) => {
                return Ok(());
            }
            (Again::Resume, Some(_)) => "came to its end; `medallion runs repair` runs what did not succeed",
        };
        Err(Error::config(format!("run {number} {refused}")))
    }

    /// What of an earlier try stands.
    ///
    /// # Errors
    /// [`stage::Kind::Config`] when a task is named that the workflow does not have.
    pub(crate) fn kept(&self, workflow: &Workflow, before: &RunDetails) -> Result<Kept> {
        let again = self.tasks_again(workflow)?;
        let by_key: BTreeMap<&str, &TaskRecord> =
            before.tasks.iter().map(|task| (task.task_key.as_str(), task)).collect();
        let mut kept = Kept::default();
        for (index, task) in workflow.tasks().iter().enumerate() {
            let Some(record) = by_key.get(task.key()) else { continue };
            let Some(state) = record.state else { continue };
            let stands = match self {
                Again::Resume => {
                    state.is_executed() && state != ResultState::Interrupted && state != ResultState::Canceled
                }
                Again::Repair { tasks, .. } if tasks.is_empty() => state.is_success(),
                Again::Repair { .. } => state.is_executed() || state.is_success(),
            };
            if stands && !again.contains(&index) {
                kept.tasks.insert(index, TaskOutcome::of_record(record, state));
            }
        }
        for record in &before.tasks {
            kept.starts.entry(record.task_key.clone()).or_default().executions = record.executions;
            let of_loop = record.task_key.split_once('[').and_then(|(task, _)| workflow.index_of(task).ok());
            let is_again = of_loop.is_some_and(|index| again.contains(&index));
            if let (Some(input), Some(state)) = (&record.input, record.state.filter(|state| state.is_success()))
                && !is_again
            {
                let outcome = TaskOutcome::of_record(record, state);
                kept.items.insert(record.task_key.clone(), (input.clone(), outcome));
            }
        }
        // A repair counts its attempts anew; what is resumed goes on with those of before, which stay in the history.
        if !self.is_repair() {
            for attempt in before.attempts.iter().filter(|attempt| attempt.repair == before.run.repairs) {
                let starts = kept.starts.entry(attempt.task_key.clone()).or_default();
                starts.next_attempt = starts.next_attempt.max(attempt.attempt_number + 1);
            }
        }
        Ok(kept)
    }

    /// The tasks that run again whatever became of them.
    fn tasks_again(&self, workflow: &Workflow) -> Result<BTreeSet<usize>> {
        let Again::Repair { tasks, dependents } = self else { return Ok(BTreeSet::new()) };
        let named = tasks.iter().map(|key| workflow.index_of(key)).collect::<Result<Vec<usize>>>()?;
        Ok(if *dependents { workflow.dag().downstream(named) } else { named.into_iter().collect() })
    }

    /// The tasks that the run is for: those it was for before, as far as they are still there, and those that are named.
    ///
    /// # Errors
    /// As [`Again::kept`].
    pub(crate) fn selected(&self, workflow: &Workflow, cause: &Cause) -> Result<BTreeSet<usize>> {
        if cause.tasks.is_empty() {
            return Ok((0..workflow.tasks().len()).collect());
        }
        let before = cause.tasks.iter().filter_map(|key| workflow.index_of(key).ok());
        Ok(before.chain(self.tasks_again(workflow)?).collect())
    }

    /// Whether it counts as a repair.
    pub(crate) fn is_repair(&self) -> bool {
        matches!(self, Again::Repair { .. })
    }
}

/// A run that is there and has ended.
///
/// # Errors
/// [`stage::Kind::Config`] when there is none of that number, or when it goes on or waits.
pub(crate) async fn ended_run(history: &History, number: i64) -> Result<RunDetails> {
    let details = history.run(number).await?;
    let details = details.ok_or_else(|| {
        Error::config(format!("there is no run {number}; `medallion runs` lists those that are known"))
    })?;
    match details.run.state {
        Some(_) => Ok(details),
        None => Err(Error::config(format!("run {number} has not ended; cancel it first, or wait for its end"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::RowCounts;

    fn run(state: Option<ResultState>, parent: Option<i64>) -> RunRecord {
        RunRecord {
            number: 7,
            workflow: "shop".to_owned(),
            parameters: BTreeMap::new(),
            cause: Cause::default(),
            parent,
            process: 1,
            repairs: 0,
            queued_at: DateTime::UNIX_EPOCH,
            started_at: None,
            ended_at: None,
            state,
            error: None,
            rows: RowCounts::default(),
        }
    }

    fn repair(tasks: &[&str]) -> Again {
        Again::Repair { tasks: tasks.iter().map(|&task| task.to_owned()).collect(), dependents: false }
    }

    #[test]
    fn a_repair_has_something_to_do() {
        for state in ResultState::ALL {
            let is_left = state != ResultState::Success;
            assert_eq!(repair(&[]).check(&run(Some(state), None)).is_ok(), is_left, "{state}");
            assert!(repair(&["load"]).check(&run(Some(state), None)).is_ok(), "{state}");
        }
    }

    #[test]
    fn only_what_broke_off_is_resumed() {
        for state in ResultState::ALL {
            let broke_off = matches!(state, ResultState::Interrupted | ResultState::Canceled);
            assert_eq!(Again::Resume.check(&run(Some(state), None)).is_ok(), broke_off, "{state}");
        }
    }

    #[test]
    fn a_part_of_another_run_goes_on_with_that() {
        for again in [Again::Resume, repair(&[]), repair(&["load"])] {
            let error = again.check(&run(Some(ResultState::Interrupted), Some(3))).unwrap_err();
            assert!(error.to_string().contains("run 7 is part of run 3"), "{error}");
        }
    }
}
