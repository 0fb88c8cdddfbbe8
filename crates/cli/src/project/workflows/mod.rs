//! The workflows of a project: each file or job of a bundle becomes a tree of settings, and every tree is read and
//! checked in the same way, first by itself, then against the others and against the tables.

mod foreign;
mod order;
mod queries;
mod recipients;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use stage::{Problem, TableName};
use workflow::Workflow;
use workflow::reference::Template;
use workflow::spec::WorkflowSpec;

use super::check::check_work;
use super::document::{Document, Entry, Node, Value};
use super::files::Files;
use super::load::{noted, read_file, read_spec};
use super::reference::Scope;
use super::{Finding, Project};

pub(crate) use self::foreign::take;

/// The settings of a workflow, as a tree with places.
pub(crate) struct Settings {
    /// The document; its root is the settings.
    pub(crate) document: Document,
    /// The name when the settings have none.
    pub(crate) default_name: String,
}

/// A workflow that is sound by itself, and where it was written.
struct Read {
    workflow: Workflow,
    document: Document,
    /// The tables that the queries of its tasks read, by the index of the task.
    queried: BTreeMap<usize, BTreeSet<TableName>>,
}

/// Reads the workflows of a project, those of its bundle included, and checks all that concerns more than one of them.
pub(crate) fn read(
    project: &mut Project,
    files: &Files,
    scope: &Scope,
    of_bundle: Vec<Settings>,
    findings: &mut Vec<Finding>,
) {
    let mut all = of_files(&project.root, files, scope, &mut project.notes, findings);
    all.extend(of_bundle);
    let mut read: BTreeMap<String, Read> = BTreeMap::new();
    let mut named: BTreeMap<String, String> = BTreeMap::new();
    for settings in all {
        let one = one(settings, project, files, &mut named, findings);
        read.extend(one.map(|one| (one.workflow.name().to_owned(), one)));
    }
    project.workflows = read.iter().map(|(name, read)| (name.clone(), read.workflow.clone())).collect();
    for (name, problem) in workflow::check_jobs(&project.workflows) {
        findings.extend(read.get(&name).map(|read| read.document.locate(&problem)));
    }
    for one in read.values() {
        let problems = order::missing(one, &read, project).into_iter().chain(recipients::unknown(one, project));
        findings.extend(problems.map(|problem| one.document.locate(&problem)));
        project.notes.extend(recipients::untold(one).iter().map(|problem| one.document.locate(problem)));
    }
}

/// The settings in `workflows/*.json`, with what is ignored in them noted.
fn of_files(
    root: &Path,
    files: &Files,
    scope: &Scope,
    notes: &mut Vec<Finding>,
    findings: &mut Vec<Finding>,
) -> Vec<Settings> {
    let mut all = Vec::new();
    for file in &files.workflows {
        let Some(text) = read_file(root, file, findings) else { continue };
        let Some(mut document) = noted(Document::json(file, text), findings) else { continue };
        let (mut ignored, place) = foreign::unwrap_settings(&mut document, findings);
        ignored.extend(take(&mut document, findings).into_iter().map(|at| format!("{place}{at}")));
        notes.extend(ignored_note(file, &ignored));
        scope.resolve_document(&mut document, findings);
        let stem = Path::new(file).file_stem().map(|stem| stem.to_string_lossy().into_owned());
        all.push(Settings { document, default_name: stem.unwrap_or_default() });
    }
    all
}

/// The one note of a file about all that is ignored in it.
pub(crate) fn ignored_note(file: &str, ignored: &[String]) -> Option<Finding> {
    let message = format!("ignored, they are about clusters and workspaces: {}", ignored.join(", "));
    (!ignored.is_empty()).then(|| Finding::of_file(file, message))
}

fn one(
    settings: Settings,
    project: &mut Project,
    files: &Files,
    named: &mut BTreeMap<String, String>,
    findings: &mut Vec<Finding>,
) -> Option<Read> {
    let Settings { mut document, default_name } = settings;
    name_by_default(&mut document.root, default_name);
    let spec: WorkflowSpec = read_spec(&mut document, findings)?;
    let file = document.file_at(document.root.span.start).to_owned();
    if let Some(other) = named.insert(spec.name.clone(), file) {
        let message = format!("the workflow `{}` stands in {other} too; each needs its own name", spec.name);
        findings.push(document.locate(&Problem::new("name", message)));
    }
    note_near_references(&document, &mut project.notes);
    let queries = queries::check(&spec, project, files);
    findings.extend(queries.findings);
    findings.extend(queries.problems.iter().map(|problem| document.locate(problem)));
    match workflow::check(&spec, &|work| check_work(work, files)) {
        Ok(workflow) => Some(Read { workflow, document, queried: queries.reads }),
        Err(problems) => {
            findings.extend(problems.iter().map(|problem| document.locate(problem)));
            None
        }
    }
}

/// A workspace calls a job without a name "Untitled", which would be the name of all of them.
fn name_by_default(root: &mut Node, name: String) {
    let place = root.span.start..root.span.start;
    let Value::Table(entries) = &mut root.value else { return };
    if entries.iter().all(|entry| entry.key != "name") {
        let value = Node::new(Value::text(name), place.clone());
        entries.push(Entry { key: "name".to_owned(), key_span: place, value });
    }
}

/// Notes texts that look like references and are none, so that a run would leave them as they are.
fn note_near_references(document: &Document, notes: &mut Vec<Finding>) {
    let of_tasks = document.root.get("tasks");
    for node in of_tasks.into_iter().chain(document.root.get("parameters")) {
        note_near_references_in(node, document, notes);
    }
}

fn note_near_references_in(node: &Node, document: &Document, notes: &mut Vec<Finding>) {
    match &node.value {
        Value::List(items) => items.iter().for_each(|item| note_near_references_in(item, document, notes)),
        Value::Table(entries) => {
            let filled = entries.iter().filter(|entry| entry.key != "description");
            filled.for_each(|entry| note_near_references_in(&entry.value, document, notes));
        }
        Value::Text(text) if text.text.contains("{{") => {
            let Ok(template) = Template::parse(&text.text) else { return };
            notes.extend(template.left_alone().into_iter().map(|near| {
                let message = format!(
                    "`{near}` is no reference and stays as it is; names with other characters than letters, digits and _ \
                     stand in backticks, as in {{{{job.parameters.`run-date`}}}}"
                );
                document.finding(node.span.start, message)
            }));
        }
        _ => {}
    }
}
