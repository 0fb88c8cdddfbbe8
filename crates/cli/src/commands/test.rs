//! `medallion test [pipeline|file]`: the tests of pipelines, without the lake.

use std::collections::BTreeMap;

use ::stage::{Error, Kind, Result};
use serde_json::{Value, json};
use sql::{Engine, EngineOptions};

use crate::args::{OutputFormat, TestArguments};
use crate::output::{self, counted};
use crate::project::{Project, hint};
use crate::testing::{Bench, Case, Outcome};

/// What the tests of a few rows may use.
const MEMORY: usize = 256 << 20;
/// The exit code when a test failed.
const FAILED: u8 = 1;

/// Runs the tests and tells how each ended.
pub(super) async fn run(project: Project, arguments: &TestArguments, output: OutputFormat) -> Result<u8> {
    if let Some(first) = project.test_findings.first() {
        let message = format!(
            "{first} ({} in all; `medallion check` shows all)",
            counted(project.test_findings.len() as u64, "problem")
        );
        return Err(Error::config(message));
    }
    let cases = chosen(&project, arguments.name.as_deref())?;
    let engine = Engine::new(EngineOptions { memory_bytes: MEMORY, spill_folder: None, threads: 1 })?;
    let columns = project.columns(&BTreeMap::new()).await?;
    let bench = Bench { project: &project, engine, columns };
    let mut outcomes = Vec::new();
    for case in cases {
        let outcome = bench.run(case).await?;
        if output == OutputFormat::Table {
            output::print(&told(case, &outcome));
        }
        outcomes.push((case, outcome));
    }
    let failed = outcomes.iter().filter(|(_, outcome)| !outcome.failures.is_empty()).count();
    match output {
        OutputFormat::Table => output::note(&summary(&outcomes, failed)),
        OutputFormat::Json => output::print(&as_json(&outcomes)),
        OutputFormat::Csv => output::print(&as_csv(&outcomes)),
    }
    Ok(if failed == 0 { 0 } else { FAILED })
}

/// The tests that are meant: all, those of a pipeline, or one by its name or file.
fn chosen<'a>(project: &'a Project, name: Option<&str>) -> Result<Vec<&'a Case>> {
    let Some(name) = name else { return Ok(project.tests.iter().collect()) };
    let name = name.trim_start_matches("./");
    let is_meant = |case: &&Case| case.pipeline == name || case.name == name || case.file == name;
    let chosen: Vec<&Case> = project.tests.iter().filter(is_meant).collect();
    if !chosen.is_empty() {
        return Ok(chosen);
    }
    if project.tables.keys().any(|table| table.pipeline() == name) {
        return Err(Error::config(format!(
            "the pipeline `{name}` has no tests; write one at pipelines/{name}/tests/<name>.toml"
        )));
    }
    let known = project.tests.iter().flat_map(|case| [case.name.as_str(), case.pipeline.as_str(), case.file.as_str()]);
    Err(Error::new(Kind::Config, format!("there is no pipeline or test `{name}`{}", hint(name, known))))
}

fn told(case: &Case, outcome: &Outcome) -> String {
    let verdict = if outcome.failures.is_empty() { "ok    " } else { "FAILED" };
    let mut text = format!("{verdict} {} ({} ms)\n", case.name, outcome.duration.as_millis());
    for (about, difference) in &outcome.failures {
        let lines: Vec<&str> = difference.text.lines().collect();
        text.push_str(&format!("  {}:{}: {about}: {}\n", case.file, difference.line, lines.join("\n    ")));
    }
    text
}

fn summary(outcomes: &[(&Case, Outcome)], failed: usize) -> String {
    let millis: u128 = outcomes.iter().map(|(_, outcome)| outcome.duration.as_millis()).sum();
    let passed = outcomes.len() - failed;
    match outcomes.len() {
        0 => "no tests; write one at pipelines/<pipeline>/tests/<name>.toml".to_owned(),
        _ => format!("{passed} passed, {failed} failed in {millis} ms"),
    }
}

fn as_json(outcomes: &[(&Case, Outcome)]) -> String {
    let tests = outcomes.iter().map(|(case, outcome)| {
        let failures = outcome
            .failures
            .iter()
            .map(|(about, difference)| json!({ "table": about, "line": difference.line, "message": difference.text }));
        json!({
            "test": case.name, "file": case.file, "passed": outcome.failures.is_empty(),
            "milliseconds": outcome.duration.as_secs_f64() * 1_000.0, "failures": failures.collect::<Vec<_>>(),
        })
    });
    Value::from(tests.collect::<Vec<_>>()).to_string()
}

fn as_csv(outcomes: &[(&Case, Outcome)]) -> String {
    let rows = outcomes.iter().map(|(case, outcome)| {
        let failures = outcome.failures.iter().map(|(about, difference)| format!("{about}: {}", difference.text));
        let failures: Vec<String> = failures.collect();
        let passed = outcome.failures.is_empty().to_string();
        vec![case.name.clone(), passed, outcome.duration.as_millis().to_string(), failures.join("\n")]
    });
    output::csv(&["test", "passed", "milliseconds", "failures"], &rows.collect::<Vec<_>>())
}
