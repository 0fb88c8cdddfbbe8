//! How a stream goes, in the few figures that a line has room for.

use std::collections::VecDeque;
use std::time::Duration;

use chrono::{DateTime, Utc};
use tokio::time::Instant;
use workflow::stream::{TableState, TableStatus};

use super::delays::Percentiles;
use crate::output::{counted, thousands};

/// How far back the pace looks: over several batches, so that it does not jump with each of them.
const PACE_OVER: Duration = Duration::from_secs(5);

/// Rows that entered a stream lately.
pub(crate) struct Pace {
    /// How many rows there were at each look; of those older than the span, the newest alone.
    looks: VecDeque<(Instant, u64)>,
}

impl Pace {
    /// Before anything entered.
    pub(crate) fn new() -> Pace {
        Pace { looks: VecDeque::from([(Instant::now(), 0)]) }
    }

    /// Looks again.
    pub(crate) fn look(&mut self, tables: &[TableStatus]) {
        self.note(tables.iter().filter(|table| table.is_entry).map(|table| table.progress.rows_read).sum());
    }

    fn note(&mut self, rows: u64) {
        self.looks.push_back((Instant::now(), rows));
        while self.looks.get(1).is_some_and(|(at, _)| at.elapsed() >= PACE_OVER) {
            self.looks.pop_front();
        }
    }

    fn per_second(&self) -> u64 {
        let (Some((from, before)), Some((to, rows))) = (self.looks.front(), self.looks.back()) else { return 0 };
        (rows.abs_diff(*before) as f64 / (*to - *from).as_secs_f64().max(0.001)).round() as u64
    }
}

/// The stream as a whole: rows a second, lag, delay from end to end, and how many tables are in which state.
pub(crate) fn headline(tables: &[TableStatus], pace: &Pace, delay: Option<Percentiles>) -> String {
    let mut parts = vec![format!("{} rows/s", thousands(pace.per_second()))];
    if let Some(lag) = tables.iter().filter_map(TableStatus::total_lag).reduce(|sum, lag| sum + lag) {
        parts.push(format!("lag {}", thousands(lag)));
    }
    if let Some(Percentiles { p50, p99 }) = delay {
        parts.push(format!("delay {} (p50) {} (p99)", seconds(p50), seconds(p99)));
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

    #[tokio::test(start_paused = true)]
    async fn the_pace_is_that_of_the_last_seconds() {
        let mut pace = Pace::new();
        for second in 1..=20 {
            tokio::time::advance(Duration::from_secs(1)).await;
            pace.note(if second < 10 { 100 * second } else { 900 });
            let expected = match second {
                ..10 => 100,
                10..15 => 20 * (14 - second),
                _ => 0,
            };
            assert_eq!(pace.per_second(), expected, "after {second} s");
        }
    }

    #[test]
    fn a_time_span_has_the_unit_that_fits_it() {
        assert_eq!([0.0213, 1.26, 300.0, 9000.0].map(seconds), ["21 ms", "1.3 s", "5 min", "2.5 h"]);
    }
}
