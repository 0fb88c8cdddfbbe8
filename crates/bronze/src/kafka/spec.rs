//! How users write a Kafka source.

use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use stage::{Result, Secret};

use super::kind::KIND;
use crate::messages::spec::{
    MessageFormat, OnDataLoss, RegistrySpec, default_max_bytes, default_max_rows, default_trigger,
};
use frame::TimeSpan;

/// `[source.kafka]`: topics of Kafka, read exactly once.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct KafkaSpec {
    /// Where the cluster is reached: `host:port`, several separated by commas.
    pub brokers: String,
    /// The topics.
    #[serde(default)]
    pub topics: Vec<String>,
    /// A regular expression that the whole name of a topic fits, in place of `topics`. Topics made later are found.
    #[serde(default)]
    pub pattern: Option<String>,
    /// How messages are written.
    pub format: MessageFormat,
    /// Where a topic is begun that the table holds nothing of: `earliest`, `latest`, or a time such as
    /// `2026-01-31T08:00:00Z`.
    #[serde(default = "default_start")]
    pub start: String,
    /// What happens when messages are gone that were not read.
    #[serde(default)]
    pub on_data_loss: OnDataLoss,
    /// How long a stream waits after the first new message before it commits, such as `200ms` or `5s`.
    #[serde(default = "default_trigger")]
    pub trigger: TimeSpan,
    /// The most messages in one commit.
    #[serde(default = "default_max_rows")]
    pub max_rows: u64,
    /// The most bytes of messages in one commit. A larger message is a commit of its own.
    #[serde(default = "default_max_bytes")]
    pub max_bytes: u64,
    /// Settings that a service needs which speaks the protocol of Kafka.
    #[serde(default)]
    pub preset: Option<Preset>,
    /// Where the schemas of avro and protobuf messages are kept.
    #[serde(default)]
    pub schema_registry: Option<RegistrySpec>,
    /// How the connection is secured.
    #[serde(default)]
    pub security: SecuritySpec,
    /// Any other property of librdkafka, such as `"fetch.message.max.bytes" = 10000000`.
    #[serde(default)]
    pub options: IndexMap<String, OptionValue>,
}

/// Settings for a service that speaks the protocol of Kafka.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Preset {
    /// Azure Event Hubs: SASL_SSL with the connection string as the password, and its time-outs.
    EventHubs,
}

/// How brokers are spoken to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Protocol {
    /// Without encryption or login.
    Plaintext,
    /// With TLS; `certificate` and `key` make it mutual.
    Ssl,
    /// With a login but without encryption.
    SaslPlaintext,
    /// With a login over TLS.
    SaslSsl,
}

/// How a login is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Mechanism {
    /// User and password as they are.
    Plain,
    /// A proof of the password with SHA-256.
    ScramSha256,
    /// A proof of the password with SHA-512.
    ScramSha512,
    /// A token.
    Oauthbearer,
}

/// `[source.kafka.security]`: how the connection is secured. Secrets are written as `${secret.scope.key}`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct SecuritySpec {
    /// How brokers are spoken to; plaintext when it is left out.
    pub protocol: Option<Protocol>,
    /// How a login is made.
    pub mechanism: Option<Mechanism>,
    /// The user.
    pub username: Option<String>,
    /// The user's password.
    #[schemars(extend("x-may-be-secret" = true))]
    pub password: Option<String>,
    /// A file in PEM with the certificates that the brokers' are signed with.
    pub ca: Option<String>,
    /// A file in PEM with our certificate, for mutual TLS.
    pub certificate: Option<String>,
    /// A file in PEM with the key of our certificate.
    pub key: Option<String>,
    /// The password of the key's file.
    #[schemars(extend("x-may-be-secret" = true))]
    pub key_password: Option<String>,
    /// What `oauthbearer` logs in with.
    pub oauth: Option<OauthSpec>,
}

/// `[source.kafka.security.oauth]`: a token, or where one is asked for with client credentials.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct OauthSpec {
    /// A token that is used as it is, for as long as it is valid.
    #[schemars(extend("x-may-be-secret" = true))]
    pub token: Option<String>,
    /// Where tokens are asked for.
    pub token_url: Option<String>,
    /// The client that asks.
    pub client_id: Option<String>,
    /// The client's secret.
    #[schemars(extend("x-may-be-secret" = true))]
    pub client_secret: Option<String>,
    /// What the token is for.
    pub scope: Option<String>,
}

/// The value of a property.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(untagged)]
pub enum OptionValue {
    /// A text.
    Text(String),
    /// A whole number.
    Whole(i64),
    /// A number.
    Number(f64),
    /// Yes or no.
    Boolean(bool),
}

impl std::fmt::Display for OptionValue {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            OptionValue::Text(text) => formatter.write_str(text),
            OptionValue::Whole(number) => write!(formatter, "{number}"),
            OptionValue::Number(number) => write!(formatter, "{number}"),
            OptionValue::Boolean(boolean) => write!(formatter, "{boolean}"),
        }
    }
}

/// The secrets of a source, once they were read. They never show themselves.
#[derive(Debug, Clone, Default)]
pub struct KafkaSecrets {
    /// The user's password.
    pub password: Option<Secret>,
    /// The password of the key's file.
    pub key_password: Option<Secret>,
    /// The token of OAUTHBEARER.
    pub token: Option<Secret>,
    /// The secret of the client that asks for tokens.
    pub client_secret: Option<Secret>,
    /// The password of the schema registry's user.
    pub registry_password: Option<Secret>,
}

impl KafkaSecrets {
    /// Reads the secrets that `spec` refers to. `read` turns a text with references into what it stands for.
    ///
    /// # Errors
    /// When a secret cannot be had.
    pub fn read(spec: &KafkaSpec, read: impl Fn(&str) -> Result<Secret>) -> Result<KafkaSecrets> {
        let secret = |text: Option<&String>| text.map(|text| read(text)).transpose();
        let oauth = spec.security.oauth.as_ref();
        let registry = spec.schema_registry.as_ref();
        Ok(KafkaSecrets {
            password: secret(spec.security.password.as_ref())?,
            key_password: secret(spec.security.key_password.as_ref())?,
            token: secret(oauth.and_then(|oauth| oauth.token.as_ref()))?,
            client_secret: secret(oauth.and_then(|oauth| oauth.client_secret.as_ref()))?,
            registry_password: secret(registry.and_then(|registry| registry.password.as_ref()))?,
        })
    }
}

impl KafkaSpec {
    /// The texts that may only be references to secrets, by their place below `source/kafka`.
    pub(crate) fn secret_texts(&self) -> Vec<(&'static str, &str)> {
        let oauth = self.security.oauth.as_ref();
        let registry = self.schema_registry.as_ref();
        let texts = [
            ("security/password", self.security.password.as_ref()),
            ("security/key_password", self.security.key_password.as_ref()),
            ("security/oauth/token", oauth.and_then(|oauth| oauth.token.as_ref())),
            ("security/oauth/client_secret", oauth.and_then(|oauth| oauth.client_secret.as_ref())),
            ("schema_registry/password", registry.and_then(|registry| registry.password.as_ref())),
        ];
        texts.into_iter().filter_map(|(at, text)| Some((at, text?.as_str()))).collect()
    }

    /// The paths of files, so that the project can make them absolute.
    pub fn paths_mut(&mut self) -> Vec<&mut String> {
        let security = &mut self.security;
        let of_security = [&mut security.ca, &mut security.certificate, &mut security.key].into_iter().flatten();
        let of_registry = self.schema_registry.iter_mut().filter_map(|registry| registry.ca.as_mut());
        of_security.chain(of_registry).collect()
    }

    /// Which topics are read, for people.
    pub(crate) fn topics_in_words(&self) -> String {
        match &self.pattern {
            Some(pattern) => format!("the topics like `{pattern}`"),
            None => self.topics.join(", "),
        }
    }
}

fn default_start() -> String {
    KIND.oldest.to_owned()
}
