//! Deleting files of a table that nobody can read any more.

use std::time::Duration;

use chrono::Utc;
use frame::TimeSpan;
use futures::future::BoxFuture;
use lake::maintenance::{VacuumSettings, slowest_reader, vacuum};
use serde_json::{Map, Value};
use stage::{Context, Error, Result, TableName};
use workflow::action::{Action, Output};
use workflow::log::TaskLog;

use super::unless_stopped;
use crate::Workbench;
use crate::commands::{expect_existing, vacuum_told};

pub(super) struct Vacuum {
    pub(super) workbench: Workbench,
    pub(super) table: TableName,
    /// How long files stay; as long as the project says when it is left out.
    pub(super) retain: Option<String>,
}

impl Action for Vacuum {
    fn run<'a>(self: Box<Self>, context: &'a Context, log: &'a TaskLog) -> BoxFuture<'a, Result<Output>> {
        Box::pin(async move { unless_stopped(context, self.vacuumed(log)).await })
    }
}

impl Vacuum {
    async fn vacuumed(&self, log: &TaskLog) -> Result<Output> {
        let Vacuum { workbench, table, retain } = self;
        expect_existing(workbench, table).await?;
        let least = workbench.project.maintenance.retention;
        let retention = match retain {
            Some(text) => retention(text, least)?,
            None => least,
        };
        let keep_from = slowest_reader(&workbench.lake, table, &workbench.readers_of(table)).await?;
        let settings = VacuumSettings { retention, keep_from, dry_run: false };
        let done = vacuum(&workbench.lake, table, &settings, Utc::now()).await?;
        log.line(&vacuum_told(table, &done, false));
        let version = workbench.lake.open(table).await?.version().unwrap_or_default();
        let counts = [("version", version), ("files", done.files.len() as u64), ("bytes", done.bytes)];
        let values: Map<String, Value> =
            counts.map(|(name, count)| (name.to_owned(), count.into())).into_iter().collect();
        Ok(Output { values, ..Output::default() })
    }
}

/// How long files stay. A task runs when nobody looks, so it may not ask for less than the retention of the project.
fn retention(text: &str, least: Duration) -> Result<Duration> {
    let asked: TimeSpan = text.parse().map_err(|error| Error::config(format!("`retain`: {error}")))?;
    if asked.duration() >= least {
        return Ok(asked.duration());
    }
    let least = TimeSpan::milliseconds(u64::try_from(least.as_millis()).unwrap_or(u64::MAX));
    Err(Error::config(format!(
        "`retain` is {asked}, less than the retention of {least}, so files still being read or written could go; change \
         `retention` of [maintenance] in medallion.toml"
    )))
}
