//! Workflows and runs as drawings: SVG of [`workflow::pictures`].

use chrono::{DateTime, Utc};
use workflow::Workflow;
use workflow::drawing::svg;
use workflow::history::RunDetails;
use workflow::pictures::{self, RUNNING, WAITING_FOR_RETRY};

/// The tasks of a workflow, as SVG.
pub(crate) fn of_workflow(workflow: &Workflow) -> String {
    svg(&pictures::of_workflow(workflow))
}

/// The tasks of a run and where they stand, as SVG. Outcomes that conditions must have are those of the workflow as it is
/// now.
pub(crate) fn of_run(details: &RunDetails, workflow: Option<&Workflow>, now: DateTime<Utc>) -> String {
    let mut picture = pictures::of_run(details, now);
    picture.title = format!("run {} of {}", details.run.number, details.run.workflow);
    for node in &mut picture.nodes {
        // A task that goes on would show a time that stands still.
        if let (Some(RUNNING | WAITING_FOR_RETRY), Some(time)) = (node.state.as_deref(), node.detail.first_mut()) {
            time.clear();
        }
    }
    for edge in &mut picture.edges {
        edge.label = outcome(workflow, &edge.from, &edge.to);
    }
    svg(&picture)
}

fn outcome(workflow: Option<&Workflow>, before: &str, task: &str) -> Option<String> {
    let workflow = workflow?;
    let (before, task) = (workflow.index_of(before).ok()?, workflow.index_of(task).ok()?);
    workflow.tasks()[task].outcome_of(before).map(|outcome| outcome.to_string())
}
