//! What the page needs of the program it belongs to.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use futures::stream::{self, BoxStream, StreamExt as _};
use serde::Serialize;
use stage::Result;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use workflow::{Again, Event, Workflow};

/// The scheduler behind the page.
///
/// Runs are started and stopped by it; how they went is read from the history they are recorded in.
#[async_trait]
pub trait Host: Send + Sync + 'static {
    /// The name of the project.
    fn project(&self) -> String;

    /// Every workflow there is now, with when it runs next.
    ///
    /// # Errors
    /// Those of the history.
    async fn plans(&self) -> Result<Vec<Plan>>;

    /// What happens from now on, as [`changes_of`] makes it of a channel.
    fn changes(&self) -> BoxStream<'static, Change>;

    /// Asks for a run, and returns its number at once. Whether it begins, waits for its turn or is skipped because too many
    /// others go (`MAXIMUM_CONCURRENT_RUNS_REACHED`) shows afterwards in where it stands.
    ///
    /// # Errors
    /// [`stage::Kind::Config`] when a parameter is not one of the workflow.
    async fn start(&self, workflow: &str, parameters: BTreeMap<String, String>) -> Result<i64>;

    /// Keeps runs from starting by themselves, or lets them again.
    ///
    /// # Errors
    /// [`stage::Kind::Config`] when the workflow has no schedule.
    async fn pause(&self, workflow: &str, paused: bool) -> Result<()>;

    /// Lets a run that has ended go on, and returns as soon as it does.
    ///
    /// # Errors
    /// [`stage::Kind::Config`] when its workflow or a task is not there any more, and as [`Again::check`].
    async fn repair(&self, run: i64, again: Again) -> Result<()>;

    /// Asks a run that goes on or waits to end, and does not wait for that.
    ///
    /// # Errors
    /// [`stage::Kind::Config`] when another process runs it, or it has ended.
    async fn cancel(&self, run: i64) -> Result<()>;
}

/// A workflow and when it runs by itself.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The workflow.
    pub workflow: Arc<Workflow>,
    /// What starts its runs, in words; `None` when nothing does.
    pub schedule: Option<String>,
    /// When the next one starts, as far as that is known.
    pub next: Option<DateTime<Utc>>,
    /// What it waits for, when that is no time.
    pub waits_for: Option<String>,
    /// Whether nothing starts for now.
    pub paused: bool,
}

/// Something that happened, told to every page that is open.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Change {
    /// A run waits, goes on or has ended.
    Run {
        /// Its number.
        run: i64,
        /// Its workflow.
        workflow: String,
        /// A result state, `RUNNING` or `QUEUED`.
        status: String,
    },
    /// A task of a run goes on, waits for another attempt or has ended.
    Task {
        /// The number of the run.
        run: i64,
        /// The task; an item of a loop is `<task>[<index>]`.
        task_key: String,
        /// A result state, `RUNNING` or `WAITING_FOR_RETRY`.
        status: String,
    },
    /// Workflows came, went, changed, were paused or resumed.
    Workflows,
    /// Some changes were missed; whatever is shown has to be asked for anew.
    Resync,
}

/// The changes among what a channel tells. Where the receiver was too slow there is a [`Change::Resync`].
pub fn changes_of<T: Clone + Send + 'static>(
    receiver: Receiver<T>,
    change: impl Fn(T) -> Option<Change> + Send + 'static,
) -> BoxStream<'static, Change> {
    let told = stream::unfold((receiver, change), |(mut receiver, change)| async move {
        let next = match receiver.recv().await {
            Ok(told) => change(told),
            Err(RecvError::Lagged(_)) => Some(Change::Resync),
            Err(RecvError::Closed) => return None,
        };
        Some((next, (receiver, change)))
    });
    told.filter_map(|change| async { change }).boxed()
}

impl Change {
    /// What an event of a run is for the page; `None` for what it does not show.
    pub fn of(run: i64, workflow: &str, event: &Event) -> Option<Change> {
        let of_run = |status: &str| Change::Run { run, workflow: workflow.to_owned(), status: status.to_owned() };
        let of_task = |task_key: &str, status: &str| Change::Task {
            run,
            task_key: task_key.to_owned(),
            status: status.to_owned(),
        };
        Some(match event {
            Event::RunStarted { .. } => of_run("RUNNING"),
            Event::RunEnded { state, .. } => of_run(state.name()),
            Event::TaskStarted { task_key } | Event::StageStarted { task_key, .. } => of_task(task_key, "RUNNING"),
            Event::AttemptFailed { task_key, will_retry_in: Some(_), .. } => of_task(task_key, "WAITING_FOR_RETRY"),
            Event::TaskEnded { task_key, state, .. } => of_task(task_key, state.name()),
            _ => return None,
        })
    }

    /// Its name among server-sent events.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Change::Run { .. } => "run",
            Change::Task { .. } => "task",
            Change::Workflows => "workflows",
            Change::Resync => "resync",
        }
    }
}
