//! How a stream goes, in the few figures that a line has room for.

use std::time::Duration;

use chrono::{DateTime, Utc};
use workflow::stream::{TableState, TableStatus};

use crate::output::{counted, thousands};

/// Rows that entered a stream between two looks at it.
pub(crate) struct Pace {
    rows: u64,
    per_second: f64,
}

impl Pace {
    /// Before the first look.
    pub(crate) fn new() -> Pace {
        Pace { rows: 0, per_second: 0.0 }
    }

    /// Looks again, that long after the last look.
    pub(crate) fn look(&mut self, tables: &[TableStatus], after: Duration) {
        let rows = tables.iter().filter(|table| table.is_entry).map(|table| table.progress.rows_read).sum();
        self.per_second = self.rows.abs_diff(rows) as f64 / after.as_secs_f64().max(0.001);
        self.rows = rows;
    }
}

/// The stream as a whole: rows a second, lag, delay, and how many tables are in which state.
pub(crate) fn headline(tables: &[TableStatus], pace: &Pace) -> String {
    let mut parts = vec![format!("{} rows/s", thousands(pace.per_second.round() as u64))];
    if let Some(lag) = tables.iter().filter_map(TableStatus::total_lag).reduce(|sum, lag| sum + lag) {
        parts.push(format!("lag {}", thousands(lag)));
    }
    if let Some(delay) = tables.iter().filter_map(|table| table.delay_seconds).reduce(f64::max) {
        parts.push(format!("delay {}", seconds(delay)));
    }
    for state in TableState::ALL {
        match tables.iter().filter(|table| table.state == state).count() {
            0 => {}
            count => parts.push(format!("{count} {}", state.name())),
        }
    }
    parts.join(", ")
}

/// What is to be said of one table: its state, and its last commit or why it does not go on.
pub(crate) fn told(table: &TableStatus, now: DateTime<Utc>) -> String {
    let state = table.state.name();
    if let (TableState::Retrying | TableState::Failed, Some(error)) = (table.state, &table.last_error) {
        return format!("{} {state}: {error}", table.table);
    }
    let Some(commit) = table.last_commit else { return format!("{} {state}, nothing new yet", table.table) };
    let ago = seconds((now - commit.at).as_seconds_f64().max(0.0));
    let (rows, took) = (counted(commit.rows, "row"), seconds(commit.seconds));
    format!("{} {state}, version {} with {rows} {ago} ago, took {took}", table.table, commit.version)
}

/// A time span as people say it.
pub(crate) fn seconds(seconds: f64) -> String {
    match seconds {
        short if short < 1.0 => format!("{:.0} ms", short * 1000.0),
        some if some < 120.0 => format!("{some:.1} s"),
        long if long < 7200.0 => format!("{:.0} min", long / 60.0),
        longer => format!("{:.1} h", longer / 3600.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_span_has_the_unit_that_fits_it() {
        assert_eq!([0.0213, 1.26, 300.0, 9000.0].map(seconds), ["21 ms", "1.3 s", "5 min", "2.5 h"]);
    }
}
