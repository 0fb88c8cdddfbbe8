//! Where runs stand, in one word: the result state, or what they do until they have one. Of tasks,
//! [`workflow::pictures::state_of`] says it.

use workflow::history::RunRecord;
use workflow::pictures;

/// A run that waits for its turn.
pub(crate) const QUEUED: &str = "QUEUED";
/// A run that goes on.
pub(crate) const RUNNING: &str = pictures::RUNNING;

/// Where a run stands.
pub(crate) fn of_run(run: &RunRecord) -> &'static str {
    match (run.state, run.started_at) {
        (Some(state), _) => state.name(),
        (None, Some(_)) => RUNNING,
        (None, None) => QUEUED,
    }
}
