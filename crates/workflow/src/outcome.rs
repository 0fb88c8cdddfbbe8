//! What became of a run.

use std::collections::BTreeSet;

use stage::{Error, Kind, Progress};

use crate::dag::Dag;
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
    /// What all of its attempts did together.
    pub progress: Progress,
    /// From the start of its first attempt to the end of the last; 0 when it never started.
    pub seconds: f64,
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

/// How a run ended: the selected tasks after which no other selected one comes decide. A run that was stopped, and for
/// that left work undone, is stopped rather than failed.
pub(crate) fn run_state(dag: &Dag, selected: &BTreeSet<usize>, tasks: &[TaskOutcome], stop: RunStop) -> ResultState {
    use ResultState::{Canceled, Failed, Success, SuccessWithFailures, TimedOut, UpstreamCanceled};
    let ended = |task: &usize| tasks.get(*task).map(|task| task.state);
    let any = |state: ResultState| selected.iter().any(|task| ended(task) == Some(state));
    let is_leaf = |task: &usize| dag.downstream([*task]).intersection(selected).count() == 1;
    let undone: Vec<&usize> = selected.iter().filter(|task| ended(task) != Some(Success)).collect();
    let left_undone = any(Canceled) || any(UpstreamCanceled);
    match stop {
        _ if undone.is_empty() => Success,
        RunStop::Canceled if left_undone => Canceled,
        RunStop::TimedOut if left_undone || any(TimedOut) => TimedOut,
        _ if !undone.into_iter().any(is_leaf) => SuccessWithFailures,
        _ if any(Failed) => Failed,
        _ if any(TimedOut) => TimedOut,
        _ => Canceled,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn task(state: ResultState, kind: Option<Kind>) -> TaskOutcome {
        TaskOutcome {
            task_key: format!("{state}"),
            state,
            error: kind.map(|kind| Error::new(kind, "it failed")),
            progress: Progress::default(),
            seconds: 0.0,
        }
    }

    fn run(state: ResultState, tasks: Vec<TaskOutcome>) -> RunOutcome {
        RunOutcome { number: 1, run_id: "w-1".into(), state, tasks, progress: Progress::default(), seconds: 0.0 }
    }

    #[test]
    fn leaf_tasks_decide_the_result() {
        use ResultState::{Failed, Success, SuccessWithFailures, TimedOut};
        let dag = Dag::new(vec![vec![], vec![0]]).unwrap();
        let all = BTreeSet::from([0, 1]);
        let state = |first, last| run_state(&dag, &all, &[task(first, None), task(last, None)], RunStop::Not);
        assert_eq!(state(Success, Success), Success);
        assert_eq!(state(Failed, Success), SuccessWithFailures);
        assert_eq!(state(Success, Failed), Failed);
        assert_eq!(state(TimedOut, ResultState::UpstreamFailed), TimedOut);
        let stopped = |first, last| run_state(&dag, &all, &[task(first, None), task(last, None)], RunStop::Canceled);
        assert_eq!(stopped(Success, ResultState::Canceled), ResultState::Canceled);
        assert_eq!(stopped(Success, Success), Success);
        assert_eq!(stopped(Success, Failed), Failed);
        let only_first = BTreeSet::from([0]);
        let tasks = [task(Failed, None), task(ResultState::Excluded, None)];
        assert_eq!(run_state(&dag, &only_first, &tasks, RunStop::Not), Failed);
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
