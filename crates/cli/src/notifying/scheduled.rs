//! The notices of all runs of a scheduler.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use workflow::scheduler::Event;
use workflow::{Event as RunEvent, Workflow};

use super::{Outbox, RunNotices, notifier};
use crate::project::Project;

/// Hears the events of a scheduler and tells of its runs. Clones are the same one.
#[derive(Clone, Default)]
pub(crate) struct ScheduledNotices {
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    project: Option<Loaded>,
    /// The runs that are going; they go on with the workflow that they began with.
    runs: HashMap<i64, RunNotices>,
}

/// The project as it was read last.
struct Loaded {
    name: String,
    workflows: BTreeMap<String, Workflow>,
    outbox: Outbox,
}

impl ScheduledNotices {
    /// Takes over a project that was read. What is on its way by the settings of before is still sent.
    pub(crate) fn load(&self, project: &Project) {
        let loaded = Loaded {
            name: project.name.clone(),
            workflows: project.workflows.clone(),
            outbox: Outbox::new(notifier(project)),
        };
        self.state().project = Some(loaded);
    }

    /// Hears an event. It does not wait for anything.
    pub(crate) fn hear(&self, event: &Event) {
        let state = &mut *self.state();
        let Some(project) = &state.project else { return };
        match event {
            Event::Run { number, workflow, event } => {
                if matches!(event, RunEvent::RunStarted { .. })
                    && let Some(notices) = project.notices(workflow)
                {
                    state.runs.insert(*number, notices);
                }
                if let Some(notices) = state.runs.get(number) {
                    notices.hear(event);
                }
                if matches!(event, RunEvent::RunEnded { .. }) {
                    state.runs.remove(number);
                }
            }
            Event::RunSkipped { number, workflow, reason, .. } | Event::Missed { number, workflow, reason, .. } => {
                if let Some(notices) = project.notices(workflow) {
                    notices.skipped(*number, reason);
                }
            }
            _ => {}
        }
    }

    /// Waits until everything is sent, but not for long.
    pub(crate) async fn close(&self) {
        let project = {
            let mut state = self.state();
            state.runs.clear();
            state.project.take()
        };
        if let Some(project) = project {
            project.outbox.close().await;
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Loaded {
    /// Those of a run of a workflow that is there.
    fn notices(&self, workflow: &str) -> Option<RunNotices> {
        let workflow = self.workflows.get(workflow)?;
        // The scheduler knows what a run was given; the notice says what the workflow says.
        Some(RunNotices::new(&self.name, workflow, &BTreeMap::new(), self.outbox.clone()))
    }
}
