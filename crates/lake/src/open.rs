//! The lake: a location in which every table has its folder, `<lake>/<pipeline>/<layer>/<table>`.

use std::sync::Arc;

use deltalake::logstore::{LogStoreRef, StorageConfig, default_logstore};
use object_store::ObjectStore;
use object_store::prefix::PrefixStore;
use stage::{Error, Result, TableName};
use url::Url;

use crate::storage::{S3Settings, Storage};
use crate::table::Table;

/// The location of all tables. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Lake {
    storage: Storage,
}

impl Lake {
    /// The lake at `location`, a folder or `s3://bucket/prefix`. Nothing is read or created yet.
    ///
    /// # Errors
    /// [`stage::Kind::Config`] when the location cannot be understood.
    pub fn new(location: &str, s3: &S3Settings) -> Result<Lake> {
        Ok(Lake { storage: Storage::open(location, s3)? })
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
        Table::open(name.clone(), self.log_store(name)?).await
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
