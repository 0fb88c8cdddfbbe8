//! Telling people and programs outside what became of a run: by mail, and by webhooks that take JSON, Slack or Teams.
//!
//! A [`Notice`] is what there is to tell, in plain words and numbers; it knows nothing of workflows. A [`Notifier`] brings
//! it to a [`Destination`] that `medallion.toml` describes ([`NotificationsSpec`]), and tries again for about a minute
//! when the other side does not answer. The one idea: every text of a notice is taken for hostile, since it may come from
//! data, so each body escapes or refuses what its format would take for more than text.
//!
//! Addresses of webhooks are secrets as passwords are. They are read when they are used, and errors name the id of a
//! webhook and its host, never more.

mod body;
mod check;
mod fault;
mod notice;
mod notifier;
mod retry;
mod smtp;
mod spec;
mod template;
mod text;
mod webhook;

#[cfg(test)]
mod tests;

pub use check::check;
pub use notice::{Event, Notice};
pub use notifier::{Destination, Notifier};
pub use retry::Retries;
pub use spec::{MailSpec, NotificationsSpec, TlsMode, WebhookKind, WebhookSpec};
pub use template::Template;
