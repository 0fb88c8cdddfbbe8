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
}

impl ResultState {
    /// Every state.
    pub const ALL: [ResultState; 9] = [
        ResultState::Success,
        ResultState::SuccessWithFailures,
        ResultState::Failed,
        ResultState::TimedOut,
        ResultState::Canceled,
        ResultState::Excluded,
        ResultState::UpstreamFailed,
        ResultState::UpstreamCanceled,
        ResultState::Interrupted,
    ];

    /// The name in Jobs JSON, such as `UPSTREAM_FAILED`. `INTERRUPTED` is ours.
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

    /// What a task becomes whose dependency ended in this state; `None` when it may start.
    pub(crate) fn blocks(self) -> Option<ResultState> {
        match self {
            ResultState::Success | ResultState::SuccessWithFailures | ResultState::Excluded => None,
            ResultState::Failed | ResultState::TimedOut | ResultState::UpstreamFailed | ResultState::Interrupted => {
                Some(ResultState::UpstreamFailed)
            }
            ResultState::Canceled | ResultState::UpstreamCanceled => Some(ResultState::UpstreamCanceled),
        }
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
