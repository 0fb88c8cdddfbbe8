//! Which tasks of a workflow a run is for.

use std::collections::BTreeSet;

use stage::{Error, Result};

use crate::definition::Workflow;

/// Which tasks of a workflow a run is for. What is left out ends as `EXCLUDED` and is taken as done; the order between
/// the selected tasks stays, through excluded ones too.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Selection {
    /// Every task.
    #[default]
    All,
    /// Just these tasks.
    Only(Vec<String>),
    /// These tasks and everything downstream of them.
    From(Vec<String>),
}

impl Selection {
    /// The indices of the selected tasks.
    ///
    /// # Errors
    /// [`stage::Kind::Config`] when a name is not that of a task, or when nothing is selected.
    pub fn resolve(&self, workflow: &Workflow) -> Result<BTreeSet<usize>> {
        let named = |keys: &[String]| keys.iter().map(|key| workflow.index_of(key)).collect::<Result<Vec<usize>>>();
        let selected = match self {
            Selection::All => (0..workflow.tasks().len()).collect(),
            Selection::Only(keys) => named(keys)?.into_iter().collect(),
            Selection::From(keys) => workflow.dag().downstream(named(keys)?),
        };
        if selected.is_empty() {
            let message = format!("no task of workflow `{}` is selected; name at least one", workflow.name());
            return Err(Error::config(message));
        }
        Ok(selected)
    }
}
