//! What a JSON Schema allows at a place, and how to say it in words.
//!
//! Nothing here knows of documents: [`super::shape`] walks those and asks.

use serde_json::{Map, Value as Json};

/// A JSON Schema as a whole, in which parts refer to others.
#[derive(Clone, Copy)]
pub(crate) struct Allowed<'a> {
    definitions: Option<&'a Json>,
    whole: &'a Json,
}

impl<'a> Allowed<'a> {
    /// What the schema allows.
    pub(crate) fn new(whole: &'a Json) -> Allowed<'a> {
        Allowed { definitions: whole.get("$defs"), whole }
    }

    /// The schema that a schema refers to.
    pub(crate) fn target(&self, mut schema: &'a Json) -> &'a Json {
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
    pub(crate) fn variants(&self, rules: &'a Map<String, Json>) -> Vec<&'a Json> {
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

    /// Whether the value may be left out by writing null.
    pub(crate) fn allows_null(&self, schema: &'a Json) -> bool {
        let list = schema.get("anyOf").and_then(Json::as_array);
        list.into_iter().flatten().any(|variant| kinds(variant) == ["null"])
    }

    /// The words that may stand here, if only some may.
    pub(crate) fn choices(&self, schema: &'a Json) -> Vec<&'a str> {
        let schema = self.target(schema);
        let mut choices: Vec<&str> = schema.get("enum").map(texts).unwrap_or_default();
        choices.extend(schema.get("const").and_then(Json::as_str));
        for variant in schema.as_object().map(|rules| self.variants(rules)).unwrap_or_default() {
            choices.extend(self.choices(variant));
        }
        choices
    }

    /// What a schema expects, in words.
    pub(crate) fn described(&self, schema: &'a Json) -> String {
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
}

/// The kinds of values a schema allows; empty when it allows all.
pub(crate) fn kinds(schema: &Json) -> Vec<&str> {
    match schema.get("type") {
        Some(Json::String(kind)) => vec![kind],
        Some(kinds @ Json::Array(_)) => texts(kinds),
        _ if schema.get("const").is_some() || schema.get("enum").is_some() => vec!["string"],
        _ => Vec::new(),
    }
}

/// The kinds that a schema or one of its variants allows.
pub(crate) fn kinds_below(schema: &Json) -> Vec<&str> {
    let list = schema.get("anyOf").and_then(Json::as_array);
    list.into_iter().flatten().flat_map(kinds).chain(kinds(schema)).collect()
}

/// The keys of the tables a schema allows.
pub(crate) fn keys_of(schema: &Json) -> Vec<&str> {
    schema
        .get("properties")
        .and_then(Json::as_object)
        .map(|keys| keys.keys().map(String::as_str).collect())
        .unwrap_or_default()
}

/// The texts of a list.
pub(crate) fn texts(list: &Json) -> Vec<&str> {
    list.as_array().map(|items| items.iter().filter_map(Json::as_str).collect()).unwrap_or_default()
}

/// A choice in words.
pub(crate) fn one_of(choices: &[&str]) -> String {
    let quoted: Vec<String> = choices.iter().map(|choice| format!("`{choice}`")).collect();
    match quoted.as_slice() {
        [] => "no key is expected here".to_owned(),
        [only] => format!("expected {only}"),
        several => format!("expected one of {}", several.join(", ")),
    }
}
