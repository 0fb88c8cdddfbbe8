//! What a scheduler tells: what becomes of runs that are due, and what is wrong with the project or its surroundings.

use std::collections::BTreeMap;
use std::sync::Arc;

use stage::Kind;

use crate::Event as RunEvent;
use crate::cause::Cause;
use crate::schedule::Missed;

/// Something that happened. A listener is called with each in turn and must not block.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Event {
    /// A run has to wait for its turn, since as many as may are going. One that starts at once is not told of here.
    RunQueued {
        /// Its number.
        number: i64,
        /// The workflow.
        workflow: String,
        /// Why it takes place.
        cause: Cause,
    },
    /// A run does not take place. It is recorded as `MAXIMUM_CONCURRENT_RUNS_REACHED`, or as `CANCELED` when its
    /// workflow is gone.
    RunSkipped {
        /// Its number.
        number: i64,
        /// The workflow.
        workflow: String,
        /// Why it would have taken place.
        cause: Cause,
        /// Why it does not.
        reason: String,
    },
    /// Times have passed without a run. They are recorded as one run that is `MISSED`.
    Missed {
        /// Its number.
        number: i64,
        /// The workflow.
        workflow: String,
        /// The times.
        missed: Missed,
        /// Why.
        reason: String,
    },
    /// Something happened in a run.
    Run {
        /// Its number.
        number: i64,
        /// The workflow.
        workflow: String,
        /// The parameters that it was given; the others have the values of the workflow.
        parameters: Arc<BTreeMap<String, String>>,
        /// What happened.
        event: RunEvent,
    },
    /// A schedule was paused or goes on.
    Paused {
        /// The workflow.
        workflow: String,
        /// Whether it is paused now.
        paused: bool,
    },
    /// The project's files have changed and were read anew.
    Reloaded {
        /// How many workflows there are now.
        workflows: usize,
    },
    /// The project's files have changed and something is wrong with them. The project stays as it was; each state of the
    /// files is told once.
    ProblemsFound {
        /// What is wrong, a line for each finding.
        problems: Vec<String>,
    },
    /// Something cannot be done right now: a location cannot be watched, a run cannot be begun or recorded. It is tried
    /// again, and told again when it is something else.
    Trouble {
        /// The workflow, if it is about one.
        workflow: Option<String>,
        /// The kind of the error.
        kind: Kind,
        /// The error and its causes on one line.
        message: String,
    },
}
