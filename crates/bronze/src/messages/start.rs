//! Where a source of messages is begun that the table holds nothing of.

use chrono::{DateTime, Utc};
use stage::{Error, Result};

use super::kind::MessageKind;

/// Where reading begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Start {
    /// At the oldest message that is kept.
    Oldest,
    /// Behind the last message.
    Latest,
    /// At the first message that is as young as this time, in milliseconds since 1970.
    Since(i64),
}

impl Start {
    /// What `start` says; `None` when it says nothing that is known.
    pub(crate) fn parse(start: &str, kind: MessageKind) -> Option<Start> {
        match start {
            oldest if oldest == kind.oldest => Some(Start::Oldest),
            "latest" => Some(Start::Latest),
            time => time.parse::<DateTime<Utc>>().ok().map(|time| Start::Since(time.timestamp_millis())),
        }
    }

    /// What `start` says.
    ///
    /// # Errors
    /// [`stage::Kind::Config`] when it says nothing that is known, which `check` reports too.
    pub(crate) fn of(start: &str, kind: MessageKind) -> Result<Start> {
        let unknown = || Error::config(format!("[source.{}] start `{start}` is not a time", kind.source));
        Start::parse(start, kind).ok_or_else(unknown)
    }
}
