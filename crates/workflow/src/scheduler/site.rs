//! What a scheduler needs from outside: a project as it stands, whether it has changed, and what there is to watch.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use chrono::{DateTime, Utc};
use futures::future::BoxFuture;
use stage::{Result, TableName};

use crate::definition::Workflow;
use crate::reference::Workspace;
use crate::workshop::Workshop;

/// Where the project comes from.
pub trait Source: Send + Sync {
    /// Some number that is another one when the files of the project have changed. It may block for a moment.
    fn fingerprint(&self) -> u64;

    /// Reads the project. It may block for a while.
    ///
    /// # Errors
    /// Everything that is wrong with it, a line for each finding.
    fn load(&self) -> Result<Project, Vec<String>>;
}

/// A project as it was read at one time. Runs that have begun go on with the one they began with.
#[derive(Clone)]
pub struct Project {
    /// The workflows by name.
    pub workflows: BTreeMap<String, Workflow>,
    /// Where runs take place, for references.
    pub workspace: Workspace,
    /// What does the work.
    pub site: Arc<dyn Site>,
}

/// What does the work of a project and can look at what lies around it.
pub trait Site: Workshop {
    /// Every file at a location and below it, in any order. A relative location begins at the project's folder.
    ///
    /// # Errors
    /// When the location cannot be listed.
    fn files<'a>(&'a self, url: &'a str) -> BoxFuture<'a, Result<Vec<SeenFile>>>;

    /// The newest versions of tables, without those that do not exist.
    ///
    /// # Errors
    /// When one cannot be read.
    fn versions<'a>(&'a self, tables: &'a [String]) -> BoxFuture<'a, Result<BTreeMap<String, SeenTable>>>;

    /// What is left to be done after a run that advanced these tables.
    ///
    /// # Errors
    /// When it cannot be done now; what is left is done after the next run.
    fn finish<'a>(&'a self, advanced: &'a BTreeSet<TableName>) -> BoxFuture<'a, Result<()>>;
}

/// A file as it was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeenFile {
    /// Its path, written the same way each time.
    pub path: String,
    /// When it was last written.
    pub modified: DateTime<Utc>,
}

/// A table as it was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SeenTable {
    /// The newest version.
    pub version: u64,
    /// When it was committed.
    pub committed: DateTime<Utc>,
}
