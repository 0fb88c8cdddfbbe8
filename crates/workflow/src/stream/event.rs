//! What a stream tells while it goes on.

use std::time::Duration;

use stage::{Kind, Progress, TableName};

/// Something that happened in a stream. The function that is told of it must not block.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum StreamEvent {
    /// The stream has its number and is about to start its tables.
    Started {
        /// The number in the history.
        number: i64,
        /// The name in commits.
        run_id: String,
        /// The workflow.
        workflow: String,
        /// How many tables it brings forward.
        tables: usize,
    },
    /// A batch was committed.
    Committed {
        /// The table.
        table: TableName,
        /// What the batch did.
        progress: Progress,
        /// From the start of the batch to the commit.
        seconds: f64,
        /// From the newest event in the table to the commit, in seconds, where event times are known.
        delay_seconds: Option<f64>,
    },
    /// A table could not be brought forward.
    Failed {
        /// The table.
        table: TableName,
        /// The kind of the error.
        kind: Kind,
        /// The error and its causes on one line.
        message: String,
        /// How often it failed since it last went well, this time included.
        failures: u32,
        /// When it is tried again; `None` when it stops for good.
        will_retry_in: Option<Duration>,
    },
    /// A table that had failed goes well again.
    Recovered {
        /// The table.
        table: TableName,
    },
}
