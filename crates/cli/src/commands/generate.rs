//! `medallion generate experiments|behavior`: realistic data in the landing folder, or in a topic of Kafka.

use std::path::PathBuf;

use ::stage::{Error, Result};
use generate::{BehaviorOptions, Disorder, ExperimentsOptions, Summary};

use super::produce;
use crate::args::{Destination, GenerateArguments, GenerateKind, OutputFormat, ProjectArguments};
use crate::output::{self, counted, thousands};

/// How many events when that is not said.
const ROWS: u64 = 100_000;
/// The seed when it is not said.
const SEED: u64 = 42;

/// Generates what was asked for.
pub(super) async fn run(project: &ProjectArguments, arguments: &GenerateArguments, output: OutputFormat) -> Result<u8> {
    refuse_what_does_not_fit(arguments)?;
    let folder = match &arguments.to {
        Some(Destination::Kafka) => return produce::run(arguments, output).await,
        Some(Destination::Folder(folder)) => folder.clone(),
        None => landing(project)?,
    };
    let summary = match arguments.kind {
        GenerateKind::Experiments => generate::experiments(&experiments(arguments), &folder)?,
        GenerateKind::Behavior => generate::behavior(&behavior(arguments), &folder)?,
    };
    output::print(&told(&summary, &folder, output));
    Ok(0)
}

/// An option that would have no effect is a mistake; all of them are told together.
fn refuse_what_does_not_fit(arguments: &GenerateArguments) -> Result<()> {
    let to_kafka = arguments.to == Some(Destination::Kafka);
    let options = [
        ("--start", arguments.start.is_some(), false),
        ("--days", arguments.days.is_some(), false),
        ("--new-attribute-from", arguments.new_attribute_from.is_some(), false),
        ("--rate", arguments.rate.is_some(), true),
        ("--for", arguments.duration.is_some(), true),
        ("--brokers", arguments.brokers.is_some(), true),
        ("--topic", arguments.topic.is_some(), true),
    ];
    let mut wrong: Vec<String> = options
        .into_iter()
        .filter(|(_, is_given, of_kafka)| *is_given && *of_kafka != to_kafka)
        .map(|(name, ..)| match to_kafka {
            true => format!("{name} is for data in a folder; leave it out, events to Kafka happen now"),
            false => format!("{name} is for events to Kafka; add --to kafka"),
        })
        .collect();
    if to_kafka && matches!(arguments.kind, GenerateKind::Experiments) {
        wrong.push("only `behavior` can be sent to Kafka".to_owned());
    }
    if wrong.is_empty() { Ok(()) } else { Err(Error::config(wrong.join("; "))) }
}

fn landing(project: &ProjectArguments) -> Result<PathBuf> {
    let project = super::load_checked(project)?;
    let landing = project
        .variables
        .get("landing")
        .ok_or_else(|| Error::config("the project has no variable `landing`; say where to write with --to <folder>"))?;
    if landing.contains("://") {
        return Err(Error::config(format!(
            "cannot generate into `{landing}`; write to a folder with --to and copy it there"
        )));
    }
    // A path such as `./landing` is written without the dot.
    Ok(project.root.join(landing).components().collect())
}

fn experiments(arguments: &GenerateArguments) -> ExperimentsOptions {
    let defaults = ExperimentsOptions::default();
    ExperimentsOptions {
        rows: arguments.rows.unwrap_or(ROWS),
        seed: arguments.seed.unwrap_or(SEED),
        start: arguments.start.unwrap_or(defaults.start),
        days: arguments.days.unwrap_or(defaults.days),
        disorder: disorder(arguments, &defaults.disorder),
        new_attribute_from: arguments.new_attribute_from.unwrap_or(defaults.new_attribute_from),
        ..defaults
    }
}

fn behavior(arguments: &GenerateArguments) -> BehaviorOptions {
    let defaults = BehaviorOptions::default();
    BehaviorOptions {
        rows: arguments.rows.unwrap_or(ROWS),
        seed: arguments.seed.unwrap_or(SEED),
        start: arguments.start.unwrap_or(defaults.start),
        days: arguments.days.unwrap_or(defaults.days),
        disorder: disorder(arguments, &defaults.disorder),
        new_attribute_from: arguments.new_attribute_from.unwrap_or(defaults.new_attribute_from),
        ..defaults
    }
}

/// The shares of events with something wrong.
pub(super) fn disorder(arguments: &GenerateArguments, defaults: &Disorder) -> Disorder {
    Disorder {
        bad: arguments.bad.unwrap_or(defaults.bad),
        duplicate: arguments.duplicate.unwrap_or(defaults.duplicate),
        late: arguments.late.unwrap_or(defaults.late),
    }
}

fn told(summary: &Summary, folder: &std::path::Path, output: OutputFormat) -> String {
    if super::is_for_programs(output) {
        return serde_json::to_string(summary).unwrap_or_default();
    }
    format!(
        "{} ({} bad, {} repeated, {} late) in {}, {}, below {}",
        counted(summary.rows, "event"),
        thousands(summary.bad),
        thousands(summary.duplicates),
        thousands(summary.late),
        counted(summary.files, "file"),
        counted(summary.bytes, "byte"),
        folder.display()
    )
}
