//! `medallion runs resume N` and `medallion runs repair N`: a run that has ended goes on under its number, with the
//! definition of today.

use ::stage::{Error, Result};
use workflow::history::RunRecord;
use workflow::{Again, History, Workflow};

use super::super::run::{Asked, Start, execute};
use super::details;
use crate::args::{OutputFormat, RepairArguments};
use crate::project::Project;
use crate::workbench::Workbench;

/// Runs what was under way or had not begun when the run broke off.
pub(super) async fn resume(workbench: &Workbench, history: &History, number: i64, output: OutputFormat) -> Result<u8> {
    let run = details(history, number).await?.run;
    Again::Resume.check(&run)?;
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
    let again = Again::Repair { tasks: tasks.clone(), dependents: *dependents };
    again.check(&run)?;
    let workflow = definition(&workbench.project, &run)?;
    let parameters = parameters.iter().cloned().collect();
    let asked = Asked { start: Start::Again(*number, again), parameters, ..Asked::default() };
    execute(workbench, workbench, workflow, asked, output).await
}

/// The definition of today of what ran. A run of a single command has none: the command is quicker than its repair.
fn definition<'a>(project: &'a Project, run: &RunRecord) -> Result<&'a Workflow> {
    let RunRecord { number, workflow: name, .. } = run;
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
