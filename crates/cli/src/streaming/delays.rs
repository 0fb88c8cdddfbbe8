//! How long events were on their way lately: the delays of the commits of the last minute, table by table.
//!
//! The delay of a commit is the time from the newest event it brought to its end, so that of the last table of a stream is
//! the delay from end to end.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use stage::TableName;
use tokio::time::Instant;

/// How far back commits are remembered.
const WINDOW: Duration = Duration::from_secs(60);
/// The most commits of a table that are remembered.
const MOST: usize = 10_000;

/// The delays of the commits of the last minute.
#[derive(Default)]
pub(crate) struct Delays {
    tables: Mutex<BTreeMap<TableName, VecDeque<(Instant, f64)>>>,
}

/// Delays in seconds that half and nearly all commits did not exceed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Percentiles {
    pub(crate) p50: f64,
    pub(crate) p99: f64,
}

impl Delays {
    /// Remembers the delay of a commit that was done just now.
    pub(crate) fn note(&self, table: &TableName, seconds: f64) {
        let mut tables = self.tables.lock().unwrap_or_else(PoisonError::into_inner);
        let commits = tables.entry(table.clone()).or_default();
        if commits.len() == MOST {
            commits.pop_front();
        }
        commits.push_back((Instant::now(), seconds));
    }

    /// The delays of the table that events reach last; `None` when nothing was committed in the last minute.
    pub(crate) fn end_to_end(&self) -> Option<Percentiles> {
        let mut tables = self.tables.lock().unwrap_or_else(PoisonError::into_inner);
        for commits in tables.values_mut() {
            while commits.front().is_some_and(|(at, _)| at.elapsed() > WINDOW) {
                commits.pop_front();
            }
        }
        let percentiles =
            tables.values().filter_map(|commits| Percentiles::of(commits.iter().map(|(_, delay)| *delay)));
        percentiles.max_by(|one, other| one.p50.total_cmp(&other.p50))
    }
}

impl Percentiles {
    /// By the nearest rank, so each is a delay that was measured.
    fn of(delays: impl Iterator<Item = f64>) -> Option<Percentiles> {
        let mut sorted: Vec<f64> = delays.collect();
        sorted.sort_by(f64::total_cmp);
        let ranked = |percent: usize| sorted.get((sorted.len() * percent).div_ceil(100).saturating_sub(1)).copied();
        Some(Percentiles { p50: ranked(50)?, p99: ranked(99)? })
    }
}

#[cfg(test)]
mod tests {
    use stage::Layer;

    use super::*;

    fn table(name: &str) -> TableName {
        TableName::new("shop", Layer::Gold, name).unwrap()
    }

    #[test]
    fn percentiles_are_delays_that_were_measured() {
        assert_eq!(Percentiles::of([].into_iter()), None);
        assert_eq!(Percentiles::of([0.7].into_iter()), Some(Percentiles { p50: 0.7, p99: 0.7 }));
        assert_eq!(Percentiles::of((1..=200).rev().map(f64::from)), Some(Percentiles { p50: 100.0, p99: 198.0 }));
    }

    #[tokio::test(start_paused = true)]
    async fn the_slowest_table_of_the_last_minute_counts() {
        let delays = Delays::default();
        assert_eq!(delays.end_to_end(), None);
        delays.note(&table("fast"), 0.2);
        delays.note(&table("slow"), 9.0);
        tokio::time::advance(Duration::from_secs(59)).await;
        delays.note(&table("slow"), 0.4);
        assert_eq!(delays.end_to_end(), Some(Percentiles { p50: 0.4, p99: 9.0 }));
        tokio::time::advance(Duration::from_secs(2)).await;
        assert_eq!(delays.end_to_end(), Some(Percentiles { p50: 0.4, p99: 0.4 }));
        tokio::time::advance(Duration::from_secs(60)).await;
        assert_eq!(delays.end_to_end(), None);
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let delays = Delays::default();
        for _ in 0..=MOST {
            delays.note(&table("busy"), 1.0);
        }
        assert_eq!(delays.tables.lock().unwrap()[&table("busy")].len(), MOST);
    }
}
