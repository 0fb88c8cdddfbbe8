//! What a stage is told when it advances: when to stop, what time it is, and what the run was asked to do.

use std::collections::BTreeMap;
use std::time::Instant;

use chrono::{DateTime, Utc};
use tokio_util::sync::CancellationToken;

use crate::{Committing, Error, Meter, Result};

/// A span of event time, half-open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Interval {
    /// First instant inside.
    pub from: DateTime<Utc>,
    /// First instant outside.
    pub to: DateTime<Utc>,
}

/// The circumstances of one advance. Cheap to clone; work on blocking threads takes a clone along and asks
/// [`Context::check`] between pieces, so that a time-out really stops it.
#[derive(Debug, Clone)]
pub struct Context {
    /// Which run this belongs to; written into every commit.
    pub run_id: String,
    /// Set when the run is to stop.
    pub cancellation: CancellationToken,
    /// When the attempt's time is over.
    pub deadline: Option<Instant>,
    /// A fixed time for tests; `None` is the wall clock.
    pub fixed_now: Option<DateTime<Utc>>,
    /// The event times to reprocess, if the run was asked to.
    pub interval: Option<Interval>,
    /// Rebuild the table from all of its upstream.
    pub full_refresh: bool,
    /// Whether the run stays open: a source then hands over what has arrived instead of reading to the end it found.
    pub streaming: bool,
    /// Parameters of the run.
    pub parameters: BTreeMap<String, String>,
    /// Where the stage tells how it stands; each stage has its own.
    pub meter: Meter,
}

impl Context {
    /// A context that nothing stops, for the run `run_id`.
    pub fn new(run_id: impl Into<String>) -> Self {
        Context {
            run_id: run_id.into(),
            cancellation: CancellationToken::new(),
            deadline: None,
            fixed_now: None,
            interval: None,
            full_refresh: false,
            streaming: false,
            parameters: BTreeMap::new(),
            meter: Meter::default(),
        }
    }

    /// The time to stamp rows with.
    pub fn now(&self) -> DateTime<Utc> {
        self.fixed_now.unwrap_or_else(Utc::now)
    }

    /// Begins the commit, unless the work is to stop. While the result is kept, the runner waits longer for the stage.
    ///
    /// # Errors
    /// As [`Context::check`].
    pub fn begin_commit(&self) -> Result<Committing> {
        self.check()?;
        Ok(self.meter.begin_commit())
    }

    /// Ends the work when it is to stop.
    ///
    /// # Errors
    /// [`crate::Kind::Stopped`] when the run was cancelled or the deadline has passed.
    pub fn check(&self) -> Result<()> {
        if self.cancellation.is_cancelled() {
            return Err(Error::stopped("stopped before the batch was committed"));
        }
        if self.deadline.is_some_and(|deadline| Instant::now() >= deadline) {
            return Err(Error::stopped("timed out before the batch was committed"));
        }
        Ok(())
    }
}
