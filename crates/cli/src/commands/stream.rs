//! `medallion stream <workflow or pipeline>`: keeps its tables going until stopped.

use std::collections::BTreeSet;
use std::sync::Arc;

use ::stage::{Context, Error, Result, TableName};
use serde_json::json;
use tokio::sync::Notify;
use tokio_util::task::AbortOnDropHandle;
use workflow::stream::{Events, Stream, StreamEvent, StreamOptions, StreamOutcome};
use workflow::{Selection, TableSelection, Work, Workflow};

use super::run::workflow_name;
use crate::args::{LogFormat, OutputFormat, StreamArguments};
use crate::notifying::{Backlog, Outbox, notifier};
use crate::output::{self, thousands};
use crate::project::{Project, hint};
use crate::signals::Signals;
use crate::streaming::display::Display;
use crate::streaming::server::Server;
use crate::streaming::system::SystemTables;
use crate::streaming::upkeep::keep_up;
use crate::workbench::Workbench;

/// What the first signal is answered with.
const STOPPING: &str = "stopping; open batches are finished, press ctrl-c again to end at once";

/// Keeps the tables going, and prints what they did at the end.
pub(super) async fn run(
    workbench: Workbench,
    arguments: &StreamArguments,
    log_format: LogFormat,
    output: OutputFormat,
) -> Result<u8> {
    let workflow = workflow_or_pipeline(&workbench.project, workflow_name(&arguments.name))?;
    let selection = if arguments.only.is_empty() { Selection::All } else { Selection::Only(arguments.only.clone()) };
    let workbench = Arc::new(workbench);
    let options = StreamOptions { max_failures: arguments.max_failures, ..StreamOptions::default() };
    let stream = Stream::open(&workflow, &selection, workbench.clone(), options)?;
    let status = stream.status();
    let display = Arc::new(Display::new(log_format));
    let server = match arguments.listen {
        Some(address) => Some(Server::bind(address).await?),
        None => None,
    };
    let history = workbench.history()?;
    let signals = Signals::listen_and_say(STOPPING);
    let parameters = arguments.parameters.iter().cloned().collect();
    let cancellation = signals.cancellation.clone();
    let context = Context { cancellation, parameters, ..Context::new(workflow.name()) };
    if let Some(server) = &server {
        display.note(&format!("serving http://{}/metrics, /health and /ready", server.address));
    }
    let committed = Arc::new(Notify::new());
    let tables: BTreeSet<TableName> = status.tables().into_iter().map(|table| table.table).collect();
    let _upkeep = AbortOnDropHandle::new(tokio::spawn(keep_up(workbench.clone(), tables.clone())));
    let warn = |text: &str| display.warn(text);
    let system = SystemTables::new(&workbench, tables, &warn);
    let outbox = Outbox::new(notifier(&workbench.project));
    let backlog = Backlog::new(&workbench.project.name, &workflow, outbox.clone());
    let serving = async {
        match server {
            Some(server) => server.serve(status.clone()).await,
            None => std::future::pending().await,
        }
    };
    let outcome = tokio::select! {
        outcome = stream.run(&context, &history, events(&display, &committed)) => outcome?,
        () = display.follow(&status) => return Err(Error::bug("the display of the stream ended")),
        () = system.follow(&committed) => return Err(Error::bug("the system tables ended")),
        () = backlog.watch(&status) => return Err(Error::bug("the watch of the backlog ended")),
        () = serving => return Err(Error::bug("the server of the stream ended")),
    };
    display.finish();
    system.finish().await;
    output::print(&summary(&outcome, output));
    outbox.close().await;
    Ok(outcome.exit_code())
}

/// Tells the display of each event, and wakes the system tables after commits.
fn events(display: &Arc<Display>, committed: &Arc<Notify>) -> Events {
    let (display, committed) = (display.clone(), committed.clone());
    Arc::new(move |event: StreamEvent| {
        display.tell(&event);
        if matches!(event, StreamEvent::Committed { .. }) {
            committed.notify_one();
        }
    })
}

/// The workflow of that name, or one of the whole pipeline of that name.
fn workflow_or_pipeline(project: &Project, name: &str) -> Result<Workflow> {
    if let Ok(workflow) = project.workflow(name) {
        return Ok(workflow.clone());
    }
    let pipelines: BTreeSet<&str> = project.tables.keys().map(TableName::pipeline).collect();
    if pipelines.contains(name) {
        let selection = TableSelection::default();
        let work = Work::Pipeline { pipeline: name.to_owned(), layer: None, selection, full_refresh: false };
        return Ok(Workflow::single(work));
    }
    let hint = hint(name, project.workflows.keys().map(String::as_str).chain(pipelines));
    Err(Error::config(format!("there is no workflow or pipeline `{name}` in this project{hint}")))
}

fn summary(outcome: &StreamOutcome, output: OutputFormat) -> String {
    if super::is_for_programs(output) {
        let tables = outcome.tables.iter().map(|table| {
            json!({
                "table": table.table.to_string(), "state": table.state, "progress": table.progress,
                "error": table.error.as_ref().map(Error::chain),
            })
        });
        let tables: Vec<_> = tables.collect();
        let stream = json!({
            "run": outcome.number, "run_id": outcome.run_id, "state": outcome.state, "seconds": outcome.seconds,
            "progress": outcome.progress, "tables": tables,
        });
        return stream.to_string();
    }
    let rows = outcome.tables.iter().map(|table| {
        let progress = &table.progress;
        vec![
            table.table.to_string(),
            table.state.name().to_owned(),
            thousands(progress.rows_written),
            thousands(progress.rows_quarantined),
            thousands(progress.rows_dropped),
            table.error.as_ref().map(Error::chain).unwrap_or_default(),
        ]
    });
    let header = ["table", "state", "rows written", "in quarantine", "left out", "error"];
    let rows: Vec<Vec<String>> = rows.collect();
    let table = output::columns(&header, &rows);
    format!("{table}run {} {} after {:.2} s\n", outcome.number, outcome.state.name(), outcome.seconds)
}
