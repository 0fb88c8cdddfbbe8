//! Where a run stands, in words.

use std::fmt;

use super::{RunRecord, RunStatus};
use crate::nearest::hint;
use crate::state::ResultState;

impl RunStatus {
    /// The name: `QUEUED`, `RUNNING`, or that of how it ended.
    pub fn name(self) -> &'static str {
        match self {
            RunStatus::Queued => "QUEUED",
            RunStatus::Running => "RUNNING",
            RunStatus::Ended(state) => state.name(),
        }
    }

    /// The status of that name, in whatever case.
    ///
    /// # Errors
    /// A line with the nearest name.
    pub fn parse(text: &str) -> Result<RunStatus, String> {
        let ended = ResultState::ALL.into_iter().map(RunStatus::Ended);
        let all: Vec<RunStatus> = [RunStatus::Queued, RunStatus::Running].into_iter().chain(ended).collect();
        let name = text.to_ascii_uppercase();
        let found = all.iter().find(|status| status.name() == name).copied();
        found
            .ok_or_else(|| format!("there is no state `{text}`{}", hint(&name, all.iter().map(|status| status.name()))))
    }
}

impl fmt::Display for RunStatus {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(self.name())
    }
}

impl RunRecord {
    /// Where it stands.
    pub fn status(&self) -> RunStatus {
        match (self.state, self.started_at) {
            (Some(state), _) => RunStatus::Ended(state),
            (None, Some(_)) => RunStatus::Running,
            (None, None) => RunStatus::Queued,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_is_found_by_its_name_in_any_case_and_a_slip_is_answered_with_the_nearest() {
        assert_eq!(RunStatus::parse("queued"), Ok(RunStatus::Queued));
        assert_eq!(RunStatus::parse("TIMEDOUT"), Ok(RunStatus::Ended(ResultState::TimedOut)));
        assert!(RunStatus::parse("FALED").unwrap_err().contains("`FAILED`"));
    }
}
