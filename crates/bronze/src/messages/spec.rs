//! How users write what is the same for every source of messages.

use frame::TimeSpan;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How messages are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum MessageFormat {
    /// A JSON object.
    Json,
    /// Avro behind the identity of its schema in a registry.
    Avro,
    /// Protocol Buffers behind the identity of their schema in a registry.
    Protobuf,
    /// Text, which becomes the column `value`.
    String,
    /// Bytes, which become the column `value`.
    Bytes,
}

impl MessageFormat {
    /// Whether a message is one value, the column `value`.
    pub fn is_single_value(self) -> bool {
        matches!(self, MessageFormat::String | MessageFormat::Bytes)
    }

    /// Whether messages name their schema in a registry.
    pub fn needs_registry(self) -> bool {
        matches!(self, MessageFormat::Avro | MessageFormat::Protobuf)
    }
}

/// What happens when messages are gone that were not read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnDataLoss {
    /// The table is not brought forward until someone decides.
    #[default]
    Fail,
    /// A warning is logged, and reading goes on at the nearest message there is.
    Continue,
}

/// `schema_registry` of a source: a registry that speaks Confluent's protocol.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RegistrySpec {
    /// Its address, such as `https://registry:8081`.
    pub url: String,
    /// The user, where one is asked for.
    #[serde(default)]
    pub user: Option<String>,
    /// The user's password, as `${secret.scope.key}`.
    #[serde(default)]
    #[schemars(extend("x-may-be-secret" = true))]
    pub password: Option<String>,
    /// The certificate in PEM that the server's is signed with, where the system does not know it.
    #[serde(default)]
    pub ca: Option<String>,
}

/// How long a stream waits after the first new message before it commits.
pub(crate) fn default_trigger() -> TimeSpan {
    TimeSpan::milliseconds(200)
}

/// The most messages in one commit.
pub(crate) fn default_max_rows() -> u64 {
    1_000_000
}

/// The most bytes of messages in one commit.
pub(crate) fn default_max_bytes() -> u64 {
    512 << 20
}
