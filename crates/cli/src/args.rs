//! The arguments as they are typed. The doc comments are the help that users read.

mod mending;
mod runs;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

pub(crate) use self::mending::{Every, GapsArguments, QuarantineCommand, ReplayArguments, ShowQuarantineArguments};
pub(crate) use self::runs::{
    CompareArguments, LogsArguments, PruneArguments, RepairArguments, RunsArguments, RunsCommand,
};

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
pub(crate) struct RunArguments {
    /// The workflow: its name, or its file
    pub(crate) workflow: String,
    /// Run only these tasks; what they depend on is taken as done
    #[arg(long, value_name = "TASK", value_delimiter = ',')]
    pub(crate) only: Vec<String>,
    /// Run these tasks and all that come after them; with --to, the first time of an interval, such as 2024-01-01
    #[arg(long, value_name = "TASK|TIME", value_delimiter = ',')]
    pub(crate) from: Vec<String>,
    /// Make the event times from --from up to, but without, this time anew in silver, and refresh gold
    #[arg(long, value_name = "TIME", requires = "from", conflicts_with = "full_refresh")]
    pub(crate) to: Option<String>,
    /// Rebuild every silver and gold table from all of its upstream
    #[arg(long)]
    pub(crate) full_refresh: bool,
    /// A parameter of the workflow; may be repeated
    #[arg(long = "param", value_name = "NAME=VALUE", value_parser = key_value)]
    pub(crate) parameters: Vec<(String, String)>,
    /// Print what the run would do, with every reference filled in that is known before it, and do nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
}

#[derive(Debug, Args)]
pub(crate) struct ServeArguments {
    /// Serve the page and the HTTP interface here, such as 127.0.0.1:9601. On an address that others can reach, everything
    /// needs the token; put something in front of it that speaks TLS
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub(crate) listen: Option<std::net::SocketAddr>,
    /// A name besides the address and `localhost` under which browsers may ask for the page; may be given several times
    #[arg(long = "allow-host", value_name = "NAME", requires = "listen")]
    pub(crate) names: Vec<String>,
}

#[derive(Debug, Args)]
pub(crate) struct NextArguments {
    /// The workflow: its name, or its file; all of them when left out
    pub(crate) workflow: Option<String>,
    /// The most runs to show of each workflow; 5 for one that is named, else 1
    #[arg(long, value_name = "N", value_parser = next_count)]
    pub(crate) count: Option<usize>,
}

#[derive(Debug, Args)]
pub(crate) struct PauseArguments {
    /// The workflow: its name, or its file
    pub(crate) workflow: String,
}

#[derive(Debug, Args)]
pub(crate) struct StreamArguments {
    /// The workflow, its file, or a pipeline
    pub(crate) name: String,
    /// Serve /metrics (for Prometheus), /health and /ready here, such as 127.0.0.1:9600
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) listen: Option<std::net::SocketAddr>,
    /// Keep only the tables of these tasks going
    #[arg(long, value_name = "TASK", value_delimiter = ',')]
    pub(crate) only: Vec<String>,
    /// After how many failures in a row a table stops, while the others go on
    #[arg(long, value_name = "COUNT", default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) max_failures: u32,
    /// A parameter of the workflow; may be repeated
    #[arg(long = "param", value_name = "NAME=VALUE", value_parser = key_value)]
    pub(crate) parameters: Vec<(String, String)>,
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
pub(crate) struct GenerateArguments {
    /// What to generate
    #[arg(value_enum)]
    pub(crate) kind: GenerateKind,
    /// How many events; by default 100,000 into a folder, and to Kafka as many as there is time for
    #[arg(long)]
    pub(crate) rows: Option<u64>,
    /// The same seed gives the same data; by default 42, and to Kafka another one each time
    #[arg(long)]
    pub(crate) seed: Option<u64>,
    /// Share of events with something wrong in them, from 0 to 1
    #[arg(long)]
    pub(crate) bad: Option<f64>,
    /// Share of events that repeat an earlier one
    #[arg(long)]
    pub(crate) duplicate: Option<f64>,
    /// Share of events that arrive later than their time
    #[arg(long)]
    pub(crate) late: Option<f64>,
    /// Where to write: a folder, by default the variable `landing` of the project; or `kafka`, as it happens (behavior only)
    #[arg(long, value_name = "FOLDER|kafka")]
    pub(crate) to: Option<Destination>,
    /// The first day, as YYYY-MM-DD
    #[arg(long, value_name = "DATE", help_heading = INTO_FOLDER)]
    pub(crate) start: Option<chrono::NaiveDate>,
    /// How many days the events spread over
    #[arg(long, help_heading = INTO_FOLDER)]
    pub(crate) days: Option<u32>,
    /// Where in the time span a new attribute appears, from 0 to 1
    #[arg(long, value_name = "SHARE", help_heading = INTO_FOLDER)]
    pub(crate) new_attribute_from: Option<f64>,
    /// Events a second (5000)
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..=10_000_000), help_heading = TO_KAFKA)]
    pub(crate) rate: Option<u64>,
    /// For how long, such as 30s; until ctrl-c when neither this nor --rows is given
    #[arg(long = "for", value_name = "TIME", help_heading = TO_KAFKA)]
    pub(crate) duration: Option<frame::TimeSpan>,
    /// The cluster, as host:port,..; when left out, a stand-in is started in this process and lives until ctrl-c
    #[arg(long, value_name = "LIST", help_heading = TO_KAFKA)]
    pub(crate) brokers: Option<String>,
    /// The topic (behavior)
    #[arg(long, value_name = "NAME", help_heading = TO_KAFKA)]
    pub(crate) topic: Option<String>,
}

const INTO_FOLDER: &str = "Into a folder";
const TO_KAFKA: &str = "To Kafka";

/// Where generated data goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Destination {
    Folder(PathBuf),
    Kafka,
}

impl From<&str> for Destination {
    /// A folder that is called `kafka` is written as `./kafka`.
    fn from(text: &str) -> Destination {
        if text == "kafka" { Destination::Kafka } else { Destination::Folder(text.into()) }
    }
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum GenerateKind {
    /// Feature-flag events in hour folders, and conversions
    Experiments,
    /// A shop: customers, products, clicks, page views, purchases, reviews
    Behavior,
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

fn next_count(text: &str) -> Result<usize, String> {
    let count = text.parse().ok().filter(|count| (1..=10_000).contains(count));
    count.ok_or_else(|| format!("expected 1 to 10000 runs, found `{text}`"))
}

fn key_value(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or_else(|| format!("expected NAME=VALUE, found `{text}`"))?;
    Ok((key.trim().to_owned(), value.to_owned()))
}
