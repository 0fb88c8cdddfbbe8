//! Keeps one table going: advance until idle, wait for something new, and again, through failures that may pass.

use std::sync::Arc;
use std::time::Duration;

use stage::{Context, Error, Kind, Meter, Progress, Result, Stage, TableName};
use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::event::StreamEvent;
use super::guard::{Ended, guarded};
use super::outcome::TableOutcome;
use super::plan::{Planned, rebuild};
use super::status::{StreamStatus, TableState};
use super::wakes::Wakes;
use super::{Events, StreamOptions};
use crate::backoff;
use crate::definition::Work;
use crate::history::{AttemptEnd, Execution, History};
use crate::state::ResultState;
use crate::task::note;
use crate::workshop::Workshop;

/// How long a stage rests whose source called it for nothing, so that one which always does cannot use a whole core.
const REST: Duration = Duration::from_millis(20);

/// What the keepers of a stream share.
pub(super) struct Shared {
    pub(super) workshop: Arc<dyn Workshop>,
    pub(super) history: History,
    pub(super) number: i64,
    pub(super) events: Events,
    pub(super) status: Arc<StreamStatus>,
    pub(super) wakes: Wakes,
    pub(super) options: StreamOptions,
    /// Set when no new batch is to begin.
    pub(super) stop: CancellationToken,
    /// Set when stages that were told to stop have not, and are to be dropped.
    pub(super) patience_over: CancellationToken,
}

/// What a keeper needs of its own.
pub(super) struct Keeper {
    table: TableName,
    reads: Vec<TableName>,
    work: Work,
    /// What the stage is told. Its cancellation is set when there is no more time to finish an open batch.
    context: Context,
    /// Not there after it panicked, until it is built anew.
    stage: Option<Box<dyn Stage>>,
    wake: Arc<Notify>,
    progress: Progress,
    /// Failures of advancing in a row, and of waiting for the source. They are counted apart because an idle advance
    /// says nothing of a source that cannot be watched.
    advance_failures: u32,
    source_failures: u32,
    /// Whether the source called for the advances that come.
    called: bool,
}

/// A piece of work that did not go well.
struct Failure {
    error: Error,
    may_pass: bool,
    of_source: bool,
}

/// How a keeper ends.
type End = (ResultState, Option<Error>);

impl Keeper {
    pub(super) fn new(planned: Planned, reads: Vec<TableName>, wake: Arc<Notify>, context: &Context) -> Keeper {
        Keeper {
            table: planned.stage.table().clone(),
            reads,
            work: planned.work,
            context: Context { meter: Meter::default(), ..context.clone() },
            stage: Some(planned.stage),
            wake,
            progress: Progress::default(),
            advance_failures: 0,
            source_failures: 0,
            called: false,
        }
    }

    /// Goes on until the stream is stopped or the table fails for good.
    pub(super) async fn run(mut self, shared: &Shared) -> TableOutcome {
        // The tables of the stream were recorded with their places when it began.
        let position = 0;
        let task_key = self.table.to_string();
        let execution = Execution { run: shared.number, repair: 0, task_key, position, input: None };
        let begun = shared.history.begin_attempt(&execution, 0).await;
        note(begun, "could not record the start of a table");
        let (state, error) = self.until_stopped(shared).await;
        let end = AttemptEnd::new(state, error.as_ref(), &self.progress);
        note(shared.history.end_attempt(&execution, 0, end).await, "could not record the end of a table");
        TableOutcome { table: self.table, state, error, progress: self.progress }
    }

    async fn until_stopped(&mut self, shared: &Shared) -> End {
        loop {
            if shared.stop.is_cancelled() {
                shared.status.enter(&self.table, TableState::Stopped);
                return (ResultState::Success, None);
            }
            if let Err(failure) = self.round(shared).await
                && let Some(end) = self.after_failure(failure, shared).await
            {
                return end;
            }
        }
    }

    async fn round(&mut self, shared: &Shared) -> Result<(), Failure> {
        let has_committed = self.until_idle(shared).await?;
        if self.called && !has_committed {
            unless_stopped(shared, tokio::time::sleep(REST)).await;
        }
        self.wait(shared).await
    }

    /// Says whether anything was committed on the way.
    async fn until_idle(&mut self, shared: &Shared) -> Result<bool, Failure> {
        let mut has_committed = false;
        while !shared.stop.is_cancelled() {
            self.enter_if_well(TableState::Running, shared);
            let progress = self.advance(shared).await?;
            has_committed |= progress.version.is_some();
            if progress.idle {
                break;
            }
        }
        Ok(has_committed)
    }

    async fn advance(&mut self, shared: &Shared) -> Result<Progress, Failure> {
        let mut stage = self.take_stage(shared)?;
        // Whatever is upstream now is part of what this advance reads.
        let upstream = shared.status.newest_event_time(&self.reads);
        let started = Instant::now();
        let name = format!("the stage of {}", self.table);
        let ended = guarded(&name, &shared.patience_over, &self.context.meter, stage.advance(&self.context)).await;
        let progress = self.settle(stage, ended, false)?;
        let seconds = started.elapsed().as_secs_f64();
        let gauges = self.stage.as_ref().map(|stage| stage.gauges()).unwrap_or_default();
        let delay_seconds = shared.status.advanced(&self.table, &progress, seconds, gauges, upstream);
        self.recovered(false, shared);
        if progress.version.is_some() {
            self.progress.add(&progress);
            shared.wakes.committed(&self.table);
            let (table, progress) = (self.table.clone(), progress.clone());
            (shared.events)(StreamEvent::Committed { table, progress, seconds, delay_seconds });
        }
        Ok(progress)
    }

    /// Waits for whichever comes first: a commit of a table that is read, something new in the source, the time to look
    /// again, or the end of the stream.
    async fn wait(&mut self, shared: &Shared) -> Result<(), Failure> {
        self.enter_if_well(TableState::Idle, shared);
        let mut stage = self.take_stage(shared)?;
        let name = format!("the source of {}", self.table);
        let (patience_over, context) = (&shared.patience_over, &self.context);
        let ended = tokio::select! {
            biased;
            () = shared.stop.cancelled() => None,
            () = self.wake.notified() => None,
            ended = guarded(&name, patience_over, &context.meter, stage.arrival(context)) => Some(ended),
            () = tokio::time::sleep(shared.options.look_again_after) => None,
        };
        self.called = ended.is_some();
        let arrived = self.settle(stage, ended.unwrap_or(Ended::WithResult(Ok(()))), true);
        if let Some(stage) = &self.stage {
            shared.status.told(&self.table, stage.gauges());
        }
        arrived?;
        self.recovered(true, shared);
        Ok(())
    }

    fn take_stage(&mut self, shared: &Shared) -> Result<Box<dyn Stage>, Failure> {
        match self.stage.take() {
            Some(stage) => Ok(stage),
            None => rebuild(&*shared.workshop, &self.work, &self.table).map_err(|error| Failure {
                may_pass: error.kind().is_transient(),
                error,
                of_source: false,
            }),
        }
    }

    /// Puts the stage back, unless it panicked. A stage that did is worth another try: it is built anew, and whatever
    /// it held in memory is read from its table.
    fn settle<T>(&mut self, stage: Box<dyn Stage>, ended: Ended<T>, of_source: bool) -> Result<T, Failure> {
        match ended {
            Ended::WithResult(result) => {
                self.stage = Some(stage);
                result.map_err(|error| Failure { may_pass: error.kind().is_transient(), error, of_source })
            }
            Ended::Panicked(error) => Err(Failure { error, may_pass: true, of_source }),
            Ended::Dropped => {
                let message = format!("the stage of {} did not stop in time and was dropped", self.table);
                Err(Failure { error: Error::stopped(message), may_pass: false, of_source })
            }
        }
    }

    /// Waits for the next try, or says how the table ends.
    async fn after_failure(&mut self, failure: Failure, shared: &Shared) -> Option<End> {
        let Failure { error, may_pass, of_source } = failure;
        let is_stopping = shared.stop.is_cancelled();
        if is_stopping && (may_pass || error.kind() == Kind::Stopped) {
            return Some(self.canceled(error, shared));
        }
        let count = if of_source { &mut self.source_failures } else { &mut self.advance_failures };
        *count = count.saturating_add(1);
        let failures = *count;
        let again = may_pass && failures < shared.options.max_failures;
        let will_retry_in = again.then(|| backoff::delay_after(failures - 1));
        shared.status.failed(&self.table, &error, failures);
        shared.status.enter(&self.table, if again { TableState::Retrying } else { TableState::Failed });
        let (table, kind, message) = (self.table.clone(), error.kind(), error.chain());
        (shared.events)(StreamEvent::Failed { table, kind, message, failures, will_retry_in });
        let Some(wait) = will_retry_in else { return Some((ResultState::Failed, Some(error))) };
        unless_stopped(shared, tokio::time::sleep(wait)).await;
        shared.stop.is_cancelled().then(|| self.canceled(error, shared))
    }

    fn canceled(&self, error: Error, shared: &Shared) -> End {
        shared.status.enter(&self.table, TableState::Stopped);
        (ResultState::Canceled, Some(error))
    }

    fn enter_if_well(&self, state: TableState, shared: &Shared) {
        if self.advance_failures + self.source_failures == 0 {
            shared.status.enter(&self.table, state);
        }
    }

    fn recovered(&mut self, of_source: bool, shared: &Shared) {
        let count = if of_source { &mut self.source_failures } else { &mut self.advance_failures };
        let had_failed = std::mem::take(count) > 0;
        if had_failed && self.advance_failures + self.source_failures == 0 {
            shared.status.went_well(&self.table);
            (shared.events)(StreamEvent::Recovered { table: self.table.clone() });
        }
    }
}

async fn unless_stopped(shared: &Shared, work: impl Future<Output = ()>) {
    tokio::select! {
        () = work => {}
        () = shared.stop.cancelled() => {}
    }
}
