//! How a notice is written for those who take it.

mod generic;
mod mail;
mod slack;
mod teams;

pub(crate) use mail::{Stamp, mail};

use serde_json::Value;

use crate::notice::Notice;
use crate::spec::WebhookKind;

/// The body that a webhook of that kind takes.
pub(crate) fn webhook(kind: WebhookKind, notice: &Notice) -> Value {
    match kind {
        WebhookKind::Generic => generic::body(notice),
        WebhookKind::Slack => slack::body(notice),
        WebhookKind::Teams => teams::body(notice),
    }
}
