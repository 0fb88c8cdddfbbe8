//! The lake: a location in which every table has its folder, `<lake>/<pipeline>/<layer>/<table>`.
//!
//! A table that was opened before is kept, so that opening it again reads only the commits that came since.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use deltalake::logstore::{LogStoreRef, StorageConfig, default_logstore};
use object_store::ObjectStore;
use object_store::prefix::PrefixStore;
use stage::{Error, Result, TableName};
use url::Url;

use crate::storage::{S3Settings, Storage};
use crate::table::{Seal, Table};
use crate::writer::Staging;

/// The location of all tables. Cheap to clone; clones share the tables that were opened.
#[derive(Debug, Clone)]
pub struct Lake {
    storage: Storage,
    opened: Arc<Mutex<BTreeMap<TableName, Opened>>>,
    /// The next version of each table whose quarantine was not rolled forward yet, by the position id of the table.
    rolled: Arc<Mutex<BTreeMap<String, u64>>>,
}

/// A table as it was last opened.
#[derive(Debug, Clone)]
struct Opened {
    table: Table,
    /// What its newest commit looked like, so that a table made anew in the same place is not taken for it.
    commit: Seal,
}

impl Lake {
    /// The lake at `location`, a folder or `s3://bucket/prefix`. Nothing is read or created yet.
    ///
    /// # Errors
    /// [`stage::Kind::Config`] when the location cannot be understood.
    pub fn new(location: &str, s3: &S3Settings) -> Result<Lake> {
        Ok(Lake { storage: Storage::open(location, s3)?.of_tables(), opened: Arc::default(), rolled: Arc::default() })
    }

    /// The store that holds the lake, and where in it the lake begins.
    pub fn storage(&self) -> &Storage {
        &self.storage
    }

    /// Opens a table at its newest version. A table that does not exist yet is opened too; its first commit creates it.
    ///
    /// # Errors
    /// When the storage does not answer or the log cannot be read.
    pub async fn open(&self, name: &TableName) -> Result<Table> {
        let table = match self.opened_before(name).await? {
            Some(mut table) => {
                let before = table.version();
                table.refresh().await?;
                if table.version() == before {
                    return Ok(table);
                }
                table
            }
            None => Table::open(name.clone(), self.log_store(name)?).await?,
        };
        if let Some(commit) = table.newest_commit().await? {
            self.keep(Opened { table: table.clone(), commit });
        }
        Ok(table)
    }

    /// The place where files of a table are staged; the table is not read for that.
    ///
    /// # Errors
    /// Never for a checked name; the error says which name it was.
    pub fn staging(&self, name: &TableName) -> Result<Staging> {
        Ok(Staging::new(name, self.log_store(name)?))
    }

    /// Up to which version, exclusive, this process knows a table's quarantine to be rolled forward.
    pub(crate) fn rolled_to(&self, position: &str) -> u64 {
        self.rolled.lock().unwrap_or_else(PoisonError::into_inner).get(position).copied().unwrap_or_default()
    }

    pub(crate) fn note_rolled(&self, position: String, next: u64) {
        self.rolled.lock().unwrap_or_else(PoisonError::into_inner).insert(position, next);
    }

    /// The table as it was last opened, if its log still is the one that was read then.
    async fn opened_before(&self, name: &TableName) -> Result<Option<Table>> {
        let known = self.opened.lock().unwrap_or_else(PoisonError::into_inner).get(name).cloned();
        let Some(Opened { table, commit }) = known else { return Ok(None) };
        Ok((table.newest_commit().await? == Some(commit)).then_some(table))
    }

    fn keep(&self, opened: Opened) {
        let name = opened.table.name().clone();
        self.opened.lock().unwrap_or_else(PoisonError::into_inner).insert(name, opened);
    }

    /// The URL of a table's folder.
    ///
    /// # Errors
    /// Never for a checked name; the error says which name it was.
    pub fn table_url(&self, name: &TableName) -> Result<Url> {
        self.storage
            .url
            .join(&format!("{}/", name.path()))
            .map_err(|error| Error::bug(format!("could not make a location for {name}")).with_source(error))
    }

    fn log_store(&self, name: &TableName) -> Result<LogStoreRef> {
        let url = self.table_url(name)?;
        let mut prefix = self.storage.prefix.clone();
        for part in name.path().split('/') {
            prefix = prefix.join(part);
        }
        let root = self.storage.root.clone();
        let table: Arc<dyn ObjectStore> = Arc::new(PrefixStore::new(root.clone(), prefix));
        Ok(default_logstore(table, root, &url, &StorageConfig::default()))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use arrow::datatypes::{DataType, Field, Schema};

    use super::*;
    use crate::{Commit, Operation, Record};

    fn change() -> Commit {
        Commit {
            operation: Operation::Append,
            schema: Arc::new(Schema::new(vec![Field::new("a", DataType::Int64, true)])),
            partition_by: Vec::new(),
            properties: BTreeMap::new(),
            add: Vec::new(),
            remove: Vec::new(),
            range: None,
            record: Record::default(),
        }
    }

    #[tokio::test]
    async fn a_table_opened_again_stands_at_the_commits_made_since() {
        let folder = tempfile::tempdir().unwrap();
        let location = folder.path().to_str().unwrap();
        let (ours, theirs) = (
            Lake::new(location, &S3Settings::default()).unwrap(),
            Lake::new(location, &S3Settings::default()).unwrap(),
        );
        let name: TableName = "shop.bronze.orders".parse().unwrap();
        ours.open(&name).await.unwrap().commit(change()).await.unwrap();
        assert_eq!(ours.open(&name).await.unwrap().version(), Some(0));
        theirs.open(&name).await.unwrap().commit(change()).await.unwrap();
        assert_eq!(ours.open(&name).await.unwrap().version(), Some(1));
    }

    #[tokio::test]
    async fn a_table_made_anew_is_not_taken_for_the_old_one() {
        let folder = tempfile::tempdir().unwrap();
        let lake = Lake::new(folder.path().to_str().unwrap(), &S3Settings::default()).unwrap();
        let name: TableName = "shop.bronze.orders".parse().unwrap();
        let mut table = lake.open(&name).await.unwrap();
        table.commit(change()).await.unwrap();
        table.commit(change()).await.unwrap();
        let old = lake.open(&name).await.unwrap().id();
        std::fs::remove_dir_all(folder.path().join(name.path())).unwrap();
        assert_eq!(lake.open(&name).await.unwrap().version(), None);
        lake.open(&name).await.unwrap().commit(change()).await.unwrap();
        let made_anew = lake.open(&name).await.unwrap();
        assert_ne!(made_anew.id(), old);
        assert_eq!(made_anew.version(), Some(0));
    }
}
