//! Writing the small files of a table together.

use chrono::Utc;
use futures::future::BoxFuture;
use lake::maintenance::compact;
use serde_json::{Map, Value};
use stage::{Context, Result, TableName};
use workflow::action::{Action, Output};
use workflow::log::TaskLog;

use super::unless_stopped;
use crate::Workbench;
use crate::commands::{compaction_told, expect_existing};

pub(super) struct Optimize {
    pub(super) workbench: Workbench,
    pub(super) table: TableName,
}

impl Action for Optimize {
    fn run<'a>(self: Box<Self>, context: &'a Context, log: &'a TaskLog) -> BoxFuture<'a, Result<Output>> {
        Box::pin(async move { unless_stopped(context, self.optimized(log)).await })
    }
}

impl Optimize {
    async fn optimized(&self, log: &TaskLog) -> Result<Output> {
        let Optimize { workbench, table } = self;
        expect_existing(workbench, table).await?;
        let settings = workbench.project.maintenance.at_once();
        let done = compact(&workbench.lake, table, &settings, Utc::now()).await?;
        log.line(&compaction_told(&table.to_string(), &done));
        let now = workbench.lake.open(table).await?;
        let counts = [
            ("version", now.version().unwrap_or_default()),
            ("files", now.files().await?.len() as u64),
            ("files_removed", done.files_removed),
            ("files_added", done.files_added),
            ("bytes_removed", done.bytes_removed),
            ("bytes_added", done.bytes_added),
        ];
        let values: Map<String, Value> =
            counts.map(|(name, count)| (name.to_owned(), count.into())).into_iter().collect();
        Ok(Output { values, ..Output::default() })
    }
}
