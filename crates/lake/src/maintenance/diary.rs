//! When a table was last looked after, in a small file beside it, so that a restart neither repeats nor forgets it.

use chrono::{DateTime, Utc};
use object_store::path::Path;
use object_store::{Error as ObjectStoreError, ObjectStoreExt as _};
use serde::{Deserialize, Serialize};
use stage::{Error, Result};

use crate::classify_store;
use crate::table::Table;

/// Where it lies below the table's folder; readers of Delta ignore names that start with `_`.
pub(super) const DIARY: &str = "_medallion/maintenance.json";

/// When what was done last.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Diary {
    pub(super) vacuumed_at: Option<DateTime<Utc>>,
    pub(super) log_cleaned_at: Option<DateTime<Utc>>,
}

impl Diary {
    /// The diary of a table; an empty one when there is none, or none that can be read.
    pub(super) async fn read(table: &Table) -> Result<Diary> {
        let store = table.inner.log_store().object_store(None);
        let failed = |error| classify_store(&format!("could not read {DIARY} of {}", table.name()), error);
        let found = match store.get(&Path::from(DIARY)).await {
            Ok(found) => found,
            Err(ObjectStoreError::NotFound { .. }) => return Ok(Diary::default()),
            Err(error) => return Err(failed(error)),
        };
        let bytes = found.bytes().await.map_err(failed)?;
        Ok(serde_json::from_slice(&bytes).unwrap_or_default())
    }

    pub(super) async fn write(&self, table: &Table) -> Result<()> {
        let bytes = serde_json::to_vec(self)
            .map_err(|error| Error::bug(format!("could not make {DIARY}")).with_source(error))?;
        let store = table.inner.log_store().object_store(None);
        store
            .put(&Path::from(DIARY), bytes.into())
            .await
            .map_err(|error| classify_store(&format!("could not write {DIARY} of {}", table.name()), error))?;
        Ok(())
    }
}
