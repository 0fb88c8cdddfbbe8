//! Profiles on their way from a commit to `system.profiles`: staged as a file beside the table, which the record names,
//! so that the log stays small.

use stage::{Error, Result};

use crate::ledger::MANIFEST_FOLDER;
use crate::record::ProfiledColumn;
use crate::table::Table;
use crate::writer::Staging;

impl Staging {
    /// Stages the profile of the rows of a commit, and returns where it lies for [`crate::Record::profile`].
    ///
    /// # Errors
    /// When the storage fails.
    pub async fn stage_profile(&self, columns: &[ProfiledColumn]) -> Result<String> {
        let path = format!("{MANIFEST_FOLDER}/{}.json", uuid::Uuid::new_v4());
        let bytes =
            serde_json::to_vec(columns).map_err(|error| Error::bug("could not write a profile").with_source(error))?;
        self.put(&path, bytes).await?;
        Ok(path)
    }
}

/// The profile that a record names.
///
/// # Errors
/// When the storage fails, or [`stage::Kind::Data`] when the file holds something else.
pub(crate) async fn read(table: &Table, path: &str) -> Result<Vec<ProfiledColumn>> {
    let doing = format!("could not read the profile `{path}` of {}", table.name());
    let store = table.inner.log_store().object_store(None);
    let got = object_store::ObjectStoreExt::get(store.as_ref(), &object_store::path::Path::from(path))
        .await
        .map_err(|error| crate::classify_store(&doing, error))?;
    let bytes = got.bytes().await.map_err(|error| crate::classify_store(&doing, error))?;
    serde_json::from_slice(&bytes).map_err(|error| Error::data(doing).with_source(error))
}
