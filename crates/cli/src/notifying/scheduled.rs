//! The notices of all runs of a scheduler.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use workflow::scheduler::Event;
use workflow::{Event as RunEvent, Workflow};

use super::outbox::{self, by};
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
    /// Where the page is, for people.
    page: Option<String>,
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
    /// Takes over a project that was read. The notices of runs that are going are still sent by the settings of before.
    pub(crate) fn load(&self, project: &Project) {
        self.take(&project.name, project.workflows.clone(), by(notifier(project)));
    }

    /// There is one outbox, so that the end waits for all that is on its way.
    pub(super) fn take(&self, project: &str, workflows: BTreeMap<String, Workflow>, send: Arc<outbox::Send>) {
        let state = &mut *self.state();
        let outbox = match &state.project {
            Some(before) => before.outbox.with(send),
            None => Outbox::sending_by(send),
        };
        state.project = Some(Loaded { name: project.to_owned(), workflows, outbox });
    }

    /// Lets the notices lead to the page at this address, such as `http://localhost:9601`.
    pub(crate) fn link_to(&self, page: Option<String>) {
        self.state().page = page;
    }

    /// Hears an event. It does not wait for anything.
    pub(crate) fn hear(&self, event: &Event) {
        let state = &mut *self.state();
        let Some(project) = &state.project else { return };
        let notices = |workflow: &str, given: &BTreeMap<String, String>| {
            project.notices(workflow, given).map(|notices| notices.linked(state.page.clone()))
        };
        match event {
            Event::Run { number, workflow, parameters, event } => {
                let (starts, ends) =
                    (matches!(event, RunEvent::RunStarted { .. }), matches!(event, RunEvent::RunEnded { .. }));
                if starts && let Some(notices) = notices(workflow, parameters) {
                    state.runs.insert(*number, notices);
                }
                match state.runs.get(number) {
                    Some(notices) => notices.hear(event),
                    // It began in an earlier process.
                    None if ends => {
                        if let Some(notices) = notices(workflow, parameters) {
                            notices.given_up(*number, event);
                        }
                    }
                    None => {}
                }
                if ends {
                    state.runs.remove(number);
                }
            }
            Event::RunSkipped { number, workflow, reason, .. } | Event::Missed { number, workflow, reason, .. } => {
                if let Some(notices) = notices(workflow, &BTreeMap::new()) {
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
    fn notices(&self, workflow: &str, given: &BTreeMap<String, String>) -> Option<RunNotices> {
        let workflow = self.workflows.get(workflow)?;
        Some(RunNotices::new(&self.name, workflow, given, self.outbox.clone()))
    }
}
