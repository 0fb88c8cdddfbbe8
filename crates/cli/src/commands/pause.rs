//! `medallion pause` and `medallion resume`: whether the schedule of a workflow starts runs.
//!
//! It is kept in the run history, where a running scheduler sees it within a second.

use ::stage::{Error, Result};
use serde_json::json;

use super::run::workflow_name;
use crate::args::{OutputFormat, PauseArguments};
use crate::output;
use crate::workbench::Workbench;

/// Pauses or resumes a workflow.
pub(super) async fn run(
    workbench: Workbench,
    arguments: &PauseArguments,
    paused: bool,
    output: OutputFormat,
) -> Result<u8> {
    let workflow = workbench.project.workflow(workflow_name(&arguments.workflow))?;
    let name = workflow.name();
    let Some(schedule) = workflow.schedule() else {
        return Err(Error::config(format!("workflow `{name}` has no schedule; nothing starts it by itself")));
    };
    let changed = workbench.history()?.set_paused(name, paused).await?;
    if super::is_for_programs(output) {
        output::print(&json!({"workflow": name, "paused": paused, "changed": changed}).to_string());
        return Ok(0);
    }
    let word = if paused { "paused" } else { "not paused" };
    let already = if changed { "" } else { " already" };
    output::print(&format!("{name} is {word}{already}: {}", schedule.trigger));
    Ok(0)
}
