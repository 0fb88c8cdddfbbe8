//! `medallion runs`: the newest runs.

use ::stage::Result;
use chrono::{DateTime, Utc};
use serde_json::Value;
use workflow::History;
use workflow::history::{RunFilter, RunRecord};
use workflow::pictures::duration;

use super::{csv, run_object, seconds, time};
use crate::args::{OutputFormat, RunsArguments};
use crate::output::{self, thousands};

const COLUMNS: [(&str, &str); 15] = [
    ("number", "/number"),
    ("workflow", "/workflow"),
    ("state", "/state"),
    ("cause", "/cause/type"),
    ("queued_at", "/queued_at"),
    ("started_at", "/started_at"),
    ("ended_at", "/ended_at"),
    ("seconds", "/seconds"),
    ("rows_read", "/rows/read"),
    ("rows_written", "/rows/written"),
    ("rows_quarantined", "/rows/quarantined"),
    ("rows_dropped", "/rows/dropped"),
    ("repairs", "/repairs"),
    ("parent", "/parent"),
    ("error", "/error/message"),
];

/// Lists the runs that are meant.
pub(super) async fn run(history: &History, arguments: &RunsArguments, output: OutputFormat) -> Result<u8> {
    let RunsArguments { workflow, state, limit, .. } = arguments;
    let filter = RunFilter { workflow: workflow.clone(), status: *state, before: None, limit: *limit };
    let (runs, now) = (history.select_runs(filter).await?, Utc::now());
    let objects = || runs.iter().map(|run| run_object(run, now)).collect::<Vec<Value>>();
    output::print(&match output {
        OutputFormat::Json => Value::from(objects()).to_string(),
        OutputFormat::Csv => csv(&COLUMNS, &objects()),
        OutputFormat::Table if runs.is_empty() => "no runs\n".to_owned(),
        OutputFormat::Table => told(&runs, now),
    });
    Ok(0)
}

fn told(runs: &[RunRecord], now: DateTime<Utc>) -> String {
    let rows = runs.iter().map(|run| {
        vec![
            run.number.to_string(),
            run.workflow.clone(),
            run.status().name().to_owned(),
            run.cause.kind.name().to_owned(),
            time(run.started_at.unwrap_or(run.queued_at)),
            seconds(run, now).map(duration).unwrap_or_default(),
            thousands(run.rows.written),
        ]
    });
    let header = ["run", "workflow", "state", "cause", "started", "time", "rows"];
    output::columns(&header, &rows.collect::<Vec<_>>())
}
