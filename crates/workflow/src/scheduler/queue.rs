//! Whose turn it is: of the runs that wait, those that there is room for are started, the oldest first.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};

use super::LONGEST_WAIT;
use crate::definition::Workflow;
use crate::history::RunRecord;
use crate::state::ResultState;

/// What is done about a run that waits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Turn {
    /// It starts.
    Start,
    /// It goes on waiting.
    Wait,
    /// It does not take place.
    Skip(ResultState, String),
}

/// The turn of each run that waits, in their order. `open` are all runs that the history has as not ended, oldest first;
/// `started` are those that were started here, with their workflows, whether they say so in the history or not.
pub(super) fn turns<'a>(
    open: &'a [RunRecord],
    started: &'a BTreeMap<i64, String>,
    workflows: &BTreeMap<String, Workflow>,
    now: DateTime<Utc>,
) -> Vec<(&'a RunRecord, Turn)> {
    let is_elsewhere = |run: &&RunRecord| run.started_at.is_some() && !started.contains_key(&run.number);
    let elsewhere = open.iter().filter(is_elsewhere).map(|run| &run.workflow);
    let mut going: BTreeMap<&str, usize> = BTreeMap::new();
    for workflow in started.values().chain(elsewhere) {
        *going.entry(workflow).or_default() += 1;
    }
    let waiting = open.iter().filter(|run| run.started_at.is_none() && !started.contains_key(&run.number));
    let turn = |run: &'a RunRecord| {
        let Some(workflow) = workflows.get(&run.workflow) else {
            let reason = format!("the workflow `{}` is no longer there", run.workflow);
            return (run, Turn::Skip(ResultState::Canceled, reason));
        };
        let going = going.entry(&run.workflow).or_default();
        let turn = turn(run, workflow, *going, now);
        *going += usize::from(turn == Turn::Start);
        (run, turn)
    };
    waiting.map(turn).collect()
}

fn turn(run: &RunRecord, workflow: &Workflow, going: usize, now: DateTime<Utc>) -> Turn {
    let skip = |reason: String| Turn::Skip(ResultState::MaximumConcurrentRunsReached, reason);
    match workflow.max_concurrent_runs() {
        0 => skip("max_concurrent_runs is 0, so that no run starts".to_owned()),
        most if going < most => Turn::Start,
        most if !workflow.queues() => {
            skip(format!("{going} runs were going, max_concurrent_runs is {most}, and the workflow does not queue"))
        }
        most if now - run.queued_at >= LONGEST_WAIT => {
            let hours = LONGEST_WAIT.num_hours();
            skip(format!("it waited {hours} hours for its turn, with {going} of {most} runs going"))
        }
        _ => Turn::Wait,
    }
}
