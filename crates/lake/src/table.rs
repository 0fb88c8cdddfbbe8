//! One opened table: its snapshot, its positions, its files.

use std::ops::RangeInclusive;
use std::pin::pin;
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use chrono::{DateTime, Utc};
use deltalake::datafusion::catalog::TableProvider;
use deltalake::kernel::{Add, EagerSnapshot};
use deltalake::logstore::{LogStoreRef, commit_uri_from_version, get_actions};
use deltalake::{DeltaTable, kernel::Action};
use futures::{StreamExt as _, TryStreamExt as _};
use object_store::path::Path;
use object_store::{Error as ObjectStoreError, ObjectStoreExt as _};
use stage::{Checkpoint, Error, Result, TableName};
use url::Url;

use crate::error::{classify_delta, classify_store};
use crate::record::{KEY, Record};
use crate::schema::in_flight;
use crate::writer::Staging;

/// Commits that are read at the same time while the newest record is looked for.
const CONCURRENCY: usize = 16;

/// A table at one version. Positions are read once, at opening, and kept. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Table {
    pub(crate) name: TableName,
    pub(crate) inner: DeltaTable,
    /// The newest commit that carries a record, with its version.
    pub(crate) record: Option<(u64, Record)>,
    /// Whether the log was cleaned past the newest record, if there ever was one.
    is_record_lost: bool,
}

/// How the file of a commit looks from outside: its size, and when it was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Seal {
    size: u64,
    written: DateTime<Utc>,
}

/// One version of a table and what made it.
#[derive(Debug, Clone)]
pub struct VersionInfo {
    /// The version.
    pub version: u64,
    /// When it was committed, in milliseconds since 1970.
    pub timestamp_millis: i64,
    /// The operation as Delta names it.
    pub operation: String,
    /// What the commit tells, if it is one of ours.
    pub record: Option<Record>,
}

impl Table {
    pub(crate) async fn open(name: TableName, log_store: LogStoreRef) -> Result<Table> {
        let mut table = Table { name, inner: DeltaTable::new(log_store), record: None, is_record_lost: false };
        table.refresh().await?;
        Ok(table)
    }

    /// The table's name.
    pub fn name(&self) -> &TableName {
        &self.name
    }

    /// The folder of the table.
    pub fn url(&self) -> &Url {
        self.inner.table_url()
    }

    /// Moves to the newest version.
    ///
    /// # Errors
    /// When the storage does not answer or the log cannot be read.
    pub async fn refresh(&mut self) -> Result<()> {
        let before = self.version();
        if before.is_none() {
            let exists = self.inner.verify_deltatable_existence().await.map_err(|error| self.failed("open", error))?;
            if !exists {
                return Ok(());
            }
        }
        self.inner.update_incremental(None).await.map_err(|error| self.failed("open", error))?;
        if self.version() != before {
            self.find_record(before).await?;
        }
        Ok(())
    }

    /// The version, or `None` while the table does not exist.
    pub fn version(&self) -> Option<u64> {
        self.inner.version()
    }

    /// The identity of the table, which a table created anew does not share.
    pub fn id(&self) -> Option<String> {
        self.state().map(|state| state.metadata().id().to_owned())
    }

    /// The columns in the types rows travel in, or `None` while the table does not exist.
    pub fn schema(&self) -> Option<SchemaRef> {
        self.state().map(|state| in_flight(&state.arrow_schema()))
    }

    /// The columns the table is partitioned by.
    pub fn partition_columns(&self) -> Vec<String> {
        self.state().map(|state| state.metadata().partition_columns().to_vec()).unwrap_or_default()
    }

    /// A property of the table, such as `delta.appendOnly`.
    pub fn property(&self, key: &str) -> Option<String> {
        self.state().and_then(|state| state.metadata().configuration().get(key).cloned())
    }

    /// The newest record with its version.
    pub fn record(&self) -> Option<&(u64, Record)> {
        self.record.as_ref()
    }

    /// All positions, as the newest record tells them.
    pub fn positions(&self) -> Checkpoint {
        self.record.as_ref().map(|(_, record)| record.positions.clone()).unwrap_or_default()
    }

    /// The next position of `id`; 0 when it was never read.
    ///
    /// The newest record answers; when it does not know all positions, the `txn` actions do.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub async fn position(&self, id: &str) -> Result<i64> {
        if let Some(next) = self.record.as_ref().and_then(|(_, record)| record.positions.get(id)) {
            return Ok(next);
        }
        let Some(state) = self.state().filter(|_| self.has_unknown_positions()) else { return Ok(0) };
        let position = state
            .transaction_version(self.inner.log_store().as_ref(), id)
            .await
            .map_err(|error| self.failed("read the positions of", error))?;
        Ok(position.unwrap_or(0))
    }

    /// The error of one who finds that another has moved the positions of this table. `outcome` is what came of that.
    pub fn overtaken(&self, outcome: &str) -> Error {
        let winner = self.record.as_ref().map_or("unknown", |(_, record)| record.run.as_str());
        let version = self.version().unwrap_or_default();
        Error::conflict(format!(
            "another writer of the same source was faster on {}: run {winner} committed version {version}; {outcome}",
            self.name
        ))
    }

    /// Every file of this version.
    ///
    /// # Errors
    /// When the log cannot be read.
    #[expect(deprecated, reason = "the library offers no other way to whole Add actions, which commits need")]
    pub async fn files(&self) -> Result<Vec<Add>> {
        let Some(state) = self.state() else { return Ok(Vec::new()) };
        state
            .file_views(self.inner.log_store().as_ref(), None)
            .map_ok(|view| view.add_action())
            .try_collect()
            .await
            .map_err(|error| self.failed("list the files of", error))
    }

    /// What the commit of `version` did, or `None` when the log no longer holds it.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub async fn actions(&self, version: u64) -> Result<Option<Vec<Action>>> {
        let log_store = self.inner.log_store();
        let bytes =
            log_store.read_commit_entry(version).await.map_err(|error| self.failed("read the log of", error))?;
        match bytes {
            None => Ok(None),
            Some(bytes) => {
                get_actions(version, &bytes).map(Some).map_err(|error| self.failed("read the log of", error))
            }
        }
    }

    /// The newest versions with what made them, newest first.
    ///
    /// # Errors
    /// [`stage::Kind::Data`] when the table does not exist; other kinds when the log cannot be read.
    pub async fn history(&self, limit: usize) -> Result<Vec<VersionInfo>> {
        let Some(newest) = self.version() else {
            return Err(Error::data(format!("{} does not exist yet; run the task that fills it first", self.name)));
        };
        let mut versions = Vec::new();
        for version in (0..=newest).rev().take(limit) {
            let Some(actions) = self.actions(version).await? else { break };
            let info = actions.iter().find_map(|action| match action {
                Action::CommitInfo(info) => Some((info.timestamp, info.operation.clone())),
                _ => None,
            });
            let (timestamp, operation) = info.unwrap_or_default();
            versions.push(VersionInfo {
                version,
                timestamp_millis: timestamp.unwrap_or_default(),
                operation: operation.unwrap_or_default(),
                record: record_of(&actions),
            });
        }
        Ok(versions)
    }

    /// The place where files of the table are staged.
    pub fn staging(&self) -> Staging {
        Staging::new(&self.name, self.inner.log_store())
    }

    /// The table at this version, for DataFusion.
    ///
    /// # Errors
    /// [`stage::Kind::Data`] when the table does not exist or uses features that cannot be read.
    pub async fn provider(&self) -> Result<Arc<dyn TableProvider>> {
        let Some(state) = self.state() else {
            return Err(Error::data(format!("{} does not exist yet; run the task that fills it first", self.name)));
        };
        let scan = self
            .inner
            .table_provider()
            .with_eager_snapshot(state.clone())
            .build()
            .await
            .map_err(|error| Error::data(format!("could not read {}", self.name)).with_source(error))?;
        Ok(Arc::new(scan))
    }

    /// Whether all of these files are there. Other programs' vacuum knows nothing of files that only a record names.
    ///
    /// # Errors
    /// When the storage does not answer.
    pub async fn has_files(&self, files: &[Add]) -> Result<bool> {
        let store = self.inner.log_store().object_store(None);
        let paths: Vec<Path> = files.iter().map(|file| Path::from(file.path.as_str())).collect();
        let mut looks = futures::stream::iter(paths)
            .map(|path| {
                let store = store.clone();
                async move { store.head(&path).await }
            })
            .buffer_unordered(CONCURRENCY);
        while let Some(found) = looks.next().await {
            match found {
                Ok(_) => {}
                Err(ObjectStoreError::NotFound { .. }) => return Ok(false),
                Err(error) => return Err(classify_store(&format!("could not look for files of {}", self.name), error)),
            }
        }
        Ok(true)
    }

    /// How the commit of this version looks; `None` when the table does not exist, or no longer does.
    pub(crate) async fn newest_commit(&self) -> Result<Option<Seal>> {
        let Some(version) = self.version() else { return Ok(None) };
        let store = self.inner.log_store().object_store(None);
        match store.head(&commit_uri_from_version(Some(version))).await {
            Ok(found) => Ok(Some(Seal { size: found.size, written: found.last_modified })),
            Err(ObjectStoreError::NotFound { .. }) => Ok(None),
            Err(error) => Err(classify_store(&format!("open {}", self.name), error)),
        }
    }

    pub(crate) fn state(&self) -> Option<&EagerSnapshot> {
        self.inner.snapshot().ok().map(|state| state.snapshot())
    }

    pub(crate) fn failed(&self, doing: &str, error: deltalake::DeltaTableError) -> Error {
        classify_delta(&format!("could not {doing} {}", self.name), error)
    }

    /// Whether positions may stand in `txn` actions that no record at hand repeats.
    pub(crate) fn has_unknown_positions(&self) -> bool {
        self.record.as_ref().map_or(self.is_record_lost, |(_, record)| record.has_unknown_positions)
    }

    /// Moves to the newest record among the commits after `seen`. Commits of other programs carry none, and there may be any
    /// number of them.
    async fn find_record(&mut self, seen: Option<u64>) -> Result<()> {
        let Some(newest) = self.version() else { return Ok(()) };
        match self.search(seen.map_or(0, |seen| seen + 1)..=newest).await? {
            Search::Found(version, record) => self.record = Some((version, *record)),
            Search::Nothing => {}
            Search::Lost => {
                self.record = None;
                self.is_record_lost = true;
            }
        }
        Ok(())
    }

    async fn search(&self, versions: RangeInclusive<u64>) -> Result<Search> {
        // Nearly always the newest commit has one; only a long way back is worth reading several at a time.
        let (first, newest) = versions.into_inner();
        let reading = |version| async move { (version, self.actions(version).await) };
        let older = futures::stream::iter((first..newest).rev()).map(reading).buffered(CONCURRENCY);
        let mut commits = pin!(futures::stream::once(reading(newest)).chain(older));
        while let Some((version, actions)) = commits.next().await {
            let Some(actions) = actions? else { return Ok(Search::Lost) };
            if let Some(record) = record_of(&actions) {
                return Ok(Search::Found(version, Box::new(record)));
            }
        }
        Ok(Search::Nothing)
    }
}

/// What came of looking for the newest record.
enum Search {
    Found(u64, Box<Record>),
    Nothing,
    /// The log was cleaned before one was found.
    Lost,
}

/// The record among the actions of a commit.
pub(crate) fn record_of(actions: &[Action]) -> Option<Record> {
    actions.iter().find_map(|action| match action {
        Action::CommitInfo(info) => {
            info.info.get(KEY).and_then(|value| serde_json::from_value::<Record>(value.clone()).ok())
        }
        _ => None,
    })
}
