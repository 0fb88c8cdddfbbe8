//! Work that is no stage: a query, a program. It runs once and may leave something for the tasks after it.

use std::collections::BTreeMap;

use futures::future::BoxFuture;
use serde_json::{Map, Value};
use stage::{Context, Error, Progress, Result};

use crate::log::TaskLog;

/// The most bytes of one published value, as JSON. It is the limit of Jobs JSON.
pub const MOST_VALUE_BYTES: usize = 48 << 10;

/// Work that runs once.
pub trait Action: Send {
    /// Does it. The future is dropped when it takes too long to stop after `context` says so; nothing that it started may
    /// go on after that.
    ///
    /// # Errors
    /// The kind decides whether it is tried again, as for a [`stage::Stage`].
    fn run<'a>(self: Box<Self>, context: &'a Context, log: &'a TaskLog) -> BoxFuture<'a, Result<Output>>;
}

/// What a task leaves for those after it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Output {
    /// What `{{tasks.<task>.values.<key>}}` stands for.
    pub values: Map<String, Value>,
    /// What `{{tasks.<task>.output.rows}}` stands for; only queries have any.
    pub rows: Option<Vec<Map<String, Value>>>,
    /// What was done in counts.
    pub progress: Progress,
}

impl Output {
    /// What stages leave: how many rows they moved, and the version of the table when there was only one.
    pub(crate) fn of_stages(progress: &Progress, version: Option<u64>) -> Output {
        let counts = BTreeMap::from([
            ("rows_read", progress.rows_read),
            ("rows_written", progress.rows_written),
            ("rows_quarantined", progress.rows_quarantined),
            ("rows_dropped", progress.rows_dropped),
        ]);
        let counts = counts.into_iter().chain(version.map(|version| ("version", version)));
        let values = counts.map(|(name, count)| (name.to_owned(), Value::from(count))).collect();
        Output { values, rows: None, progress: progress.clone() }
    }

    /// Whether every value is small enough to be kept.
    ///
    /// # Errors
    /// [`stage::Kind::Data`], naming the first that is not.
    pub fn check(&self) -> Result<()> {
        for (name, value) in &self.values {
            let bytes = value.to_string().len();
            if bytes > MOST_VALUE_BYTES {
                let message = format!(
                    "the value `{name}` has {bytes} bytes, and at most {MOST_VALUE_BYTES} can be published; write it to a table"
                );
                return Err(Error::data(message));
            }
        }
        Ok(())
    }
}
