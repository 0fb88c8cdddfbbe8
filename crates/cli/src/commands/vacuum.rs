//! `medallion vacuum <table>`: deletes files that nobody can read any more.

use std::time::Duration;

use ::stage::{Error, Result, TableName};
use chrono::Utc;
use frame::TimeSpan;
use lake::maintenance::{VacuumSettings, Vacuumed, slowest_reader, vacuum};
use serde_json::json;

use crate::args::{OutputFormat, VacuumArguments};
use crate::output::{self, thousands};
use crate::workbench::Workbench;

/// Deletes the files, or lists them, and says how many there were.
pub(super) async fn run(workbench: Workbench, arguments: &VacuumArguments, output: OutputFormat) -> Result<u8> {
    let name = super::any_table_name(&workbench, &arguments.table)?;
    super::expect_existing(&workbench, &name).await?;
    let retention = retention(&workbench, arguments)?;
    let keep_from = slowest_reader(&workbench.lake, &name, &workbench.readers_of(&name)).await?;
    let settings = VacuumSettings { retention, keep_from, dry_run: arguments.dry_run };
    let done = vacuum(&workbench.lake, &name, &settings, Utc::now()).await?;
    output::print(&match output {
        OutputFormat::Json => {
            json!({ "dry_run": arguments.dry_run, "files": done.files, "bytes": done.bytes }).to_string()
        }
        OutputFormat::Csv => {
            let rows: Vec<Vec<String>> = done.files.iter().map(|file| vec![file.clone()]).collect();
            output::csv(&["file"], &rows)
        }
        OutputFormat::Table => told(&name, &done, arguments.dry_run),
    });
    Ok(0)
}

/// The time that was asked for. Less than the retention is an accident unless it is forced: a file that a batch has just
/// staged would go before it is committed.
fn retention(workbench: &Workbench, arguments: &VacuumArguments) -> Result<Duration> {
    let least = workbench.project.maintenance.retention;
    match arguments.retain.map(TimeSpan::duration) {
        Some(asked) if asked < least && !arguments.force => {
            let least = TimeSpan::milliseconds(u64::try_from(least.as_millis()).unwrap_or(u64::MAX));
            Err(Error::config(format!(
                "--retain is less than the retention of {least}, so files still being read or written could go; stop what \
                 uses the table and add --force, or change `retention` of [maintenance] in medallion.toml"
            )))
        }
        Some(asked) => Ok(asked),
        None => Ok(least),
    }
}

/// What was done, for people.
pub(crate) fn told(name: &TableName, done: &Vacuumed, dry_run: bool) -> String {
    let (files, bytes) = (thousands(done.files.len() as u64), thousands(done.bytes));
    match (done.files.is_empty(), dry_run) {
        (true, _) => format!("{name} has no files to delete"),
        (false, false) => format!("{name}: deleted {files} files of {bytes} bytes"),
        (false, true) => {
            let lines: String = done.files.iter().map(|file| format!("{file}\n")).collect();
            format!("{lines}{name}: {files} files of {bytes} bytes would be deleted")
        }
    }
}
