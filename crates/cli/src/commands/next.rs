//! `medallion next [workflow]`: the coming runs, or what they wait for.

use ::stage::Result;
use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::json;
use workflow::Workflow;
use workflow::history::ScheduleRecord;
use workflow::schedule::Trigger;
use workflow::scheduler::{Coming, coming};

use super::run::workflow_name;
use crate::args::{NextArguments, OutputFormat};
use crate::output;
use crate::workbench::Workbench;

/// Prints the coming runs of one or of all workflows.
pub(super) async fn run(workbench: Workbench, arguments: &NextArguments, output: OutputFormat) -> Result<u8> {
    let project = &workbench.project;
    let workflows: Vec<&Workflow> = match &arguments.workflow {
        Some(name) => vec![project.workflow(workflow_name(name))?],
        None => project.workflows.values().collect(),
    };
    let (records, now) = (workbench.history()?.schedules().await?, Utc::now());
    let count = arguments.count.unwrap_or(if arguments.workflow.is_some() { 5 } else { 1 });
    let mut lines: Vec<Line> =
        workflows.into_iter().flat_map(|workflow| lines(workflow, records.get(workflow.name()), now, count)).collect();
    // What has no time comes last, in the order of the names.
    lines.sort_by_key(|line| (line.at.is_none(), line.at));
    output::print(&written(&lines, output));
    Ok(0)
}

/// A coming run, or why there is none that has a time.
struct Line {
    workflow: String,
    at: Option<DateTime<Utc>>,
    /// What a clock in the schedule's own time zone shows then.
    local: String,
    note: String,
}

fn lines(workflow: &Workflow, record: Option<&ScheduleRecord>, now: DateTime<Utc>, count: usize) -> Vec<Line> {
    let line = |at: Option<DateTime<Utc>>, note: &str| Line {
        workflow: workflow.name().to_owned(),
        at,
        local: at.map(|at| local(workflow, at)).unwrap_or_default(),
        note: note.to_owned(),
    };
    let trigger = workflow.schedule().map(|schedule| schedule.trigger.to_string()).unwrap_or_default();
    match coming(workflow, record, now, count) {
        Coming::At(times) => times.into_iter().map(|at| line(Some(at), &trigger)).collect(),
        Coming::OnceSeen(times) => {
            let note = format!("{trigger}, counted from when `medallion serve` first sees it");
            times.into_iter().map(|at| line(Some(at), &note)).collect()
        }
        Coming::When(what) => vec![line(None, &format!("when {what}"))],
        Coming::Paused => vec![line(None, &format!("paused: {trigger}; `medallion resume` lets it go on"))],
        Coming::Never => vec![line(None, &format!("never again: {trigger}"))],
        Coming::Asked => vec![line(None, "has no schedule; `medallion run` starts it")],
    }
}

fn local(workflow: &Workflow, at: DateTime<Utc>) -> String {
    match workflow.schedule().map(|schedule| &schedule.trigger) {
        Some(Trigger::Cron(cron)) => {
            format!("{} {}", cron.reading(at).format("%a %Y-%m-%d %H:%M:%S"), cron.timezone_id())
        }
        _ => at.format("%a %Y-%m-%d %H:%M:%S UTC").to_string(),
    }
}

fn written(lines: &[Line], output: OutputFormat) -> String {
    let time = |line: &Line| line.at.map(|at| at.to_rfc3339_opts(SecondsFormat::Secs, true));
    if output == OutputFormat::Json {
        let objects = lines.iter().map(|line| {
            let local = line.at.map(|_| &line.local);
            json!({"workflow": line.workflow, "at": time(line), "local": local, "note": line.note})
        });
        return serde_json::Value::from(objects.collect::<Vec<_>>()).to_string();
    }
    let rows: Vec<Vec<String>> = lines
        .iter()
        .map(|line| vec![line.workflow.clone(), line.local.clone(), time(line).unwrap_or_default(), line.note.clone()])
        .collect();
    let header = ["workflow", "next run", "in UTC", "schedule"];
    match output {
        OutputFormat::Csv => output::csv(&header, &rows),
        _ => output::columns(&header, &rows),
    }
}
