//! Looks after the tables of a stream while it goes on: small files are put together, old ones go.
//!
//! One table at a time, so that the tables themselves keep the cores. A table that could not be looked after is told, and
//! tried again the next time round; the stream goes on in any case.

use std::collections::BTreeSet;
use std::sync::Arc;

use chrono::Utc;
use lake::maintenance::{Report, maintain, slowest_reader, with_companions};
use stage::{Result, TableName};

use crate::workbench::Workbench;

/// Looks after the tables, and those written with them, every `interval` of `[maintenance]`. Never ends; being dropped in
/// the middle loses nothing but work.
pub(crate) async fn keep_up(workbench: Arc<Workbench>, tables: BTreeSet<TableName>) {
    let all = with_companions(tables);
    loop {
        tokio::time::sleep(workbench.project.maintenance.interval).await;
        for name in &all {
            match look_after(&workbench, name).await {
                Ok(report) if report == Report::default() => {}
                Ok(report) => tracing::info!(table = %name, ?report, "looked after"),
                Err(error) => tracing::warn!(table = %name, error = error.chain(), "could not be looked after"),
            }
        }
    }
}

async fn look_after(workbench: &Workbench, name: &TableName) -> Result<Report> {
    let keep_from = slowest_reader(&workbench.lake, name, &workbench.readers_of(name)).await?;
    maintain(&workbench.lake, name, &workbench.project.maintenance, keep_from, Utc::now()).await
}
