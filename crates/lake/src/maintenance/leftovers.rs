//! Files that a killed process left half-written on a local disk.
//!
//! The object store writes beside the name a file will have, as `<name>#<number>`, and never lists such files. On S3 the
//! parts of an unfinished upload are invisible in the same way; a life-cycle rule of the bucket removes those.

use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};
use stage::{Error, Result};

use crate::table::Table;

/// A half-written file.
pub(super) struct Leftover {
    /// Where it lies below the table's folder.
    pub(super) path: String,
    pub(super) bytes: u64,
}

/// Deletes half-written files that nobody has touched since `before`.
pub(super) async fn delete_leftovers(table: &Table, before: DateTime<Utc>, dry_run: bool) -> Result<Vec<Leftover>> {
    if table.url().scheme() != "file" {
        return Ok(Vec::new());
    }
    let Ok(folder) = table.url().to_file_path() else { return Ok(Vec::new()) };
    let name = table.name().clone();
    let failed = move |error: std::io::Error| {
        Error::unavailable(format!("could not delete half-written files of {name}")).with_source(error)
    };
    let work = tokio::task::spawn_blocking(move || {
        let mut found = Vec::new();
        let mut folders = vec![folder.clone()];
        while let Some(next) = folders.pop() {
            search(&next, before, &mut folders, &mut found)?;
        }
        let mut leftovers = Vec::new();
        for (path, bytes) in found {
            if !dry_run {
                std::fs::remove_file(&path)?;
            }
            let below = path.strip_prefix(&folder).unwrap_or(&path);
            leftovers.push(Leftover { path: below.to_string_lossy().into_owned(), bytes });
        }
        Ok(leftovers)
    });
    let joined = work.await.map_err(|error| Error::bug("a worker ended unexpectedly").with_source(error))?;
    joined.map_err(failed)
}

fn search(
    folder: &Path,
    before: DateTime<Utc>,
    folders: &mut Vec<PathBuf>,
    found: &mut Vec<(PathBuf, u64)>,
) -> std::io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            folders.push(entry.path());
        } else if is_half_written(&entry.file_name().to_string_lossy()) {
            let metadata = entry.metadata()?;
            if DateTime::<Utc>::from(metadata.modified()?) < before {
                found.push((entry.path(), metadata.len()));
            }
        }
    }
    Ok(())
}

fn is_half_written(name: &str) -> bool {
    let number = name.split_once('#').map(|(_, number)| number).unwrap_or_default();
    !number.is_empty() && number.bytes().all(|one| one.is_ascii_digit())
}
