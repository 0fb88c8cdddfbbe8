//! The notices of one run.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chrono::{DateTime, Utc};
use notify::Notice;
use stage::Progress;
use tokio_util::task::AbortOnDropHandle;
use workflow::{Event, Notifications, Occasion, ResultState, Task, Workflow};

use super::{Outbox, destinations};

/// Hears the events of one run and tells of them.
pub(crate) struct RunNotices {
    project: String,
    workflow: Arc<Workflow>,
    parameters: BTreeMap<String, String>,
    outbox: Outbox,
    /// Where the page is, without a `/` at the end.
    page: Option<String>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    number: Option<i64>,
    /// Why the run ended, when no task of it says so.
    reason: Option<String>,
    /// When the run, under no key, and its tasks began.
    began: HashMap<Option<String>, DateTime<Utc>>,
    /// The kind and the message of the last failure of each task.
    failures: HashMap<String, (String, String)>,
    /// The task that failed first, once one did.
    first_failed: Option<String>,
    /// Those that wait to tell that something takes too long.
    watches: HashMap<Option<String>, AbortOnDropHandle<()>>,
}

impl RunNotices {
    /// For a run of a workflow that is about to begin. `parameters` are those that it was given.
    pub(crate) fn new(
        project: &str,
        workflow: &Workflow,
        parameters: &BTreeMap<String, String>,
        outbox: Outbox,
    ) -> RunNotices {
        let mut all = workflow.parameters().clone();
        all.extend(parameters.clone());
        RunNotices {
            project: project.to_owned(),
            workflow: Arc::new(workflow.clone()),
            parameters: all,
            outbox,
            page: None,
            state: Mutex::default(),
        }
    }

    /// Those whose notices lead to the run on a page.
    pub(crate) fn linked(self, page: Option<String>) -> RunNotices {
        RunNotices { page, ..self }
    }

    /// Hears an event. It does not wait for anything.
    pub(crate) fn hear(&self, event: &Event) {
        match event {
            Event::RunStarted { number, .. } => {
                self.state().number = Some(*number);
                self.began(None, self.workflow.notifications());
            }
            Event::TaskStarted { task_key } => {
                if let Some(task) = self.task(task_key) {
                    self.began(Some(task_key), task.notifications());
                }
            }
            Event::AttemptFailed { task_key, attempt_number, kind, message, will_retry_in, .. } => {
                self.state().failures.insert(task_key.clone(), (kind.name().to_owned(), message.clone()));
                if let Some(delay) = will_retry_in
                    && let Some(task) = self.task(task_key)
                    && !task.notifications().only_last_attempt
                {
                    let mut notice = self.notice(notify::Event::Failure, Some(task_key));
                    let seconds = delay.as_secs_f64();
                    notice.reason = Some(format!("attempt {attempt_number} failed; trying again in {seconds:.1} s"));
                    self.with_error(&mut notice, task_key);
                    self.send(task.notifications(), Occasion::Failure, &notice);
                }
            }
            Event::TaskEnded { task_key, state, progress, seconds } => {
                if state.is_failure() && *state != ResultState::UpstreamFailed {
                    self.state().first_failed.get_or_insert_with(|| task_key.clone());
                }
                if let Some(task) = self.task(task_key) {
                    self.ended(Some(task_key), task.notifications(), *state, progress, *seconds);
                }
            }
            Event::RunEnded { state, progress, seconds } => {
                self.ended(None, self.workflow.notifications(), *state, progress, *seconds);
            }
            _ => {}
        }
    }

    /// Tells that a run does not take place.
    pub(crate) fn skipped(&self, number: i64, reason: &str) {
        self.state().number = Some(number);
        let notifications = self.workflow.notifications();
        if !notifications.not_of_skipped {
            let notice = Notice { reason: Some(reason.to_owned()), ..self.notice(notify::Event::Skipped, None) };
            self.send(notifications, Occasion::Failure, &notice);
        }
    }

    /// Tells of the end of a run that an earlier process began and nobody goes on with.
    pub(crate) fn given_up(&self, number: i64, end: &Event) {
        {
            let mut state = self.state();
            state.number = Some(number);
            state.reason = Some("it was interrupted again and again and is not resumed any more".to_owned());
        }
        self.hear(end);
    }

    fn began(&self, task_key: Option<&String>, notifications: &Notifications) {
        self.state().began.insert(task_key.cloned(), Utc::now());
        self.send(notifications, Occasion::Start, &self.notice(notify::Event::Start, task_key));
        let Some(limit) = notifications.longest_duration() else { return };
        let to = destinations(notifications, Occasion::DurationWarning);
        if to.is_empty() {
            return;
        }
        let reason = format!("it goes on for more than {} s", limit.as_secs());
        let notice = self.notice(notify::Event::DurationWarning, task_key);
        let notice = Notice { reason: Some(reason), seconds: Some(limit.as_secs_f64()), ..notice };
        let watch = watch(limit, self.outbox.clone(), notice, to);
        self.state().watches.insert(task_key.cloned(), watch);
    }

    fn ended(
        &self,
        task_key: Option<&String>,
        notifications: &Notifications,
        state: ResultState,
        progress: &Progress,
        seconds: f64,
    ) {
        self.state().watches.remove(&task_key.cloned());
        let Some((event, occasion)) = told_as(state, notifications) else { return };
        let mut notice = self.notice(event, task_key);
        notice.state = Some(state.name().to_owned());
        notice.ended_at = Some(Utc::now());
        notice.seconds = Some(seconds);
        notice.rows_written = Some(progress.rows_written);
        let failed = task_key.cloned().or_else(|| self.state().first_failed.clone());
        if let Some(failed) = failed.filter(|_| event == notify::Event::Failure) {
            self.with_error(&mut notice, &failed);
        }
        if task_key.is_none() {
            notice.reason = self.state().reason.clone();
        }
        if event == notify::Event::Skipped {
            notice.reason = Some("a task before it did not succeed".to_owned());
        }
        self.send(notifications, occasion, &notice);
    }

    fn notice(&self, event: notify::Event, task_key: Option<&String>) -> Notice {
        let state = self.state();
        let page = self.page.as_ref().zip(state.number);
        Notice {
            link: page.map(|(page, number)| format!("{page}/#/runs/{number}")),
            run: state.number,
            task_key: task_key.cloned(),
            parameters: self.parameters.clone(),
            started_at: state.began.get(&task_key.cloned()).copied(),
            ..Notice::new(event, self.project.as_str(), self.workflow.name())
        }
    }

    fn with_error(&self, notice: &mut Notice, task_key: &str) {
        if let Some((kind, message)) = self.state().failures.get(task_key) {
            notice.error_kind = Some(kind.clone());
            notice.error_message = Some(match notice.task_key {
                Some(_) => message.clone(),
                None => format!("task {task_key}: {message}"),
            });
        }
    }

    fn send(&self, notifications: &Notifications, occasion: Occasion, notice: &Notice) {
        for to in destinations(notifications, occasion) {
            self.outbox.put(notice.clone(), to);
        }
    }

    /// The task of that key; items of loops and tasks of nested workflows have none.
    fn task(&self, task_key: &str) -> Option<&Task> {
        self.workflow.tasks().iter().find(|task| task.key() == task_key)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// As what the end of a run or a task is told; `None` when nobody is to hear of it. What did not start for another reason
/// than a failure is as it should be.
fn told_as(state: ResultState, notifications: &Notifications) -> Option<(notify::Event, Occasion)> {
    use ResultState::{
        Canceled, Disabled, Excluded, Failed, Interrupted, MaximumConcurrentRunsReached, Missed, Success,
        SuccessWithFailures, TimedOut, UpstreamCanceled, UpstreamFailed,
    };
    match state {
        Success | SuccessWithFailures => Some((notify::Event::Success, Occasion::Success)),
        Failed | TimedOut => Some((notify::Event::Failure, Occasion::Failure)),
        Canceled if !notifications.not_of_canceled => Some((notify::Event::Failure, Occasion::Failure)),
        UpstreamFailed | UpstreamCanceled | MaximumConcurrentRunsReached | Missed if !notifications.not_of_skipped => {
            Some((notify::Event::Skipped, Occasion::Failure))
        }
        // An interrupted one goes on later.
        Interrupted
        | Canceled
        | UpstreamFailed
        | UpstreamCanceled
        | MaximumConcurrentRunsReached
        | Missed
        | Excluded
        | Disabled => None,
    }
}

/// Tells once, when the time has passed, unless it is dropped before.
fn watch(limit: Duration, outbox: Outbox, notice: Notice, to: Vec<notify::Destination>) -> AbortOnDropHandle<()> {
    AbortOnDropHandle::new(tokio::spawn(async move {
        tokio::time::sleep(limit).await;
        to.into_iter().for_each(|to| outbox.put(notice.clone(), to));
    }))
}
