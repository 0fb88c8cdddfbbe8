//! What a stage is: the words every other crate shares.
//!
//! A [`Stage`] advances one table: it finds the next offset range, reads, transforms, validates and commits. Bronze,
//! silver, gold, audits and fakes in tests all look the same from outside, so the workflow runner needs to know nothing
//! of files, Delta or frames. This crate does no IO and has no heavy dependency.

mod checkpoint;
mod context;
mod error;
mod name;
mod progress;
mod redact;

pub use checkpoint::{Checkpoint, OffsetRange};
pub use context::{Context, Interval};
pub use error::{BoxError, Error, Kind, Result};
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
}
