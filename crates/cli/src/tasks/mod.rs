//! What tasks do that bring no table forward: a file for each, whose struct is a [`workflow::action::Action`].

mod optimize;
mod shell;
mod sql;
mod vacuum;

use stage::{Context, Error, Result};
use workflow::Work;
use workflow::action::Action;

use crate::Workbench;

/// What a work is, unless it is one of stages.
pub(crate) fn action(workbench: &Workbench, work: &Work) -> Option<Box<dyn Action>> {
    Some(match work.clone() {
        Work::Optimize(table) => Box::new(optimize::Optimize { workbench: workbench.clone(), table }),
        Work::Vacuum { table, retain } => Box::new(vacuum::Vacuum { workbench: workbench.clone(), table, retain }),
        Work::Sql { file, parameters } => Box::new(sql::Query { workbench: workbench.clone(), file, parameters }),
        Work::Shell { command, environment, working_folder } => {
            let (root, secrets) = (workbench.project.root.clone(), workbench.project.secrets.clone());
            Box::new(shell::Shell { command, environment, working_folder, root, secrets })
        }
        Work::Bronze(_) | Work::Silver(_) | Work::Gold(_) | Work::Quality(_) | Work::Pipeline { .. } => return None,
    })
}

/// The result of work that can be dropped wherever it waits, unless it is to stop before.
async fn unless_stopped<T>(context: &Context, work: impl Future<Output = Result<T>>) -> Result<T> {
    tokio::select! {
        biased;
        () = context.cancellation.cancelled() => {
            context.check()?;
            Err(Error::stopped("stopped before it was done"))
        }
        result = work => result,
    }
}
