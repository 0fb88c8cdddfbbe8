//! Which files have landed, and which of them are new.
//!
//! List, subtract what was read, take a bounded part: that is the whole of discovery. A file is named by its path below
//! the source and identified by its etag (on a local disk: size and modification time).

use std::collections::HashMap;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use futures::TryStreamExt as _;
use lake::{S3Settings, Storage, classify_store};
use object_store::{ObjectMeta, ObjectStore};
use regex::Regex;
use stage::{Error, Result};

use crate::spec::{FilesSpec, OnChange};

/// One file that has landed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LandedFile {
    /// The path below the source, with `/` between its parts.
    pub path: String,
    /// What identifies the content.
    pub etag: String,
    /// Bytes as stored.
    pub size: u64,
    /// Where the store keeps it.
    pub meta: ObjectMeta,
}

/// A folder or prefix in which files land.
#[derive(Debug, Clone)]
pub struct Landing {
    spec: FilesSpec,
    storage: Storage,
    source: String,
}

impl Landing {
    /// The landing place of a spec. `source` is the name under which its positions and read files are kept.
    ///
    /// # Errors
    /// [`stage::Kind::Config`] when the path cannot be understood.
    pub fn open(spec: &FilesSpec, source: &str, s3: &S3Settings) -> Result<Landing> {
        Ok(Landing { spec: spec.clone(), storage: Storage::open(&spec.path, s3)?, source: source.to_owned() })
    }

    /// The name under which positions and read files are kept.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// The store that holds the files.
    pub fn store(&self) -> &Arc<dyn ObjectStore> {
        &self.storage.root
    }

    /// Whether the files lie on a local disk.
    pub fn is_local(&self) -> bool {
        self.storage.is_local()
    }

    /// A file as people know it.
    pub fn display(&self, file: &LandedFile) -> String {
        format!("{}/{}", self.spec.path.trim_end_matches('/'), file.path)
    }

    /// Every complete file that matches, in order of the paths.
    ///
    /// # Errors
    /// [`stage::Kind::Config`] when a local folder does not exist; other kinds when the store does not answer.
    pub async fn list(&self, now: DateTime<Utc>) -> Result<Vec<LandedFile>> {
        self.check_exists()?;
        let pattern = self.spec.pattern.as_deref().map(glob).transpose()?;
        let listed: Vec<ObjectMeta> = self
            .storage
            .root
            .list(Some(&self.storage.prefix))
            .try_collect()
            .await
            .map_err(|error| classify_store(&format!("could not list `{}`", self.spec.path), error))?;
        let mut files: Vec<LandedFile> =
            listed.into_iter().filter_map(|meta| self.landed(meta, pattern.as_ref(), now)).collect();
        files.sort_by(|one, other| one.path.cmp(&other.path));
        Ok(files)
    }

    fn check_exists(&self) -> Result<()> {
        if !self.is_local() {
            return Ok(());
        }
        let folder = self.storage.url.to_file_path().unwrap_or_default();
        match std::fs::metadata(&folder) {
            Ok(_) => Ok(()),
            // The location ends in a slash, so a file there is told as this.
            Err(error) if error.kind() == std::io::ErrorKind::NotADirectory => {
                Err(Error::config(format!("`{}` is a file; [source.files] path must be a folder", self.spec.path)))
            }
            Err(error) => Err(Error::config(format!(
                "the landing folder `{}` does not exist; create it or change [source.files] path",
                self.spec.path
            ))
            .with_source(error)),
        }
    }

    fn landed(&self, meta: ObjectMeta, pattern: Option<&Regex>, now: DateTime<Utc>) -> Option<LandedFile> {
        let parts: Vec<String> =
            meta.location.prefix_match(&self.storage.prefix)?.map(|part| part.as_ref().to_owned()).collect();
        let name = parts.last()?.clone();
        let hidden = parts.iter().any(|part| part.starts_with('_') || part.starts_with('.'));
        if hidden || name.ends_with(".tmp") || pattern.is_some_and(|pattern| !pattern.is_match(&name)) {
            return None;
        }
        let age = now.signed_duration_since(meta.last_modified).num_seconds();
        if self.is_local() && age < i64::try_from(self.spec.minimum_age_seconds).unwrap_or(i64::MAX) && age >= 0 {
            return None;
        }
        let local = || format!("{}-{}", meta.size, meta.last_modified.timestamp_nanos_opt().unwrap_or_default());
        let etag = if self.is_local() { local() } else { meta.e_tag.clone().unwrap_or_else(local) };
        Some(LandedFile { path: parts.join("/"), etag, size: meta.size, meta })
    }

    /// The files to read next: new ones, and changed ones as `on_change` says, up to the limits of one batch.
    ///
    /// # Errors
    /// [`stage::Kind::Data`] when a file changed and the spec says that this is a failure.
    pub fn next_batch(&self, listed: Vec<LandedFile>, known: &HashMap<String, String>) -> Result<Vec<LandedFile>> {
        let mut batch = Vec::new();
        let mut bytes = 0u64;
        for file in listed {
            match known.get(&file.path) {
                Some(etag) if *etag == file.etag => continue,
                Some(_) => match self.spec.on_change {
                    OnChange::Ignore => continue,
                    OnChange::Ingest => {}
                    OnChange::Fail => {
                        return Err(Error::data(format!(
                            "`{}` changed after it was read; put changed data in a new file, or set on_change = \"ingest\"",
                            self.display(&file)
                        )));
                    }
                },
                None => {}
            }
            let is_full =
                batch.len() as u64 >= self.spec.max_files || bytes.saturating_add(file.size) > self.spec.max_bytes;
            if is_full && !batch.is_empty() {
                break;
            }
            bytes += file.size;
            batch.push(file);
        }
        Ok(batch)
    }
}

/// The `key=value` parts of a path, in order.
pub fn path_columns(path: &str) -> Vec<(String, String)> {
    let folders = path.rsplit_once('/').map_or("", |(folders, _)| folders);
    folders
        .split('/')
        .filter_map(|part| part.split_once('='))
        .filter(|(key, _)| !key.is_empty())
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .collect()
}

fn glob(pattern: &str) -> Result<Regex> {
    let expression: String = pattern
        .chars()
        .map(|character| match character {
            '*' => ".*".to_owned(),
            '?' => ".".to_owned(),
            other => regex::escape(&other.to_string()),
        })
        .collect();
    Regex::new(&format!("^{expression}$"))
        .map_err(|error| Error::config(format!("`{pattern}` is not a pattern of file names")).with_source(error))
}

#[cfg(test)]
mod tests {
    use super::*;
    use frame::spec::{CsvSpec, Format};

    use frame::TimeSpan;

    fn spec(path: &str) -> FilesSpec {
        FilesSpec {
            path: path.to_owned(),
            format: Format::Ndjson,
            pattern: Some("*.json".to_owned()),
            csv: CsvSpec::default(),
            on_change: OnChange::Ignore,
            max_files: 2,
            max_bytes: 1 << 30,
            minimum_age_seconds: 0,
            trigger: TimeSpan::milliseconds(1),
        }
    }

    async fn landed(names: &[&str]) -> (tempfile::TempDir, Landing, Vec<LandedFile>) {
        let folder = tempfile::tempdir().unwrap();
        for name in names {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "{}\n").unwrap();
        }
        let landing = Landing::open(&spec(folder.path().to_str().unwrap()), "s", &S3Settings::default()).unwrap();
        let files = landing.list(Utc::now()).await.unwrap();
        (folder, landing, files)
    }

    #[tokio::test]
    async fn unfinished_and_hidden_files_are_left_alone() {
        let names =
            ["b.json", "a.json", "_c.json", ".d.json", "e.json.tmp", "_log/f.json", "g.csv", "year=2024/h.json"];
        let (_folder, _, files) = landed(&names).await;
        let paths: Vec<&str> = files.iter().map(|file| file.path.as_str()).collect();
        assert_eq!(paths, ["a.json", "b.json", "year=2024/h.json"]);
    }

    #[tokio::test]
    async fn a_batch_holds_new_files_up_to_the_limit() {
        let (_folder, landing, files) = landed(&["a.json", "b.json", "c.json", "d.json"]).await;
        let known = HashMap::from([(files[0].path.clone(), files[0].etag.clone())]);
        let batch = landing.next_batch(files, &known).unwrap();
        assert_eq!(batch.iter().map(|file| file.path.as_str()).collect::<Vec<_>>(), ["b.json", "c.json"]);
    }

    #[tokio::test]
    async fn a_missing_folder_is_named_with_its_remedy() {
        let landing = Landing::open(&spec("/no/such/folder"), "s", &S3Settings::default()).unwrap();
        let error = landing.list(Utc::now()).await.unwrap_err();
        assert!(error.message().contains("`/no/such/folder` does not exist; create it"), "{}", error.message());
    }

    #[test]
    fn hive_parts_of_a_path_are_columns() {
        let columns = path_columns("year=2024/x/month=01/file=1.json");
        assert_eq!(columns, [("year".into(), "2024".into()), ("month".into(), "01".into())]);
    }
}
