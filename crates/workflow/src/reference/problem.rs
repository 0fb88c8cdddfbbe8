//! What is wrong with a reference, known without running anything.

use std::fmt;

use stage::Error;

/// A reference to something that does not exist in any run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReferenceProblem {
    /// The reference as it is written, with its braces.
    pub reference: String,
    /// What is wrong with it, and what to write instead.
    pub reason: String,
}

impl fmt::Display for ReferenceProblem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "cannot understand `{}`: {}", self.reference, self.reason)
    }
}

impl std::error::Error for ReferenceProblem {}

impl From<ReferenceProblem> for Error {
    fn from(problem: ReferenceProblem) -> Error {
        Error::config(problem.to_string())
    }
}
