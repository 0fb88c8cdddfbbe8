//! An opened project as a scheduler sees it: work to build, files and tables to look at.

use std::collections::{BTreeMap, BTreeSet};

use ::stage::{Result, TableName};
use chrono::{DateTime, Utc};
use futures::FutureExt as _;
use futures::future::BoxFuture;
use lake::Storage;
use tokio::sync::Mutex;
use workflow::scheduler::{SeenFile, SeenTable, Site};
use workflow::{Breakers, Built, Work, Workflow, Workshop};

use crate::project::location;
use crate::workbench::Workbench;

/// An opened project.
pub(super) struct ProjectSite {
    workbench: Workbench,
    /// The tables that were looked at, so that the time of a commit is read once.
    seen: Mutex<BTreeMap<TableName, SeenTable>>,
}

impl ProjectSite {
    pub(super) fn new(workbench: Workbench) -> ProjectSite {
        ProjectSite { workbench, seen: Mutex::default() }
    }

    async fn files_at(&self, url: &str) -> Result<Vec<SeenFile>> {
        let project = &self.workbench.project;
        let storage = Storage::open(&location(url, &project.root), &project.s3()?)?;
        let files = storage.files().await?;
        Ok(files.into_iter().map(|file| SeenFile { path: file.path, modified: file.modified }).collect())
    }

    /// The newest version of a table; `None` when it does not exist.
    async fn table(&self, name: &TableName) -> Result<Option<SeenTable>> {
        let table = self.workbench.lake.open(name).await?;
        let Some(version) = table.version() else { return Ok(None) };
        let mut seen = self.seen.lock().await;
        if let Some(known) = seen.get(name).filter(|known| known.version == version) {
            return Ok(Some(*known));
        }
        let newest = table.history(1).await?;
        let millis = newest.first().map(|info| info.timestamp_millis);
        let committed = millis.and_then(DateTime::from_timestamp_millis).unwrap_or_else(Utc::now);
        let found = SeenTable { version, committed };
        seen.insert(name.clone(), found);
        Ok(Some(found))
    }

    async fn tables(&self, names: &[String]) -> Result<BTreeMap<String, SeenTable>> {
        let mut tables = BTreeMap::new();
        for name in names {
            let table = self.table(&name.parse()?).await?;
            tables.extend(table.map(|table| (name.clone(), table)));
        }
        Ok(tables)
    }
}

impl Workshop for ProjectSite {
    fn build(&self, work: &Work) -> Result<Built> {
        self.workbench.build(work)
    }

    fn workflow(&self, name: &str) -> Result<Workflow> {
        Workshop::workflow(&self.workbench, name)
    }

    fn breakers(&self) -> Option<&Breakers> {
        self.workbench.breakers()
    }
}

impl Site for ProjectSite {
    fn files<'a>(&'a self, url: &'a str) -> BoxFuture<'a, Result<Vec<SeenFile>>> {
        self.files_at(url).boxed()
    }

    fn versions<'a>(&'a self, tables: &'a [String]) -> BoxFuture<'a, Result<BTreeMap<String, SeenTable>>> {
        self.tables(tables).boxed()
    }

    fn finish<'a>(&'a self, advanced: &'a BTreeSet<TableName>) -> BoxFuture<'a, Result<()>> {
        self.workbench.roll_system(advanced).boxed()
    }
}
