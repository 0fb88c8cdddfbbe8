//! `medallion history <table>`: the versions of a table and what made them.

use ::stage::Result;
use chrono::{DateTime, Utc};
use serde_json::json;

use crate::args::{HistoryArguments, OutputFormat};
use crate::output::{self, thousands};
use crate::workbench::Workbench;

/// Lists the newest versions.
pub(super) async fn run(workbench: Workbench, arguments: &HistoryArguments, output: OutputFormat) -> Result<u8> {
    let name = super::any_table_name(&workbench, &arguments.table)?;
    let table = workbench.lake.open(&name).await?;
    let versions = table.history(arguments.limit).await?;
    if output == OutputFormat::Json {
        let objects = versions.iter().map(|version| {
            json!({
                "version": version.version, "at": at(version.timestamp_millis), "operation": version.operation,
                "record": version.record,
            })
        });
        output::print(&serde_json::Value::from(objects.collect::<Vec<_>>()).to_string());
        return Ok(0);
    }
    let rows = versions.iter().map(|version| {
        let record = version.record.clone().unwrap_or_default();
        vec![
            version.version.to_string(),
            at(version.timestamp_millis),
            if record.action.is_empty() { version.operation.clone() } else { record.action },
            thousands(record.rows_written),
            thousands(record.rows_quarantined),
            thousands(record.rows_dropped),
            record.run,
            record.reason,
        ]
    });
    let header = ["version", "at", "action", "rows written", "in quarantine", "left out", "run", "reason"];
    let rows: Vec<Vec<String>> = rows.collect();
    output::print(&match output {
        OutputFormat::Csv => output::csv(&header, &rows),
        _ => output::columns(&header, &rows),
    });
    Ok(0)
}

fn at(millis: i64) -> String {
    DateTime::<Utc>::from_timestamp_millis(millis).unwrap_or_default().format("%Y-%m-%d %H:%M:%S").to_string()
}
