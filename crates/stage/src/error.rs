//! One error type for the whole program: a kind that decides what happens next, and a message a user can act on.

use std::fmt;

/// Any error of another library.
pub type BoxError = Box<dyn std::error::Error + Send + Sync + 'static>;

/// The result of nearly everything here.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What sort of failure it was. The kind, not the text, decides retries and the exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// The user's project or command is wrong. Trying again changes nothing.
    Config,
    /// The data cannot be processed as it is.
    Data,
    /// A quality gate refused the batch; the table is as it was.
    Quality,
    /// Something outside is not there or not answering right now.
    Unavailable,
    /// Another writer was faster.
    Conflict,
    /// The run was stopped by a signal, a time-out or a cancelled parent.
    Stopped,
    /// A defect in Medallion itself.
    Bug,
}

impl Kind {
    /// Whether the same work may succeed when tried again.
    pub fn is_transient(self) -> bool {
        matches!(self, Kind::Unavailable | Kind::Conflict)
    }

    /// The exit code of a command that ends with this error.
    pub fn exit_code(self) -> u8 {
        match self {
            Kind::Config => 2,
            Kind::Quality => 3,
            Kind::Unavailable | Kind::Conflict => 75,
            Kind::Stopped => 130,
            Kind::Data | Kind::Bug => 1,
        }
    }

    /// Every kind.
    pub const ALL: [Kind; 7] =
        [Kind::Config, Kind::Data, Kind::Quality, Kind::Unavailable, Kind::Conflict, Kind::Stopped, Kind::Bug];

    /// The kind of that name.
    pub fn from_name(name: &str) -> Option<Kind> {
        Kind::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// The name used in run history and logs.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Config => "config",
            Kind::Data => "data",
            Kind::Quality => "quality",
            Kind::Unavailable => "unavailable",
            Kind::Conflict => "conflict",
            Kind::Stopped => "stopped",
            Kind::Bug => "bug",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

/// What went wrong: the kind, what was being done and to what, and the cause below it.
///
/// The message is lower case without a full stop and never repeats its source; [`Error::chain`] prints both.
#[derive(Debug)]
pub struct Error {
    kind: Kind,
    message: String,
    source: Option<BoxError>,
}

impl Error {
    /// An error of the given kind.
    pub fn new(kind: Kind, message: impl Into<String>) -> Self {
        Error { kind, message: message.into(), source: None }
    }

    /// The user's project or command is wrong.
    pub fn config(message: impl Into<String>) -> Self {
        Error::new(Kind::Config, message)
    }

    /// The data cannot be processed as it is.
    pub fn data(message: impl Into<String>) -> Self {
        Error::new(Kind::Data, message)
    }

    /// A quality gate refused the batch.
    pub fn quality(message: impl Into<String>) -> Self {
        Error::new(Kind::Quality, message)
    }

    /// Something outside is not answering.
    pub fn unavailable(message: impl Into<String>) -> Self {
        Error::new(Kind::Unavailable, message)
    }

    /// Another writer was faster.
    pub fn conflict(message: impl Into<String>) -> Self {
        Error::new(Kind::Conflict, message)
    }

    /// The work was stopped from outside.
    pub fn stopped(message: impl Into<String>) -> Self {
        Error::new(Kind::Stopped, message)
    }

    /// A defect in Medallion itself.
    pub fn bug(message: impl Into<String>) -> Self {
        Error::new(Kind::Bug, message)
    }

    /// Adds the cause below this error.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<BoxError>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// Says what was being done when `self` happened; the kind stays.
    #[must_use]
    pub fn context(self, message: impl Into<String>) -> Self {
        Error { kind: self.kind, message: message.into(), source: Some(Box::new(self)) }
    }

    /// The error of ours in a text that a library made of it, when it kept the words and dropped the error. The store that
    /// it came from names its kind: `Generic <kind> error: <message>`, to the end of the line.
    pub fn within(text: &str) -> Option<Error> {
        [Kind::Config, Kind::Data, Kind::Unavailable].into_iter().find_map(|kind| {
            let (_, told) = text.split_once(&format!("Generic {kind} error: "))?;
            Some(Error::new(kind, told.lines().next().unwrap_or(told)))
        })
    }

    /// The kind that decides retries and the exit code.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// The message alone, without its causes.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// The message and every distinct cause on one line, joined by `: `.
    pub fn chain(&self) -> String {
        let mut line = self.message.clone();
        let mut next = std::error::Error::source(self);
        while let Some(cause) = next {
            let text = without_backtrace(&cause.to_string()).replace('\n', " ");
            if !line.contains(&text) {
                line.push_str(": ");
                line.push_str(&text);
            }
            next = cause.source();
        }
        line
    }
}

/// Some libraries print the frames of a backtrace as part of an error when the environment asks for backtraces.
fn without_backtrace(text: &str) -> &str {
    text.split_once("\n   0: ").map_or(text, |(before, _)| before).trim_end()
}

impl fmt::Display for Error {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.message)
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_deref().map(|source| source as &(dyn std::error::Error + 'static))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chain_names_each_cause_once() {
        let inner = Error::unavailable("the server closed the connection");
        let outer = inner.context("could not list s3://bucket/landing");
        assert_eq!(outer.chain(), "could not list s3://bucket/landing: the server closed the connection");
        assert_eq!(outer.kind(), Kind::Unavailable);
    }

    #[test]
    fn a_backtrace_inside_a_cause_is_left_out() {
        let error = Error::data("could not open the table").with_source("bad json\n   0: some::function\n   1: other");
        assert_eq!(error.chain(), "could not open the table: bad json");
    }

    #[test]
    fn only_outside_faults_are_transient() {
        assert!(Kind::Unavailable.is_transient() && Kind::Conflict.is_transient());
        assert!(!Kind::Config.is_transient() && !Kind::Quality.is_transient() && !Kind::Bug.is_transient());
    }
}
