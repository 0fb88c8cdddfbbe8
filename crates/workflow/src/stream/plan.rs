//! Which stages a stream keeps open: those of all its tasks, each table once.

use std::collections::BTreeSet;
use std::panic::AssertUnwindSafe;

use stage::{Error, Result, Stage, TableName};

use crate::attempt::words;
use crate::definition::{Work, Workflow};
use crate::selection::Selection;
use crate::workshop::{Built, Workshop};

/// A stage and the work it came from, from which it can be built anew.
pub(super) struct Planned {
    pub(super) stage: Box<dyn Stage>,
    pub(super) work: Work,
}

/// The stages of the selected tasks in the order in which rows flow. What brings no table forward is left out, such as
/// audits, conditions and programs: it is the work of a run.
///
/// # Errors
/// [`stage::Kind::Config`] when nothing is left, or when a task asks for a full refresh: a stream that is started again
/// would rebuild its tables each time.
pub(super) fn plan(workflow: &Workflow, selection: &Selection, workshop: &dyn Workshop) -> Result<Vec<Planned>> {
    let selected = selection.resolve(workflow)?;
    let mut seen: BTreeSet<TableName> = BTreeSet::new();
    let mut planned = Vec::new();
    for level in workflow.dag().levels() {
        for task in level.into_iter().filter(|task| selected.contains(task)).map(|task| &workflow.tasks()[task]) {
            let Some(work) = task.body().work().filter(|work| work.is_streamed()) else { continue };
            if work.rebuilds_any() {
                return Err(Error::config(format!(
                    "task `{}` asks for a full refresh, which a stream does not do; leave out `full_refresh`, and use \
                     `medallion run` to rebuild tables",
                    task.key()
                )));
            }
            let stages = build(workshop, work)?.into_iter().filter(|stage| seen.insert(stage.table().clone()));
            planned.extend(stages.map(|stage| Planned { stage, work: work.clone() }));
        }
    }
    if planned.is_empty() {
        return Err(Error::config(format!("`{}` has no table that can be streamed", workflow.name())));
    }
    Ok(planned)
}

/// The stage of one table, built anew.
///
/// # Errors
/// As the workshop; [`stage::Kind::Bug`] when the body no longer has that table.
pub(super) fn rebuild(workshop: &dyn Workshop, work: &Work, table: &TableName) -> Result<Box<dyn Stage>> {
    let found = build(workshop, work)?.into_iter().find(|stage| stage.table() == table);
    found.ok_or_else(|| Error::bug(format!("the stage of {table} is no longer a part of `{work}`")))
}

fn build(workshop: &dyn Workshop, work: &Work) -> Result<Vec<Box<dyn Stage>>> {
    let built = std::panic::catch_unwind(AssertUnwindSafe(|| workshop.build(work)));
    let built = built.unwrap_or_else(|panic| {
        let words = words(&*panic);
        Err(Error::bug(format!("building the stages of `{work}` panicked: {words}")))
    })?;
    match built {
        Built::Waves(waves) => Ok(waves.into_iter().flatten().collect()),
        Built::Action(_) => Ok(Vec::new()),
    }
}
