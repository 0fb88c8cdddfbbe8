//! The files of a bundle as one tree: the root file, and over it what it includes.
//!
//! The texts stand one behind the other in one [`Document`], so every place in the tree still knows its file and line.

use std::ops::Range;
use std::path::Path;

use super::{glob, merge};
use crate::project::document::{Document, Entry, Node, Value};
use crate::project::finding::{Finding, line_and_column};
use crate::project::load::read_file;
use crate::project::{json, yaml};

/// The names that the root file may have.
const ROOT_FILES: [&str; 4] = ["databricks.yml", "databricks.yaml", "bundle.yml", "bundle.yaml"];

/// The files of a bundle.
pub(super) struct Sources {
    /// All files, merged.
    pub(super) document: Document,
    /// Where values begin that have an anchor.
    pub(super) anchors: Vec<usize>,
}

/// Reads the bundle in a folder, if there is one.
pub(super) fn read(root: &Path, findings: &mut Vec<Finding>) -> Option<Sources> {
    let mut found = ROOT_FILES.into_iter().filter(|file| root.join(file).is_file());
    let file = found.next()?;
    if let Some(other) = found.next() {
        findings.push(Finding::of_file(other, format!("the bundle stands in {file} too; keep one of the files")));
    }
    let mut reading = Reading::default();
    let mut tree = reading.file(root, file, findings)?;
    let patterns = reading.patterns(&tree, findings);
    for (pattern, offset) in patterns {
        let files = glob::files(root, &pattern);
        if files.is_empty() && glob::is_name(&pattern) {
            findings.push(reading.finding(offset, format!("there is no file `{pattern}`")));
        }
        for included in files.into_iter().filter(|included| included != file) {
            // A file that fits two patterns is included once.
            if reading.parts.iter().any(|(_, part)| *part == included) {
                continue;
            }
            let Some(above) = reading.file(root, &included, findings) else { continue };
            reading.report_twice(&tree, &above, findings);
            merge::put_over(&mut tree, above);
        }
    }
    let Reading { text, parts, anchors } = reading;
    let further: Vec<(usize, String)> = parts.into_iter().skip(1).collect();
    let document =
        Document { file: file.to_owned(), text: text.into(), root: tree, further: further.into(), is_loose: true };
    Some(Sources { document, anchors })
}

#[derive(Default)]
struct Reading {
    text: String,
    parts: Vec<(usize, String)>,
    anchors: Vec<usize>,
}

impl Reading {
    fn file(&mut self, root: &Path, file: &str, findings: &mut Vec<Finding>) -> Option<Node> {
        let text = read_file(root, file, findings)?;
        let start = self.text.len();
        self.parts.push((start, file.to_owned()));
        self.text.push_str(&text);
        // What ends without a line break must not run into the next file.
        self.text.push('\n');
        let parsed = match file.ends_with(".json") {
            true => json::parse(&text).map(|root| (root, Vec::new())),
            false => yaml::parse(&text).map(|parsed| (parsed.root, parsed.anchors)),
        };
        match parsed {
            Ok((mut node, anchors)) => {
                shift(&mut node, start);
                self.anchors.extend(anchors.into_iter().map(|at| at + start));
                match node.value {
                    Value::Table(_) => Some(node),
                    Value::Null => Some(Node::new(Value::Table(Vec::new()), start..start)),
                    _ => {
                        findings.push(self.finding(node.span.start, "expected a table".to_owned()));
                        None
                    }
                }
            }
            Err((offset, message)) => {
                let kind = if file.ends_with(".json") { "JSON" } else { "YAML" };
                findings.push(self.finding(start + offset, format!("this is not {kind}: {message}")));
                None
            }
        }
    }

    /// The patterns of `include`, each with its place.
    fn patterns(&self, tree: &Node, findings: &mut Vec<Finding>) -> Vec<(String, usize)> {
        let Some(include) = tree.get("include") else { return Vec::new() };
        let Value::List(items) = &include.value else {
            let message = "expected a list of files, such as resources/*.yml".to_owned();
            findings.push(self.finding(include.span.start, message));
            return Vec::new();
        };
        let mut patterns = Vec::new();
        for item in items {
            let offset = item.span.start;
            match &item.value {
                Value::Text(text) if text.text.starts_with('/') || text.text.split('/').any(|part| part == "..") => {
                    let message = format!("`{}` lies outside of the project", text.text);
                    findings.push(self.finding(offset, message));
                }
                Value::Text(text) => patterns.push((text.text.clone(), offset)),
                _ => findings.push(self.finding(offset, "expected a file, such as resources/*.yml".to_owned())),
            }
        }
        patterns
    }

    /// A job that stands in two files is most likely a mistake of copying.
    fn report_twice(&self, below: &Node, above: &Node, findings: &mut Vec<Finding>) {
        let jobs = |tree: &'_ Node| tree.get("resources").and_then(|kinds| kinds.get("jobs")).cloned();
        let (Some(below), Some(above)) = (jobs(below), jobs(above)) else { return };
        for Entry { key, key_span, .. } in above.entries() {
            if let Some(other) = below.entries().iter().find(|entry| entry.key == *key) {
                let file = self.part_at(other.key_span.start).1;
                let message = format!("the job `{key}` stands in {file} too; each needs its own key");
                findings.push(self.finding(key_span.start, message));
            }
        }
    }

    fn finding(&self, offset: usize, message: String) -> Finding {
        let (start, file) = self.part_at(offset);
        let (line, column) = line_and_column(self.text.get(start..).unwrap_or_default(), offset - start);
        Finding { file: file.to_owned(), line, column, message }
    }

    fn part_at(&self, offset: usize) -> (usize, &str) {
        let part = self.parts.iter().rev().find(|(start, _)| *start <= offset);
        part.map_or((0, ""), |(start, file)| (*start, file.as_str()))
    }
}

/// Moves every place in a tree.
fn shift(node: &mut Node, by: usize) {
    let moved = |span: &Range<usize>| span.start + by..span.end + by;
    node.span = moved(&node.span);
    match &mut node.value {
        Value::List(items) => items.iter_mut().for_each(|item| shift(item, by)),
        Value::Table(entries) => {
            for entry in entries {
                entry.key_span = moved(&entry.key_span);
                shift(&mut entry.value, by);
            }
        }
        _ => {}
    }
}
