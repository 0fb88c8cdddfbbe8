//! Databricks bundles as input: the jobs of `databricks.yml` become workflows of the project.
//!
//! Everything happens on one tree with places: the files are merged, the target is put over them, references are replaced
//! by what they name, and what is left of each job is the settings of a workflow, which are read like those of
//! `workflows/*.json`. What a bundle says of clusters, workspaces and other resources is ignored with a note.

mod glob;
mod merge;
mod paths;
mod presets;
mod reference;
mod sources;
mod target;
#[cfg(test)]
mod tests;
mod variables;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use self::presets::{Presets, put_default};
use self::reference::Names;
use self::sources::Sources;
use super::LoadOptions;
use super::document::{Document, Entry, Node, Value};
use super::finding::Finding;
use super::nearest::hint;
use super::reference::Scope;
use super::workflows::{Settings, ignored_note, take};

/// The root keys that are read.
const READ: [&str; 7] = ["bundle", "include", "variables", "targets", "environments", "resources", "presets"];
/// The root keys that mean nothing here.
const IGNORED: [&str; 8] =
    ["artifacts", "experimental", "permissions", "python", "run_as", "scripts", "sync", "workspace"];
/// The keys of a target beside root keys.
const OF_TARGETS: [&str; 5] = ["default", "mode", "git", "cluster_id", "compute_id"];
/// The kinds of resources that mean nothing here. A pipeline only gives its name to those that refer to it.
const IGNORED_RESOURCES: [&str; 18] = [
    "alerts",
    "apps",
    "clusters",
    "dashboards",
    "database_catalogs",
    "database_instances",
    "experiments",
    "external_locations",
    "model_serving_endpoints",
    "models",
    "pipelines",
    "quality_monitors",
    "registered_models",
    "schemas",
    "secret_scopes",
    "sql_warehouses",
    "synced_database_tables",
    "volumes",
];

/// A bundle as it is written.
pub(crate) struct Bundle {
    sources: Sources,
}

/// What became of a bundle.
#[derive(Default)]
pub(crate) struct Jobs {
    /// The settings of the jobs.
    pub(crate) settings: Vec<Settings>,
    /// The names of the workflows by the keys of the jobs.
    pub(crate) names: BTreeMap<String, String>,
}

impl Bundle {
    /// Reads the bundle in a project's folder, if there is one.
    pub(crate) fn read(root: &Path, findings: &mut Vec<Finding>) -> Option<Bundle> {
        let sources = sources::read(root, findings)?;
        check_keys(&sources, findings);
        Some(Bundle { sources })
    }

    /// The files it was read from.
    pub(crate) fn files(&self) -> Vec<String> {
        let Document { file, further, .. } = &self.sources.document;
        [file].into_iter().chain(further.iter().map(|(_, file)| file)).cloned().collect()
    }

    /// The targets that can be chosen.
    pub(crate) fn targets(&self) -> Vec<&str> {
        target::all(&self.sources.document.root).iter().map(|entry| entry.key.as_str()).collect()
    }

    /// The variables that can be given.
    pub(crate) fn variables(&self) -> Vec<&str> {
        let variables = self.sources.document.root.get("variables").map(Node::entries).unwrap_or_default();
        variables.iter().map(|entry| entry.key.as_str()).collect()
    }

    /// The jobs of the chosen target.
    pub(crate) fn jobs(
        self,
        root: &Path,
        options: &LoadOptions,
        scope: &Scope,
        pipelines: &BTreeSet<String>,
        notes: &mut Vec<Finding>,
        findings: &mut Vec<Finding>,
    ) -> Jobs {
        let Sources { mut document, .. } = self.sources;
        let mut ignored = Ignored::default();
        let target = target::choose(&mut document, options.target.as_deref(), findings);
        ignored.look_at(&document);
        let variables = variables::values(&document, &target.name, root, options, findings);
        let user = user(options);
        let none = BTreeMap::new();
        let names = Names {
            document: &document,
            variables: &variables,
            scope,
            root,
            target: &target.name,
            user: &user,
            jobs: &none,
            pipelines,
        };
        let presets = Presets::of(&document, &target, &names, findings);
        let written = jobs_in(&document, &mut ignored, findings);
        let named: BTreeMap<String, String> =
            written.iter().map(|job| (job.key.clone(), presets.name(&name_of(job, &names, findings)))).collect();
        let names = Names { jobs: &named, ..names };
        let mut settings = Vec::new();
        for Entry { key, mut value, .. } in written {
            names.resolve(&mut value, findings);
            let mut job = Document { root: value, ..document.clone() };
            // A list of tasks that came from a variable has not been looked at before.
            ignored.of_job(&key, &mut job, findings);
            paths::make_relative_to_project(&mut job.root, &document, root);
            presets.put_into(&mut job.root);
            if let Some(name) = named.get(&key) {
                put_default(&mut job.root, "name", Value::text(name));
                if let Some(written) = job.root.get_mut("name") {
                    written.value = Value::text(name);
                }
            }
            settings.push(Settings { document: job, default_name: key });
        }
        notes.extend(ignored.by_file.iter().filter_map(|(file, places)| ignored_note(file, places)));
        Jobs { settings, names: named }
    }
}

/// The jobs as they are written, without what is ignored in them.
fn jobs_in(document: &Document, ignored: &mut Ignored, findings: &mut Vec<Finding>) -> Vec<Entry> {
    let jobs =
        document.root.get("resources").and_then(|kinds| kinds.get("jobs")).map(Node::entries).unwrap_or_default();
    let mut written = Vec::new();
    for job in jobs {
        let mut job = job.clone();
        if matches!(job.value.value, Value::Null) {
            let message = format!("the job `{}` says nothing; give it tasks", job.key);
            findings.push(document.finding(job.key_span.start, message));
            continue;
        }
        leave_out_nulls(&mut job.value);
        let mut alone = Document { root: job.value, ..document.clone() };
        ignored.of_job(&job.key, &mut alone, findings);
        job.value = alone.root;
        written.push(job);
    }
    written
}

/// The name of a job without what a target puts before it.
fn name_of(job: &Entry, names: &Names<'_>, findings: &mut Vec<Finding>) -> String {
    let Some(mut name) = job.value.get("name").cloned() else { return job.key.clone() };
    names.resolve(&mut name, findings);
    match name.value {
        Value::Text(text) => text.text,
        Value::Number(number) => number.to_string(),
        _ => job.key.clone(),
    }
}

/// In YAML a key with nothing behind it is the same as no key.
fn leave_out_nulls(node: &mut Node) {
    match &mut node.value {
        Value::Table(entries) => {
            entries.retain(|entry| !matches!(entry.value.value, Value::Null));
            entries.iter_mut().for_each(|entry| leave_out_nulls(&mut entry.value));
        }
        Value::List(items) => items.iter_mut().for_each(leave_out_nulls),
        _ => {}
    }
}

/// Who is at work, for the names of jobs in development.
fn user(options: &LoadOptions) -> String {
    let named = ["USER", "LOGNAME", "USERNAME"].into_iter().find_map(|name| options.environment.get(name));
    named.filter(|name| !name.is_empty()).cloned().unwrap_or_else(|| "user".to_owned())
}

/// Reports keys at the root and in targets that nobody knows. One that holds an anchor is there for that.
fn check_keys(sources: &Sources, findings: &mut Vec<Finding>) {
    let Sources { document, anchors } = sources;
    let holds_anchor = |entry: &Entry| anchors.iter().any(|at| entry.value.span.contains(at));
    let mut check = |entries: &[Entry], known: &[&str]| {
        let unknown = entries.iter().filter(|entry| !known.contains(&entry.key.as_str()) && !holds_anchor(entry));
        for entry in unknown {
            let hint = hint(&entry.key, known.iter().copied());
            findings.push(document.finding(entry.key_span.start, format!("unknown key `{}`{hint}", entry.key)));
        }
    };
    let of_root: Vec<&str> = READ.iter().chain(&IGNORED).copied().collect();
    check(document.root.entries(), &of_root);
    let of_targets: Vec<&str> = of_root.iter().chain(&OF_TARGETS).copied().collect();
    for target in target::all(&document.root) {
        check(target.value.entries(), &of_targets);
    }
    let kinds: Vec<&str> = IGNORED_RESOURCES.iter().copied().chain(["jobs"]).collect();
    let of_targets = target::all(&document.root).iter().filter_map(|target| target.value.get("resources"));
    for resources in document.root.get("resources").into_iter().chain(of_targets) {
        check(resources.entries(), &kinds);
    }
}

/// What is ignored, by file.
#[derive(Default)]
struct Ignored {
    by_file: BTreeMap<String, Vec<String>>,
}

impl Ignored {
    /// Notes the parts of a bundle that mean nothing here.
    fn look_at(&mut self, document: &Document) {
        let root = document.root.entries().iter().filter(|entry| IGNORED.contains(&entry.key.as_str()));
        for entry in root {
            self.add(document, entry.key_span.start, entry.key.clone());
        }
        let bundle = document.root.get("bundle").map(Node::entries).unwrap_or_default();
        for entry in bundle.iter().filter(|entry| entry.key != "name") {
            self.add(document, entry.key_span.start, format!("bundle/{}", entry.key));
        }
        let kinds = document.root.get("resources").map(Node::entries).unwrap_or_default();
        for entry in kinds.iter().filter(|entry| IGNORED_RESOURCES.contains(&entry.key.as_str())) {
            self.add(document, entry.key_span.start, format!("resources/{}", entry.key));
        }
    }

    /// Takes out of a job what means nothing here.
    fn of_job(&mut self, key: &str, job: &mut Document, findings: &mut Vec<Finding>) {
        let place = job.root.span.start;
        for at in take(job, findings) {
            self.add(job, place, format!("resources/jobs/{key}/{at}"));
        }
    }

    fn add(&mut self, document: &Document, place: usize, at: String) {
        self.by_file.entry(document.file_at(place).to_owned()).or_default().push(at);
    }
}
