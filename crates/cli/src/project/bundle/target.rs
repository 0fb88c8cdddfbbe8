//! The target of a bundle: which one is chosen, and what it changes.

use super::{merge, variables};
use crate::project::document::{Document, Entry, Node, Value};
use crate::project::finding::Finding;

/// The target of a bundle that has none.
const DEFAULT_TARGET: &str = "default";

/// A target that was chosen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Target {
    pub(super) name: String,
    pub(super) is_development: bool,
}

/// The targets that a bundle has.
pub(super) fn all(root: &Node) -> &[Entry] {
    let targets = root.get("targets").or_else(|| root.get("environments"));
    targets.map(Node::entries).unwrap_or_default()
}

/// Chooses the target and puts it over the bundle. A target that was asked for and is not there changes nothing: it may be
/// one of medallion.toml, which is checked elsewhere.
pub(super) fn choose(document: &mut Document, asked: Option<&str>, findings: &mut Vec<Finding>) -> Target {
    let targets = all(&document.root).to_vec();
    let chosen = match asked {
        Some(asked) => targets.into_iter().find(|entry| entry.key == asked),
        None => by_default(document, targets, findings),
    };
    let Some(Entry { key, value, .. }) = chosen else {
        let name = asked.unwrap_or(DEFAULT_TARGET).to_owned();
        return Target { name, is_development: false };
    };
    let is_development = match value.get("mode").map(|mode| (&mode.value, mode.span.start)) {
        Some((Value::Text(text), _)) if text.text == "development" => true,
        Some((Value::Text(text), _)) if text.text == "production" => false,
        Some((_, place)) => {
            findings.push(document.finding(place, "expected `development` or `production`"));
            false
        }
        None => false,
    };
    put_over(document, value, findings);
    Target { name: key, is_development }
}

/// The only target, or the one that says that it is the default.
fn by_default(document: &Document, targets: Vec<Entry>, findings: &mut Vec<Finding>) -> Option<Entry> {
    let is_default = |entry: &Entry| {
        let default = entry.value.get("default").map(|node| &node.value);
        matches!(default, Some(Value::Boolean(true)))
    };
    let mut defaults = targets.iter().filter(|entry| is_default(entry));
    match (defaults.next(), defaults.next(), targets.as_slice()) {
        (Some(only), None, _) | (None, _, [only]) => Some(only.clone()),
        (Some(_), Some(second), _) => {
            let message = format!("`{}` is a second default target; keep one", second.key);
            findings.push(document.finding(second.key_span.start, message));
            None
        }
        (None, _, []) => None,
        (None, _, [first, ..]) => {
            let names: Vec<&str> = targets.iter().map(|entry| entry.key.as_str()).collect();
            let message = format!(
                "none of the targets is the default; choose one with --target ({}), or write `default: true` into one",
                names.join(", ")
            );
            findings.push(document.finding(first.key_span.start, message));
            None
        }
    }
}

fn put_over(document: &mut Document, target: Node, findings: &mut Vec<Finding>) {
    let mut root = std::mem::replace(&mut document.root, Node::new(Value::Null, 0..0));
    let Value::Table(entries) = target.value else {
        document.root = root;
        return;
    };
    for entry in entries {
        match entry.key.as_str() {
            "default" | "mode" => {}
            "variables" => {
                if let Some(variables) = root.get_mut("variables") {
                    variables::put_target_over(variables, &entry.value, document, findings);
                } else {
                    let mut none = Node::new(Value::Table(Vec::new()), entry.key_span.clone());
                    variables::put_target_over(&mut none, &entry.value, document, findings);
                }
            }
            _ => {
                let span = root.span.clone();
                merge::put_over(&mut root, Node::new(Value::Table(vec![entry]), span));
            }
        }
    }
    document.root = root;
}
