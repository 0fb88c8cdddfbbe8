//! The clock of a scheduler, so that tests can let a day pass in a moment.

use chrono::{DateTime, TimeDelta, Utc};
use futures::future::BoxFuture;

/// What time it is, and the waiting for a later one.
pub trait Clock: Send + Sync {
    /// The time.
    fn now(&self) -> DateTime<Utc>;

    /// Ends when about that much time has passed.
    fn sleep(&self, time: TimeDelta) -> BoxFuture<'static, ()>;
}

/// The clock of the system. It may be set, so nobody waits for long without looking at it again.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> DateTime<Utc> {
        Utc::now()
    }

    fn sleep(&self, time: TimeDelta) -> BoxFuture<'static, ()> {
        Box::pin(tokio::time::sleep(time.to_std().unwrap_or_default()))
    }
}
