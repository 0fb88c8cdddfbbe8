//! Which tasks of a run have ended, and which of the others may start.

use std::collections::{BTreeMap, BTreeSet};

use crate::definition::Workflow;
use crate::outcome::TaskOutcome;
use crate::run_if::Ended;
use crate::state::ResultState;

/// What becomes of a task whose turn has come.
#[derive(Debug)]
pub(crate) enum Turn {
    /// It starts.
    Run(usize),
    /// It was not asked for.
    Leave(usize),
    /// It ends without having started.
    Skip(usize, ResultState),
    /// It ended in an earlier try, and that stands.
    Keep(usize, Box<TaskOutcome>),
}

/// The tasks of a run.
pub(crate) struct Board<'a> {
    workflow: &'a Workflow,
    selected: &'a BTreeSet<usize>,
    kept: BTreeMap<usize, TaskOutcome>,
    outcomes: Vec<Option<TaskOutcome>>,
    /// How many dependencies of each task have not ended.
    missing: Vec<usize>,
    /// How the tasks before each one ended. One that was not selected hands on those before it.
    before: Vec<Vec<Ended>>,
    /// Tasks without missing dependencies that were not looked at yet.
    open: Vec<usize>,
}

impl<'a> Board<'a> {
    pub(crate) fn new(
        workflow: &'a Workflow,
        selected: &'a BTreeSet<usize>,
        kept: BTreeMap<usize, TaskOutcome>,
    ) -> Self {
        let count = workflow.tasks().len();
        let missing: Vec<usize> = (0..count).map(|index| workflow.dag().dependencies(index).len()).collect();
        let open = (0..count).rev().filter(|index| missing[*index] == 0).collect();
        let outcomes = (0..count).map(|_| None).collect();
        Board { workflow, selected, kept, outcomes, missing, before: vec![Vec::new(); count], open }
    }

    /// The tasks whose turn has come, in the order of the workflow.
    pub(crate) fn turns(&mut self) -> Vec<Turn> {
        let mut open = std::mem::take(&mut self.open);
        open.sort_unstable();
        open.into_iter().map(|index| self.turn(index)).collect()
    }

    fn turn(&mut self, index: usize) -> Turn {
        let task = &self.workflow.tasks()[index];
        if !self.selected.contains(&index) {
            return Turn::Leave(index);
        }
        if let Some(outcome) = self.kept.remove(&index) {
            return Turn::Keep(index, Box::new(outcome));
        }
        if task.is_disabled() {
            return Turn::Skip(index, ResultState::Disabled);
        }
        match task.run_if().refuses(&self.before[index]) {
            Some(state) => Turn::Skip(index, state),
            None => Turn::Run(index),
        }
    }

    /// Notes how a task ended.
    pub(crate) fn end(&mut self, index: usize, outcome: TaskOutcome) {
        let passed_on = (!self.selected.contains(&index)).then(|| self.before[index].clone());
        for dependent in self.workflow.dag().dependents(index) {
            let ended = match (&passed_on, self.workflow.tasks()[*dependent].outcome_of(index)) {
                (Some(_), _) => Vec::new(),
                // Whoever waits for the other outcome was not chosen.
                (None, Some(wanted)) if outcome.state.is_success() && outcome.condition() != Some(wanted) => {
                    vec![Ended::NotChosen]
                }
                (None, _) => vec![Ended::from(outcome.state)],
            };
            for ended in passed_on.iter().flatten().copied().chain(ended) {
                if !self.before[*dependent].contains(&ended) {
                    self.before[*dependent].push(ended);
                }
            }
            self.missing[*dependent] -= 1;
            if self.missing[*dependent] == 0 {
                self.open.push(*dependent);
            }
        }
        self.outcomes[index] = Some(outcome);
    }

    /// How all tasks ended.
    pub(crate) fn into_outcomes(self) -> Vec<TaskOutcome> {
        self.outcomes.into_iter().flatten().collect()
    }
}
