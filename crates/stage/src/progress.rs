//! What one advance of a stage did.

use std::collections::BTreeMap;

use serde::Serialize;

/// What one advance did, in counts. Every row read is accounted for: `read = written + quarantined + dropped` for the
/// layers that map rows to rows.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Progress {
    /// Rows read from the source.
    pub rows_read: u64,
    /// Rows committed to the table.
    pub rows_written: u64,
    /// Rows kept in quarantine, with reasons.
    pub rows_quarantined: u64,
    /// Rows left out on purpose: duplicates of a unique key, and rows a rule drops or a filter of the SQL left out.
    pub rows_dropped: u64,
    /// Files read from a file source.
    pub files_read: u64,
    /// Bytes read from a source, as they are stored there.
    pub bytes_read: u64,
    /// The version this advance committed, if it committed.
    pub version: Option<u64>,
    /// Rows that violated a rule that only warns.
    pub warnings: BTreeMap<String, u64>,
    /// Rows that violated a rule that keeps them out of the table. One row may violate several.
    pub rejects: BTreeMap<String, u64>,
    /// Whether there is certainly nothing left to do right now.
    pub idle: bool,
}

impl Progress {
    /// Nothing was there to do and nothing was written.
    pub fn idle() -> Self {
        Progress { idle: true, ..Progress::default() }
    }

    /// Adds the counts of a later advance; its version and idleness replace the earlier ones.
    pub fn add(&mut self, later: &Progress) {
        self.rows_read += later.rows_read;
        self.rows_written += later.rows_written;
        self.rows_quarantined += later.rows_quarantined;
        self.rows_dropped += later.rows_dropped;
        self.files_read += later.files_read;
        self.bytes_read += later.bytes_read;
        self.version = later.version.or(self.version);
        self.idle = later.idle;
        for (sum, later) in [(&mut self.warnings, &later.warnings), (&mut self.rejects, &later.rejects)] {
            for (rule, rows) in later {
                *sum.entry(rule.clone()).or_default() += rows;
            }
        }
    }
}
