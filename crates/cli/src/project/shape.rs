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

use super::document::{Document, Entry, Node, Value};
use super::finding::Finding;
use super::nearest::hint;

/// The key in a schema that marks a field in which references to secrets are allowed.
pub(crate) const MAY_BE_SECRET: &str = "x-may-be-secret";

/// Reads a document as a spec.
///
/// # Errors
/// Every place at which the document does not fit.
pub(crate) fn read<T: DeserializeOwned + JsonSchema + 'static>(document: &mut Document) -> Result<T, Vec<Finding>> {
    let schema = kept_schema::<T>();
    let mut root = std::mem::replace(&mut document.root, Node::new(Value::Null, 0..0));
    let mut shape = Shape { definitions: schema.get("$defs"), whole: &schema, document, findings: Vec::new() };
    shape.walk(&mut root, &schema);
    let findings = shape.findings;
    document.root = root;
    if !findings.is_empty() {
        return Err(findings);
    }
    // What the schema cannot say, serde still knows.
    serde_path_to_error::deserialize(document.root.to_json()).map_err(|error| {
        let at = error.path().to_string().replace(['.', '['], "/").replace(']', "");
        vec![document.locate(&Problem::new(at, error.into_inner().to_string()))]
    })
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
    definitions: Option<&'a Json>,
    whole: &'a Json,
    document: &'a Document,
    findings: Vec<Finding>,
}

impl<'a> Shape<'a> {
    fn walk(&mut self, node: &mut Node, schema: &'a Json) {
        let schema = self.target(schema);
        let Some(rules) = schema.as_object() else { return };
        if let Value::Text(text) = &node.value
            && text.secret
            && !rules.contains_key(MAY_BE_SECRET)
        {
            self.report(node.span.start, "a secret cannot stand here; only credentials in medallion.toml may hold one");
            return;
        }
        let mut variants = self.variants(rules);
        if let [only] = variants.as_slice() {
            return self.walk(node, only);
        }
        if !variants.is_empty() {
            return self.walk_variants(node, &mut variants, schema);
        }
        if !self.fits_kind(node, schema) {
            let message = format!("expected {}, found {}", self.described(schema), found(node));
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
        let kind = kind_of(node);
        if kind == "null" && self.allows_null(schema) {
            return;
        }
        variants.retain(|variant| kinds(variant).contains(&kind));
        match (&mut node.value, variants.as_slice()) {
            (_, []) => {
                let message = format!("expected {}, found {}", self.described(schema), found(node));
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

    fn walk_table(&mut self, entries: &mut [Entry], place: usize, rules: &'a Map<String, Json>) {
        let none = Map::new();
        let properties = rules.get("properties").and_then(Json::as_object);
        let additional = rules.get("additionalProperties");
        let known: Vec<&str> = properties.unwrap_or(&none).keys().map(String::as_str).collect();
        let mut missing: Vec<&str> = rules.get("required").map(texts).unwrap_or_default();
        for entry in entries.iter_mut() {
            missing.retain(|key| *key != entry.key);
            match (properties.and_then(|properties| properties.get(&entry.key)), additional) {
                (Some(schema), _) => self.walk(&mut entry.value, schema),
                (None, Some(Json::Bool(false))) => {
                    let hint = hint(&entry.key, known.iter().copied());
                    let expected = if hint.is_empty() { format!("; {}", one_of(&known)) } else { hint };
                    self.report(entry.key_span.start, format!("unknown key `{}`{expected}", entry.key));
                }
                (None, Some(schema)) => self.walk(&mut entry.value, schema),
                (None, None) => {}
            }
        }
        for key in missing {
            let expected = properties.and_then(|properties| properties.get(key)).map(|schema| self.described(schema));
            let expected = expected.map(|words| format!(", {words}")).unwrap_or_default();
            self.report(place, format!("missing key `{key}`{expected}"));
        }
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
        let choices = self.choices(schema);
        if choices.is_empty() || choices.contains(&text) {
            return;
        }
        let hint = hint(text, choices.iter().copied());
        self.report(place, format!("unknown value `{text}`{hint}; {}", one_of(&choices)));
    }

    /// Whether the kind of the node is one the schema allows. A text that came from a reference becomes the number or
    /// boolean it says.
    fn fits_kind(&self, node: &mut Node, schema: &'a Json) -> bool {
        let allowed = kinds(schema);
        let kind = kind_of(node);
        if allowed.is_empty() || allowed.contains(&kind) || (kind == "integer" && allowed.contains(&"number")) {
            return true;
        }
        let Value::Text(text) = &node.value else { return false };
        if !text.referring || text.secret {
            return false;
        }
        let Ok(value) = serde_json::from_str(text.text.trim()) else { return false };
        let value = match value {
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

    /// The schema that a schema refers to.
    fn target(&self, mut schema: &'a Json) -> &'a Json {
        while let Some(reference) = schema.get("$ref").and_then(Json::as_str) {
            let found = match reference.strip_prefix("#/$defs/") {
                Some(name) => self.definitions.and_then(|definitions| definitions.get(name)),
                None => Some(self.whole),
            };
            match found {
                Some(found) => schema = found,
                None => return &Json::Bool(true),
            }
        }
        schema
    }

    /// The shapes of which one must fit, without the empty one of a value that may be left out.
    fn variants(&self, rules: &'a Map<String, Json>) -> Vec<&'a Json> {
        if rules.contains_key("properties") {
            // Beside the keys of one table, variants say which keys go together; that is checked with the spec itself.
            return Vec::new();
        }
        let list = rules.get("anyOf").or_else(|| rules.get("oneOf")).and_then(Json::as_array);
        let variants = list.into_iter().flatten().map(|variant| self.target(variant));
        // A shape may itself be a choice of several.
        variants
            .filter(|variant| kinds(variant) != ["null"])
            .flat_map(|variant| match variant.as_object().map(|rules| self.variants(rules)) {
                Some(inner) if !inner.is_empty() => inner,
                _ => vec![variant],
            })
            .collect()
    }

    fn allows_null(&self, schema: &'a Json) -> bool {
        let list = schema.get("anyOf").and_then(Json::as_array);
        list.into_iter().flatten().any(|variant| kinds(variant) == ["null"])
    }

    /// The words that may stand here, if only some may.
    fn choices(&self, schema: &'a Json) -> Vec<&'a str> {
        let schema = self.target(schema);
        let mut choices: Vec<&str> = schema.get("enum").map(texts).unwrap_or_default();
        choices.extend(schema.get("const").and_then(Json::as_str));
        for variant in schema.as_object().map(|rules| self.variants(rules)).unwrap_or_default() {
            choices.extend(self.choices(variant));
        }
        choices
    }

    /// What a schema expects, in words.
    fn described(&self, schema: &'a Json) -> String {
        let schema = self.target(schema);
        let choices = self.choices(schema);
        let variants = schema.as_object().map(|rules| self.variants(rules)).unwrap_or_default();
        let mut words: Vec<String> = Vec::new();
        if !choices.is_empty() {
            let quoted: Vec<String> = choices.iter().map(|choice| format!("`{choice}`")).collect();
            words.push(quoted.join(", "));
        }
        let others = variants.iter().filter(|variant| !kinds(variant).contains(&"string") || choices.is_empty());
        for variant in others {
            words.push(self.described(variant));
        }
        if !words.is_empty() {
            words.dedup();
            return words.join(" or ");
        }
        let kinds: Vec<&str> = kinds(schema).into_iter().filter(|kind| *kind != "null").collect();
        match kinds.as_slice() {
            ["string"] => "text".to_owned(),
            ["integer"] => "a whole number".to_owned(),
            ["number"] => "a number".to_owned(),
            ["boolean"] => "true or false".to_owned(),
            ["array"] => match schema.get("items").map(|items| self.target(items)) {
                // An element that may be a list again would be described for ever; one that may be anything says nothing.
                Some(items) if !kinds_below(items).contains(&"array") && !kinds_below(items).is_empty() => {
                    format!("a list of {}", self.described(items))
                }
                _ => "a list".to_owned(),
            },
            ["object"] => match keys_of(schema).as_slice() {
                [only] => format!("a table with the key `{only}`"),
                _ => "a table".to_owned(),
            },
            _ => "a value".to_owned(),
        }
    }

    fn report(&mut self, place: usize, message: impl Into<String>) {
        self.findings.push(self.document.finding(place, message));
    }
}

/// The kinds of values a schema allows; empty when it allows all.
fn kinds(schema: &Json) -> Vec<&str> {
    match schema.get("type") {
        Some(Json::String(kind)) => vec![kind],
        Some(kinds @ Json::Array(_)) => texts(kinds),
        _ if schema.get("const").is_some() || schema.get("enum").is_some() => vec!["string"],
        _ => Vec::new(),
    }
}

fn kinds_below(schema: &Json) -> Vec<&str> {
    let list = schema.get("anyOf").and_then(Json::as_array);
    list.into_iter().flatten().flat_map(kinds).chain(kinds(schema)).collect()
}

fn keys_of(schema: &Json) -> Vec<&str> {
    schema
        .get("properties")
        .and_then(Json::as_object)
        .map(|keys| keys.keys().map(String::as_str).collect())
        .unwrap_or_default()
}

fn texts(list: &Json) -> Vec<&str> {
    list.as_array().map(|items| items.iter().filter_map(Json::as_str).collect()).unwrap_or_default()
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

fn one_of(choices: &[&str]) -> String {
    let quoted: Vec<String> = choices.iter().map(|choice| format!("`{choice}`")).collect();
    match quoted.as_slice() {
        [] => "no key is expected here".to_owned(),
        [only] => format!("expected {only}"),
        several => format!("expected one of {}", several.join(", ")),
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
        let findings = read::<T>(&mut document).err().unwrap_or_default();
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
                "1:1: missing key `from`, text",
            ]
        );
    }

    #[test]
    fn choices_between_words_and_tables_are_read() {
        let mut document = Document::toml("t", "from = \"bronze.x\"\n[write]\nunique_key = [\"a\"]\n".into()).unwrap();
        let spec: SilverSpec = read(&mut document).unwrap();
        assert_eq!(spec.write, WriteSpec::UniqueKey(vec!["a".into()]));
        let found = messages::<SilverSpec>("from = \"bronze.x\"\n[write]\nunique_keys = [\"a\"]\n");
        assert!(found[0].starts_with("3:1: unknown key `unique_keys`; nearest is `unique_key`"), "{found:?}");
        let found = messages::<SilverSpec>("from = \"bronze.x\"\nwrite = 3\n");
        assert!(found[0].contains("found a number") && found[0].contains("`append`"), "{found:?}");
        let found = messages::<SilverSpec>("from = \"bronze.x\"\nwrite = { merge = { keys = [\"a\"] } }\n");
        assert_eq!(found, ["2:19: missing key `sequence_by`, text"]);
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
        let found: Vec<String> =
            read::<WorkflowSpec>(&mut document).unwrap_err().iter().map(ToString::to_string).collect();
        assert_eq!(
            found,
            [
                "w.json:2:14: expected text, found a number",
                "w.json:2:17: unknown key `max_retrys`; nearest is `max_retries`"
            ]
        );
    }
}
