//! What became of a run.

use std::collections::BTreeSet;

use stage::{Error, Kind, Progress};

use crate::action::Output;
use crate::definition::Workflow;
use crate::event::Event;
use crate::history::{ErrorRecord, RowCounts, SavedOutput, TaskEnd, TaskRecord};
use crate::state::ResultState;

/// The exit code of a run whose failures may all pass by themselves.
const WORTH_TRYING_AGAIN: u8 = 75;

/// What became of one task of a run.
#[derive(Debug)]
pub struct TaskOutcome {
    /// The task.
    pub task_key: String,
    /// How it ended.
    pub state: ResultState,
    /// The error of its last attempt.
    pub error: Option<Error>,
    /// What it left for others, with the progress of all of its attempts together.
    pub output: Output,
    /// How often it was started, over all repairs of the run.
    pub executions: u32,
    /// From the start of its first attempt to the end of the last; 0 when it never started.
    pub seconds: f64,
}

/// The value under which a condition task publishes whether it held.
const OUTCOME: &str = "outcome";

impl TaskOutcome {
    /// A task that has not started.
    pub(crate) fn unstarted(task_key: &str, state: ResultState) -> TaskOutcome {
        TaskOutcome {
            task_key: task_key.to_owned(),
            state,
            error: None,
            output: Output::default(),
            executions: 0,
            seconds: 0.0,
        }
    }

    /// How a task ended in an earlier try. What it did then is not done again, so it counts nothing.
    pub(crate) fn of_record(record: &TaskRecord, state: ResultState) -> TaskOutcome {
        let SavedOutput { values, rows } = record.output.clone();
        let error = record.error.as_ref().map(|error| Error::new(error.kind(), error.message.clone()));
        TaskOutcome {
            error,
            output: Output { values, rows, progress: Progress::default() },
            executions: record.executions,
            ..TaskOutcome::unstarted(&record.task_key, state)
        }
    }

    /// The same as something that stands from before. What it did is counted where it was done.
    pub(crate) fn kept(&self) -> TaskOutcome {
        let Output { values, rows, .. } = self.output.clone();
        let output = Output { values, rows, progress: Progress::default() };
        TaskOutcome { output, executions: self.executions, ..TaskOutcome::unstarted(&self.task_key, self.state) }
    }

    /// It was stopped, after that many attempts.
    pub(crate) fn set_stopped(&mut self, attempts: u32) {
        let before = if attempts == 0 { "it started" } else { "its next attempt" };
        self.state = ResultState::Canceled;
        self.error = Some(Error::stopped(format!("the run was stopped before {before}")));
    }

    /// What a condition task leaves.
    pub(crate) fn of_condition(holds: bool) -> Output {
        Output { values: crate::runner::values([(OUTCOME, holds.into())]), ..Output::default() }
    }

    /// Whether the condition held, for a condition task that has ended.
    pub fn condition(&self) -> Option<bool> {
        self.output.values.get(OUTCOME).and_then(serde_json::Value::as_bool)
    }

    /// The event that tells that it stays as it is.
    pub(crate) fn left(&self) -> Event {
        Event::TaskLeft { task_key: self.task_key.clone(), state: self.state }
    }

    /// The event that tells of its end.
    pub(crate) fn ended(&self) -> Event {
        Event::TaskEnded {
            task_key: self.task_key.clone(),
            state: self.state,
            progress: self.output.progress.clone(),
            seconds: self.seconds,
        }
    }
}

impl TaskEnd {
    /// The end of a task in the terms of the history.
    pub(crate) fn new(outcome: &TaskOutcome) -> Self {
        let Output { values, rows, progress } = &outcome.output;
        TaskEnd {
            state: outcome.state,
            output: SavedOutput { values: values.clone(), rows: rows.clone() },
            error: outcome.error.as_ref().map(ErrorRecord::from),
            rows: RowCounts::from(progress),
        }
    }
}

/// What became of a run.
#[derive(Debug)]
pub struct RunOutcome {
    /// The number in the history.
    pub number: i64,
    /// The name in commits, `<workflow>-<number>`.
    pub run_id: String,
    /// How it ended; the leaf tasks decide.
    pub state: ResultState,
    /// Every task in the order of the workflow, excluded ones included.
    pub tasks: Vec<TaskOutcome>,
    /// What all tasks did together.
    pub progress: Progress,
    /// How long it took.
    pub seconds: f64,
}

impl RunOutcome {
    /// The task that explains best why the run did not succeed: the first, in the order of the workflow, that failed
    /// for good; else the first that failed otherwise, timed out or was cancelled.
    pub fn first_failure(&self) -> Option<&TaskOutcome> {
        let weight = |task: &TaskOutcome| match (task.state, task.error.as_ref().map(Error::kind)) {
            (_, None) => 0,
            (ResultState::Failed, Some(kind)) if !kind.is_transient() => 3,
            (ResultState::Failed | ResultState::TimedOut, _) => 2,
            _ => 1,
        };
        self.tasks.iter().rev().filter(|task| weight(task) > 0).max_by_key(|task| weight(task))
    }

    /// The error of [`RunOutcome::first_failure`].
    pub fn first_error(&self) -> Option<&Error> {
        self.first_failure().and_then(|task| task.error.as_ref())
    }

    /// The exit code of the command: 0 done; 75 when every failure may pass by itself, running out of time included;
    /// 130 stopped from outside; else that of the first failure for good. The caller knows which signal it was and
    /// makes 143 of 130 where that fits.
    pub fn exit_code(&self) -> u8 {
        match self.state {
            ResultState::Success | ResultState::SuccessWithFailures => 0,
            ResultState::Canceled => Kind::Stopped.exit_code(),
            _ => match self.first_failure() {
                Some(task) if task.state == ResultState::TimedOut => WORTH_TRYING_AGAIN,
                Some(TaskOutcome { error: Some(error), .. }) => error.kind().exit_code(),
                _ if self.state == ResultState::TimedOut => WORTH_TRYING_AGAIN,
                _ => Kind::Bug.exit_code(),
            },
        }
    }
}

/// Why a whole run was stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RunStop {
    /// Nobody stopped it.
    Not,
    /// Its time was over.
    TimedOut,
    /// From outside.
    Canceled,
}

/// How a run ended: its leaf tasks decide, the selected ones after which no other selected one comes that is not disabled.
/// What was excluded or disabled is no failure. A run that was stopped, and for that left work undone, is stopped rather than
/// failed.
pub(crate) fn run_state(
    workflow: &Workflow,
    selected: &BTreeSet<usize>,
    tasks: &[TaskOutcome],
    stop: RunStop,
) -> ResultState {
    use ResultState::{
        Canceled, Failed, Interrupted, Success, SuccessWithFailures, TimedOut, UpstreamCanceled, UpstreamFailed,
    };
    let states = || selected.iter().filter_map(|task| tasks.get(*task)).map(|task| task.state);
    let any = |state: ResultState| states().any(|one| one == state);
    let is_bad = |state: ResultState| state.is_failure() || matches!(state, Canceled | UpstreamCanceled);
    let left_undone = any(Canceled) || any(UpstreamCanceled);
    let leaf_states = leaves(workflow, selected, tasks).into_iter().filter_map(|task| tasks.get(task));
    match stop {
        _ if !states().any(is_bad) => Success,
        RunStop::Canceled if left_undone => Canceled,
        RunStop::TimedOut if left_undone || any(TimedOut) => TimedOut,
        _ if !leaf_states.map(|task| task.state).any(is_bad) => SuccessWithFailures,
        _ if any(Failed) || any(Interrupted) => Failed,
        _ if any(TimedOut) => TimedOut,
        _ if any(UpstreamFailed) => Failed,
        _ => Canceled,
    }
}

/// The selected tasks after which no other selected one comes that is not disabled.
fn leaves(workflow: &Workflow, selected: &BTreeSet<usize>, tasks: &[TaskOutcome]) -> Vec<usize> {
    let counts = |task: usize| {
        selected.contains(&task) && tasks.get(task).is_some_and(|task| task.state != ResultState::Disabled)
    };
    let mut is_followed = vec![false; workflow.tasks().len()];
    for task in workflow.dag().levels().concat().into_iter().rev() {
        let after = workflow.dag().dependents(task);
        is_followed[task] = after.iter().any(|after| counts(*after) || is_followed[*after]);
    }
    (0..is_followed.len()).filter(|task| counts(*task) && !is_followed[*task]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn task(state: ResultState, kind: Option<Kind>) -> TaskOutcome {
        TaskOutcome {
            task_key: format!("{state}"),
            state,
            error: kind.map(|kind| Error::new(kind, "it failed")),
            ..TaskOutcome::unstarted("", state)
        }
    }

    /// A workflow of two tasks, the second after the first.
    fn workflow() -> Workflow {
        let spec = crate::spec::parse(
            r#"{"name": "w", "tasks": [{"task_key": "a", "shell_task": {"command": "a"}},
            {"task_key": "b", "depends_on": [{"task_key": "a"}], "shell_task": {"command": "b"}}]}"#,
        );
        crate::check(&spec.unwrap(), &|_| Ok(())).unwrap()
    }

    fn run(state: ResultState, tasks: Vec<TaskOutcome>) -> RunOutcome {
        RunOutcome { number: 1, run_id: "w-1".into(), state, tasks, progress: Progress::default(), seconds: 0.0 }
    }

    #[test]
    fn leaf_tasks_decide_the_result() {
        use ResultState::{Failed, Success, SuccessWithFailures, TimedOut};
        let workflow = workflow();
        let all = BTreeSet::from([0, 1]);
        let state = |first, last| run_state(&workflow, &all, &[task(first, None), task(last, None)], RunStop::Not);
        assert_eq!(state(Success, Success), Success);
        assert_eq!(state(Failed, Success), SuccessWithFailures);
        assert_eq!(state(Success, Failed), Failed);
        assert_eq!(state(TimedOut, ResultState::UpstreamFailed), TimedOut);
        let stopped =
            |first, last| run_state(&workflow, &all, &[task(first, None), task(last, None)], RunStop::Canceled);
        assert_eq!(stopped(Success, ResultState::Canceled), ResultState::Canceled);
        assert_eq!(stopped(Success, Success), Success);
        assert_eq!(stopped(Success, Failed), Failed);
        let only_first = BTreeSet::from([0]);
        let tasks = [task(Failed, None), task(ResultState::Excluded, None)];
        assert_eq!(run_state(&workflow, &only_first, &tasks, RunStop::Not), Failed);
    }

    #[test]
    fn the_exit_code_says_try_again_only_when_that_may_help() {
        use ResultState::{Failed, TimedOut, UpstreamFailed};
        let passing = || task(Failed, Some(Kind::Unavailable));
        assert_eq!(run(Failed, vec![passing(), task(UpstreamFailed, None)]).exit_code(), 75);
        assert_eq!(run(Failed, vec![passing(), task(Failed, Some(Kind::Quality))]).exit_code(), 3);
        assert_eq!(run(TimedOut, vec![task(TimedOut, Some(Kind::Stopped))]).exit_code(), 75);
        let first = run(Failed, vec![task(Failed, Some(Kind::Data)), task(Failed, Some(Kind::Config))]);
        assert_eq!(first.first_error().map(Error::kind), Some(Kind::Data));
        assert_eq!(first.exit_code(), 1);
        assert_eq!(run(ResultState::Canceled, vec![passing()]).exit_code(), 130);
    }
}
