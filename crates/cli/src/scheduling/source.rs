//! The files of a project, read again whenever they have changed.

use std::collections::BTreeSet;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ::stage::Result;
use sql::Engine;
use workflow::scheduler::{Project, Source};
use workflow::{Body, Breakers, Work, Workflow};

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
    /// The circuit breakers, which outlive it too: a source that fails goes on failing.
    breakers: Breakers,
    notices: ScheduledNotices,
    named: Mutex<Named>,
}

/// The files and folders that were named by what was read last; they may lie anywhere.
#[derive(Default)]
struct Named {
    paths: BTreeSet<PathBuf>,
    /// What they looked like when they were looked at last.
    seen: u64,
    /// How often they have changed since.
    changes: u64,
}

impl ProjectSource {
    /// The project in a folder, read with these options each time.
    pub(crate) fn new(root: PathBuf, options: LoadOptions) -> ProjectSource {
        ProjectSource {
            root,
            options,
            engine: Mutex::default(),
            breakers: Breakers::default(),
            notices: ScheduledNotices::default(),
            named: Mutex::default(),
        }
    }

    /// What tells of the runs, by the settings as they were read last.
    pub(crate) fn notices(&self) -> ScheduledNotices {
        self.notices.clone()
    }

    fn open(&self, project: project::Project) -> Result<Workbench> {
        let mut engine = self.engine.lock().unwrap_or_else(PoisonError::into_inner);
        let workbench = match &*engine {
            Some(engine) => Workbench::with_engine(project, engine.clone())?,
            None => {
                let workbench = Workbench::open(project)?;
                *engine = Some(workbench.engine.clone());
                workbench
            }
        };
        Ok(workbench.with_breakers(self.breakers.clone()))
    }

    /// Looks at the files that a project names from now on. A project with mistakes counts: one may be a file that is
    /// missing.
    fn name(&self, project: &project::Project) {
        let mut named = self.named();
        named.paths = named_in(project);
        named.seen = look_of(&named.paths);
    }

    fn named(&self) -> MutexGuard<'_, Named> {
        self.named.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Source for ProjectSource {
    fn fingerprint(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        PARTS.iter().for_each(|part| hash_files(&self.root.join(part), &mut hasher));
        // What a bundle includes may lie anywhere.
        let included = project::bundle_files(&self.root);
        included.iter().for_each(|file| hash_files(&self.root.join(file), &mut hasher));
        // Which files are named changes with reading the project, and must not make it look changed again.
        let mut named = self.named();
        let look = look_of(&named.paths);
        if look != named.seen {
            named.seen = look;
            named.changes += 1;
        }
        named.changes.hash(&mut hasher);
        hasher.finish()
    }

    fn load(&self) -> Result<Project, Vec<String>> {
        let (project, findings) = project::load(&self.root, &self.options);
        if let Some(project) = &project {
            self.name(project);
        }
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

/// The files and folders that tasks and `[notifications]` name.
fn named_in(project: &project::Project) -> BTreeSet<PathBuf> {
    let tasks = project.workflows.values().flat_map(Workflow::tasks).map(|task| match task.body() {
        Body::ForEach { task, .. } => task.body(),
        body => body,
    });
    let of_tasks = tasks.filter_map(|body| match body.work()? {
        Work::Sql { file, .. } => Some(file.clone()),
        Work::Shell { working_folder, .. } => working_folder.clone(),
        _ => None,
    });
    let mut notifications = project.notifications.clone();
    let of_notifications = notifications.paths_mut().map(|path| path.clone());
    of_tasks.chain(of_notifications).map(|path| project.root.join(path)).collect()
}

fn look_of(paths: &BTreeSet<PathBuf>) -> u64 {
    let mut hasher = DefaultHasher::new();
    for path in paths {
        match path.is_dir() {
            // That it is there is all that counts; programs may write into it.
            true => path.hash(&mut hasher),
            false => hash_files(path, &mut hasher),
        }
    }
    hasher.finish()
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
    fn a_file_that_a_task_names_counts_and_reading_the_project_alone_does_not() {
        let folder = tempfile::tempdir().unwrap();
        let write = |path: &str, text: &str| {
            let path = folder.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        write("medallion.toml", "[project]\nname = \"shop\"\n[lake]\npath = \"lake\"\n");
        let task = r#"{"task_key": "q", "sql_task": {"file": {"path": "reports/day.sql"}}}"#;
        write("workflows/shop.json", &format!(r#"{{"tasks": [{task}]}}"#));
        let source = ProjectSource::new(folder.path().to_owned(), LoadOptions::default());
        let load = || source.name(&project::load(folder.path(), &LoadOptions::default()).0.unwrap());
        let first = source.fingerprint();
        load();
        assert_eq!(source.fingerprint(), first);
        write("reports/day.sql", "SELECT 1");
        let second = source.fingerprint();
        assert_ne!(second, first);
        load();
        assert_eq!(source.fingerprint(), second);
        write("reports/day.sql", "SELECT 10");
        assert_ne!(source.fingerprint(), second);
    }

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
