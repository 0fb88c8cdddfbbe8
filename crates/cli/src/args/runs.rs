//! The arguments of `medallion runs`.

use clap::{Args, Subcommand};
use workflow::history::RunStatus;

use super::key_value;

#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct RunsArguments {
    #[command(subcommand)]
    pub(crate) command: Option<RunsCommand>,
    /// Only runs of this workflow
    #[arg(long)]
    pub(crate) workflow: Option<String>,
    /// Only runs in this state, such as FAILED, RUNNING or QUEUED
    #[arg(long, value_parser = RunStatus::parse)]
    pub(crate) state: Option<RunStatus>,
    /// The most runs to list
    #[arg(long, default_value_t = 20)]
    pub(crate) limit: usize,
}

#[derive(Debug, Subcommand)]
pub(crate) enum RunsCommand {
    /// Show one run: its tasks as a drawing, their figures, items of loops and errors
    Show {
        /// The number of the run
        number: i64,
    },
    /// Print what the tasks of a run said
    Logs(LogsArguments),
    /// Hold two runs side by side
    Compare(CompareArguments),
    /// Go on with a run whose process died, or that was cancelled, where it stood
    Resume {
        /// The number of the run
        number: i64,
    },
    /// Run what did not succeed once more, under the same number and with the definition of today
    Repair(RepairArguments),
    /// Cancel a run that goes on or waits for its turn
    Cancel {
        /// The number of the run
        number: i64,
    },
    /// Delete runs that ended long ago from the history, with what their tasks said
    Prune(PruneArguments),
}

#[derive(Debug, Args)]
pub(crate) struct PruneArguments {
    /// How long ago they ended at least, such as 90d
    #[arg(long, value_name = "TIME")]
    pub(crate) older_than: frame::TimeSpan,
    /// How many of the newest runs of each workflow stay in any case
    #[arg(long, value_name = "COUNT", default_value_t = 10)]
    pub(crate) keep: usize,
}

#[derive(Debug, Args)]
pub(crate) struct LogsArguments {
    /// The number of the run
    pub(crate) number: i64,
    /// Only what this task said; of a loop, what its items said too
    #[arg(long)]
    pub(crate) task: Option<String>,
    /// Go on printing until the run has ended
    #[arg(long, short)]
    pub(crate) follow: bool,
}

#[derive(Debug, Args)]
pub(crate) struct CompareArguments {
    /// The number of one run
    pub(crate) first: i64,
    /// The number of the other
    pub(crate) second: i64,
}

#[derive(Debug, Args)]
pub(crate) struct RepairArguments {
    /// The number of the run
    pub(crate) number: i64,
    /// Only these tasks, whether they succeeded or not
    #[arg(long, value_name = "TASK", value_delimiter = ',')]
    pub(crate) tasks: Vec<String>,
    /// Also everything after the named tasks
    #[arg(long, requires = "tasks")]
    pub(crate) dependents: bool,
    /// Another value for a parameter; the others keep theirs
    #[arg(long = "param", value_name = "NAME=VALUE", value_parser = key_value)]
    pub(crate) parameters: Vec<(String, String)>,
}
