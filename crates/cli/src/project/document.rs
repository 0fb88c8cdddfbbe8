//! One tree for TOML, JSON and YAML in which every key and value knows where it was written.
//!
//! Everything that is checked later walks this tree or finds its place in it by name, so every problem has a line.

use std::ops::Range;
use std::sync::Arc;

use serde_json::Number;
use stage::Problem;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::finding::{Finding, line_and_column};
use super::json;

/// A file's text and the tree in it.
#[derive(Debug, Clone)]
pub(crate) struct Document {
    /// The file, relative to the project's folder.
    pub(crate) file: String,
    /// What is written in it, and behind that what is written in further files.
    pub(crate) text: Arc<str>,
    /// The tree.
    pub(crate) root: Node,
    /// Further files that the tree is made of, each with where it begins in the text.
    pub(crate) further: Arc<[(usize, String)]>,
    /// Whether a number or a boolean may stand where a text is expected and the other way round, as in YAML, where
    /// nobody quotes what need not be quoted.
    pub(crate) is_loose: bool,
}

/// A value and its place, in bytes.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Node {
    pub(crate) value: Value,
    pub(crate) span: Range<usize>,
}

/// What a node holds.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Value {
    Null,
    Boolean(bool),
    Number(Number),
    /// A text in which nothing is left to resolve but secrets.
    Text(Text),
    List(Vec<Node>),
    Table(Vec<Entry>),
}

/// A text, and what became of the references in it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Text {
    /// The text; while it holds secrets it is still a template, with `$$` for each `$`.
    pub(crate) text: String,
    /// Whether a reference stood in it, so that the type may come from the value.
    pub(crate) referring: bool,
    /// Whether it still refers to secrets.
    pub(crate) secret: bool,
}

/// A key, its place, and its value.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Entry {
    pub(crate) key: String,
    pub(crate) key_span: Range<usize>,
    pub(crate) value: Node,
}

impl Document {
    /// Reads a TOML file.
    ///
    /// # Errors
    /// Every mistake in the syntax.
    pub(crate) fn toml(file: &str, text: String) -> Result<Document, Vec<Finding>> {
        let (table, errors) = DeTable::parse_recoverable(&text);
        let mut findings: Vec<Finding> = Vec::new();
        for error in errors {
            let offset = error.span().map_or(0, |span| span.start);
            findings.push(finding_at(file, &text, offset, format!("this is not TOML: {}", error.message())));
        }
        findings.sort();
        // The parser stumbles on over the rest of a line that it could not read.
        findings.dedup_by_key(|finding| finding.line);
        if !findings.is_empty() {
            return Err(findings);
        }
        let span = table.span();
        let root = table_node(table.get_ref(), span);
        Ok(Document::new(file, text, root))
    }

    /// Reads a JSON file.
    ///
    /// # Errors
    /// The first mistake in the syntax.
    pub(crate) fn json(file: &str, text: String) -> Result<Document, Vec<Finding>> {
        match json::parse(&text) {
            Ok(root) => Ok(Document::new(file, text, root)),
            Err((offset, message)) => {
                Err(vec![finding_at(file, &text, offset, format!("this is not JSON: {message}"))])
            }
        }
    }

    fn new(file: &str, text: String, root: Node) -> Document {
        Document { file: file.to_owned(), text: text.into(), root, further: [].into(), is_loose: false }
    }

    /// The file that a place given in bytes is in.
    pub(crate) fn file_at(&self, offset: usize) -> &str {
        self.part_at(offset).1
    }

    /// A problem at a place given in bytes.
    pub(crate) fn finding(&self, offset: usize, message: impl Into<String>) -> Finding {
        let (start, file) = self.part_at(offset);
        finding_at(file, self.text.get(start..).unwrap_or_default(), offset - start, message.into())
    }

    fn part_at(&self, offset: usize) -> (usize, &str) {
        let further = self.further.iter().rev().find(|(start, _)| *start <= offset);
        further.map_or((0, self.file.as_str()), |(start, file)| (*start, file.as_str()))
    }

    /// A problem at a place given by name, such as `expect/0/not_null/1`.
    pub(crate) fn locate(&self, problem: &Problem) -> Finding {
        self.finding(self.root.place(&problem.at, &problem.message), problem.message.clone())
    }
}

impl Node {
    /// A node of the given value and place.
    pub(crate) fn new(value: Value, span: Range<usize>) -> Node {
        Node { value, span }
    }

    /// The value of a key, when this is a table that has it.
    pub(crate) fn get(&self, key: &str) -> Option<&Node> {
        match &self.value {
            Value::Table(entries) => entries.iter().find(|entry| entry.key == key).map(|entry| &entry.value),
            _ => None,
        }
    }

    /// The same, to change it.
    pub(crate) fn get_mut(&mut self, key: &str) -> Option<&mut Node> {
        match &mut self.value {
            Value::Table(entries) => entries.iter_mut().find(|entry| entry.key == key).map(|entry| &mut entry.value),
            _ => None,
        }
    }

    /// The entries, when this is a table.
    pub(crate) fn entries(&self) -> &[Entry] {
        match &self.value {
            Value::Table(entries) => entries,
            _ => &[],
        }
    }

    /// The node as plain data.
    pub(crate) fn to_json(&self) -> serde_json::Value {
        match &self.value {
            Value::Null => serde_json::Value::Null,
            Value::Boolean(value) => (*value).into(),
            Value::Number(value) => value.clone().into(),
            Value::Text(value) => value.text.clone().into(),
            Value::List(items) => items.iter().map(Node::to_json).collect(),
            Value::Table(entries) => {
                let pairs = entries.iter().map(|entry| (entry.key.clone(), entry.value.to_json()));
                serde_json::Value::Object(pairs.collect())
            }
        }
    }

    /// Where `at` was written: as far along the path as the tree goes. When the message names the last key, the key is
    /// the place, otherwise its value is.
    fn place(&self, at: &str, message: &str) -> usize {
        if at.is_empty() {
            return self.span.start;
        }
        match &self.value {
            Value::Table(entries) => {
                // Keys may hold slashes themselves, so the longest key that fits is the one.
                let fits = |entry: &&Entry| {
                    at.strip_prefix(entry.key.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
                };
                let Some(entry) = entries.iter().filter(fits).max_by_key(|entry| entry.key.len()) else {
                    return self.span.start;
                };
                let rest = at[entry.key.len()..].trim_start_matches('/');
                let about_key = matches!(entry.value.value, Value::Table(_) | Value::List(_))
                    || message.contains(&format!("`{}`", entry.key));
                if rest.is_empty() && about_key {
                    return entry.key_span.start;
                }
                match entry.value.place(rest, message) {
                    // A table that is only made by the headers of its parts has no place of its own.
                    0 => entry.key_span.start,
                    place => place,
                }
            }
            Value::List(items) => {
                let (index, rest) = at.split_once('/').unwrap_or((at, ""));
                let item = index.parse::<usize>().ok().and_then(|index| items.get(index));
                item.map_or(self.span.start, |item| item.place(rest, message))
            }
            _ => self.span.start,
        }
    }
}

impl Value {
    /// A text without references.
    pub(crate) fn text(text: impl Into<String>) -> Value {
        Value::Text(Text { text: text.into(), ..Text::default() })
    }
}

fn finding_at(file: &str, text: &str, offset: usize, message: String) -> Finding {
    let (line, column) = line_and_column(text, offset);
    Finding { file: file.to_owned(), line, column, message }
}

fn table_node(table: &DeTable<'_>, span: Range<usize>) -> Node {
    let mut entries: Vec<Entry> = table
        .iter()
        .map(|(key, value)| Entry { key: key.get_ref().to_string(), key_span: key.span(), value: toml_node(value) })
        .collect();
    // The order of columns is the order in the file, whatever the order of the parser's map.
    entries.sort_by_key(|entry| entry.key_span.start);
    Node::new(Value::Table(entries), span)
}

fn toml_node(value: &Spanned<DeValue<'_>>) -> Node {
    let span = value.span();
    let value = match value.get_ref() {
        DeValue::String(text) => Value::text(text.as_ref()),
        DeValue::Integer(number) => integer(number.as_str(), number.radix()),
        DeValue::Float(number) => match number.as_str().replace('_', "").parse().ok().and_then(Number::from_f64) {
            Some(number) => Value::Number(number),
            // Infinity and the like: JSON has no such numbers, so the shape refuses them as text.
            None => Value::text(number.as_str()),
        },
        DeValue::Boolean(value) => Value::Boolean(*value),
        DeValue::Datetime(time) => Value::text(time.to_string()),
        DeValue::Array(items) => Value::List(items.iter().map(toml_node).collect()),
        DeValue::Table(table) => return table_node(table, span),
    };
    Node::new(value, span)
}

fn integer(digits: &str, radix: u32) -> Value {
    if let Ok(number) = i64::from_str_radix(digits, radix) {
        return Value::Number(number.into());
    }
    match u64::from_str_radix(digits, radix) {
        Ok(number) => Value::Number(number.into()),
        Err(_) => Value::text(digits),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(document: &Document, at: &str, message: &str) -> (usize, usize) {
        let finding = document.locate(&Problem::new(at, message));
        (finding.line, finding.column)
    }

    const TOML: &str =
        "from = \"x\"\n[clean.rename]\na = \"b\"\n\n[[expect]]\nname = \"n\"\nnot_null = [\"a\", \"bad\"]\n";

    #[test]
    fn places_in_toml_are_found_by_name() {
        let document = Document::toml("t.toml", TOML.to_owned()).unwrap();
        assert_eq!(place(&document, "from", "no such table"), (1, 8));
        assert_eq!(place(&document, "clean/rename/a", "no column `a`"), (3, 1));
        assert_eq!(place(&document, "expect/0/not_null/1", "no such column"), (7, 18));
        assert_eq!(place(&document, "expect/0", "has two rules"), (5, 1));
        assert_eq!(place(&document, "clean", "nonsense"), (2, 2));
        assert_eq!(place(&document, "", "nonsense"), (1, 1));
    }

    #[test]
    fn places_in_json_are_found_by_name() {
        let text = "{\n  \"name\": \"shop\",\n  \"tasks\": [{\"a/b\": 1}, {\"task_key\": \"x\"}]\n}";
        let document = Document::json("w.json", text.to_owned()).unwrap();
        assert_eq!(place(&document, "tasks/1/task_key", "taken"), (3, 38));
        assert_eq!(place(&document, "tasks/0/a/b", "`a/b`"), (3, 14));
    }

    #[test]
    fn columns_keep_the_order_of_the_file() {
        let document = Document::toml("t.toml", "z = 1\na = 0x1F\nm = 1979-05-27\n".to_owned()).unwrap();
        assert_eq!(document.root.to_json().to_string(), r#"{"z":1,"a":31,"m":"1979-05-27"}"#);
    }

    #[test]
    fn mistakes_in_the_syntax_have_their_line() {
        let findings = Document::toml("t.toml", "a = 1\nb = \nc = [1,\n".to_owned()).unwrap_err();
        assert_eq!(findings[0].line, 2, "{findings:?}");
        let findings = Document::json("w.json", "{\"a\": 1,\n \"b\" 2}".to_owned()).unwrap_err();
        assert_eq!((findings[0].line, findings[0].column), (2, 6), "{findings:?}");
    }
}
