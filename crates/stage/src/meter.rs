//! How an advance stands while it goes on, for those who wait for it.
//!
//! What an advance did is its [`crate::Progress`], once it is done. A meter is shared with the stage and read at any moment:
//! it decides nothing but what people see, and how patient the runner is with a stage that is to stop.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

/// A meter of one stage. Clones are the same meter.
#[derive(Debug, Clone, Default)]
pub struct Meter {
    counts: Arc<Counts>,
}

#[derive(Debug, Default)]
struct Counts {
    expected: AtomicU64,
    done: AtomicU64,
    rows: AtomicU64,
    commits: AtomicUsize,
}

/// A commit that is being made; it is over when this is dropped.
#[derive(Debug)]
pub struct Committing(Meter);

impl Meter {
    /// Says how much there is to do in the next batch, in whatever [`Meter::did`] counts: bytes, files, rows.
    pub fn expect(&self, amount: u64) {
        self.counts.done.store(0, Ordering::Relaxed);
        self.counts.expected.store(amount, Ordering::Relaxed);
    }

    /// Counts what was done of it.
    pub fn did(&self, amount: u64) {
        self.counts.done.fetch_add(amount, Ordering::Relaxed);
    }

    /// Counts rows, over all batches.
    pub fn add_rows(&self, rows: u64) {
        self.counts.rows.fetch_add(rows, Ordering::Relaxed);
    }

    /// How much of the batch is done, from 0 to 1; `None` when nobody said how much there is.
    pub fn share(&self) -> Option<f64> {
        let expected = self.counts.expected.load(Ordering::Relaxed);
        let done = self.counts.done.load(Ordering::Relaxed).min(expected);
        (expected > 0).then(|| done as f64 / expected as f64)
    }

    /// Rows so far.
    pub fn rows(&self) -> u64 {
        self.counts.rows.load(Ordering::Relaxed)
    }

    /// Notes that a commit begins. Until the value is dropped, dropping the stage could leave open whether it was made.
    #[must_use]
    pub fn begin_commit(&self) -> Committing {
        self.counts.commits.fetch_add(1, Ordering::SeqCst);
        Committing(self.clone())
    }

    /// Whether a commit is being made.
    pub fn is_committing(&self) -> bool {
        self.counts.commits.load(Ordering::SeqCst) > 0
    }
}

impl Drop for Committing {
    fn drop(&mut self) {
        self.0.counts.commits.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Equal when they are the same meter.
impl PartialEq for Meter {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.counts, &other.counts)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_known_once_somebody_said_how_much_there_is() {
        let meter = Meter::default();
        meter.add_rows(7);
        assert_eq!((meter.share(), meter.rows()), (None, 7));
        meter.expect(10);
        meter.did(4);
        assert_eq!(meter.share(), Some(0.4));
        meter.did(40);
        assert_eq!(meter.share(), Some(1.0));
        meter.expect(8);
        assert_eq!(meter.share(), Some(0.0));
    }

    #[test]
    fn a_commit_lasts_as_long_as_its_guard() {
        let meter = Meter::default();
        let guard = meter.begin_commit();
        assert!(meter.is_committing());
        drop(guard);
        assert!(!meter.is_committing());
    }
}
