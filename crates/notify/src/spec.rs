//! How users write `[notifications]` in `medallion.toml`.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::template::Template;

/// `[notifications]`: how people and programs outside are told what became of a run. Whom to tell of what stands in the
/// workflows.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct NotificationsSpec {
    /// The server that mail goes through.
    pub mail: Option<MailSpec>,
    /// Webhooks, by the id that workflows name.
    pub webhooks: BTreeMap<String, WebhookSpec>,
}

/// `[notifications.mail]`: the server that mail goes through.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MailSpec {
    /// The server.
    pub host: String,
    /// Its port; 587 with `starttls`, 465 with `implicit` and 25 with `none` when it is left out.
    #[serde(default)]
    pub port: Option<u16>,
    /// How the connection is encrypted.
    #[serde(default)]
    pub tls: TlsMode,
    /// Who the mail is from, such as `ops@example.com` or `Medallion <ops@example.com>`.
    pub from: String,
    /// The user to log in as; no login when it is left out.
    #[serde(default)]
    pub username: Option<String>,
    /// The password of the user, as `${secret.scope.key}`.
    #[serde(default)]
    pub password: Option<Template>,
    /// A file in PEM with certificates to trust besides those of the system.
    #[serde(default)]
    pub ca_file: Option<String>,
}

/// How a connection to a mail server is encrypted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum TlsMode {
    /// Plain at first, then encrypted before anything is told; a server that cannot is refused.
    #[default]
    Starttls,
    /// Encrypted from the first byte.
    Implicit,
    /// Not at all.
    None,
}

/// `[notifications.webhooks.<id>]`: an address that takes notices by HTTP POST.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WebhookSpec {
    /// What it takes.
    pub kind: WebhookKind,
    /// The address. Those of Slack and Teams let anyone write who knows them: keep them as `${secret.scope.key}`.
    pub url: Template,
    /// Headers to send with each notice; values may be `${secret.scope.key}`.
    #[serde(default)]
    pub headers: BTreeMap<String, Template>,
    /// A file in PEM with certificates to trust besides those of the system.
    #[serde(default)]
    pub ca_file: Option<String>,
}

/// What a webhook takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum WebhookKind {
    /// All that is known, as JSON with fields that stay.
    Generic,
    /// A message of Slack's incoming webhooks.
    Slack,
    /// An Adaptive Card, for a Teams workflow that posts what a webhook receives.
    Teams,
}

impl NotificationsSpec {
    /// The paths of files, so that the project can make them absolute.
    pub fn paths_mut(&mut self) -> impl Iterator<Item = &mut String> {
        let of_mail = self.mail.iter_mut().filter_map(|mail| mail.ca_file.as_mut());
        of_mail.chain(self.webhooks.values_mut().filter_map(|webhook| webhook.ca_file.as_mut()))
    }
}

impl MailSpec {
    /// The port, or the usual one of its way to encrypt.
    pub(crate) fn port(&self) -> u16 {
        let usual = match self.tls {
            TlsMode::Starttls => 587,
            TlsMode::Implicit => 465,
            TlsMode::None => 25,
        };
        self.port.unwrap_or(usual)
    }
}
