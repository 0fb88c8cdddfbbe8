//! The files at a location, for those who wait for new ones.

use chrono::{DateTime, Utc};
use futures::TryStreamExt as _;
use stage::Result;

use crate::error::classify_store;
use crate::storage::Storage;

/// A file at a location.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedFile {
    /// The path below the location, with `/` between its parts.
    pub path: String,
    /// When it was last written.
    pub modified: DateTime<Utc>,
}

impl Storage {
    /// Every complete file at the location and below it, in any order. As where files land, names that begin with `_` or
    /// `.` and those that end in `.tmp` are still being written, or are no data. A folder that is not there is empty.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn files(&self) -> Result<Vec<ListedFile>> {
        let doing = || format!("could not list `{}`", self.url);
        let mut listed = self.root.list(Some(&self.prefix));
        let mut files = Vec::new();
        while let Some(meta) = listed.try_next().await.map_err(|error| classify_store(&doing(), error))? {
            let Some(parts) = meta.location.prefix_match(&self.prefix) else { continue };
            let parts: Vec<String> = parts.map(|part| part.as_ref().to_owned()).collect();
            let is_hidden = parts.iter().any(|part| part.starts_with(['_', '.']));
            if !is_hidden && !parts.last().is_none_or(|name| name.ends_with(".tmp")) {
                files.push(ListedFile { path: parts.join("/"), modified: meta.last_modified });
            }
        }
        Ok(files)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::S3Settings;

    #[tokio::test]
    async fn files_below_a_folder_are_listed_without_those_still_being_written() {
        let folder = tempfile::tempdir().unwrap();
        for path in ["a.json", "day=1/b.json", "day=1/_c.json", ".hidden/d.json", "e.json.tmp"] {
            let path = folder.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "{}").unwrap();
        }
        let at = |path: &std::path::Path| Storage::open(path.to_str().unwrap(), &S3Settings::default()).unwrap();
        let mut paths: Vec<String> =
            at(folder.path()).files().await.unwrap().into_iter().map(|file| file.path).collect();
        paths.sort();
        assert_eq!(paths, ["a.json", "day=1/b.json"]);
        assert_eq!(at(&folder.path().join("missing")).files().await.unwrap(), []);
    }
}
