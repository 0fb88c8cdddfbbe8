//! What an operator watches about a stage while a stream goes on.
//!
//! Counts of what was done are in [`crate::Progress`]. A gauge is how things stand: each telling replaces the one before.

use chrono::{DateTime, Utc};

/// A figure of a stage as it stood after its last advance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Gauge {
    /// How many rows of one partition of the source are not read yet.
    Lag {
        /// The partition, such as `orders/3`.
        partition: String,
        /// Rows that are there and not read.
        rows: u64,
    },
    /// The event time of the newest row that was committed.
    EventTime(DateTime<Utc>),
}
