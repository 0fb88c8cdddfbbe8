//! What became of a stream.

use stage::{Error, Kind, Progress, TableName};

use crate::attempt::rank;
use crate::history::{ErrorRecord, RowCounts, RunEnd, SavedOutput, TaskEnd};
use crate::state::ResultState;

/// What became of one table of a stream.
#[derive(Debug)]
pub struct TableOutcome {
    /// The table.
    pub table: TableName,
    /// `SUCCESS` when it was well until the stream was stopped, `CANCELED` when its last batch was dropped or it was
    /// waiting for its next try, `FAILED` when it stopped for good.
    pub state: ResultState,
    /// Why it was not a success.
    pub error: Option<Error>,
    /// What all its batches did together.
    pub progress: Progress,
}

/// What became of a stream.
#[derive(Debug)]
pub struct StreamOutcome {
    /// The number in the history.
    pub number: i64,
    /// The name in commits, `<workflow>-<number>`.
    pub run_id: String,
    /// `FAILED` when every table failed for good, `SUCCESS_WITH_FAILURES` when some table was not well at the end.
    pub state: ResultState,
    /// Every table, in the order in which rows flow.
    pub tables: Vec<TableOutcome>,
    /// What all tables did together.
    pub progress: Progress,
    /// How long it went on.
    pub seconds: f64,
}

impl TableOutcome {
    pub(super) fn end(&self) -> TaskEnd {
        TaskEnd {
            state: self.state,
            output: SavedOutput::default(),
            error: self.error.as_ref().map(ErrorRecord::from),
            rows: RowCounts::from(&self.progress),
        }
    }
}

impl StreamOutcome {
    pub(super) fn new(number: i64, run_id: String, tables: Vec<TableOutcome>, seconds: f64) -> StreamOutcome {
        let count = |state: ResultState| tables.iter().filter(|table| table.state == state).count();
        let state = match tables.len() {
            all if count(ResultState::Success) == all => ResultState::Success,
            all if count(ResultState::Failed) == all => ResultState::Failed,
            _ => ResultState::SuccessWithFailures,
        };
        let mut progress = Progress::default();
        tables.iter().for_each(|table| progress.add(&table.progress));
        StreamOutcome { number, run_id, state, tables, progress, seconds }
    }

    /// The error that explains best why a table was not well: the first that stays, else the first that may pass.
    pub fn worst_error(&self) -> Option<&Error> {
        self.tables.iter().rev().filter_map(|table| table.error.as_ref()).max_by_key(|error| rank(error))
    }

    /// The exit code of the command: that of the worst error when every table failed for good, else 0. A stream that
    /// was asked to stop and stopped is done, whatever state a single table was in.
    pub fn exit_code(&self) -> u8 {
        match self.state {
            ResultState::Failed => self.worst_error().map_or(Kind::Bug, Error::kind).exit_code(),
            _ => 0,
        }
    }

    pub(super) fn end(&self) -> RunEnd {
        RunEnd {
            state: self.state,
            error: self.worst_error().map(ErrorRecord::from),
            rows: RowCounts::from(&self.progress),
        }
    }
}
