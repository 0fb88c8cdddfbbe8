//! `medallion generate experiments|behavior`: realistic data in the landing folder.

use std::path::PathBuf;

use ::stage::{Error, Result};
use generate::{BehaviorOptions, Disorder, ExperimentsOptions, Summary};

use crate::args::{GenerateArguments, GenerateKind, OutputFormat, ProjectArguments};
use crate::output::{self, counted, thousands};

/// Generates what was asked for.
pub(super) fn run(project: &ProjectArguments, arguments: &GenerateArguments, output: OutputFormat) -> Result<u8> {
    let folder = landing(project, arguments)?;
    let summary = match arguments.kind {
        GenerateKind::Experiments => generate::experiments(&experiments(arguments), &folder)?,
        GenerateKind::Behavior => generate::behavior(&behavior(arguments), &folder)?,
    };
    output::print(&told(&summary, &folder, output));
    Ok(0)
}

fn landing(project: &ProjectArguments, arguments: &GenerateArguments) -> Result<PathBuf> {
    if let Some(folder) = &arguments.to {
        return Ok(folder.clone());
    }
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
        rows: arguments.rows,
        seed: arguments.seed,
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
        rows: arguments.rows,
        seed: arguments.seed,
        start: arguments.start.unwrap_or(defaults.start),
        days: arguments.days.unwrap_or(defaults.days),
        disorder: disorder(arguments, &defaults.disorder),
        new_attribute_from: arguments.new_attribute_from.unwrap_or(defaults.new_attribute_from),
        ..defaults
    }
}

fn disorder(arguments: &GenerateArguments, defaults: &Disorder) -> Disorder {
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
