//! Going on with runs that have ended or were interrupted: those that somebody asked for, and those the last scheduler left.

use std::sync::Arc;

use stage::{Error, Result};

use super::launch::How;
use super::serve::Keeper;
use super::{Asked, MOST_RESUMES, guard};
use crate::history::RunRecord;
use crate::request::Again;

impl Keeper {
    /// Goes on with the runs that somebody asked for.
    pub(super) fn go_on_with_asked(&mut self) {
        let asked: Vec<Asked> = guard(&self.shared.asked).clone();
        let project = Arc::clone(&self.project);
        for asked in &asked {
            match project.workflows.get(&asked.workflow) {
                Some(workflow) => {
                    self.start(asked.number, workflow, &asked.parameters, How::Again(asked.again.clone()));
                }
                None => {
                    let error = Error::config(format!("run {} cannot go on: its workflow is gone", asked.number));
                    self.shared.trouble(Some(&asked.workflow), &error);
                }
            }
        }
        // Only now, when they count as running: nobody can ask for them a second time in between.
        guard(&self.shared.asked).drain(..asked.len());
    }

    /// Resumes the runs that were due by themselves and were going when the last scheduler died or was stopped.
    pub(super) async fn go_on_with_interrupted(&mut self) -> Result<()> {
        let project = Arc::clone(&self.project);
        for (run, deaths) in self.shared.history.interrupted_runs().await? {
            let Some(workflow) = project.workflows.get(&run.workflow) else {
                let number = run.number;
                let message = format!(
                    "run {number} was interrupted and is not gone on with: there is no workflow `{}` in this project any \
                     more; when it is back, `medallion runs resume {number}` goes on",
                    run.workflow
                );
                self.shared.trouble(Some(&run.workflow), &Error::config(message));
                continue;
            };
            if deaths > MOST_RESUMES {
                self.give_up(&run, deaths).await?;
                continue;
            }
            self.start(run.number, workflow, &run.parameters, How::Again(Again::Resume));
        }
        Ok(())
    }

    /// Ends a run that was interrupted again and again.
    async fn give_up(&self, run: &RunRecord, deaths: u32) -> Result<()> {
        let message = format!("the process of run {} died {deaths} times; it is not resumed again", run.number);
        self.shared.history.give_up(run.number, message.clone()).await?;
        self.shared.trouble(Some(&run.workflow), &Error::unavailable(message));
        self.shared.tell_failed(run.number, &run.workflow, run.parameters.clone());
        Ok(())
    }
}
