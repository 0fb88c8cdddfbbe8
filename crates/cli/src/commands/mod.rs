//! A file for each command, or for commands that do the same to other tables, whose `run` returns the exit code.
//!
//! What a command is given stands in [`args`](crate::args). `explain`, `interval` and `produce` are parts of commands.

mod check;
mod completions;
mod dry_run;
mod explain;
mod gaps;
mod generate;
mod history;
mod interval;
mod new;
mod next;
mod notify;
mod optimize;
mod pause;
mod produce;
mod profile;
mod quality;
mod quarantine;
mod query;
mod run;
mod runs;
mod schema;
mod serve;
mod show;
mod stage;
mod stream;
mod test;
mod vacuum;

use std::path::PathBuf;

pub(crate) use self::optimize::told as compaction_told;
pub(crate) use self::query::{ask, planned};
pub(crate) use self::vacuum::told as vacuum_told;
use ::stage::{Error, Layer, Result, TableName};

use crate::args::{Arguments, Command, OutputFormat, ProjectArguments};
use crate::project::{self, Finding, LoadOptions, Project};
use crate::workbench::Workbench;

/// Runs the command and returns the exit code.
pub(crate) async fn run(arguments: Arguments) -> Result<u8> {
    let Arguments { project, log_format, output, command } = arguments;
    match command {
        Command::Check => check::run(&project, output).await,
        Command::Run(arguments) => run::run(open(&project)?, &arguments, output).await,
        Command::Serve(arguments) => serve::run(&project, arguments, log_format).await,
        Command::Next(arguments) => next::run(open(&project)?, &arguments, output).await,
        Command::Pause(arguments) => pause::run(open(&project)?, &arguments, true, output).await,
        Command::Resume(arguments) => pause::run(open(&project)?, &arguments, false, output).await,
        Command::Stream(arguments) => stream::run(open(&project)?, &arguments, log_format, output).await,
        Command::Bronze(arguments) => stage::run(open(&project)?, Layer::Bronze, &arguments, output).await,
        Command::Silver(arguments) => stage::run(open(&project)?, Layer::Silver, &arguments, output).await,
        Command::Gold(arguments) => stage::run(open(&project)?, Layer::Gold, &arguments, output).await,
        Command::Quality(arguments) => quality::run(open(&project)?, &arguments, output).await,
        Command::Profile(arguments) => profile::run(open(&project)?, &arguments, output).await,
        Command::Test(arguments) => test::run(load_checked(&project)?, &arguments, output).await,
        Command::Show(arguments) => show::run(open(&project)?, &arguments, output).await,
        Command::Query(arguments) => query::run(open(&project)?, &arguments, output).await,
        Command::Runs(arguments) => runs::run(open(&project)?, &arguments, output).await,
        Command::History(arguments) => history::run(open(&project)?, &arguments, output).await,
        Command::Gaps(arguments) => gaps::run(open(&project)?, &arguments, output).await,
        Command::Quarantine(command) => quarantine::run(open(&project)?, &command, output).await,
        Command::Optimize(arguments) => optimize::run(open(&project)?, &arguments, output).await,
        Command::Vacuum(arguments) => vacuum::run(open(&project)?, &arguments, output).await,
        Command::Generate(arguments) => generate::run(&project, &arguments, output).await,
        Command::Notify(arguments) => notify::run(load_checked(&project)?, &arguments).await,
        Command::New(arguments) => new::run(&arguments),
        Command::Schema(arguments) => schema::run(&arguments),
        Command::Completions(arguments) => completions::run(&arguments),
    }
}

/// Finds and reads the project. `Err` when there is none at all.
fn load(arguments: &ProjectArguments) -> Result<(Option<Project>, Vec<Finding>)> {
    let (root, options) = root_and_options(arguments)?;
    Ok(project::load(&root, &options))
}

/// The folder of the project, and how it is read.
fn root_and_options(arguments: &ProjectArguments) -> Result<(PathBuf, LoadOptions)> {
    let root = match &arguments.project {
        Some(folder) => project::find_root(folder)?,
        None => {
            let here = std::env::current_dir()
                .map_err(|error| Error::config("the working folder cannot be read").with_source(error))?;
            project::find_root(&here)?
        }
    };
    let options = LoadOptions {
        target: arguments.target.clone(),
        variables: arguments.variables.iter().cloned().collect(),
        ..LoadOptions::default()
    };
    Ok((root, options))
}

/// The project, if nothing was found wrong with it.
fn load_checked(arguments: &ProjectArguments) -> Result<Project> {
    let (project, findings) = load(arguments)?;
    match (project, findings.first()) {
        (Some(project), None) => Ok(project),
        (_, Some(first)) => {
            let others = match findings.len() - 1 {
                0 => String::new(),
                more => format!(" (and {more} more; `medallion check` shows all)"),
            };
            Err(Error::config(format!("{first}{others}")))
        }
        (None, None) => Err(Error::bug("a project was not read, and nothing was found wrong with it")),
    }
}

fn open(arguments: &ProjectArguments) -> Result<Workbench> {
    Workbench::open(load_checked(arguments)?)
}

/// Whether a result is meant for programs.
fn is_for_programs(output: OutputFormat) -> bool {
    output != OutputFormat::Table
}

/// The name of a table: of the project, or any full name (system and quarantine tables have no spec).
fn any_table_name(workbench: &Workbench, text: &str) -> Result<TableName> {
    match (workbench.project.table(text), text.parse::<TableName>()) {
        (Ok(table), _) => Ok(table.name.clone()),
        (Err(_), Ok(name)) if !Layer::OF_USERS.contains(&name.layer()) => Ok(name),
        (Err(error), _) => Err(error),
    }
}

/// What is not there cannot be looked after.
pub(crate) async fn expect_existing(workbench: &Workbench, name: &TableName) -> Result<()> {
    match workbench.lake.open(name).await?.version() {
        Some(_) => Ok(()),
        None => Err(Error::data(format!("{name} does not exist yet; run the task that fills it first"))),
    }
}
