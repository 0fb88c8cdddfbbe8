//! What a job of a workspace says that means nothing here: taken out of the tree before it is read as a workflow.
//!
//! Fields about clusters and workspaces are ignored and told in one note; bodies that cannot be run are refused where they
//! stand. A body without effect stands in for a refused one, so that everything else is still checked.

use workflow::spec::foreign::{
    IGNORED_OF_BODIES, IGNORED_OF_TASK, IGNORED_OF_WORKFLOW, REFUSED_BODIES, REFUSED_OF_BODIES,
};

use crate::project::document::{Document, Entry, Node, Value};
use crate::project::finding::Finding;
use crate::project::nearest::hint;

/// What `databricks jobs get` prints beside the settings.
const AROUND_SETTINGS: &[&str] = &[
    "created_time",
    "creator_user_name",
    "effective_budget_policy_id",
    "effective_usage_policy_id",
    "has_more",
    "job_id",
    "next_page_token",
    "path",
    "run_as_user_name",
    "trigger_state",
];

/// Makes the settings the root of a document that holds them as `databricks jobs get` prints them, and says what was left
/// out and where the settings stood.
pub(crate) fn unwrap_settings(document: &mut Document, findings: &mut Vec<Finding>) -> (Vec<String>, &'static str) {
    if !matches!(document.root.get("settings"), Some(Node { value: Value::Table(_), .. })) {
        return (Vec::new(), "");
    }
    let Value::Table(entries) = std::mem::replace(&mut document.root.value, Value::Null) else {
        return (Vec::new(), "");
    };
    let mut ignored = Vec::new();
    for entry in entries {
        match entry.key.as_str() {
            "settings" => document.root = entry.value,
            "has_more" if matches!(entry.value.value, Value::Boolean(true)) => {
                let message = "this is the first page of a job with more tasks; get the others too and write them here";
                findings.push(document.finding(entry.key_span.start, message));
            }
            known if AROUND_SETTINGS.contains(&known) => ignored.push(entry.key),
            unknown => {
                let hint = hint(unknown, AROUND_SETTINGS.iter().copied().chain(["settings"]));
                findings.push(document.finding(entry.key_span.start, format!("unknown key `{unknown}`{hint}")));
            }
        }
    }
    (ignored, "settings/")
}

/// Takes the foreign fields out of the settings of a workflow, and says which were ignored, as places such as
/// `tasks/0/new_cluster`.
pub(crate) fn take(document: &mut Document, findings: &mut Vec<Finding>) -> Vec<String> {
    let mut root = std::mem::replace(&mut document.root, Node::new(Value::Null, 0..0));
    let mut taker = Taker { document, ignored: Vec::new(), findings };
    taker.ignore(&mut root, IGNORED_OF_WORKFLOW, "");
    if let Some(Value::List(tasks)) = root.get_mut("tasks").map(|tasks| &mut tasks.value) {
        for (index, task) in tasks.iter_mut().enumerate() {
            taker.take_of_task(task, &format!("tasks/{index}/"));
        }
    }
    let Taker { ignored, .. } = taker;
    document.root = root;
    ignored
}

struct Taker<'a> {
    document: &'a Document,
    ignored: Vec<String>,
    findings: &'a mut Vec<Finding>,
}

impl Taker<'_> {
    fn take_of_task(&mut self, task: &mut Node, at: &str) {
        self.ignore(task, IGNORED_OF_TASK, at);
        for (body, way) in IGNORED_OF_BODIES {
            let Some((field, parents)) = way.split_last() else { continue };
            let mut node = task.get_mut(body);
            for parent in parents {
                node = node.and_then(|node| node.get_mut(parent));
            }
            if let Some(node) = node {
                let parents: String = parents.iter().map(|parent| format!("{parent}/")).collect();
                self.ignore(node, &[*field], &format!("{at}{body}/{parents}"));
            }
        }
        for (body, field, remedy) in REFUSED_OF_BODIES {
            let refused = task.get_mut(body).and_then(|body| remove(body, field));
            if let Some(entry) = refused {
                let message = format!("`{field}` of a {body} means nothing here: {remedy}");
                self.findings.push(self.document.finding(entry.key_span.start, message));
                if task.get(body).is_some_and(|node| *body == "sql_task" && node.get("file").is_none()) {
                    stand_in(task, body);
                }
            }
        }
        for (body, remedy) in REFUSED_BODIES {
            if let Some(entry) = entry_of(task, body) {
                let message = format!("`{body}` cannot be run here: {remedy}");
                self.findings.push(self.document.finding(entry.key_span.start, message));
                stand_in(task, body);
            }
        }
        if let Some(inner) = task.get_mut("for_each_task").and_then(|body| body.get_mut("task")) {
            self.take_of_task(inner, &format!("{at}for_each_task/task/"));
        }
    }

    fn ignore(&mut self, node: &mut Node, fields: &[&str], at: &str) {
        let Value::Table(entries) = &mut node.value else { return };
        entries.retain(|entry| {
            let is_foreign = fields.contains(&entry.key.as_str());
            if is_foreign {
                self.ignored.push(format!("{at}{}", entry.key));
            }
            !is_foreign
        });
    }
}

/// Puts a command that does nothing in the place of a body.
fn stand_in(task: &mut Node, body: &str) {
    let Value::Table(entries) = &mut task.value else { return };
    let Some(entry) = entries.iter_mut().find(|entry| entry.key == body) else { return };
    let span = entry.value.span.clone();
    let key_span = entry.key_span.clone();
    let command = Node::new(Value::List(vec![Node::new(Value::text("true"), span.clone())]), span.clone());
    let command = Entry { key: "command".to_owned(), key_span: key_span.clone(), value: command };
    *entry = Entry { key: "shell_task".to_owned(), key_span, value: Node::new(Value::Table(vec![command]), span) };
}

fn entry_of<'a>(node: &'a Node, key: &str) -> Option<&'a Entry> {
    node.entries().iter().find(|entry| entry.key == key)
}

fn remove(node: &mut Node, key: &str) -> Option<Entry> {
    let Value::Table(entries) = &mut node.value else { return None };
    let index = entries.iter().position(|entry| entry.key == key)?;
    Some(entries.remove(index))
}
