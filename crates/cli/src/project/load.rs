//! Reading a project: settings first, because every other file may refer to them, then tables, then workflows.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroUsize;
use std::path::Path;

use bronze::spec::SourceSpec;
use notify::NotificationsSpec;
use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use stage::{Layer, Problem, TableName};

use super::bundle::{Bundle, Jobs};
use super::check::check_tables;
use super::document::{Document, Value};
use super::files::{Files, TableFiles};
use super::nearest::hint;
use super::reference::Scope;
use super::secrets::Secrets;
use super::settings::{LakeSettings, SettingsSpec, location, memory_bytes};
use crate::testing::Case;
use crate::testing::spec::TestSpec;

use super::{Definition, Finding, LoadOptions, Project, SETTINGS_FILE, SqlText, Table, shape, variables, workflows};

/// The memory a project may use when it does not say.
const DEFAULT_MEMORY: u64 = 1_000_000_000;

/// Reads the project in `root` and checks everything that can be checked without planning SQL.
///
/// All findings come at once, in order of file and line. The project is there whenever its settings could be read at
/// all, so that more can be checked; a project with findings must not be run, because what is wrong is left out of it.
pub fn load(root: &Path, options: &LoadOptions) -> (Option<Project>, Vec<Finding>) {
    let mut findings = Vec::new();
    let root = std::path::absolute(root).unwrap_or_else(|_| root.to_path_buf());
    let bundle = Bundle::read(&root, &mut findings);
    let project = read_settings(&root, options, bundle.as_ref(), &mut findings).map(|(mut project, scope)| {
        let files = Files::find(&root, &mut findings);
        for (name, paths) in &files.tables {
            let table = read_table(name, paths, &root, &scope, &mut findings);
            project.tables.extend(table.map(|table| (name.clone(), table)));
        }
        check_tables(&project, &files, &mut findings);
        let jobs = bundle
            .map(|bundle| bundle.jobs(&root, options, &scope, &files.pipelines, &mut project.notes, &mut findings));
        let Jobs { settings, names } = jobs.unwrap_or_default();
        project.job_keys = names;
        workflows::read(&mut project, &files, &scope, settings, &mut findings);
        read_tests(&mut project, &root, &files);
        project
    });
    findings.sort();
    findings.dedup();
    (project, findings)
}

fn read_settings(
    root: &Path,
    options: &LoadOptions,
    bundle: Option<&Bundle>,
    findings: &mut Vec<Finding>,
) -> Option<(Project, Scope)> {
    let text = read_file(root, SETTINGS_FILE, findings)?;
    let mut document = noted(Document::toml(SETTINGS_FILE, text), findings)?;
    let mut scope = Scope { environment: options.environment.clone(), ..Scope::default() };
    let scopes = document.root.get("secrets").map(|table| table.entries()).unwrap_or_default();
    let named = scopes.iter().map(|entry| (entry.key.clone(), None)).collect();
    scope.secrets = Secrets::new(named, options.environment.clone());
    check_target(&document, options, bundle, findings);
    let of_bundle = bundle.map(Bundle::variables).unwrap_or_default();
    variables::resolve(&document, options, &of_bundle, &mut scope, findings);
    put_variables_into(&mut document, options, &scope, findings);
    // With mistakes in the settings there is still much to be said of the tables.
    let spec: SettingsSpec = read_spec(&mut document, findings).unwrap_or_default();
    let mut problems = Vec::new();
    let mut providers = BTreeMap::new();
    for (name, secret) in &spec.secrets {
        let provider = secret.provider(name, root).map_err(|problem| problems.push(problem)).ok();
        providers.insert(name.clone(), provider);
    }
    if !providers.is_empty() {
        scope.secrets = Secrets::new(providers, options.environment.clone());
    }
    let notifications = notifications(&spec, root, &mut problems);
    let target = options.target.as_ref().and_then(|target| spec.targets.get(target));
    let project = Project {
        lake: LakeSettings::new(&spec.lake, target.map(|target| &target.lake), root),
        secrets: scope.secrets.clone(),
        memory_bytes: memory(&spec, &mut problems),
        threads: threads(&spec, &mut problems),
        maintenance: spec.maintenance.settings(&mut problems),
        variables: scope
            .variables
            .iter()
            .filter_map(|(name, value)| Some((name.clone(), value.clone()?.text)))
            .collect(),
        name: spec.project.name,
        description: spec.project.description,
        root: root.to_path_buf(),
        tables: BTreeMap::new(),
        workflows: BTreeMap::new(),
        job_keys: BTreeMap::new(),
        notifications,
        notes: Vec::new(),
        tests: Vec::new(),
        test_findings: Vec::new(),
    };
    findings.extend(problems.iter().map(|problem| document.locate(problem)));
    Some((project, scope))
}

/// A target may be known to the settings only, to the bundle only, or to both.
fn check_target(document: &Document, options: &LoadOptions, bundle: Option<&Bundle>, findings: &mut Vec<Finding>) {
    let Some(target) = &options.target else { return };
    let written = document.root.get("targets").map(|targets| targets.entries()).unwrap_or_default();
    let of_bundle = bundle.map(Bundle::targets).unwrap_or_default();
    let mut known = written.iter().map(|entry| entry.key.as_str()).chain(of_bundle);
    if !known.clone().any(|known| known == target) {
        let hint = hint(target, &mut known);
        let message = format!("there is no target `{target}`{hint}; write [targets.{target}] in {SETTINGS_FILE}");
        findings.push(Finding::of_file(format!("--target {target}"), message));
    }
}

/// Puts variables into the settings themselves. Those of targets that were not chosen stay as they are: what they refer
/// to may only be there where the target is.
fn put_variables_into(document: &mut Document, options: &LoadOptions, scope: &Scope, findings: &mut Vec<Finding>) {
    let mut root = document.root.clone();
    let Value::Table(entries) = &mut root.value else { return };
    for entry in entries {
        match entry.key.as_str() {
            // Resolved before, with what is wrong with them.
            "variables" => {}
            "targets" => {
                let Value::Table(targets) = &mut entry.value.value else { continue };
                for target in targets {
                    if options.target.as_ref() != Some(&target.key) {
                        variables::check_unused(&target.value, document, findings);
                    } else if let Value::Table(parts) = &mut target.value.value {
                        let used = parts.iter_mut().filter(|part| part.key != "variables");
                        used.for_each(|part| scope.resolve_node(&mut part.value, document, findings));
                    }
                }
            }
            _ => scope.resolve_node(&mut entry.value, document, findings),
        }
    }
    document.root = root;
}

fn notifications(spec: &SettingsSpec, root: &Path, problems: &mut Vec<Problem>) -> NotificationsSpec {
    problems.extend(notify::check(&spec.notifications));
    let mut notifications = spec.notifications.clone();
    notifications.paths_mut().for_each(|path| *path = location(path, root));
    notifications
}

fn memory(spec: &SettingsSpec, problems: &mut Vec<Problem>) -> u64 {
    let (at, text) = match (&spec.memory, &spec.project.memory) {
        (Some(_), Some(_)) => {
            problems.push(Problem::new("memory", "`memory` stands in [project] too; write it once"));
            return DEFAULT_MEMORY;
        }
        (Some(text), None) => ("memory", text),
        (None, Some(text)) => ("project/memory", text),
        (None, None) => return DEFAULT_MEMORY,
    };
    memory_bytes(text).unwrap_or_else(|message| {
        problems.push(Problem::new(at, message));
        DEFAULT_MEMORY
    })
}

fn threads(spec: &SettingsSpec, problems: &mut Vec<Problem>) -> usize {
    match spec.project.threads {
        Some(0) => {
            problems.push(Problem::new("project/threads", "expected at least 1 thread, found 0"));
            1
        }
        Some(threads) => threads as usize,
        None => std::thread::available_parallelism().map_or(1, NonZeroUsize::get),
    }
}

fn read_table(
    name: &TableName,
    paths: &TableFiles,
    root: &Path,
    scope: &Scope,
    findings: &mut Vec<Finding>,
) -> Option<Table> {
    let text = read_file(root, &paths.spec, findings);
    // The SQL is read whatever the spec is like, so that the mistakes in both are reported.
    let sql = paths.sql.as_ref().map(|file| read_sql(file, name.pipeline(), root, findings));
    let mut document = noted(Document::toml(&paths.spec, text?), findings)?;
    scope.resolve_document(&mut document, findings);
    let (sql, named) = match sql {
        Some(read) => read.map(|(sql, named)| (Some(sql), named))?,
        None => (None, BTreeSet::new()),
    };
    let mut reads = named.clone();
    let definition = match name.layer() {
        Layer::Bronze => Definition::Bronze(bronze_with_folder(read_spec(&mut document, findings)?, root)),
        Layer::Silver => {
            let spec: silver::spec::SilverSpec = read_spec(&mut document, findings)?;
            let from = TableName::in_pipeline(name.pipeline(), &spec.from)
                .map_err(|error| findings.push(document.locate(&Problem::new("from", error.message()))))
                .ok()?;
            reads.insert(from.clone());
            Definition::Silver { spec, from, sql }
        }
        _ => {
            let spec = read_spec(&mut document, findings)?;
            let Some(sql) = sql else {
                let expected = paths.spec.replace(".toml", ".sql");
                let message = format!("a gold table is the result of a query; write it in {expected}");
                findings.push(Finding::of_file(&paths.spec, message));
                return None;
            };
            Definition::Gold { spec, sql }
        }
    };
    let (name, file, text) = (name.clone(), paths.spec.clone(), document.text.to_string());
    Some(Table { name, file, text, definition, named, reads, document })
}

pub(crate) fn read_spec<T: DeserializeOwned + JsonSchema + 'static>(
    document: &mut Document,
    findings: &mut Vec<Finding>,
) -> Option<T> {
    let (spec, wrong) = shape::read(document);
    findings.extend(wrong);
    spec
}

fn bronze_with_folder(mut spec: bronze::spec::BronzeSpec, root: &Path) -> bronze::spec::BronzeSpec {
    match &mut spec.source {
        SourceSpec::Files(files) => files.path = location(&files.path, root),
        SourceSpec::Kinesis(kinesis) => kinesis.paths_mut().into_iter().for_each(|path| *path = location(path, root)),
        SourceSpec::Kafka(kafka) => kafka.paths_mut().into_iter().for_each(|path| *path = location(path, root)),
    }
    spec
}

type Sql = (SqlText, BTreeSet<TableName>);

fn read_sql(file: &str, pipeline: &str, root: &Path, findings: &mut Vec<Finding>) -> Option<Sql> {
    let text = read_file(root, file, findings)?;
    match sql::references(&text, pipeline) {
        Ok(tables) => Some((SqlText { file: file.to_owned(), text }, tables)),
        Err(problem) => {
            findings.push(Finding {
                file: file.to_owned(),
                line: problem.line,
                column: problem.column,
                message: problem.message,
            });
            None
        }
    }
}

/// Data in tests may hold any text, so nothing in it is a reference.
fn read_tests(project: &mut Project, root: &Path, files: &Files) {
    let mut findings = Vec::new();
    let mut tests = Vec::new();
    for (pipeline, file) in &files.tests {
        let Some(text) = read_file(root, file, &mut findings) else { continue };
        let Some(mut document) = noted(Document::toml(file, text), &mut findings) else { continue };
        let before = findings.len();
        let Some(spec) = read_spec::<TestSpec>(&mut document, &mut findings) else { continue };
        let read = noted(Case::read(spec, pipeline, &document, project), &mut findings);
        tests.extend(read.filter(|_| findings.len() == before));
    }
    project.tests = tests;
    project.test_findings = findings;
}

pub(crate) fn read_file(root: &Path, file: &str, findings: &mut Vec<Finding>) -> Option<String> {
    let failed = |error: std::io::Error| {
        let why = match error.kind() {
            std::io::ErrorKind::NotFound => "there is no such file".to_owned(),
            std::io::ErrorKind::InvalidData => "it is not text in UTF-8".to_owned(),
            _ => error.to_string(),
        };
        Finding::of_file(file, format!("the file cannot be read: {why}"))
    };
    let text = noted(std::fs::read_to_string(root.join(file)).map_err(|error| vec![failed(error)]), findings)?;
    // Some editors put a byte order mark first; places are then counted from behind it.
    Some(text.strip_prefix('\u{feff}').map(str::to_owned).unwrap_or(text))
}

/// The value, or nothing after what is wrong was noted.
pub(crate) fn noted<T>(result: Result<T, Vec<Finding>>, findings: &mut Vec<Finding>) -> Option<T> {
    result.map_err(|wrong| findings.extend(wrong)).ok()
}
