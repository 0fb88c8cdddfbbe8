//! Whether a task runs, given how those before it ended.
//!
//! | What a task waited for | counts as |
//! |---|---|
//! | `SUCCESS`, `SUCCESS_WITH_FAILURES` | succeeded |
//! | `FAILED`, `TIMEDOUT`, `UPSTREAM_FAILED`, `INTERRUPTED` | failed |
//! | `CANCELED`, `UPSTREAM_CANCELED` | cancelled, which those who handle failures take for one |
//! | `EXCLUDED`, `MAXIMUM_CONCURRENT_RUNS_REACHED` | excluded, which is taken for a success |
//! | a condition task with the other outcome | not chosen: no success and no failure |
//! | `DISABLED` | disabled: it has ended, without success and without failure |
//! | a task that was not selected | nothing: as if it were not there |
//!
//! Who waits for nothing but excluded tasks and outcomes that did not come is excluded, whatever its `run_if` says. Whose
//! `run_if` does not hold for no other reason than that tasks are disabled is disabled too. The rules, and that excluded is as
//! good as succeeded, are those of the Databricks pages "Configure task dependencies" and "Disabled tasks in Lakeflow Jobs".
//!
//! | Not run, `run_if` | ends as |
//! |---|---|
//! | one of the first three | `UPSTREAM_FAILED` when one failed, else `UPSTREAM_CANCELED` when one was cancelled, else `EXCLUDED` |
//! | `AT_LEAST_ONE_FAILED`, `ALL_FAILED` | `EXCLUDED` |

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::state::ResultState;

/// How the tasks that a task depends on must have ended for it to run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum RunIf {
    /// All of them succeeded.
    #[default]
    AllSuccess,
    /// At least one succeeded.
    AtLeastOneSuccess,
    /// None failed or was cancelled, and at least one succeeded or was excluded.
    NoneFailed,
    /// All have ended, however.
    AllDone,
    /// At least one failed or was cancelled.
    AtLeastOneFailed,
    /// All of them failed or were cancelled.
    AllFailed,
}

/// How one of the tasks before ended, as far as the decision goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ended {
    Succeeded,
    Failed,
    Canceled,
    Excluded,
    /// A condition task whose outcome is not the one that was waited for.
    NotChosen,
    Disabled,
}

impl From<ResultState> for Ended {
    fn from(state: ResultState) -> Ended {
        use ResultState::{
            Canceled, Disabled, Excluded, Failed, Interrupted, MaximumConcurrentRunsReached, Missed, Success,
            SuccessWithFailures, TimedOut, UpstreamCanceled, UpstreamFailed,
        };
        match state {
            Success | SuccessWithFailures => Ended::Succeeded,
            Failed | TimedOut | UpstreamFailed | Interrupted => Ended::Failed,
            Canceled | UpstreamCanceled => Ended::Canceled,
            Excluded | MaximumConcurrentRunsReached | Missed => Ended::Excluded,
            Disabled => Ended::Disabled,
        }
    }
}

impl RunIf {
    /// What becomes of the task: `None` when it runs, else the state it ends in without having started.
    pub(crate) fn refuses(self, before: &[Ended]) -> Option<ResultState> {
        if before.is_empty() {
            return None;
        }
        let not_chosen = |ended: &Ended| matches!(ended, Ended::Excluded | Ended::NotChosen);
        if before.iter().all(not_chosen) {
            return Some(ResultState::Excluded);
        }
        if self.holds(before) {
            return None;
        }
        let enabled: Vec<Ended> = before.iter().copied().filter(|ended| *ended != Ended::Disabled).collect();
        if enabled.len() < before.len() && (enabled.is_empty() || self.holds(&enabled)) {
            return Some(ResultState::Disabled);
        }
        // Who waits for a failure and does not get one is excluded, whatever else happened.
        let waits_for_success = !matches!(self, RunIf::AtLeastOneFailed | RunIf::AllFailed);
        Some(match () {
            () if waits_for_success && before.contains(&Ended::Failed) => ResultState::UpstreamFailed,
            () if waits_for_success && before.contains(&Ended::Canceled) => ResultState::UpstreamCanceled,
            () => ResultState::Excluded,
        })
    }

    fn holds(self, before: &[Ended]) -> bool {
        let succeeded = |ended: &Ended| matches!(ended, Ended::Succeeded | Ended::Excluded);
        let failed = |ended: &Ended| matches!(ended, Ended::Failed | Ended::Canceled);
        match self {
            RunIf::AllSuccess => before.iter().all(succeeded),
            RunIf::AtLeastOneSuccess => before.iter().any(succeeded),
            RunIf::NoneFailed => !before.iter().any(failed) && before.iter().any(succeeded),
            RunIf::AllDone => true,
            RunIf::AtLeastOneFailed => before.iter().any(failed),
            RunIf::AllFailed => before.iter().all(failed),
        }
    }
}
