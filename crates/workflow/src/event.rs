//! What a run tells while it goes on, so that somebody can draw it.

use std::time::Duration;

use stage::{Kind, Meter, Progress, TableName};

use crate::state::ResultState;

/// Something that happened in a run. The runner calls the function it was given for each; that function must not
/// block, since the runner waits for it.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Event {
    /// The run has its number and is about to start its first tasks.
    RunStarted {
        /// The number in the history.
        number: i64,
        /// The name in commits.
        run_id: String,
        /// The workflow.
        workflow: String,
        /// How many tasks are selected.
        tasks: usize,
    },
    /// A task is left as it is: it ended so in an earlier try of the run, or it was not selected (`EXCLUDED`).
    TaskLeft {
        /// The task.
        task_key: String,
        /// How it ended then.
        state: ResultState,
    },
    /// The first attempt of a task starts.
    TaskStarted {
        /// The task.
        task_key: String,
    },
    /// A stage of the task starts. It is told again by each attempt.
    StageStarted {
        /// The task.
        task_key: String,
        /// The table that is brought forward.
        table: TableName,
        /// Tells at any moment how far it is.
        meter: Meter,
    },
    /// A stage of the task did one advance, an idle one included.
    StageAdvanced {
        /// The task.
        task_key: String,
        /// The table that was advanced.
        table: TableName,
        /// What this advance did.
        progress: Progress,
        /// How long it took.
        seconds: f64,
    },
    /// A stage of the task failed. Other stages of the same wave go on.
    StageFailed {
        /// The task.
        task_key: String,
        /// The table that could not be advanced.
        table: TableName,
        /// The kind of the error.
        kind: Kind,
        /// The error and its causes on one line.
        message: String,
    },
    /// It is known how many items a loop has.
    ItemsCounted {
        /// The task.
        task_key: String,
        /// How many there are; those that are kept from before count too.
        items: usize,
    },
    /// A condition was looked at.
    ConditionDecided {
        /// The task.
        task_key: String,
        /// Whether it holds.
        outcome: bool,
    },
    /// An attempt ended without success.
    AttemptFailed {
        /// The task.
        task_key: String,
        /// The number of the attempt, counted from 0.
        attempt_number: u32,
        /// How it ended: failed, timed out or cancelled.
        state: ResultState,
        /// The kind of the error.
        kind: Kind,
        /// The error and its causes on one line.
        message: String,
        /// When the next attempt starts; `None` when it was the last.
        will_retry_in: Option<Duration>,
        /// Whether tries were left that nothing would come of, see [`in_vain`].
        is_in_vain: bool,
    },
    /// A task ended, or will not start at all. For one that was not selected there is [`Event::TaskLeft`] instead.
    TaskEnded {
        /// The task.
        task_key: String,
        /// How it ended.
        state: ResultState,
        /// What all of its attempts did together.
        progress: Progress,
        /// From the start of its first attempt to the end of the last; 0 when it never started.
        seconds: f64,
    },
    /// The run ended.
    RunEnded {
        /// How it ended.
        state: ResultState,
        /// What all of its tasks did together.
        progress: Progress,
        /// How long it took.
        seconds: f64,
    },
}

/// Why nothing is tried again after an error of that kind although tries are left, in words.
pub fn in_vain(kind: Kind) -> String {
    let what = match kind {
        Kind::Config => "a configuration error",
        Kind::Data => "an error in the data",
        Kind::Quality => "a failed quality gate",
        Kind::Stopped => "a stop",
        Kind::Bug => "a defect",
        Kind::Unavailable | Kind::Conflict => return format!("not tried again after an error of kind {kind}"),
    };
    format!("not tried again: {what} does not pass by itself")
}

impl Event {
    /// The event of a run that a task of another run waits for, as one of that other run: its task is called
    /// `<task>/<inner task>`. Nothing is left of those about the inner run as a whole.
    pub(crate) fn below(mut self, above: &str) -> Option<Event> {
        match &mut self {
            Event::RunStarted { .. } | Event::RunEnded { .. } => return None,
            Event::TaskLeft { task_key, .. }
            | Event::TaskStarted { task_key }
            | Event::StageStarted { task_key, .. }
            | Event::StageAdvanced { task_key, .. }
            | Event::StageFailed { task_key, .. }
            | Event::ItemsCounted { task_key, .. }
            | Event::ConditionDecided { task_key, .. }
            | Event::AttemptFailed { task_key, .. }
            | Event::TaskEnded { task_key, .. } => *task_key = format!("{above}/{task_key}"),
        }
        Some(self)
    }
}
