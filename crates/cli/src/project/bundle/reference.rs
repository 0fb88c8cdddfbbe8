//! References in a bundle: `${var.x}`, `${bundle.target}`, `${resources.jobs.x.id}` and the like.
//!
//! What stands between the braces is names joined by points, with `[n]` for the items of lists. A text that is one
//! reference as a whole becomes what the reference names, of whatever type; in a longer text that must be a text, a number
//! or a boolean. `${NAME}` without a point is left alone: it is for a shell.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::variables::Values;
use crate::project::document::{Document, Node, Text, Value};
use crate::project::finding::Finding;
use crate::project::nearest::hint;
use crate::project::reference::{Part, Scope, joined, parts, place_of};

/// How often a value may refer to another one that refers to another one.
const MOST_ROUNDS: usize = 11;
/// The most references that are followed in one job: some that name each other twice could go on for years.
const MOST_REFERENCES: usize = 100_000;
const PREFIXES: [&str; 7] = ["var", "variables", "bundle", "workspace", "resources", "env", "secret"];

/// What references can name.
pub(super) struct Names<'a> {
    /// The bundle; its root is the merged tree.
    pub(super) document: &'a Document,
    pub(super) variables: &'a Values,
    pub(super) scope: &'a Scope,
    /// The project's folder.
    pub(super) root: &'a Path,
    pub(super) target: &'a str,
    /// Who is at work.
    pub(super) user: &'a str,
    /// The names of the workflows that jobs became, by the keys of the jobs; empty while they are found.
    pub(super) jobs: &'a BTreeMap<String, String>,
    /// The pipelines of the project.
    pub(super) pipelines: &'a BTreeSet<String>,
}

/// A piece of a text.
enum Piece<'t> {
    Plain(&'t str),
    /// A reference as it is written, and its path.
    Reference(&'t str, Vec<&'t str>),
}

impl Names<'_> {
    /// Puts what is named in the place of every reference below a node, and reports those that name nothing.
    pub(super) fn resolve(&self, node: &mut Node, findings: &mut Vec<Finding>) {
        Resolver { names: self, followed: Cell::new(0) }.node(node, 0, findings);
    }
}

struct Resolver<'a> {
    names: &'a Names<'a>,
    followed: Cell<usize>,
}

impl Resolver<'_> {
    fn node(&self, node: &mut Node, round: usize, findings: &mut Vec<Finding>) {
        match &mut node.value {
            Value::List(items) => items.iter_mut().for_each(|item| self.node(item, round, findings)),
            Value::Table(entries) => entries.iter_mut().for_each(|entry| self.node(&mut entry.value, round, findings)),
            // What was put in from outside is taken as it is.
            Value::Text(text) if !text.referring && text.text.contains("${") => {
                let text = text.text.clone();
                let pieces = pieces(&text);
                if let [Piece::Reference(written, path)] = pieces.as_slice() {
                    if let Some(value) = self.value(node, written, path, round, findings) {
                        node.value = referring(value);
                    }
                } else if let Some(joined) = self.joined(node, &pieces, round, findings) {
                    node.value = Value::Text(joined);
                }
            }
            _ => {}
        }
    }

    /// A longer text; `None` after what is wrong was reported.
    fn joined(&self, node: &Node, pieces: &[Piece<'_>], round: usize, findings: &mut Vec<Finding>) -> Option<Text> {
        let mut texts = Vec::new();
        for piece in pieces {
            texts.push(match piece {
                Piece::Plain(plain) => Text { text: (*plain).to_owned(), ..Text::default() },
                Piece::Reference(written, path) => match self.value(node, written, path, round, findings)? {
                    Value::Text(text) => text,
                    Value::Number(number) => Text { text: number.to_string(), ..Text::default() },
                    Value::Boolean(value) => Text { text: value.to_string(), ..Text::default() },
                    Value::Null => Text::default(),
                    Value::List(_) | Value::Table(_) => {
                        let message = format!("`{written}` is a list or a table, and cannot stand within a text");
                        findings.push(self.finding(node, written, message));
                        return None;
                    }
                },
            });
        }
        Some(Text { referring: true, ..joined(texts) })
    }

    /// What a reference names, with the references in it resolved too.
    fn value(
        &self,
        node: &Node,
        written: &str,
        path: &[&str],
        round: usize,
        findings: &mut Vec<Finding>,
    ) -> Option<Value> {
        self.followed.set(self.followed.get() + 1);
        if round >= MOST_ROUNDS || self.followed.get() > MOST_REFERENCES {
            let message = format!("`{written}` leads in a circle, or through more than {MOST_ROUNDS} others");
            // Reported once; with it everything on the way there has no value.
            if !findings.iter().any(|finding| finding.message == message) {
                findings.push(self.finding(node, written, message));
            }
            return None;
        }
        match self.names.named(path) {
            Ok(Some(mut found)) => {
                let before = findings.len();
                self.node(&mut found, round + 1, findings);
                (findings.len() == before).then_some(found.value)
            }
            Ok(None) => None,
            Err(why) => {
                findings.push(self.finding(node, written, format!("`{written}` has no value: {why}")));
                None
            }
        }
    }

    fn finding(&self, node: &Node, written: &str, message: String) -> Finding {
        let document = self.names.document;
        document.finding(place_of(written, node.span.clone(), document), message)
    }
}

impl Names<'_> {
    /// What a path names; `Ok(None)` for a variable with a problem that is reported where it stands.
    fn named(&self, path: &[&str]) -> Result<Option<Node>, String> {
        let text = |text: &str| {
            let text = Text { text: text.to_owned(), referring: true, secret: false };
            Ok(Some(Node::new(Value::Text(text), 0..0)))
        };
        match path {
            ["var", name, rest @ ..] | ["variables", name, "value" | "default", rest @ ..] => {
                let Some(value) = self.variables.get(*name) else {
                    let hint = hint(name, self.variables.keys().map(String::as_str));
                    return Err(format!("the bundle has no variable `{name}`{hint}"));
                };
                let Some(value) = value else { return Ok(None) };
                descend(value, rest).cloned().map(Some).ok_or_else(|| format!("`{name}` has no such part"))
            }
            ["bundle", "target" | "environment"] => text(self.target),
            ["workspace", "current_user", "userName" | "user_name" | "short_name" | "domain_friendly_name"] => {
                text(self.user)
            }
            ["workspace", "root_path" | "file_path"] => text(&self.root.to_string_lossy()),
            ["resources", "jobs", key, "id" | "name"] if !self.jobs.is_empty() => match self.jobs.get(*key) {
                Some(name) => text(name),
                None => {
                    let hint = hint(key, self.jobs.keys().map(String::as_str));
                    Err(format!("the bundle has no job `{key}`{hint}"))
                }
            },
            ["resources", "pipelines", key, "id" | "name"] => text(&self.pipeline(key)?),
            ["env" | "secret", ..] => self.of_project(&path.join(".")),
            ["bundle" | "workspace" | "resources" | "variables", ..] => {
                descend(&self.document.root, path).cloned().map(Some).ok_or_else(|| match path[0] {
                    "workspace" => "there is no workspace here".to_owned(),
                    _ => "it is not written in the bundle".to_owned(),
                })
            }
            [first, ..] => Err(format!("`{first}` is nothing that can be named{}", hint(first, PREFIXES))),
            [] => Err("it names nothing".to_owned()),
        }
    }

    /// What `env` and `secret` name, which are ours.
    fn of_project(&self, inner: &str) -> Result<Option<Node>, String> {
        let parts = parts(&format!("${{{inner}}}"))
            .map_err(|mistakes| mistakes.into_iter().map(|(_, why)| why).collect::<Vec<_>>().join("; "))?;
        let [Part::Reference(reference)] = parts.as_slice() else { return Err("it names nothing".to_owned()) };
        Ok(self.scope.value(reference)?.map(|text| Node::new(Value::Text(text), 0..0)))
    }

    /// The pipeline of the project that a pipeline of the bundle stands for: the one of its key, or of its name.
    fn pipeline(&self, key: &str) -> Result<String, String> {
        let pipelines = self.document.root.get("resources").and_then(|kinds| kinds.get("pipelines"));
        let entries = pipelines.map(Node::entries).unwrap_or_default();
        let Some(entry) = entries.iter().find(|entry| entry.key == key) else {
            let hint = hint(key, entries.iter().map(|entry| entry.key.as_str()));
            return Err(format!("the bundle has no pipeline `{key}`{hint}"));
        };
        let name = match entry.value.get("name").map(|name| &name.value) {
            Some(Value::Text(name)) if self.pipelines.contains(&name.text) => &name.text,
            _ => key,
        };
        Ok(if self.pipelines.contains(key) { key } else { name }.to_owned())
    }
}

/// A value that a reference was replaced by: where a number is expected, a text may still become one.
fn referring(value: Value) -> Value {
    match value {
        Value::Text(text) => Value::Text(Text { referring: true, ..text }),
        other => other,
    }
}

fn descend<'a>(node: &'a Node, path: &[&str]) -> Option<&'a Node> {
    path.iter().try_fold(node, |node, part| match &node.value {
        Value::List(items) => items.get(part.parse::<usize>().ok()?),
        _ => node.get(part),
    })
}

/// Cuts a text at its references.
fn pieces(text: &str) -> Vec<Piece<'_>> {
    let mut pieces = Vec::new();
    let (mut plain, mut from) = (0, 0);
    while let Some(start) = text[from..].find("${").map(|at| from + at) {
        let inner = start + 2;
        let Some(end) = text[inner..].find('}').map(|at| inner + at) else { break };
        match path(&text[inner..end]) {
            Some(path) => {
                if plain < start {
                    pieces.push(Piece::Plain(&text[plain..start]));
                }
                pieces.push(Piece::Reference(&text[start..=end], path));
                (plain, from) = (end + 1, end + 1);
            }
            None => from = inner,
        }
    }
    if plain < text.len() {
        pieces.push(Piece::Plain(&text[plain..]));
    }
    pieces
}

/// The names and numbers in a reference, or nothing if it is none.
fn path(inner: &str) -> Option<Vec<&str>> {
    let mut path = Vec::new();
    for part in inner.split('.') {
        let (name, indices) = part.split_at(part.find('[').unwrap_or(part.len()));
        if !is_name(name) {
            return None;
        }
        path.push(name);
        if !indices.is_empty() {
            let inside = indices.strip_prefix('[')?.strip_suffix(']')?;
            for index in inside.split("][") {
                path.push(
                    Some(index).filter(|index| !index.is_empty() && index.bytes().all(|one| one.is_ascii_digit()))?,
                );
            }
        }
    }
    (path.len() > 1).then_some(path)
}

fn is_name(text: &str) -> bool {
    text.starts_with(char::is_alphabetic)
        && text.ends_with(char::is_alphanumeric)
        && text.chars().all(|one| one.is_alphanumeric() || one == '_' || one == '-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reference_is_names_joined_by_points() {
        let path = |text: &'static str| match pieces(text).as_slice() {
            [Piece::Reference(_, path)] => Some(path.join("|")),
            _ => None,
        };
        assert_eq!(path("${var.a-b_c}").as_deref(), Some("var|a-b_c"));
        assert_eq!(path("${resources.jobs.x.tasks[0][1].key}").as_deref(), Some("resources|jobs|x|tasks|0|1|key"));
        for text in ["${HOME}", "${}", "${var.}", "${var.a_}", "${var.1}", "${a:-b}", "${var.x[}", "$var.x", "${var.x"]
        {
            assert_eq!(path(text), None, "{text}");
        }
        assert_eq!(pieces("a ${b ${var.c} d").len(), 3);
    }
}
