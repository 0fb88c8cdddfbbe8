//! As much of JSON Schema as the description of the interface uses. A word that is not known here fails.

use serde_json::Value;

/// What does not fit, each with its place.
pub(super) fn misfits(document: &Value, schema: &Value, value: &Value, at: &str) -> Vec<String> {
    let schema = match schema.get("$ref").and_then(Value::as_str) {
        Some(reference) => {
            document.pointer(reference.trim_start_matches('#')).unwrap_or_else(|| panic!("no {reference}"))
        }
        None => schema,
    };
    let mut found = Vec::new();
    for (word, rule) in schema.as_object().unwrap() {
        let fits = match word.as_str() {
            "description" | "properties" | "minimum" | "maximum" | "default" => true,
            "type" => types(rule).any(|name| is_a(value, name)),
            "enum" => rule.as_array().unwrap().contains(value),
            "format" => value.as_str().is_none_or(|time| chrono::DateTime::parse_from_rfc3339(time).is_ok()),
            "anyOf" => rule.as_array().unwrap().iter().any(|one| misfits(document, one, value, at).is_empty()),
            "required" => rule.as_array().unwrap().iter().all(|name| value.get(name.as_str().unwrap()).is_some()),
            "items" => {
                for (index, item) in value.as_array().into_iter().flatten().enumerate() {
                    found.extend(misfits(document, rule, item, &format!("{at}/{index}")));
                }
                true
            }
            "additionalProperties" => {
                for (name, item) in value.as_object().into_iter().flatten() {
                    let at = format!("{at}/{name}");
                    match (schema.pointer(&format!("/properties/{name}")), rule) {
                        (Some(known), _) => found.extend(misfits(document, known, item, &at)),
                        (None, Value::Bool(false)) => found.push(format!("{at} is not described")),
                        (None, rule) => found.extend(misfits(document, rule, item, &at)),
                    }
                }
                true
            }
            other => panic!("`{other}` is not known here"),
        };
        if !fits {
            found.push(format!("{at}: {value} does not fit {word} {rule}"));
        }
    }
    found
}

fn types(rule: &Value) -> impl Iterator<Item = &str> {
    rule.as_str().into_iter().chain(rule.as_array().into_iter().flatten().filter_map(Value::as_str))
}

fn is_a(value: &Value, name: &str) -> bool {
    match name {
        "string" => value.is_string(),
        "integer" => value.is_i64() || value.is_u64(),
        "boolean" => value.is_boolean(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        "null" => value.is_null(),
        other => panic!("`{other}` is not known here"),
    }
}
