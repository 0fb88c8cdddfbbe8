//! Times that come again and again.

use chrono::{DateTime, Utc};

/// Times at which something is due: those of a [`super::Cron`] or of [`super::Beats`].
pub trait Recurrence {
    /// The first time later than `now`, if there is one.
    fn next_after(&self, now: DateTime<Utc>) -> Option<DateTime<Utc>>;

    /// How many times are later than the one and no later than the other instant, without going through them all.
    fn count(&self, after: DateTime<Utc>, until: DateTime<Utc>) -> u64;
}
