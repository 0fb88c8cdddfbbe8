//! Looking at files and tables, away from the loop: a store that does not answer keeps no other workflow from its runs.

use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use chrono::TimeDelta;
use futures::FutureExt as _;
use futures::future::BoxFuture;
use stage::{Error, Result};
use tokio::time::Instant;

use super::site::{SeenFile, SeenTable, Site};
use crate::schedule::Trigger;

/// The longest that a look may take.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(10 * 60);

/// What a look has found.
pub(super) enum Seen {
    Files(Vec<SeenFile>),
    Tables(BTreeMap<String, SeenTable>),
}

/// A look that is over.
pub(super) struct Look {
    pub(super) workflow: String,
    pub(super) took: TimeDelta,
    pub(super) seen: Result<Seen>,
}

/// Looks at what a trigger watches; `None` for one that watches nothing.
pub(super) fn look(workflow: &str, trigger: &Trigger, site: Arc<dyn Site>) -> Option<BoxFuture<'static, Look>> {
    let workflow = workflow.to_owned();
    let looking: BoxFuture<'static, Result<Seen>> = match trigger {
        Trigger::FileArrival(files) => {
            let url = files.url().to_owned();
            Box::pin(async move { site.files(&url).await.map(Seen::Files) })
        }
        Trigger::TableUpdate(tables) => {
            let tables = tables.table_names().to_vec();
            Box::pin(async move { site.versions(&tables).await.map(Seen::Tables) })
        }
        Trigger::Cron(_) | Trigger::Periodic(_) | Trigger::Continuous(_) => return None,
    };
    Some(Box::pin(async move {
        let started = Instant::now();
        // A look that breaks off must still say whose it was, or that workflow would never be looked after again.
        let seen = match tokio::time::timeout(PATIENCE, AssertUnwindSafe(looking).catch_unwind()).await {
            Ok(Ok(seen)) => seen,
            Ok(Err(_)) => Err(Error::bug(format!("looking at what starts workflow `{workflow}` broke off"))),
            Err(_) => {
                let seconds = PATIENCE.as_secs();
                Err(Error::unavailable(format!("what starts workflow `{workflow}` could not be seen in {seconds} s")))
            }
        };
        let took = TimeDelta::from_std(started.elapsed()).unwrap_or(TimeDelta::MAX);
        Look { workflow, took, seen }
    }))
}
