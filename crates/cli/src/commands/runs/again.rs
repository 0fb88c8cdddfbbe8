//! `medallion runs resume N` and `medallion runs repair N`: a run that has ended goes on under its number, with the
//! definition of today.

use ::stage::{Error, Result};
use workflow::history::RunRecord;
use workflow::{Again, History, ResultState, Workflow};

use super::super::run::{Asked, Start, execute};
use super::details;
use crate::args::{OutputFormat, RepairArguments};
use crate::project::Project;
use crate::workbench::Workbench;

/// Runs what was under way or had not begun when the run broke off.
pub(super) async fn resume(workbench: &Workbench, history: &History, number: i64, output: OutputFormat) -> Result<u8> {
    let run = details(history, number).await?.run;
    let refused = match run.state {
        Some(state) if state.is_success() => Some("succeeded, so nothing is left to do"),
        Some(ResultState::Interrupted | ResultState::Canceled) | None => None,
        Some(_) => Some("came to its end; `medallion runs repair` runs what did not succeed"),
    };
    if let Some(refused) = refused {
        return Err(Error::config(format!("run {number} {refused}")));
    }
    let workflow = definition(&workbench.project, &run)?;
    let asked = Asked { start: Start::Again(number, Again::Resume), ..Asked::default() };
    execute(workbench, workbench, workflow, asked, output).await
}

/// Runs what did not succeed, or the named tasks.
pub(super) async fn repair(
    workbench: &Workbench,
    history: &History,
    arguments: &RepairArguments,
    output: OutputFormat,
) -> Result<u8> {
    let RepairArguments { number, tasks, dependents, parameters } = arguments;
    let run = details(history, *number).await?.run;
    if run.state == Some(ResultState::Success) && tasks.is_empty() {
        return Err(Error::config(format!(
            "run {number} succeeded, so nothing is to be repaired; name tasks with --tasks to run them once more"
        )));
    }
    let workflow = definition(&workbench.project, &run)?;
    let again = Again::Repair { tasks: tasks.clone(), dependents: *dependents };
    let parameters = parameters.iter().cloned().collect();
    let asked = Asked { start: Start::Again(*number, again), parameters, ..Asked::default() };
    execute(workbench, workbench, workflow, asked, output).await
}

/// The definition of today of what ran. A run of a single command has none: the command is quicker than its repair.
fn definition<'a>(project: &'a Project, run: &RunRecord) -> Result<&'a Workflow> {
    let RunRecord { number, workflow: name, .. } = run;
    if let Some(parent) = run.parent {
        return Err(Error::config(format!(
            "run {number} is part of run {parent}; go on with that one, which runs workflow `{name}` again where needed"
        )));
    }
    match command(project, name) {
        Some(command) if !project.workflows.contains_key(name) => {
            Err(Error::config(format!("run {number} was of one command; run `medallion {command}` again")))
        }
        _ => project.workflow(name),
    }
}

/// The command behind a run that is no workflow's.
fn command(project: &Project, name: &str) -> Option<String> {
    if let Some(table) = name.strip_prefix("replay ") {
        return Some(format!("quarantine replay {table}"));
    }
    if let Some(table) = name.strip_prefix("quality.") {
        return Some(format!("quality {table}"));
    }
    project.table(name).ok().map(|table| format!("{} {}", table.name.layer(), table.name))
}
