//! What a trigger that watches something says to an observation.

use chrono::{DateTime, Utc};

/// Whether to start a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// Start a run, for this reason. The state already takes it as started.
    Fire(Cause),
    /// Start none.
    Wait {
        /// Something is new, and unless more comes a run starts when it is observed again at that time or later. None:
        /// nothing is new.
        until: Option<DateTime<Utc>>,
    },
}

/// Why a run starts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cause {
    /// New files arrived.
    FileArrival {
        /// The location that is watched.
        location: String,
        /// How many of the new files are there.
        files: usize,
    },
    /// Tables were updated.
    TableUpdate {
        /// The updated ones, in the order in which the schedule names them.
        tables: Vec<String>,
    },
}
