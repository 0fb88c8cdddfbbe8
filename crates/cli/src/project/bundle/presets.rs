//! What a target does to all jobs: a prefix to their names, paused triggers, how many runs at the same time, tags.

use super::reference::Names;
use super::target::Target;
use crate::project::document::{Document, Entry, Node, Value};
use crate::project::finding::Finding;

/// Runs at the same time in development.
const DEVELOPMENT_RUNS: i64 = 4;
/// Keys of `presets` about what is not here.
const IGNORED: [&str; 5] =
    ["artifacts_dynamic_version", "catalog", "pipelines_development", "schema", "source_linked_deployment"];

/// What is done to all jobs.
#[derive(Debug, Default)]
pub(super) struct Presets {
    name_prefix: String,
    pauses: bool,
    concurrent_runs: Option<i64>,
    tags: Vec<Entry>,
}

impl Presets {
    /// What a target says, and what follows from development.
    pub(super) fn of(document: &Document, target: &Target, names: &Names<'_>, findings: &mut Vec<Finding>) -> Presets {
        let mut presets = Presets::default();
        if target.is_development {
            presets.name_prefix = format!("[dev {}] ", names.user);
            presets.pauses = true;
            presets.concurrent_runs = Some(DEVELOPMENT_RUNS);
        }
        let Some(mut written) = document.root.get("presets").cloned() else { return presets };
        names.resolve(&mut written, findings);
        for Entry { key, key_span, value } in written.entries() {
            let problem = match (key.as_str(), &value.value) {
                ("name_prefix", Value::Text(text)) => {
                    presets.name_prefix.clone_from(&text.text);
                    None
                }
                ("trigger_pause_status", Value::Text(text)) if ["PAUSED", "UNPAUSED"].contains(&text.text.as_str()) => {
                    presets.pauses = text.text == "PAUSED";
                    None
                }
                ("trigger_pause_status", _) => Some("expected `PAUSED` or `UNPAUSED`".to_owned()),
                ("jobs_max_concurrent_runs", Value::Number(number)) if number.as_i64().is_some_and(|runs| runs > 0) => {
                    presets.concurrent_runs = number.as_i64();
                    None
                }
                ("tags", Value::Table(entries)) => {
                    presets.tags.clone_from(entries);
                    None
                }
                ("name_prefix", _) => Some("expected a text".to_owned()),
                ("jobs_max_concurrent_runs", _) => Some("expected a whole number from 1 on".to_owned()),
                ("tags", _) => Some("expected a table".to_owned()),
                (ignored, _) if IGNORED.contains(&ignored) => None,
                (unknown, _) => {
                    let known = ["name_prefix", "trigger_pause_status", "jobs_max_concurrent_runs", "tags"];
                    Some(format!("unknown key `{unknown}`{}", crate::project::nearest::hint(unknown, known)))
                }
            };
            findings.extend(problem.map(|message| document.finding(key_span.start, message)));
        }
        presets
    }

    /// The name of a workflow.
    pub(super) fn name(&self, name: &str) -> String {
        format!("{}{name}", self.name_prefix)
    }

    /// Puts them into a job. What the job says itself stays, as far as it says something else than what is usual.
    pub(super) fn put_into(&self, job: &mut Node) {
        if self.pauses {
            for field in ["schedule", "trigger", "continuous"] {
                if let Some(starts) = job.get_mut(field) {
                    put_default(starts, "pause_status", Value::text("PAUSED"));
                }
            }
        }
        if let Some(runs) = self.concurrent_runs {
            let is_usual = |node: &Node| matches!(&node.value, Value::Number(number) if number.as_i64() == Some(1));
            match job.get_mut("max_concurrent_runs") {
                Some(written) if is_usual(written) => written.value = Value::Number(runs.into()),
                Some(_) => {}
                None => put_default(job, "max_concurrent_runs", Value::Number(runs.into())),
            }
        }
        if !self.tags.is_empty() {
            put_default(job, "tags", Value::Table(Vec::new()));
            if let Some(tags) = job.get_mut("tags") {
                self.tags.iter().for_each(|tag| put_default(tags, &tag.key, tag.value.value.clone()));
            }
        }
    }
}

/// Adds an entry to a table that has none of that key.
pub(super) fn put_default(table: &mut Node, key: &str, value: Value) {
    let place = table.span.start..table.span.start;
    let Value::Table(entries) = &mut table.value else { return };
    if entries.iter().all(|entry| entry.key != key) {
        entries.push(Entry { key: key.to_owned(), key_span: place.clone(), value: Node::new(value, place) });
    }
}
