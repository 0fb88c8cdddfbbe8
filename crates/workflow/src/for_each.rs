//! A task that is run once for each item of a list.
//!
//! Every item is tried, whatever became of the others; the loop fails when one did. Items that succeeded, in an earlier
//! attempt or before a repair, are not run again as long as they are the same.

use futures::stream::{self, StreamExt as _};
use serde_json::Value;
use stage::{Context, Error, Progress, Result};
use tokio::time::Instant;

use crate::action::Output;
use crate::attempt::{Trial, kind_above, lock, rank};
use crate::definition::Body;
use crate::event::Event;
use crate::outcome::TaskOutcome;
use crate::runner::values;
use crate::shared::Shared;
use crate::state::ResultState;
use crate::task::run_task;

/// The most items of one list.
const MOST_ITEMS: usize = 5_000;

/// Runs the items. What they did is in `output` even after an error.
///
/// # Errors
/// [`stage::Kind::Config`] when the inputs are no list; else of the kind of the worst item, with how many failed.
pub(crate) async fn items(
    trial: &Trial<'_>,
    context: &Context,
    deadline: Option<Instant>,
    output: &mut Output,
) -> Result<()> {
    let Body::ForEach { inputs, concurrency, task } = trial.task.body() else {
        return Err(Error::bug("a task without items was run as a loop"));
    };
    let items = list(&trial.fill(inputs)?)?;
    let key = trial.execution.task_key.as_str();
    let shared = &Shared { context, deadline, ..*trial.shared };
    shared.tell(Event::ItemsCounted { task_key: key.to_owned(), items: items.len() });
    let run = |(index, item): (usize, Value)| async move {
        let item_key = format!("{key}[{index}]");
        if let Some(outcome) = succeeded_before(trial, index, &item_key, &item) {
            return outcome;
        }
        let outcome = run_task(task, &item_key, trial.execution.position, Some(&item), shared).await;
        if outcome.state.is_success() {
            lock(&trial.memory.items).insert(index, (item.clone(), outcome.kept()));
        }
        outcome
    };
    let count = items.len();
    let outcomes: Vec<TaskOutcome> = Box::pin(
        stream::iter(items.into_iter().enumerate()).map(run).buffer_unordered(*concurrency).collect::<Vec<_>>(),
    )
    .await;
    summed(outcomes, count, output)
}

fn list(text: &str) -> Result<Vec<Value>> {
    let items: Vec<Value> = serde_json::from_str(text).map_err(|error| {
        let start: String = text.chars().take(80).collect();
        Error::config(format!("the inputs of a for_each_task are no JSON array: `{start}`")).with_source(error)
    })?;
    match items.len() {
        0..=MOST_ITEMS => Ok(items),
        count => Err(Error::config(format!("a for_each_task takes at most {MOST_ITEMS} items, found {count}"))),
    }
}

/// How an item ended before, if it succeeded and was the same.
fn succeeded_before(trial: &Trial<'_>, index: usize, key: &str, item: &Value) -> Option<TaskOutcome> {
    let is_same = |(input, outcome): &(Value, TaskOutcome)| (input == item).then(|| outcome.kept());
    let in_earlier_attempt = lock(&trial.memory.items).get(&index).and_then(is_same);
    in_earlier_attempt.or_else(|| trial.shared.facts.items.get(key).and_then(is_same))
}

fn summed(outcomes: Vec<TaskOutcome>, count: usize, output: &mut Output) -> Result<()> {
    let mut progress = Progress::default();
    outcomes.iter().for_each(|outcome| progress.add(&outcome.output.progress));
    let failed = outcomes.iter().filter(|outcome| !outcome.state.is_success()).count();
    *output = Output { values: values([("items", count.into()), ("failed", failed.into())]), rows: None, progress };
    let keys: Vec<&str> = outcomes
        .iter()
        .filter(|outcome| !outcome.state.is_success())
        .map(|outcome| outcome.task_key.as_str())
        .collect();
    let first_keys = keys.iter().take(3).copied().collect::<Vec<_>>().join(", ");
    let errors = outcomes.iter().filter_map(|outcome| Some((outcome.error.as_ref()?, outcome.state)));
    let weight = |(error, state): (&Error, ResultState)| (rank(error), state == ResultState::TimedOut);
    let Some(worst) = errors.reduce(|first, other| if weight(other) > weight(first) { other } else { first }) else {
        return Ok(());
    };
    let message =
        format!("{failed} of {count} items did not succeed ({first_keys}{})", if failed > 3 { ", .." } else { "" });
    Err(Error::new(kind_above(worst.0, worst.1), format!("{message}: {}", worst.0.chain())))
}
