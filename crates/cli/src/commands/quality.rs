//! `medallion quality`: holds a table as it stands against its rules, or makes a page of all results.

use ::stage::{Error, Result};
use chrono::Utc;
use futures::future::try_join_all;
use quality::report::{self, Report};

use crate::args::{OutputFormat, QualityArguments, QualityCommand, ReportArguments};
use crate::output;
use crate::workbench::Workbench;

/// Audits a table or writes the report.
pub(super) async fn run(workbench: Workbench, arguments: &QualityArguments, output: OutputFormat) -> Result<u8> {
    match (&arguments.command, &arguments.table) {
        (Some(QualityCommand::Report(arguments)), _) => write_report(&workbench, arguments).await,
        (None, Some(table)) => super::stage::audit(workbench, table, output).await,
        (None, None) => Err(Error::config("expected a table, or `report --html FILE`")),
    }
}

async fn write_report(workbench: &Workbench, arguments: &ReportArguments) -> Result<u8> {
    let project = &workbench.project;
    let tables = project.order().into_iter().filter_map(|name| project.tables.get(name));
    let told = tables
        .filter(|table| !table.is_view())
        .map(|table| report::table(&workbench.lake, &workbench.engine, &table.name, table.description()));
    let report = Report { project: project.name.clone(), made_at: Utc::now(), tables: try_join_all(told).await? };
    let file = &arguments.html;
    std::fs::write(file, report::html(&report))
        .map_err(|error| Error::config(format!("could not write {}", file.display())).with_source(error))?;
    output::note(&format!("wrote {}", file.display()));
    Ok(0)
}
