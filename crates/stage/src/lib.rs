//! What a stage is: the words every other crate shares.
//!
//! A [`Stage`] advances one table: it finds the next offset range, reads, transforms, validates and commits. Bronze,
//! silver, gold, audits and fakes in tests all look the same from outside, so the workflow runner needs to know nothing
//! of files, Delta or frames. This crate does no IO and has no heavy dependency.

mod checkpoint;
pub mod columns;
mod context;
mod error;
mod gauge;
mod meter;
mod name;
mod progress;
mod redact;

pub use checkpoint::{Checkpoint, OffsetRange};
pub use context::{Context, Interval};
pub use error::{BoxError, Error, Kind, Result};
pub use gauge::Gauge;
pub use meter::{Committing, Meter};
pub use name::{Layer, TableName};
pub use progress::Progress;
pub use redact::Secret;

use futures::future::BoxFuture;

/// One table that can be moved forward.
///
/// `advance` does one batch: everything up to and including one commit. It returns [`Progress::idle`] when there was
/// nothing to do, so "run until idle" is a loop of the caller.
pub trait Stage: Send {
    /// The table this stage writes.
    fn table(&self) -> &TableName;

    /// Reads the next offset range, transforms, validates and commits it.
    ///
    /// # Errors
    /// The kind of the error decides what the caller does: [`Kind::Unavailable`] and [`Kind::Conflict`] are worth
    /// trying again, everything else is not. After an error nothing of the batch is visible.
    fn advance<'a>(&'a mut self, context: &'a Context) -> BoxFuture<'a, Result<Progress>>;

    /// The tables whose commits may give this stage something to do. A stream advances it again after each.
    fn reads(&self) -> Vec<TableName> {
        Vec::new()
    }

    /// What the stage reads from outside of the lake, in words and without secrets: a bucket, brokers. Stages of one source
    /// give the same words. `None` for one that is fed by tables of the lake alone.
    fn source(&self) -> Option<String> {
        None
    }

    /// Ends when the stage's own source may have something new, with enough of it for a batch or after waiting long
    /// enough. Never ends for a stage that is fed by tables of the lake alone. Only a stream asks; dropping the future
    /// loses nothing.
    ///
    /// # Errors
    /// As [`Stage::advance`].
    fn arrival<'a>(&'a mut self, context: &'a Context) -> BoxFuture<'a, Result<()>> {
        let _ = context;
        Box::pin(std::future::pending())
    }

    /// What an operator watches, as it stood after the last advance. It must be quick: it looks nothing up.
    fn gauges(&self) -> Vec<Gauge> {
        Vec::new()
    }
}

/// Something wrong in a spec. The loader knows the file and finds line and column by `at`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Where in the spec: keys and indices joined by `/`, such as `expect/0/not_null/1`. Empty for the whole file.
    pub at: String,
    /// What is wrong, what was expected, and the nearest known name if there is one.
    pub message: String,
}

impl Problem {
    /// A problem at a place in the spec.
    pub fn new(at: impl Into<String>, message: impl Into<String>) -> Self {
        Problem { at: at.into(), message: message.into() }
    }
}
