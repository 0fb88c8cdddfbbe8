//! Who builds what tasks work with.

use stage::{Error, Result, Stage};

use crate::action::Action;
use crate::breaker::Breakers;
use crate::definition::{Work, Workflow};

/// Builds what tasks work with.
pub trait Workshop: Send + Sync {
    /// What a work stands for. It is called anew for each attempt, and must be quick: a stage opens its tables when it
    /// first advances.
    ///
    /// # Errors
    /// An error ends the attempt as one of a stage would.
    fn build(&self, work: &Work) -> Result<Built>;

    /// The workflow of that name, for tasks that run another one.
    ///
    /// # Errors
    /// [`stage::Kind::Config`] when there is none.
    fn workflow(&self, name: &str) -> Result<Workflow> {
        Err(Error::config(format!("there is no workflow `{name}` here")))
    }

    /// The circuit breakers of the sources that stages read; without them every attempt asks its source.
    fn breakers(&self) -> Option<&Breakers> {
        None
    }
}

/// What a workshop builds.
pub enum Built {
    /// Stages in waves: the waves one after another, the stages of a wave at the same time.
    Waves(Vec<Vec<Box<dyn Stage>>>),
    /// Something that runs once.
    Action(Box<dyn Action>),
}
