//! The files of a project, read again whenever they have changed.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use ::stage::Result;
use sql::Engine;
use workflow::scheduler::{Project, Source};

use super::site::ProjectSite;
use crate::notifying::ScheduledNotices;
use crate::project::{self, LoadOptions};
use crate::workbench::Workbench;

/// What a project is made of, below its folder.
const PARTS: [&str; 8] = [
    "medallion.toml",
    "databricks.yml",
    "databricks.yaml",
    "bundle.yml",
    "bundle.yaml",
    ".databricks/bundle",
    "workflows",
    "pipelines",
];

/// A project's folder.
pub(crate) struct ProjectSource {
    root: PathBuf,
    options: LoadOptions,
    /// The engine, which outlives what is read: memory and threads stay those of the first time.
    engine: Mutex<Option<Engine>>,
    notices: ScheduledNotices,
}

impl ProjectSource {
    /// The project in a folder, read with these options each time.
    pub(crate) fn new(root: PathBuf, options: LoadOptions) -> ProjectSource {
        ProjectSource { root, options, engine: Mutex::default(), notices: ScheduledNotices::default() }
    }

    /// What tells of the runs, by the settings as they were read last.
    pub(crate) fn notices(&self) -> ScheduledNotices {
        self.notices.clone()
    }

    fn open(&self, project: project::Project) -> Result<Workbench> {
        let mut engine = self.engine.lock().unwrap_or_else(PoisonError::into_inner);
        match &*engine {
            Some(engine) => Workbench::with_engine(project, engine.clone()),
            None => {
                let workbench = Workbench::open(project)?;
                *engine = Some(workbench.engine.clone());
                Ok(workbench)
            }
        }
    }
}

impl Source for ProjectSource {
    fn fingerprint(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        PARTS.iter().for_each(|part| hash_files(&self.root.join(part), &mut hasher));
        // What a bundle includes may lie anywhere.
        let included = project::bundle_files(&self.root);
        included.iter().for_each(|file| hash_files(&self.root.join(file), &mut hasher));
        hasher.finish()
    }

    fn load(&self) -> Result<Project, Vec<String>> {
        let (project, findings) = project::load(&self.root, &self.options);
        let project = match project {
            Some(project) if findings.is_empty() => project,
            _ => return Err(findings.iter().map(ToString::to_string).collect()),
        };
        let workbench = self.open(project).map_err(|error| vec![error.chain()])?;
        self.notices.load(&workbench.project);
        let (workflows, workspace) = (workbench.project.workflows.clone(), workbench.workspace());
        Ok(Project { workflows, workspace, site: Arc::new(ProjectSite::new(workbench)) })
    }
}

/// Names, sizes and times of a file, or of all files below a folder. What cannot be seen counts as not there.
fn hash_files(path: &Path, hasher: &mut DefaultHasher) {
    let Ok(metadata) = std::fs::metadata(path) else { return };
    path.hash(hasher);
    if !metadata.is_dir() {
        metadata.len().hash(hasher);
        metadata.modified().ok().hash(hasher);
        return;
    }
    let Ok(entries) = std::fs::read_dir(path) else { return };
    let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    paths.sort();
    paths.iter().for_each(|path| hash_files(path, hasher));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fingerprint_changes_with_the_files_of_the_project_alone() {
        let folder = tempfile::tempdir().unwrap();
        let write = |path: &str, text: &str| {
            let path = folder.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        let source = ProjectSource::new(folder.path().to_owned(), LoadOptions::default());
        write("medallion.toml", "a");
        let first = source.fingerprint();
        write("landing/orders/1.json", "{}");
        write(".medallion/history.sqlite", "rows");
        assert_eq!(source.fingerprint(), first);
        write("pipelines/shop/bronze/orders.toml", "b");
        let second = source.fingerprint();
        assert_ne!(second, first);
        write("pipelines/shop/bronze/orders.toml", "longer");
        let third = source.fingerprint();
        assert_ne!(third, second);
        write("databricks.yml", "include: [jobs/*.yml]\n");
        let fourth = source.fingerprint();
        assert_ne!(fourth, third);
        write("jobs/nightly.yml", "resources: {}\n");
        assert_ne!(source.fingerprint(), fourth);
    }
}
