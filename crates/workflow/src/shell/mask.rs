//! Keeps secrets out of what a program prints.

use serde_json::Value;
use stage::Secret;

const MASK: &str = "***";

/// The texts that are never shown.
pub(super) struct Mask {
    /// The longest first, since one may hold another.
    secrets: Vec<String>,
}

impl Mask {
    /// Hides each secret, and each line of one with several.
    pub(super) fn new(secrets: &[Secret]) -> Mask {
        let whole = secrets.iter().map(|secret| secret.expose().trim());
        let lines = secrets.iter().flat_map(|secret| secret.expose().lines().map(str::trim));
        let mut secrets: Vec<String> = whole.chain(lines).filter(|text| !text.is_empty()).map(str::to_owned).collect();
        secrets.sort_unstable_by(|one, other| other.len().cmp(&one.len()).then(one.cmp(other)));
        secrets.dedup();
        Mask { secrets }
    }

    /// The bytes of the longest secret.
    pub(super) fn longest(&self) -> usize {
        self.secrets.first().map_or(0, String::len)
    }

    /// The text with `***` for every secret.
    pub(super) fn masked(&self, text: &str) -> String {
        let mut masked = text.to_owned();
        for secret in &self.secrets {
            if masked.contains(secret.as_str()) {
                masked = masked.replace(secret.as_str(), MASK);
            }
        }
        masked
    }

    /// The same for every text in a value, which JSON may have written otherwise.
    pub(super) fn masked_value(&self, value: Value) -> Value {
        match value {
            Value::String(text) => Value::String(self.masked(&text)),
            Value::Array(items) => items.into_iter().map(|item| self.masked_value(item)).collect(),
            Value::Object(fields) => Value::Object(
                fields.into_iter().map(|(name, value)| (self.masked(&name), self.masked_value(value))).collect(),
            ),
            other => other,
        }
    }
}
