//! `medallion serve`: runs the workflows of the project by themselves until it is stopped, and shows them on a page.

use std::future::pending;

use ::stage::Result;
use workflow::History;
use workflow::scheduler::{Event, Scheduler, SystemClock};

use crate::args::{LogFormat, ProjectArguments, ServeArguments};
use crate::output;
use crate::page::Page;
use crate::scheduling::{Journal, ProjectSource};
use crate::signals::Signals;

/// What is said when the first signal comes.
const STOPPING: &str =
    "stopping; runs that are going stop and go on with the next start, press ctrl-c again to end at once";

/// Serves until a signal comes.
pub(super) async fn run(project: &ProjectArguments, arguments: ServeArguments, log_format: LogFormat) -> Result<u8> {
    let (root, options) = super::root_and_options(project)?;
    let history = History::open(&crate::workbench::history_path(&root))?;
    let page = match arguments.listen {
        Some(address) => Some(Page::bind(&root, address, arguments.names).await?),
        None => None,
    };
    let source = ProjectSource::new(root, options);
    let journal = Journal::new(log_format);
    let notices = source.notices();
    notices.link_to(page.as_ref().and_then(Page::address));
    let hearing = notices.clone();
    let listener = Box::new(move |event: &Event| {
        journal.write(event);
        hearing.hear(event);
    });
    let scheduler = Scheduler::open(Box::new(source), history, Box::new(SystemClock), listener)?;
    let signals = Signals::listen_and_say(STOPPING);
    let journal = Journal::new(log_format);
    journal.note(&beginning(&scheduler));
    if let Some(page) = &page {
        journal.note(&page.announcement());
    }
    let shown = async {
        match page {
            Some(page) => page.serve(&scheduler).await,
            None => pending().await,
        }
    };
    let served = tokio::select! {
        served = scheduler.serve(signals.cancellation.clone()) => served,
        ended = shown => ended,
    };
    notices.close().await;
    served.map(|()| 0)
}

fn beginning(scheduler: &Scheduler) -> String {
    let project = scheduler.project();
    let scheduled = project.workflows.values().filter(|workflow| workflow.schedule().is_some()).count();
    let all = output::counted(project.workflows.len() as u64, "workflow");
    format!("serving {all}, {scheduled} with a schedule; `medallion next` shows what is coming")
}
