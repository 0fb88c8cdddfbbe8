//! Runs the workflows of a project by themselves, for as long as the process lives, and goes on where a killed one stopped.
//!
//! # How nothing is lost
//! A time that is due is claimed: one transaction records a run that waits and moves the schedule on. Only then is the run
//! started, from the history and not from memory. So after a kill at any moment each time either has its run, or is still
//! due; the history refuses a second run for the same time.
//!
//! | After a restart | becomes |
//! |---|---|
//! | a run that waited | it goes on waiting, and starts when its turn comes |
//! | a run that was going and was due by itself | it is resumed under its number, [`MOST_RESUMES`] times at most; then it has `FAILED` |
//! | a run that was going and that somebody asked for | it stays `INTERRUPTED`; `medallion runs resume` goes on with it |
//! | times that came meanwhile | what `catch_up` says: run, or recorded as one `MISSED` run that names how many |
//!
//! A run that cannot begin for a reason that may pass, as a history that is locked or a disk that is full, goes on waiting
//! and is tried again; for any other reason it has `FAILED`. A clock that was ahead and is set back lets the schedule begin
//! anew, now.
//!
//! A clean stop is the same: what is going is stopped, recorded as `INTERRUPTED` and resumed by the next scheduler, so that
//! an upgrade of the program loses no run.
//!
//! # Too many runs
//! At most `max_concurrent_runs` of a workflow go at the same time, those that were started by hand included. One more
//! waits, at most [`LONGEST_WAIT`], or is recorded as `MAXIMUM_CONCURRENT_RUNS_REACHED` when the workflow does not queue.
//!
//! # Pauses
//! A pause is kept in the history, holds over restarts and wins over `pause_status` of the file. The clock of a paused
//! schedule stands: times during a pause are not missed. Files and commits that came meanwhile do count when it goes on.
//! Runs that waited already still start.
//!
//! # Changes of the project
//! Its files are looked at every two seconds. A project with problems is told of and does not replace the one that works.
//! A schedule that was changed begins anew, now: its new times in the past are not caught up with.

mod clock;
mod coming;
mod ending;
mod entry;
mod event;
mod going_on;
mod held_back;
mod launch;
mod lock;
mod look;
mod queue;
mod serve;
mod site;
mod status;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use chrono::TimeDelta;
use stage::{Error, Progress, Result};
use tokio::sync::{Notify, broadcast};
use tokio_util::sync::CancellationToken;

pub use clock::{Clock, SystemClock};
pub use coming::{Coming, coming};
pub use event::Event;
pub use site::{Project, SeenFile, SeenTable, Site, Source};
pub use status::ScheduleStatus;

use crate::Event as RunEvent;
use crate::cause::Cause;
use crate::definition::Workflow;
use crate::history::{History, NewRun, RunDetails};
use crate::nearest::hint;
use crate::request::{Again, ended_run};
use crate::state::ResultState;
use lock::Lock;

/// How long a run waits for its turn; that of Databricks.
pub const LONGEST_WAIT: TimeDelta = TimeDelta::hours(48);
/// How often a run is gone on with whose process died. A run that takes the process down with it must not do so for ever;
/// a scheduler that was stopped and left its runs does not count.
pub const MOST_RESUMES: u32 = 5;

/// How many events a subscriber may be behind before it loses the oldest.
const MOST_EVENTS_BEHIND: usize = 4096;

/// A function that is told every event at once. It must not block.
pub type Listener = Box<dyn Fn(&Event) + Send + Sync>;

/// A scheduler. Cheap to clone; all clones are the same one.
#[derive(Clone)]
pub struct Scheduler {
    shared: Arc<Shared>,
}

/// What all clones share.
struct Shared {
    source: Box<dyn Source>,
    /// That of the project as it was when the scheduler was opened.
    fingerprint: u64,
    history: History,
    clock: Box<dyn Clock>,
    listener: Listener,
    events: broadcast::Sender<Event>,
    project: Mutex<Arc<Project>>,
    problems: Mutex<Vec<String>>,
    running: Mutex<BTreeMap<i64, Running>>,
    /// Runs that are stopped to be gone on with by the next scheduler.
    left: Mutex<BTreeSet<i64>>,
    /// What was wrong last, by workflow, so that it is told once.
    troubles: Mutex<BTreeMap<String, String>>,
    asked: Mutex<Vec<Asked>>,
    /// Something was asked for: look at once.
    wake: Notify,
    _lock: Lock,
}

/// A run that was started here.
struct Running {
    workflow: String,
    cancellation: CancellationToken,
}

/// A run that somebody asked to go on with.
#[derive(Clone)]
struct Asked {
    number: i64,
    workflow: String,
    again: Again,
    parameters: BTreeMap<String, String>,
}

impl Scheduler {
    /// A scheduler of a project, which must be free of problems. It starts nothing before [`Scheduler::serve`]. It blocks
    /// while the project is read.
    ///
    /// # Errors
    /// [`stage::Kind::Unavailable`] when another one is running, [`stage::Kind::Config`] when something is wrong with the
    /// project.
    pub fn open(
        source: Box<dyn Source>,
        history: History,
        clock: Box<dyn Clock>,
        listener: Listener,
    ) -> Result<Scheduler> {
        let lock = Lock::take(&lock_path(&history))?;
        // Taken before the files are read, so that a change meanwhile is seen as one.
        let fingerprint = source.fingerprint();
        let project = source.load().map_err(|problems| Error::config(problems.join("; ")))?;
        let shared = Shared {
            source,
            fingerprint,
            history,
            clock,
            listener,
            events: broadcast::Sender::new(MOST_EVENTS_BEHIND),
            project: Mutex::new(Arc::new(project)),
            problems: Mutex::default(),
            running: Mutex::default(),
            left: Mutex::default(),
            troubles: Mutex::default(),
            asked: Mutex::default(),
            wake: Notify::new(),
            _lock: lock,
        };
        Ok(Scheduler { shared: Arc::new(shared) })
    }

    /// The project as it stands now.
    pub fn project(&self) -> Arc<Project> {
        Arc::clone(&guard(&self.shared.project))
    }

    /// The run history.
    pub fn history(&self) -> &History {
        &self.shared.history
    }

    /// What is wrong with the project's files as they are now, so that an earlier state of them is in use; empty when
    /// nothing is.
    pub fn problems(&self) -> Vec<String> {
        guard(&self.shared.problems).clone()
    }

    /// The events from now on. A subscriber that is thousands behind loses the oldest and is told so.
    pub fn subscribe(&self) -> broadcast::Receiver<Event> {
        self.shared.events.subscribe()
    }

    /// Asks for a run and returns its number. It starts when its turn comes, at once if there is room.
    ///
    /// # Errors
    /// [`stage::Kind::Config`] when there is no such workflow or parameter; else as [`History::open`].
    pub async fn run_now(&self, workflow: &str, parameters: BTreeMap<String, String>) -> Result<i64> {
        let workflow = self.workflow(workflow)?;
        let parameters = workflow.parameters_with(&parameters)?;
        let run = NewRun { workflow: workflow.name().to_owned(), parameters, cause: Cause::default(), parent: None };
        let number = self.shared.history.queue_run(run).await?;
        self.shared.wake.notify_one();
        number.ok_or_else(|| Error::bug("a run that somebody asked for has no number"))
    }

    /// Asks to go on with a run that has ended: to resume or to repair it, with the definition of today. It starts at
    /// once.
    ///
    /// # Errors
    /// [`stage::Kind::Config`] when there is no such run, it has not ended, its workflow is gone or has no such task, and as
    /// [`Again::check`]; [`stage::Kind::Conflict`] when it is being gone on with already.
    pub async fn go_on(&self, number: i64, again: Again, parameters: BTreeMap<String, String>) -> Result<()> {
        let RunDetails { run, .. } = ended_run(&self.shared.history, number).await?;
        again.check(&run)?;
        let workflow = self.workflow(&run.workflow)?;
        workflow.parameters_with(&parameters)?;
        if let Again::Repair { tasks, .. } = &again {
            tasks.iter().try_for_each(|task| workflow.index_of(task).map(|_| ()))?;
        }
        self.shared.ask(Asked { number, workflow: run.workflow, again, parameters })?;
        self.shared.wake.notify_one();
        Ok(())
    }

    /// Runs what did not succeed in a run once more, or these tasks, with or without those after them.
    ///
    /// # Errors
    /// As [`Scheduler::go_on`].
    pub async fn repair(&self, number: i64, tasks: Vec<String>, dependents: bool) -> Result<()> {
        self.go_on(number, Again::Repair { tasks, dependents }, BTreeMap::new()).await
    }

    /// Stops a run that this scheduler runs, or that waits for its turn. It returns before a running one has ended.
    ///
    /// # Errors
    /// [`stage::Kind::Config`] when there is no such run, it has ended, or another process runs it.
    pub async fn cancel(&self, number: i64) -> Result<()> {
        let running = guard(&self.shared.running).get(&number).map(|running| running.cancellation.clone());
        if let Some(cancellation) = running {
            // Written first, so that the run is not gone on with if this process dies before the run stops.
            let asked = self.shared.history.ask_cancel(number).await;
            cancellation.cancel();
            return asked.map(|_| ());
        }
        let reason = "it was cancelled before it began".to_owned();
        if self.shared.history.end_queued(number, ResultState::Canceled, reason).await? {
            self.shared.wake.notify_one();
            return Ok(());
        }
        let why = match self.shared.history.run(number).await? {
            None => "there is no such run".to_owned(),
            Some(details) => match details.run.state {
                Some(state) => format!("it has ended as {state}"),
                None => format!("process {} runs it; stop it there", details.run.process),
            },
        };
        Err(Error::config(format!("run {number} cannot be cancelled: {why}")))
    }

    /// Pauses the schedule of a workflow. What is going or waits is not touched.
    ///
    /// # Errors
    /// [`stage::Kind::Config`] when there is no such workflow or it has no schedule; else as [`History::open`].
    pub async fn pause(&self, workflow: &str) -> Result<()> {
        self.set_paused(workflow, true).await
    }

    /// Lets the schedule of a workflow go on, from now.
    ///
    /// # Errors
    /// As [`Scheduler::pause`].
    pub async fn resume(&self, workflow: &str) -> Result<()> {
        self.set_paused(workflow, false).await
    }

    async fn set_paused(&self, name: &str, paused: bool) -> Result<()> {
        if self.workflow(name)?.schedule().is_none() {
            return Err(Error::config(format!("workflow `{name}` has no schedule to pause or resume")));
        }
        self.shared.history.set_paused(name, paused).await?;
        self.shared.wake.notify_one();
        Ok(())
    }

    fn workflow(&self, name: &str) -> Result<Workflow> {
        let project = self.project();
        project.workflows.get(name).cloned().ok_or_else(|| {
            let hint = hint(name, project.workflows.keys().map(String::as_str));
            Error::config(format!("there is no workflow `{name}` in this project{hint}"))
        })
    }
}

impl Shared {
    fn tell(&self, event: Event) {
        (self.listener)(&event);
        // Nobody listens when there is no subscriber.
        let _ = self.events.send(event);
    }

    /// Tells what is wrong, unless it was the last that was wrong with that workflow.
    fn trouble(&self, workflow: Option<&str>, error: &Error) {
        let message = error.chain();
        let about = workflow.unwrap_or_default().to_owned();
        if guard(&self.troubles).insert(about, message.clone()).as_ref() != Some(&message) {
            self.tell(Event::Trouble { workflow: workflow.map(str::to_owned), kind: error.kind(), message });
        }
    }

    /// What was wrong with that workflow has passed.
    fn well(&self, workflow: Option<&str>) {
        guard(&self.troubles).remove(workflow.unwrap_or_default());
    }

    /// Tells that a run has failed which did nothing.
    fn tell_failed(&self, number: i64, workflow: &str, parameters: BTreeMap<String, String>) {
        let event = RunEvent::RunEnded { state: ResultState::Failed, progress: Progress::default(), seconds: 0.0 };
        self.tell(Event::Run { number, workflow: workflow.to_owned(), parameters: Arc::new(parameters), event });
    }

    /// Asks to go on with a run, unless that is done already.
    fn ask(&self, ask: Asked) -> Result<()> {
        let number = ask.number;
        let mut asked = guard(&self.asked);
        if asked.iter().any(|asked| asked.number == number) || guard(&self.running).contains_key(&number) {
            return Err(Error::conflict(format!("run {number} is being gone on with already")));
        }
        asked.push(ask);
        Ok(())
    }

    /// The runs that were started here and are not over, with their workflows. Some may not say so in the history yet, so
    /// look here first: a run that ends meanwhile is then counted rather than overlooked.
    fn started(&self) -> BTreeMap<i64, String> {
        guard(&self.running).iter().map(|(number, running)| (*number, running.workflow.clone())).collect()
    }

    fn leave(&self, run: i64) {
        guard(&self.left).insert(run);
    }

    fn is_left(&self, run: i64) -> bool {
        guard(&self.left).contains(&run)
    }

    fn project(&self) -> Arc<Project> {
        Arc::clone(&guard(&self.project))
    }
}

/// Where the lock of the scheduler lies: beside the history.
fn lock_path(history: &History) -> PathBuf {
    let mut name = history.path().file_name().unwrap_or_default().to_owned();
    name.push("-scheduler.lock");
    history.path().with_file_name(name)
}

fn guard<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
