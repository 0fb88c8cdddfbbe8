//! The arguments as they are typed. The doc comments are the help that users read.

mod generate;
mod mending;
mod runs;
mod workflows;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

pub(crate) use self::generate::{Destination, GenerateArguments, GenerateKind};
pub(crate) use self::mending::{Every, GapsArguments, QuarantineCommand, ReplayArguments, ShowQuarantineArguments};
pub(crate) use self::runs::{
    CompareArguments, LogsArguments, PruneArguments, RepairArguments, RunsArguments, RunsCommand,
};
pub(crate) use self::workflows::{NextArguments, PauseArguments, RunArguments, ServeArguments, StreamArguments};

/// Bronze, silver and gold jobs on open Delta tables, from one binary.
#[derive(Debug, Parser)]
#[command(name = "medallion", version, propagate_version = true)]
pub(crate) struct Arguments {
    #[command(flatten)]
    pub(crate) project: ProjectArguments,
    /// How logs on stderr are written
    #[arg(long, global = true, value_enum, default_value_t = LogFormat::Text)]
    pub(crate) log_format: LogFormat,
    /// How results on stdout are written
    #[arg(long, short, global = true, value_enum, default_value_t = OutputFormat::Table)]
    pub(crate) output: OutputFormat,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Which project, and with which values.
#[derive(Debug, Args)]
pub(crate) struct ProjectArguments {
    /// The project's folder; by default the nearest one upwards with a medallion.toml
    #[arg(long, global = true, value_name = "FOLDER")]
    pub(crate) project: Option<PathBuf>,
    /// The target of medallion.toml to use
    #[arg(long, global = true, value_name = "NAME")]
    pub(crate) target: Option<String>,
    /// A variable, which wins over medallion.toml and the environment; may be repeated
    #[arg(long = "var", global = true, value_name = "NAME=VALUE", value_parser = key_value)]
    pub(crate) variables: Vec<(String, String)>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Read the whole project and report every problem, without touching the lake
    Check,
    /// Run a workflow
    Run(RunArguments),
    /// Run the workflows of the project by their schedules until stopped
    #[command(alias = "schedule")]
    Serve(ServeArguments),
    /// Show the coming runs of workflows
    Next(NextArguments),
    /// Let the schedule of a workflow start no runs
    Pause(PauseArguments),
    /// Let the schedule of a workflow start runs again
    Resume(PauseArguments),
    /// Keep the tables of a workflow or a pipeline going until stopped
    Stream(StreamArguments),
    /// Bring one bronze table up to date
    Bronze(StageArguments),
    /// Bring one silver table up to date
    Silver(StageArguments),
    /// Bring one gold table up to date
    Gold(StageArguments),
    /// Hold one table as it stands against its expectations and checks, or report on all tables
    Quality(QualityArguments),
    /// Run the tests of pipelines, on rows of their own and without the lake
    Test(TestArguments),
    /// Show what the columns of a table hold, as a whole and commit by commit
    Profile(ProfileArguments),
    /// Show a table (spec, columns, SQL, positions) or a workflow (its tasks and what they wait for)
    Show(ShowArguments),
    /// Ask the lake in SQL
    Query(QueryArguments),
    /// List runs, look into one, compare two, or go on with one
    Runs(RunsArguments),
    /// List the days or hours in which a table has no rows
    Gaps(GapsArguments),
    /// Look at rows that were refused, and let in those that today's rules accept
    #[command(subcommand)]
    Quarantine(QuarantineCommand),
    /// List the versions of a table and what made them
    History(HistoryArguments),
    /// Write the small files of a table together; its rows stay the same
    Optimize(OptimizeArguments),
    /// Delete files of a table that no version within the retention needs any more
    Vacuum(VacuumArguments),
    /// Write realistic test data into the landing folder
    Generate(GenerateArguments),
    /// Send a test notice, to see whether [notifications] of medallion.toml is right
    Notify(NotifyArguments),
    /// Make a new project that runs
    New(NewArguments),
    /// Print or write the JSON Schemas of the project's files
    Schema(SchemaArguments),
    /// Print completions for a shell
    Completions(CompletionsArguments),
}

#[derive(Debug, Args)]
pub(crate) struct StageArguments {
    /// The table, such as shop.silver.orders; the pipeline may be left out where it is clear
    pub(crate) table: String,
    /// Rebuild the table from all of its upstream
    #[arg(long)]
    pub(crate) full_refresh: bool,
}

#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true, arg_required_else_help = true)]
pub(crate) struct QualityArguments {
    /// The table, such as shop.silver.orders
    pub(crate) table: Option<String>,
    #[command(subcommand)]
    pub(crate) command: Option<QualityCommand>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum QualityCommand {
    /// Write one page with the rules of all tables, their trend, failing rows, freshness and profiles
    Report(ReportArguments),
}

#[derive(Debug, Args)]
pub(crate) struct ReportArguments {
    /// Where to write the page; it needs nothing besides itself
    #[arg(long, value_name = "FILE")]
    pub(crate) html: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct ProfileArguments {
    /// The table, such as shop.silver.orders
    pub(crate) table: String,
    /// Only these columns
    #[arg(long, value_name = "COLUMN", value_delimiter = ',')]
    pub(crate) columns: Vec<String>,
    /// The most commits to show
    #[arg(long, default_value_t = 5)]
    pub(crate) limit: usize,
    /// Print expectations that held so far, as TOML to read, change and paste into the spec
    #[arg(long)]
    pub(crate) propose: bool,
}

#[derive(Debug, Args)]
pub(crate) struct TestArguments {
    /// A pipeline, or one test by its name (shop/late_orders) or file; all tests when left out
    pub(crate) name: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct ShowArguments {
    /// A table or a workflow; everything in the project when left out
    pub(crate) name: Option<String>,
    /// Tell how the table was last brought up to date and why so, and what the next run would do
    #[arg(long, requires = "name")]
    pub(crate) explain: bool,
    /// How a workflow is drawn
    #[arg(long, value_enum, requires = "name", conflicts_with = "explain")]
    pub(crate) format: Option<DrawingFormat>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum DrawingFormat {
    /// Lines for a terminal
    Text,
    /// A flowchart for documentation
    Mermaid,
    /// A picture for browsers
    Svg,
}

#[derive(Debug, Args)]
pub(crate) struct QueryArguments {
    /// One SELECT; tables are named pipeline.layer.table
    pub(crate) sql: String,
    /// The pipeline that names of two parts belong to
    #[arg(long)]
    pub(crate) pipeline: Option<String>,
    /// The most rows to print; 0 for all
    #[arg(long, default_value_t = 100)]
    pub(crate) limit: usize,
}

#[derive(Debug, Args)]
pub(crate) struct HistoryArguments {
    /// The table, such as shop.silver.orders
    pub(crate) table: String,
    /// The most versions to list
    #[arg(long, default_value_t = 20)]
    pub(crate) limit: usize,
}

#[derive(Debug, Args)]
pub(crate) struct OptimizeArguments {
    /// The table, such as shop.silver.orders
    pub(crate) table: String,
}

#[derive(Debug, Args)]
pub(crate) struct VacuumArguments {
    /// The table, such as shop.silver.orders
    pub(crate) table: String,
    /// How long files stay that are no longer needed; by default the retention of [maintenance] in medallion.toml, or 7d
    #[arg(long, value_name = "TIME")]
    pub(crate) retain: Option<frame::TimeSpan>,
    /// Only list what would be deleted
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Allow a shorter time than the retention; only while nothing reads or writes the table
    #[arg(long)]
    pub(crate) force: bool,
}

#[derive(Debug, Args)]
pub(crate) struct NotifyArguments {
    /// A mail address, or the id of a webhook of medallion.toml
    #[arg(value_name = "ADDRESS|WEBHOOK")]
    pub(crate) to: String,
}

#[derive(Debug, Args)]
pub(crate) struct NewArguments {
    /// The folder to make; it must not exist or be empty
    pub(crate) folder: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct SchemaArguments {
    /// Which schema to print: medallion, bronze, silver, gold, workflow or test; all names when left out
    pub(crate) name: Option<String>,
    /// Write all schemas into this folder
    #[arg(long, value_name = "FOLDER")]
    pub(crate) write: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct CompletionsArguments {
    /// The shell
    #[arg(value_enum)]
    pub(crate) shell: clap_complete::Shell,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    /// For people
    Text,
    /// One JSON object per line
    Json,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum OutputFormat {
    /// A table for people
    Table,
    /// JSON: an object or an array
    Json,
    /// Comma-separated values with a header
    Csv,
}

fn key_value(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or_else(|| format!("expected NAME=VALUE, found `{text}`"))?;
    Ok((key.trim().to_owned(), value.to_owned()))
}
