//! Brings notices to where they are to go.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use stage::{Error, Result, Secret};

use crate::body;
use crate::notice::Notice;
use crate::retry::Retries;
use crate::smtp::Smtp;
use crate::spec::NotificationsSpec;
use crate::template::Expose;
use crate::webhook::Webhook;

/// Where a notice is to go.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Destination {
    /// Mail addresses; all get the same mail.
    Mail(Vec<String>),
    /// The webhook of that id.
    Webhook(String),
}

impl fmt::Display for Destination {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Destination::Mail(addresses) => write!(formatter, "{}", addresses.join(", ")),
            Destination::Webhook(id) => write!(formatter, "webhook `{id}`"),
        }
    }
}

/// Sends notices as `[notifications]` says. Clones share everything.
#[derive(Clone)]
pub struct Notifier {
    spec: Arc<NotificationsSpec>,
    expose: Arc<Expose>,
    retries: Retries,
}

impl Notifier {
    /// A notifier. Nothing is opened and no secret is read before the first notice.
    ///
    /// `expose` puts secrets into a text with references to them; it is called on a thread that may block.
    pub fn new(spec: NotificationsSpec, expose: impl Fn(&str) -> Result<Secret> + Send + Sync + 'static) -> Self {
        Notifier { spec: Arc::new(spec), expose: Arc::new(expose), retries: Retries::default() }
    }

    /// The same with other delays and limits.
    #[must_use]
    pub fn with_retries(self, retries: Retries) -> Self {
        Notifier { retries, ..self }
    }

    /// Sends a notice, and tries again while the other side does not answer.
    ///
    /// Secrets are read and certificates loaded each time, so that changed ones count.
    ///
    /// # Errors
    /// [`stage::Kind::Config`] when the destination is not in the settings, a secret or a certificate cannot be had, or
    /// the other side refused the notice or the login; [`stage::Kind::Unavailable`] when it did not answer, or not well,
    /// until the tries were used up. The message names the destination and what the server said.
    pub async fn send(&self, notice: &Notice, to: &Destination) -> Result<()> {
        match to {
            Destination::Mail(addresses) => self.mail(notice, addresses).await,
            Destination::Webhook(id) => self.post(notice, id).await,
        }
    }

    async fn mail(&self, notice: &Notice, addresses: &[String]) -> Result<()> {
        let Some(mail) = self.spec.mail.clone() else {
            return Err(Error::config("could not send mail: write [notifications.mail] in medallion.toml"));
        };
        let expose = self.expose.clone();
        let smtp = blocking(move || Smtp::new(&mail, &*expose)).await?;
        let unique: BTreeSet<&String> = addresses.iter().collect();
        smtp.deliver(notice, unique.into_iter().map(String::as_str), self.retries).await
    }

    async fn post(&self, notice: &Notice, id: &str) -> Result<()> {
        let Some(spec) = self.spec.webhooks.get(id).cloned() else {
            return Err(Error::config(format!(
                "could not notify the webhook `{id}`: write [notifications.webhooks.{id}] in medallion.toml"
            )));
        };
        let body = body::webhook(spec.kind, notice).to_string();
        let (expose, time_limit, id) = (self.expose.clone(), self.retries.time_limit, id.to_owned());
        let webhook = blocking(move || Webhook::new(&id, &spec, &*expose, time_limit)).await?;
        webhook.post(&body, self.retries).await
    }
}

/// Runs what reads files and waits for programs where that holds nobody up.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|error| Error::bug("could not prepare a notice").with_source(error))?
}
