//! `medallion bronze|silver|gold|quality <table>`: one stage and an exit code, for cron, Airflow and the like.

use ::stage::{Error, Layer, Result};
use workflow::{Work, Workflow};

use super::run::{Asked, execute as execute_run};
use crate::args::{OutputFormat, StageArguments};
use crate::workbench::{Workbench, expect_layer};

/// Brings one table of the given layer up to date.
pub(super) async fn run(
    workbench: Workbench,
    layer: Layer,
    arguments: &StageArguments,
    output: OutputFormat,
) -> Result<u8> {
    let name = workbench.project.table(&arguments.table)?.name.clone();
    expect_layer(&name, layer)?;
    if layer == Layer::Bronze && arguments.full_refresh {
        return Err(Error::config(format!(
            "{name} cannot be rebuilt in place; delete its folder and the pipeline's system folder in the lake, then run again"
        )));
    }
    let body = match layer {
        Layer::Bronze => Work::Bronze(name),
        Layer::Silver => Work::Silver(name),
        _ => Work::Gold(name),
    };
    execute(&workbench, body, arguments.full_refresh, output).await
}

/// Audits one table as it stands.
pub(super) async fn audit(workbench: Workbench, table: &str, output: OutputFormat) -> Result<u8> {
    let name = workbench.project.table(table)?.name.clone();
    execute(&workbench, Work::Quality(name), false, output).await
}

async fn execute(workbench: &Workbench, work: Work, full_refresh: bool, output: OutputFormat) -> Result<u8> {
    let workflow = Workflow::single(work);
    execute_run(workbench, workbench, &workflow, Asked { full_refresh, ..Asked::default() }, output).await
}
