//! A task that runs another workflow and waits for it.

use std::collections::BTreeMap;

use stage::{Context, Error, Kind, Result};

use crate::action::Output;
use crate::attempt::{Trial, kind_above, rank};
use crate::cause::{Cause, CauseKind};
use crate::check::MOST_LEVELS;
use crate::event::Event;
use crate::outcome::RunOutcome;
use crate::reference::Template;
use crate::request::Request;
use crate::runner::{Surroundings, run_nested, values};
use crate::state::ResultState;

/// Runs the workflow. Its number and its state are published, whatever becomes of it.
///
/// # Errors
/// [`stage::Kind::Config`] when it cannot be begun; else of the kind of what made it fail.
pub(crate) async fn run_job(
    trial: &Trial<'_>,
    context: &Context,
    name: &str,
    parameters: &BTreeMap<String, Template>,
    output: &mut Output,
) -> Result<()> {
    let shared = trial.shared;
    let above = &shared.facts.above;
    if above.len() >= MOST_LEVELS {
        let way = above.join(" -> ");
        return Err(Error::config(format!("at most {MOST_LEVELS} workflows may be nested, found {way} -> {name}")));
    }
    let workflow = shared.surroundings.workshop.workflow(name)?;
    let filled = parameters.iter().map(|(name, text)| Ok((name.clone(), trial.fill(text)?)));
    let context = Context { parameters: filled.collect::<Result<_>>()?, ..context.clone() };
    let request = Request { cause: Cause::new(CauseKind::RunJob), ..Request::default() };
    let key = trial.execution.task_key.clone();
    // Its beginning and end are those of this task.
    let tell = |event: Event| event.below(&key).into_iter().for_each(shared.surroundings.events);
    let surroundings = Surroundings { events: &tell, ..*shared.surroundings };
    let parent = Some(shared.facts.number);
    let outcome = Box::pin(run_nested(&context, &workflow, &request, above, parent, &surroundings)).await?;
    trial.log.line(&format!("run {} of workflow {name} ended as {}", outcome.number, outcome.state));
    let published = [("run_id", outcome.number.into()), ("result_state", outcome.state.name().into())];
    *output = Output { values: values(published), rows: None, progress: outcome.progress.clone() };
    failure(&outcome, name)
}

/// The error that the end of a run means for the task that waited for it.
fn failure(outcome: &RunOutcome, name: &str) -> Result<()> {
    let number = outcome.number;
    let errors = outcome.tasks.iter().filter_map(|task| task.error.as_ref());
    match outcome.state {
        state if state.is_success() => Ok(()),
        ResultState::Canceled => Err(Error::stopped(format!("run {number} of workflow `{name}` was stopped"))),
        state => {
            let worst = errors.reduce(|first, other| if rank(other) > rank(first) { other } else { first });
            let kind = worst.map_or(Kind::Data, |error| kind_above(error, state));
            let why = worst.map(|error| format!(": {}", error.chain())).unwrap_or_default();
            Err(Error::new(kind, format!("run {number} of workflow `{name}` ended as {state}{why}")))
        }
    }
}
