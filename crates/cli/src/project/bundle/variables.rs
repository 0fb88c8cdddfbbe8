//! The variables of a bundle and the value that wins for each.
//!
//! `--var` wins over `BUNDLE_VAR_<name>`, that over the target's file of overrides, that over the target, that over the
//! default. What wins from outside is taken as it is; what stands in the bundle may refer to others.

use std::collections::BTreeMap;
use std::path::Path;

use crate::project::LoadOptions;
use crate::project::document::{Document, Entry, Node, Text, Value};
use crate::project::finding::Finding;
use crate::project::load::{noted, read_file};
use crate::project::nearest::{hint, nearest};

const KEYS: [&str; 4] = ["default", "description", "lookup", "type"];

/// The variables with their values; `None` for one whose problem is reported where it stands.
pub(super) type Values = BTreeMap<String, Option<Node>>;

/// Puts the variables that a target writes into those of the bundle.
pub(super) fn put_target_over(
    variables: &mut Node,
    of_target: &Node,
    document: &Document,
    findings: &mut Vec<Finding>,
) {
    for Entry { key, key_span, value } in of_target.entries() {
        let Value::Table(entries) = &mut variables.value else { return };
        let Some(own) = entries.iter_mut().find(|entry| entry.key == *key) else {
            let hint = hint(key, entries.iter().map(|entry| entry.key.as_str()));
            let message =
                format!("unknown variable `{key}`{hint}; variables are declared in `variables` of the bundle");
            findings.push(document.finding(key_span.start, message));
            continue;
        };
        // A table is a declaration if it has such keys; else it is the value.
        let is_declaration = value.entries().iter().any(|entry| KEYS.contains(&entry.key.as_str()));
        let given = match is_declaration {
            true => value.entries().to_vec(),
            false => vec![Entry { key: "default".to_owned(), key_span: key_span.clone(), value: value.clone() }],
        };
        if !matches!(own.value.value, Value::Table(_)) {
            own.value = Node::new(Value::Table(Vec::new()), key_span.clone());
        }
        let Value::Table(declared) = &mut own.value.value else { continue };
        // A lookup and a value replace each other.
        let replaces = |key: &str| key == "default" || key == "lookup";
        if given.iter().any(|entry| replaces(&entry.key)) {
            declared.retain(|entry| !replaces(&entry.key));
        }
        declared.retain(|entry| given.iter().all(|given| given.key != entry.key));
        declared.extend(given);
    }
}

/// The value of each variable.
pub(super) fn values(
    document: &Document,
    target: &str,
    root: &Path,
    options: &LoadOptions,
    findings: &mut Vec<Finding>,
) -> Values {
    let declared = document.root.get("variables").map(Node::entries).unwrap_or_default();
    let overrides = overrides(target, root, declared, findings);
    let mut values = Values::new();
    for Entry { key, key_span, value } in declared {
        check_keys(value, document, findings);
        let is_complex =
            matches!(value.get("type").map(|kind| &kind.value), Some(Value::Text(text)) if text.text == "complex");
        let from_outside = options.variables.get(key).or_else(|| options.environment.get(&format!("BUNDLE_VAR_{key}")));
        let given = if let Some(text) = from_outside {
            if is_complex {
                let message = format!(
                    "`{key}` is complex, so --var and BUNDLE_VAR_{key} cannot give it; write it in \
                     .databricks/bundle/{target}/variable-overrides.json"
                );
                findings.push(document.finding(key_span.start, message));
                None
            } else {
                let text = Text { text: text.clone(), referring: true, secret: false };
                Some(Node::new(Value::Text(text), key_span.clone()))
            }
        } else if let Some(value) = overrides.get(key) {
            Some(Node::new(value.clone(), key_span.clone()))
        } else if let Some(lookup) = value.get("lookup") {
            let message = format!("a lookup asks a workspace, and there is none here; give `{key}` a `default`");
            findings.push(document.finding(lookup.span.start, message));
            None
        } else if let Some(default) = value.get("default") {
            Some(default.clone())
        } else {
            let message = format!(
                "no value for the variable `{key}`: give it with --var {key}=..., in the environment variable \
                 BUNDLE_VAR_{key}, in the target or as its `default`"
            );
            findings.push(document.finding(key_span.start, message));
            None
        };
        let holds_many = |node: &Node| matches!(node.value, Value::List(_) | Value::Table(_));
        if given.as_ref().is_some_and(holds_many) && !is_complex {
            let message = format!("the value of `{key}` is a list or a table; that needs `type: complex`");
            findings.push(document.finding(key_span.start, message));
        }
        values.insert(key.clone(), given);
    }
    values
}

fn check_keys(declaration: &Node, document: &Document, findings: &mut Vec<Finding>) {
    for Entry { key, key_span, value } in declaration.entries() {
        if !KEYS.contains(&key.as_str()) {
            let hint = hint(key, KEYS);
            findings.push(document.finding(key_span.start, format!("unknown key `{key}` of a variable{hint}")));
        }
        if key == "type" && !matches!(&value.value, Value::Text(text) if text.text == "complex") {
            let message = "the type of a variable is `complex` for lists and tables, and else left out";
            findings.push(document.finding(value.span.start, message));
        }
    }
}

/// The values in `.databricks/bundle/<target>/variable-overrides.json`.
fn overrides(target: &str, root: &Path, declared: &[Entry], findings: &mut Vec<Finding>) -> BTreeMap<String, Value> {
    let file = format!(".databricks/bundle/{target}/variable-overrides.json");
    if target.contains(['/', '\\']) || !root.join(&file).is_file() {
        return BTreeMap::new();
    }
    let Some(text) = read_file(root, &file, findings) else { return BTreeMap::new() };
    let Some(document) = noted(Document::json(&file, text), findings) else { return BTreeMap::new() };
    let mut overrides = BTreeMap::new();
    for Entry { key, key_span, value } in document.root.entries() {
        if declared.iter().any(|entry| entry.key == *key) {
            overrides.insert(key.clone(), value.value.clone());
        } else {
            let near = nearest(key, declared.iter().map(|entry| entry.key.as_str()));
            let near = near.map(|near| format!("; nearest is `{near}`")).unwrap_or_default();
            findings.push(document.finding(key_span.start, format!("the bundle has no variable `{key}`{near}")));
        }
    }
    overrides
}
