//! Whether a tree has the shape of a spec: one walk along its JSON Schema that reports everything that does not fit.
//!
//! The schema is generated from the spec's Rust type, so shape and type cannot drift apart.

use std::any::TypeId;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use schemars::{JsonSchema, generate::SchemaSettings};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value as Json};
use stage::Problem;

use super::allowed::{Allowed, keys_of, kinds, one_of, texts};
use super::document::{Document, Entry, Node, Value};
use super::finding::Finding;
use super::nearest::{hint, nearest};

/// The key in a schema that marks a field in which references to secrets are allowed.
pub(crate) const MAY_BE_SECRET: &str = "x-may-be-secret";

/// Reads a document as a spec, and reports every place at which it does not fit.
///
/// The spec is there too when all that is wrong are unknown keys, so that more can be checked. A key that was probably
/// meant to be another stands for that one, in the document as well; every other is left out.
pub(crate) fn read<T: DeserializeOwned + JsonSchema + 'static>(document: &mut Document) -> (Option<T>, Vec<Finding>) {
    let schema = kept_schema::<T>();
    let mut root = std::mem::replace(&mut document.root, Node::new(Value::Null, 0..0));
    let allowed = Allowed::new(&schema);
    let mut shape = Shape { allowed, document, findings: Vec::new(), is_unreadable: false };
    shape.walk(&mut root, &schema);
    let Shape { mut findings, is_unreadable, .. } = shape;
    document.root = root;
    if is_unreadable {
        return (None, findings);
    }
    // What the schema cannot say, serde still knows.
    match serde_path_to_error::deserialize(document.root.to_json()) {
        Ok(spec) => (Some(spec), findings),
        Err(error) => {
            let at = error.path().to_string().replace(['.', '['], "/").replace(']', "");
            findings.push(document.locate(&Problem::new(at, error.into_inner().to_string())));
            (None, findings)
        }
    }
}

/// The JSON Schema of a spec.
pub(crate) fn schema_of<T: JsonSchema>() -> Json {
    SchemaSettings::draft2020_12().into_generator().into_root_schema_for::<T>().to_value()
}

/// The schema of a type, made once: a project has many files of few types.
fn kept_schema<T: JsonSchema + 'static>() -> Arc<Json> {
    static KEPT: Mutex<BTreeMap<TypeId, Arc<Json>>> = Mutex::new(BTreeMap::new());
    let mut kept = KEPT.lock().unwrap_or_else(PoisonError::into_inner);
    kept.entry(TypeId::of::<T>()).or_insert_with(|| Arc::new(schema_of::<T>())).clone()
}

struct Shape<'a> {
    allowed: Allowed<'a>,
    document: &'a Document,
    findings: Vec<Finding>,
    /// Whether something is wrong that cannot be left out of the tree.
    is_unreadable: bool,
}

impl<'a> Shape<'a> {
    fn walk(&mut self, node: &mut Node, schema: &'a Json) {
        let schema = self.allowed.target(schema);
        let Some(rules) = schema.as_object() else { return };
        if let Value::Text(text) = &node.value
            && text.secret
            && !rules.contains_key(MAY_BE_SECRET)
        {
            self.report(node.span.start, "a secret cannot stand here; only credentials in medallion.toml may hold one");
            return;
        }
        let mut variants = self.allowed.variants(rules);
        if let [only] = variants.as_slice() {
            return self.walk(node, only);
        }
        if !variants.is_empty() {
            return self.walk_variants(node, &mut variants, schema);
        }
        if !self.fits_kind(node, schema) {
            let message = format!("expected {}, found {}", self.allowed.described(schema), found(node));
            return self.report(node.span.start, message);
        }
        match &mut node.value {
            Value::Table(entries) => self.walk_table(entries, node.span.start, rules),
            Value::List(items) => self.walk_list(items, node.span.start, rules),
            Value::Text(text) => self.check_choice(&text.text, node.span.start, schema),
            Value::Number(number) => {
                let least = rules.get("minimum").and_then(Json::as_f64);
                if let (Some(least), Some(number)) = (least, number.as_f64())
                    && number < least
                {
                    self.report(node.span.start, format!("expected at least {least}, found {number}"));
                }
            }
            Value::Boolean(_) | Value::Null => {}
        }
    }

    /// One of several shapes: a choice of words, tables of one key, or values of different kinds.
    fn walk_variants(&mut self, node: &mut Node, variants: &mut Vec<&'a Json>, schema: &'a Json) {
        let has_kind = |kind: &str| variants.iter().any(|variant| kinds(variant).contains(&kind));
        if self.document.is_loose && !has_kind(kind_of(node)) && has_kind("string") {
            become_text(node);
        }
        let kind = kind_of(node);
        if kind == "null" && self.allowed.allows_null(schema) {
            return;
        }
        variants.retain(|variant| kinds(variant).contains(&kind));
        match (&mut node.value, variants.as_slice()) {
            (_, []) => {
                let message = format!("expected {}, found {}", self.allowed.described(schema), found(node));
                self.report(node.span.start, message);
            }
            (_, [only]) => self.walk(node, only),
            (Value::Text(text), _) => self.check_choice(&text.text, node.span.start, schema),
            (Value::Table(entries), several) => {
                let has_key_of = |variant: &&&'a Json| {
                    let properties = variant.get("properties").and_then(Json::as_object);
                    properties.is_some_and(|keys| entries.iter().any(|entry| keys.contains_key(&entry.key)))
                };
                match several.iter().find(has_key_of) {
                    Some(variant) => self.walk(node, variant),
                    None => {
                        let keys: Vec<&str> = several.iter().flat_map(|variant| keys_of(variant)).collect();
                        let place = entries.first().map_or(node.span.start, |entry| entry.key_span.start);
                        let name = entries.first().map_or("", |entry| entry.key.as_str());
                        let message = format!("unknown key `{name}`{}; {}", hint(name, keys.clone()), one_of(&keys));
                        self.report(place, message);
                    }
                }
            }
            (_, [first, ..]) => self.walk(node, first),
        }
    }

    fn walk_table(&mut self, entries: &mut Vec<Entry>, place: usize, rules: &'a Map<String, Json>) {
        let none = Map::new();
        let properties = rules.get("properties").and_then(Json::as_object);
        let additional = rules.get("additionalProperties");
        let known: Vec<&str> = properties.unwrap_or(&none).keys().map(String::as_str).collect();
        let mut missing: Vec<&str> = rules.get("required").map(texts).unwrap_or_default();
        let mut free: Vec<&str> =
            known.iter().copied().filter(|key| entries.iter().all(|entry| entry.key != *key)).collect();
        entries.retain_mut(|entry| {
            let schema = properties.and_then(|properties| properties.get(&entry.key)).or(additional);
            if schema == Some(&Json::Bool(false)) {
                self.report_unknown_key(entry, &known);
                let meant = nearest(&entry.key, known.iter().copied());
                let Some(meant) = meant.filter(|key| free.contains(key)) else { return false };
                entry.key = meant.to_owned();
                free.retain(|key| *key != meant);
            }
            missing.retain(|key| *key != entry.key);
            if let Some(schema) = properties.and_then(|properties| properties.get(&entry.key)).or(additional) {
                self.walk(&mut entry.value, schema);
            }
            true
        });
        for key in missing {
            let expected =
                properties.and_then(|properties| properties.get(key)).map(|schema| self.allowed.described(schema));
            let expected = expected.map(|words| format!(", {words}")).unwrap_or_default();
            self.report(place, format!("missing key `{key}`{expected}"));
        }
    }

    /// An unknown key hides nothing else: what is read does without it.
    fn report_unknown_key(&mut self, entry: &Entry, known: &[&str]) {
        let hint = hint(&entry.key, known.iter().copied());
        let expected = if hint.is_empty() { format!("; {}", one_of(known)) } else { hint };
        let message = format!("unknown key `{}`{expected}", entry.key);
        self.findings.push(self.document.finding(entry.key_span.start, message));
    }

    fn walk_list(&mut self, items: &mut [Node], place: usize, rules: &'a Map<String, Json>) {
        let bound = |key: &str| rules.get(key).and_then(Json::as_u64).and_then(|bound| usize::try_from(bound).ok());
        let (least, most) = (bound("minItems").unwrap_or(0), bound("maxItems").unwrap_or(usize::MAX));
        if items.len() < least || items.len() > most {
            let expected = if least == most { format!("{least}") } else { format!("at least {least}") };
            self.report(place, format!("expected a list of {expected}, found {}", items.len()));
        }
        if let Some(schema) = rules.get("items") {
            items.iter_mut().for_each(|item| self.walk(item, schema));
        }
    }

    fn check_choice(&mut self, text: &str, place: usize, schema: &'a Json) {
        let choices = self.allowed.choices(schema);
        if choices.is_empty() || choices.contains(&text) {
            return;
        }
        let hint = hint(text, choices.iter().copied());
        self.report(place, format!("unknown value `{text}`{hint}; {}", one_of(&choices)));
    }

    /// Whether the kind of the node is one the schema allows. A text that came from a reference becomes the number or
    /// boolean it says, and in a loose document every text does, and a number or a boolean the text.
    fn fits_kind(&self, node: &mut Node, schema: &'a Json) -> bool {
        let allowed = kinds(schema);
        let kind = kind_of(node);
        if allowed.is_empty() || allowed.contains(&kind) || (kind == "integer" && allowed.contains(&"number")) {
            return true;
        }
        let is_loose = self.document.is_loose;
        let text = match &node.value {
            Value::Text(text) => text,
            _ if is_loose && allowed.contains(&"string") => return become_text(node),
            _ => return false,
        };
        if !(text.referring || is_loose) || text.secret {
            return false;
        }
        let read = match (yes_or_no(&text.text).filter(|_| is_loose), serde_json::from_str(text.text.trim())) {
            (Some(value), _) => Json::Bool(value),
            (None, Ok(value)) => value,
            (None, Err(_)) => return false,
        };
        let value = match read {
            Json::Bool(value) => Value::Boolean(value),
            Json::Number(value) => Value::Number(value),
            _ => return false,
        };
        let read = Node::new(value, node.span.clone());
        let fits = allowed.contains(&kind_of(&read)) || (kind_of(&read) == "integer" && allowed.contains(&"number"));
        if fits {
            *node = read;
        }
        fits
    }

    fn report(&mut self, place: usize, message: impl Into<String>) {
        self.is_unreadable = true;
        self.findings.push(self.document.finding(place, message));
    }
}

/// Makes a number or a boolean the text that it is written as, and says whether it was one.
fn become_text(node: &mut Node) -> bool {
    let text = match &node.value {
        Value::Boolean(value) => value.to_string(),
        // `1.0` is 1, as everywhere a number without quotes is written into a text.
        Value::Number(number) if number.is_f64() => number.as_f64().unwrap_or_default().to_string(),
        Value::Number(number) => number.to_string(),
        _ => return false,
    };
    node.value = Value::text(text);
    true
}

/// The words that YAML has had for a boolean.
fn yes_or_no(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "y" | "yes" | "on" => Some(true),
        "n" | "no" | "off" => Some(false),
        _ => None,
    }
}

fn kind_of(node: &Node) -> &'static str {
    match &node.value {
        Value::Null => "null",
        Value::Boolean(_) => "boolean",
        Value::Number(number) if number.is_f64() => "number",
        Value::Number(_) => "integer",
        Value::Text(_) => "string",
        Value::List(_) => "array",
        Value::Table(_) => "object",
    }
}

fn found(node: &Node) -> &'static str {
    match &node.value {
        Value::Null => "null",
        Value::Boolean(_) => "true or false",
        Value::Number(_) => "a number",
        Value::Text(_) => "text",
        Value::List(_) => "a list",
        Value::Table(_) => "a table",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bronze::spec::BronzeSpec;
    use silver::spec::{SilverSpec, WriteSpec};
    use workflow::spec::WorkflowSpec;

    fn messages<T: DeserializeOwned + JsonSchema + 'static>(text: &str) -> Vec<String> {
        let mut document = Document::toml("t.toml", text.to_owned()).unwrap();
        let (_, findings) = read::<T>(&mut document);
        findings.iter().map(|finding| finding.to_string().replacen("t.toml:", "", 1)).collect()
    }

    #[test]
    fn every_mistake_is_reported_at_its_place_with_what_was_expected() {
        let found = messages::<SilverSpec>(
            "frm = \"bronze.x\"\npartition_by = \"day\"\nwrite = \"apend\"\n[clen]\n[clean]\ntrim = [1]\ncast = { a = 3 }\n\
             [[expect]]\nname = \"x\"\non_fail = \"quarantin\"\nlength = { column = \"a\", min = -1 }\nin_set = { column = \"a\" }\n",
        );
        assert_eq!(
            found,
            [
                "1:1: unknown key `frm`; nearest is `from`",
                "2:16: expected a list of text, found text",
                "3:9: unknown value `apend`; nearest is `append`; expected one of `append`, `overwrite`",
                "4:2: unknown key `clen`; nearest is `clean`",
                "6:9: expected text, found a number",
                "7:14: expected text or a table, found a number",
                "10:11: unknown value `quarantin`; nearest is `quarantine`; expected one of `warn`, `drop`, `quarantine`, `fail`",
                "11:32: expected at least 0, found -1",
                "12:10: missing key `values`, a list",
            ]
        );
    }

    #[test]
    fn a_spec_is_read_without_its_unknown_keys_and_what_was_meant_stands_for_what_was_written() {
        let text = "frm = \"bronze.x\"\nzzz = 1\n[clen]\ntrim = [\"a\"]\n[claen]\ntrim = 3\n";
        let mut document = Document::toml("t", text.into()).unwrap();
        let (spec, findings) = read::<SilverSpec>(&mut document);
        let spec = spec.unwrap();
        assert_eq!((spec.from.as_str(), spec.clean.trim), ("bronze.x", vec!["a".to_owned()]));
        assert_eq!(findings.len(), 4, "{findings:#?}");
    }

    #[test]
    fn choices_between_words_and_tables_are_read() {
        let mut document = Document::toml("t", "from = \"bronze.x\"\n[write]\nunique_key = [\"a\"]\n".into()).unwrap();
        let spec: SilverSpec = read(&mut document).0.unwrap();
        assert_eq!(spec.write, WriteSpec::UniqueKey(vec!["a".into()]));
        let found = messages::<SilverSpec>("from = \"bronze.x\"\n[write]\nunique_keys = [\"a\"]\n");
        assert!(found[0].starts_with("3:1: unknown key `unique_keys`; nearest is `unique_key`"), "{found:?}");
        let found = messages::<SilverSpec>("from = \"bronze.x\"\nwrite = 3\n");
        assert!(found[0].contains("found a number") && found[0].contains("`append`"), "{found:?}");
        let found = messages::<SilverSpec>("from = \"bronze.x\"\nwrite = { scd2 = { keys = [\"a\"] } }\n");
        assert_eq!(found, ["2:18: missing key `sequence_by`, text or a list of text"]);
    }

    #[test]
    fn types_of_columns_nest() {
        let text = "[source.files]\npath = \"x\"\nformat = \"csv\"\n[schema]\na = \"long\"\nb = [\"string\"]\nc = { d = { e = [{ f = \"int\" }] } }\n";
        assert_eq!(messages::<BronzeSpec>(text), Vec::<String>::new());
        let found = messages::<BronzeSpec>(&text.replace("\"int\"", "7").replace("[\"string\"]", "[]"));
        assert_eq!(found.len(), 2, "{found:?}");
        assert!(found[0].starts_with("6:5: expected a list of 1, found 0"), "{found:?}");
        assert!(found[1].starts_with("7:24: expected text or a list or a table, found a number"), "{found:?}");
    }

    #[test]
    fn a_workflow_in_json_is_held_to_its_shape_too() {
        let text =
            "{\"name\": \"w\", \"max_parallel_tasks\": null, \"tasks\": [\n{\"task_key\": 1, \"max_retrys\": 2}]}";
        let mut document = Document::json("w.json", text.to_owned()).unwrap();
        let found: Vec<String> = read::<WorkflowSpec>(&mut document).1.iter().map(ToString::to_string).collect();
        assert_eq!(
            found,
            [
                "w.json:2:14: expected text, found a number",
                "w.json:2:17: unknown key `max_retrys`; nearest is `max_retries`"
            ]
        );
    }
}
