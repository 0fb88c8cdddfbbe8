//! How users write a Kinesis source.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use stage::{Result, Secret};

use super::kind::KIND;
use crate::messages::spec::{
    MessageFormat, OnDataLoss, RegistrySpec, default_max_bytes, default_max_rows, default_trigger,
};
use frame::TimeSpan;

/// `[source.kinesis]`: a stream of Kinesis, read exactly once.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct KinesisSpec {
    /// The name of the stream, or its ARN.
    pub stream: String,
    /// The region. That of the ARN or of `AWS_REGION` when it is left out.
    #[serde(default)]
    pub region: Option<String>,
    /// The address of a server that speaks the protocol of Kinesis, where it is not that of AWS.
    #[serde(default)]
    pub endpoint: Option<String>,
    /// How records are written.
    pub format: MessageFormat,
    /// Where a stream is begun that the table holds nothing of: `trim_horizon` (the oldest record that is kept),
    /// `latest`, or a time such as `2026-01-31T08:00:00Z`.
    #[serde(default = "default_start")]
    pub start: String,
    /// What happens when records are gone that were not read.
    #[serde(default)]
    pub on_data_loss: OnDataLoss,
    /// How long a stream waits after the first new record before it commits, such as `200ms` or `5s`.
    #[serde(default = "default_trigger")]
    pub trigger: TimeSpan,
    /// The most records in one commit.
    #[serde(default = "default_max_rows")]
    pub max_rows: u64,
    /// The most bytes of records in one commit.
    #[serde(default = "default_max_bytes")]
    pub max_bytes: u64,
    /// Where the schemas of avro and protobuf records are kept.
    #[serde(default)]
    pub schema_registry: Option<RegistrySpec>,
    /// The access key. Keys, token and all else come from where AWS puts them when they are left out.
    #[serde(default)]
    #[schemars(extend("x-may-be-secret" = true))]
    pub access_key_id: Option<String>,
    /// The secret of the access key, as `${secret.scope.key}`.
    #[serde(default)]
    #[schemars(extend("x-may-be-secret" = true))]
    pub secret_access_key: Option<String>,
    /// The token of temporary credentials, as `${secret.scope.key}`.
    #[serde(default)]
    #[schemars(extend("x-may-be-secret" = true))]
    pub session_token: Option<String>,
}

/// The secrets of a source, once they were read. They never show themselves.
#[derive(Debug, Clone, Default)]
pub struct KinesisSecrets {
    /// The access key.
    pub access_key_id: Option<Secret>,
    /// The secret of the access key.
    pub secret_access_key: Option<Secret>,
    /// The token of temporary credentials.
    pub session_token: Option<Secret>,
    /// The password of the schema registry's user.
    pub registry_password: Option<Secret>,
}

impl KinesisSecrets {
    /// Reads the secrets that `spec` refers to. `read` turns a text with references into what it stands for.
    ///
    /// # Errors
    /// When a secret cannot be had.
    pub fn read(spec: &KinesisSpec, read: impl Fn(&str) -> Result<Secret>) -> Result<KinesisSecrets> {
        let secret = |text: Option<&String>| text.map(|text| read(text)).transpose();
        let registry = spec.schema_registry.as_ref();
        Ok(KinesisSecrets {
            access_key_id: secret(spec.access_key_id.as_ref())?,
            secret_access_key: secret(spec.secret_access_key.as_ref())?,
            session_token: secret(spec.session_token.as_ref())?,
            registry_password: secret(registry.and_then(|registry| registry.password.as_ref()))?,
        })
    }
}

impl KinesisSpec {
    /// The texts that may only be references to secrets, by their place below `source/kinesis`.
    pub(crate) fn secret_texts(&self) -> Vec<(&'static str, &str)> {
        let registry = self.schema_registry.as_ref();
        let texts = [
            ("secret_access_key", self.secret_access_key.as_ref()),
            ("session_token", self.session_token.as_ref()),
            ("schema_registry/password", registry.and_then(|registry| registry.password.as_ref())),
        ];
        texts.into_iter().filter_map(|(at, text)| Some((at, text?.as_str()))).collect()
    }

    /// The paths of files, so that the project can make them absolute.
    pub fn paths_mut(&mut self) -> Vec<&mut String> {
        self.schema_registry.iter_mut().filter_map(|registry| registry.ca.as_mut()).collect()
    }
}

fn default_start() -> String {
    KIND.oldest.to_owned()
}
