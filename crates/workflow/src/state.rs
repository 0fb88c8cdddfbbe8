//! How runs, tasks and attempts end, in the words of Jobs JSON.

use std::fmt;

use serde::{Serialize, Serializer};

/// How a run, a task or an attempt ended. What has not ended has no result state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ResultState {
    /// It did all it had to do.
    Success,
    /// A run whose leaf tasks succeeded although a task before them failed.
    SuccessWithFailures,
    /// It ended with an error.
    Failed,
    /// Its time was over; the work was stopped.
    TimedOut,
    /// It was stopped from outside, or kept from starting by that.
    Canceled,
    /// A task that was not selected.
    Excluded,
    /// A task that did not start because one it depends on failed.
    UpstreamFailed,
    /// A task that did not start because one it depends on was cancelled.
    UpstreamCanceled,
    /// The process that ran it died before it ended.
    Interrupted,
    /// A task that is switched off.
    Disabled,
    /// A run that did not start because too many others were going.
    MaximumConcurrentRunsReached,
    /// A run that was due while no scheduler was running, and is not made up for.
    Missed,
}

impl ResultState {
    /// Every state.
    pub const ALL: [ResultState; 12] = [
        ResultState::Success,
        ResultState::SuccessWithFailures,
        ResultState::Failed,
        ResultState::TimedOut,
        ResultState::Canceled,
        ResultState::Excluded,
        ResultState::UpstreamFailed,
        ResultState::UpstreamCanceled,
        ResultState::Interrupted,
        ResultState::Disabled,
        ResultState::MaximumConcurrentRunsReached,
        ResultState::Missed,
    ];

    /// The name in Jobs JSON, such as `UPSTREAM_FAILED`. `INTERRUPTED` and `MISSED` are ours.
    pub fn name(self) -> &'static str {
        match self {
            ResultState::Success => "SUCCESS",
            ResultState::SuccessWithFailures => "SUCCESS_WITH_FAILURES",
            ResultState::Failed => "FAILED",
            ResultState::TimedOut => "TIMEDOUT",
            ResultState::Canceled => "CANCELED",
            ResultState::Excluded => "EXCLUDED",
            ResultState::UpstreamFailed => "UPSTREAM_FAILED",
            ResultState::UpstreamCanceled => "UPSTREAM_CANCELED",
            ResultState::Interrupted => "INTERRUPTED",
            ResultState::Disabled => "DISABLED",
            ResultState::MaximumConcurrentRunsReached => "MAXIMUM_CONCURRENT_RUNS_REACHED",
            ResultState::Missed => "MISSED",
        }
    }

    /// The state of that name.
    pub fn from_name(name: &str) -> Option<ResultState> {
        ResultState::ALL.into_iter().find(|state| state.name() == name)
    }

    /// Whether nothing is left to be done about it.
    pub fn is_success(self) -> bool {
        matches!(self, ResultState::Success | ResultState::SuccessWithFailures)
    }

    /// Whether work was done or tried for it; else it was decided without starting.
    pub fn is_executed(self) -> bool {
        use ResultState::{Canceled, Failed, Interrupted, Success, SuccessWithFailures, TimedOut};
        matches!(self, Success | SuccessWithFailures | Failed | TimedOut | Canceled | Interrupted)
    }

    /// Whether something went wrong with it, or before it.
    pub fn is_failure(self) -> bool {
        use ResultState::{Failed, Interrupted, TimedOut, UpstreamFailed};
        matches!(self, Failed | TimedOut | UpstreamFailed | Interrupted)
    }
}

impl fmt::Display for ResultState {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(self.name())
    }
}

impl Serialize for ResultState {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_state_is_found_by_its_name() {
        for state in ResultState::ALL {
            assert_eq!(ResultState::from_name(state.name()), Some(state));
        }
        assert_eq!(ResultState::from_name("RUNNING"), None);
    }
}
