//! Whether a task runs, given how those before it ended.
//!
//! | What a task waited for | counts as |
//! |---|---|
//! | `SUCCESS`, `SUCCESS_WITH_FAILURES` | succeeded |
//! | `FAILED`, `TIMEDOUT`, `UPSTREAM_FAILED`, `INTERRUPTED` | failed |
//! | `CANCELED`, `UPSTREAM_CANCELED` | cancelled |
//! | `EXCLUDED`, `MAXIMUM_CONCURRENT_RUNS_REACHED`, a condition task with the other outcome | left out |
//! | `DISABLED` | nothing: as if it were not there, and so for a task that was not selected |

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
    /// None failed or was cancelled, and at least one succeeded.
    NoneFailed,
    /// All have ended, however.
    AllDone,
    /// At least one failed.
    AtLeastOneFailed,
    /// All of them failed.
    AllFailed,
}

/// How one of the tasks before ended, as far as the decision goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ended {
    Succeeded,
    Failed,
    Canceled,
    LeftOut,
    /// As if it were not there.
    Nothing,
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
            Excluded | MaximumConcurrentRunsReached | Missed => Ended::LeftOut,
            Disabled => Ended::Nothing,
        }
    }
}

impl RunIf {
    /// What becomes of the task: `None` when it runs, else the state it ends in without having started.
    pub(crate) fn refuses(self, before: &[Ended]) -> Option<ResultState> {
        let before: Vec<Ended> = before.iter().copied().filter(|ended| *ended != Ended::Nothing).collect();
        if before.is_empty() {
            return None;
        }
        let any = |ended: Ended| before.contains(&ended);
        let all = |ended: Ended| before.iter().all(|one| *one == ended);
        let runs = match self {
            RunIf::AllSuccess => all(Ended::Succeeded),
            RunIf::AtLeastOneSuccess => any(Ended::Succeeded),
            RunIf::NoneFailed => !any(Ended::Failed) && !any(Ended::Canceled) && any(Ended::Succeeded),
            RunIf::AllDone => true,
            RunIf::AtLeastOneFailed => any(Ended::Failed),
            RunIf::AllFailed => all(Ended::Failed),
        };
        if runs {
            return None;
        }
        // Who waits for a failure and does not get one is left out, whatever else happened.
        let waits_for_success = !matches!(self, RunIf::AtLeastOneFailed | RunIf::AllFailed);
        Some(match () {
            () if waits_for_success && any(Ended::Failed) => ResultState::UpstreamFailed,
            () if waits_for_success && any(Ended::Canceled) => ResultState::UpstreamCanceled,
            () => ResultState::Excluded,
        })
    }
}
