//! Texts of a spec that may hold references to secrets.

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use stage::{Result, Secret};

/// Puts secrets into a text with references such as `${secret.scope.key}`. It may read files and wait for programs.
pub(crate) type Expose = dyn Fn(&str) -> Result<Secret> + Send + Sync;

/// A text that may refer to secrets, or be one, as the addresses of webhooks are. `Debug` does not show it.
#[derive(Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(transparent)]
pub struct Template(String);

impl Template {
    /// A text as it is written.
    pub fn new(text: impl Into<String>) -> Self {
        Template(text.into())
    }

    /// Whether it refers to a secret, so that what it stands for is not known yet.
    pub(crate) fn is_reference(&self) -> bool {
        self.0.contains("${secret.")
    }

    /// The text as it is written.
    pub(crate) fn written(&self) -> &str {
        &self.0
    }

    /// The text with secrets put in. It may block.
    pub(crate) fn exposed(&self, expose: &Expose) -> Result<Secret> {
        if self.is_reference() { expose(&self.0) } else { Ok(Secret::new(&self.0)) }
    }
}

impl fmt::Debug for Template {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("***")
    }
}

impl JsonSchema for Template {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Template".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "x-may-be-secret": true })
    }
}
