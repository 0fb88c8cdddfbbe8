//! The log of a table on a local disk, listed without reading its whole folder.
//!
//! A disk cannot read a folder from the middle, so finding the few newest commits takes longer the more lie there, and a
//! stream looks several times a second. But commits are numbered without gaps: the one idea is to ask for the next number
//! until it is missing. Where that could miss something, the folder is read after all.

use std::fmt;
use std::io;
use std::ops::Range;
use std::path::{Path as FolderPath, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use chrono::{DateTime, Utc};
use futures::StreamExt as _;
use futures::stream::BoxStream;
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore, PutMultipartOptions,
    PutOptions, PutPayload, PutResult, RenameOptions, Result,
};
use serde::Deserialize;

/// The folder of a log, in the folder of its table.
const LOG_FOLDER: &str = "_delta_log";
/// Digits of a version in the name of a file.
const VERSION_DIGITS: usize = 20;

/// A local disk on which listings of logs go by number.
#[derive(Debug)]
pub(crate) struct LocalLog {
    disk: Arc<LocalFileSystem>,
}

/// `_last_checkpoint`: where the newest checkpoint is. Every writer keeps it up to date ("Last Checkpoint File" of the
/// protocol).
#[derive(Deserialize)]
struct LastCheckpoint {
    version: u64,
}

/// A file of a log.
#[derive(Debug, PartialEq)]
struct Found {
    name: String,
    size: u64,
    modified: DateTime<Utc>,
}

impl LocalLog {
    /// The disk, from its root.
    pub(crate) fn on(disk: LocalFileSystem) -> Arc<dyn ObjectStore> {
        Arc::new(LocalLog { disk: Arc::new(disk) })
    }
}

/// The folder of the log and the first version to list, where the listing is one of commits.
fn asked(disk: &LocalFileSystem, prefix: Option<&Path>, offset: &Path) -> Option<(PathBuf, u64)> {
    let folder = prefix.filter(|folder| folder.filename() == Some(LOG_FOLDER))?;
    let name = offset.filename().filter(|name| name.len() == VERSION_DIGITS)?;
    let is_inside = offset.prefix_matches(folder) && offset.parts_count() == folder.parts_count() + 1;
    let first = name.parse().ok().filter(|_| is_inside)?;
    Some((disk.path_to_filesystem(folder).ok()?, first))
}

/// Every commit from version `first` on and the newest checkpoint among them; `None` when numbers alone cannot tell.
fn by_number(folder: &FolderPath, first: u64) -> io::Result<Option<Vec<Found>>> {
    let mut files = Vec::new();
    let mut next = first;
    while let Some(commit) = look(folder, format!("{next:0VERSION_DIGITS$}.json"))? {
        files.push(commit);
        next += 1;
    }
    // Looked at last: a checkpoint is written after its commit.
    let checkpoint = match std::fs::read(folder.join("_last_checkpoint")) {
        Ok(text) => serde_json::from_slice::<LastCheckpoint>(&text).ok().map(|last| last.version),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => return Err(error),
    };
    match checkpoint {
        // Commits before it were cleaned away, so that the first missing number is not the end.
        Some(version) if version >= next => return Ok(None),
        Some(version) if version >= first => {
            match look(folder, format!("{version:0VERSION_DIGITS$}.checkpoint.parquet"))? {
                Some(checkpoint) => files.push(checkpoint),
                // It has several parts, or a name of its own.
                None => return Ok(None),
            }
        }
        _ => {}
    }
    if files.is_empty() && !is_there(folder, first.checked_sub(1))? {
        // Not the end: the first version may have been cleaned away like the one before it.
        return Ok(None);
    }
    files.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(Some(files))
}

fn is_there(folder: &FolderPath, version: Option<u64>) -> io::Result<bool> {
    let Some(version) = version else { return Ok(false) };
    Ok(look(folder, format!("{version:0VERSION_DIGITS$}.json"))?.is_some())
}

fn look(folder: &FolderPath, name: String) -> io::Result<Option<Found>> {
    match std::fs::metadata(folder.join(&name)) {
        Ok(found) => Ok(Some(Found { name, size: found.len(), modified: found.modified()?.into() })),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

impl fmt::Display for LocalLog {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.disk.fmt(formatter)
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl ObjectStore for LocalLog {
    fn list_with_offset(&self, prefix: Option<&Path>, offset: &Path) -> BoxStream<'static, Result<ObjectMeta>> {
        let Some((folder, first)) = asked(&self.disk, prefix, offset) else {
            return self.disk.list_with_offset(prefix, offset);
        };
        let (disk, prefix, offset) = (self.disk.clone(), prefix.cloned().unwrap_or_default(), offset.clone());
        let listing = async move {
            let found = tokio::task::spawn_blocking(move || by_number(&folder, first)).await;
            // Whatever went wrong, reading the folder tells it in the usual words.
            let Ok(Ok(Some(files))) = found else { return disk.list_with_offset(Some(&prefix), &offset) };
            let files = files.into_iter().map(move |file| {
                let location = prefix.clone().join(file.name);
                Ok(ObjectMeta { location, last_modified: file.modified, size: file.size, e_tag: None, version: None })
            });
            futures::stream::iter(files).boxed()
        };
        futures::stream::once(listing).flatten().boxed()
    }

    async fn put_opts(&self, location: &Path, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        self.disk.put_opts(location, payload, options).await
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        self.disk.put_multipart_opts(location, options).await
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        self.disk.get_opts(location, options).await
    }

    async fn get_ranges(&self, location: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        self.disk.get_ranges(location, ranges).await
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        self.disk.delete_stream(locations)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.disk.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.disk.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.disk.copy_opts(from, to, options).await
    }

    async fn rename_opts(&self, from: &Path, to: &Path, options: RenameOptions) -> Result<()> {
        self.disk.rename_opts(from, to, options).await
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use futures::TryStreamExt as _;
    use proptest::prelude::*;

    use super::*;

    const NAMES: [&str; 3] = ["shop", "silver", "orders"];

    /// Which files lie in a log.
    #[derive(Debug, Clone)]
    struct Log {
        commits: Range<u64>,
        checkpoints: BTreeSet<u64>,
    }

    /// Logs as writers leave them: commits without a gap, checkpoints of some of them, and what lies before a checkpoint
    /// cleaned away or not.
    fn logs() -> impl Strategy<Value = Log> {
        (1..30_u64, prop::collection::btree_set(0..30_u64, 0..4), any::<bool>()).prop_map(
            |(end, checkpoints, is_cleaned)| {
                let checkpoints: BTreeSet<u64> = checkpoints.into_iter().filter(|version| *version < end).collect();
                let first = checkpoints.last().copied().filter(|_| is_cleaned).unwrap_or(0);
                Log {
                    commits: first..end,
                    checkpoints: checkpoints.into_iter().filter(|version| *version >= first).collect(),
                }
            },
        )
    }

    fn write(folder: &FolderPath, log: &Log) {
        std::fs::create_dir_all(folder).unwrap();
        for version in log.commits.clone() {
            std::fs::write(folder.join(format!("{version:020}.json")), "{}").unwrap();
        }
        for version in &log.checkpoints {
            std::fs::write(folder.join(format!("{version:020}.checkpoint.parquet")), "").unwrap();
            std::fs::write(folder.join("_last_checkpoint"), format!("{{\"version\":{version},\"size\":1}}")).unwrap();
        }
    }

    fn listed(store: &dyn ObjectStore, folder: &Path, first: u64) -> Vec<String> {
        let offset = folder.clone().join(format!("{first:020}"));
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let files = runtime.block_on(store.list_with_offset(Some(folder), &offset).try_collect::<Vec<_>>()).unwrap();
        let mut names: Vec<String> = files.iter().map(|file| file.location.filename().unwrap().to_owned()).collect();
        names.sort();
        names
    }

    proptest! {
        #[test]
        fn the_listing_has_every_commit_and_the_newest_checkpoint(log in logs(), first in 0..32_u64) {
            let disk = tempfile::tempdir().unwrap();
            let folder: Path = Path::from_absolute_path(disk.path()).unwrap().parts().collect();
            let folder = NAMES.iter().fold(folder, |path, name| path.join(*name)).join(LOG_FOLDER);
            write(&disk.path().join(NAMES.join("/")).join(LOG_FOLDER), &log);
            let whole = listed(&LocalFileSystem::new(), &folder, first);
            let ours = listed(&LocalLog { disk: Arc::new(LocalFileSystem::new()) }, &folder, first);
            let newest = log.checkpoints.last().copied();
            let matters = |name: &String| {
                let version = name.get(..VERSION_DIGITS).and_then(|digits| digits.parse::<u64>().ok());
                name.ends_with(".json") || (version.is_some() && version == newest)
            };
            let expected: Vec<&String> = whole.iter().filter(|name| matters(name)).collect();
            prop_assert_eq!(ours.iter().filter(|name| matters(name)).collect::<Vec<_>>(), expected);
        }
    }
}
