//! `medallion serve`: runs the workflows of the project by themselves until it is stopped.

use ::stage::Result;
use workflow::History;
use workflow::scheduler::{Event, Scheduler, SystemClock};

use crate::args::{LogFormat, ProjectArguments};
use crate::output;
use crate::scheduling::{Journal, ProjectSource};
use crate::signals::Signals;

/// What is said when the first signal comes.
const STOPPING: &str =
    "stopping; runs that are going stop and go on with the next start, press ctrl-c again to end at once";

/// Serves until a signal comes.
pub(super) async fn run(arguments: &ProjectArguments, log_format: LogFormat) -> Result<u8> {
    let (root, options) = super::root_and_options(arguments)?;
    let history = History::open(&crate::workbench::history_path(&root))?;
    let source = ProjectSource::new(root, options);
    let journal = Journal::new(log_format);
    let listener = Box::new(move |event: &Event| journal.write(event));
    let scheduler = Scheduler::open(Box::new(source), history, Box::new(SystemClock), listener)?;
    let signals = Signals::listen_and_say(STOPPING);
    Journal::new(log_format).note(&beginning(&scheduler));
    scheduler.serve(signals.cancellation.clone()).await?;
    Ok(0)
}

fn beginning(scheduler: &Scheduler) -> String {
    let project = scheduler.project();
    let scheduled = project.workflows.values().filter(|workflow| workflow.schedule().is_some()).count();
    let all = output::counted(project.workflows.len() as u64, "workflow");
    format!("serving {all}, {scheduled} with a schedule; `medallion next` shows what is coming")
}
