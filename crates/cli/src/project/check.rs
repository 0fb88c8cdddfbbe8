//! What can be said of the tables and workflows of a project from their files alone: names, modes, cycles.

use std::collections::BTreeSet;

use bronze::spec::{FilesSpec, SourceSpec};
use frame::TimeSpan;
use frame::spec::SchemaSpec;
use lake::ledger::SYSTEM_TABLES;
use silver::spec::SilverSpec;
use stage::{Layer, Problem, TableName};
use workflow::Work;

use super::files::Files;
use super::finding::line_and_column;
use super::graph::{cycles, written_by};
use super::nearest::hint;
use super::writes::{check_upstream, check_write};
use super::{Definition, Finding, Project, SqlText, Table};

/// Checks every table of the project.
pub(crate) fn check_tables(project: &Project, files: &Files, findings: &mut Vec<Finding>) {
    for table in project.tables.values() {
        let problems = match &table.definition {
            Definition::Bronze(spec) => check_bronze(&spec.schema, &spec.source),
            Definition::Silver { spec, from, sql } => check_silver(project, files, spec, from, sql.as_ref(), table),
            Definition::Gold { spec, .. } => check_gold(spec),
        };
        let shared = check_columns_once("partition_by", table.partition_by());
        let expectations = quality::check(table.expectations());
        let checks = quality::checks::check(table.checks(), table.expectations());
        let all = problems.into_iter().chain(shared).chain(expectations).chain(checks);
        findings.extend(all.map(|problem| table.document.locate(&problem)));
        check_tables_of_checks(project, table, files, findings);
        if let Some(sql) = table.sql() {
            check_references(project, table, sql, files, findings);
        }
    }
    for cycle in cycles(&project.tables) {
        findings.extend(cycle_finding(project, &cycle));
    }
}

/// Whether what a task names exists, and if not, why in words for the user.
pub(crate) fn check_work(work: &Work, files: &Files) -> Result<(), String> {
    match work {
        Work::Bronze(table)
        | Work::Silver(table)
        | Work::Gold(table)
        | Work::Quality(table)
        | Work::Optimize(table) => known(table, files),
        Work::Vacuum { table, retain } => {
            retain
                .iter()
                .try_for_each(|text| text.parse().map(|_: TimeSpan| ()).map_err(|why| format!("`retain`: {why}")))?;
            known(table, files)
        }
        Work::Sql { .. } | Work::Shell { .. } => Ok(()),
        Work::Pipeline { pipeline, layer, .. } => {
            if !files.pipelines.contains(pipeline) {
                let hint = hint(pipeline, files.pipelines.iter().map(String::as_str));
                return Err(format!("there is no pipeline `{pipeline}`{hint}"));
            }
            let is_in =
                |name: &&TableName| name.pipeline() == pipeline && layer.is_none_or(|layer| name.layer() == layer);
            if files.tables.keys().any(|name| is_in(&name)) {
                return Ok(());
            }
            let layer = layer.map(|layer| format!("{layer} ")).unwrap_or_default();
            Err(format!("the pipeline `{pipeline}` has no {layer}tables"))
        }
    }
}

fn check_bronze(schema: &SchemaSpec, source: &SourceSpec) -> Vec<Problem> {
    let mut problems: Vec<Problem> = match frame::types::schema(schema) {
        Ok(_) => Vec::new(),
        Err(problems) => problems
            .into_iter()
            .map(|problem| Problem::new(format!("schema/{}", problem.at), problem.message))
            .collect(),
    };
    for name in schema.keys().filter(|name| bronze::is_system(name)) {
        let message = format!("`{name}` is a column that bronze adds itself; give yours another name");
        problems.push(Problem::new(format!("schema/{name}"), message));
    }
    match source {
        SourceSpec::Files(files) => problems.extend(check_files(files)),
        SourceSpec::Kafka(kafka) => problems.extend(bronze::kafka::check(kafka, schema)),
        SourceSpec::Kinesis(kinesis) => problems.extend(bronze::kinesis::check(kinesis, schema)),
    }
    problems
}

fn check_files(files: &FilesSpec) -> Vec<Problem> {
    let mut problems = Vec::new();
    if files.path.trim().is_empty() {
        problems.push(Problem::new("source/files/path", "the path is empty; expected a folder or s3://bucket/prefix"));
    }
    let single = [("delimiter", &files.csv.delimiter), ("quote", &files.csv.quote)];
    for (key, text) in single {
        if text.len() != 1 {
            let message = format!("expected one character of ASCII as the {key}, found `{text}`");
            problems.push(Problem::new(format!("source/files/csv/{key}"), message));
        }
    }
    for (key, number) in [("max_files", files.max_files), ("max_bytes", files.max_bytes)] {
        if number == 0 {
            problems.push(Problem::new(format!("source/files/{key}"), "expected at least 1, found 0"));
        }
    }
    problems
}

fn check_silver(
    project: &Project,
    files: &Files,
    spec: &SilverSpec,
    from: &TableName,
    sql: Option<&SqlText>,
    table: &Table,
) -> Vec<Problem> {
    let mut problems = Vec::new();
    if from.layer() != Layer::Bronze && from.layer() != Layer::Silver {
        let message = format!("a silver table is made from a bronze or silver table, and `{from}` is {}", from.layer());
        problems.push(Problem::new("from", message));
    } else if let Err(message) = known(from, files) {
        problems.push(Problem::new("from", message));
    } else if let Some(sql) = sql
        && !table.named.contains(from)
    {
        let message = format!("{} does not read `{from}`, which `from` names; select from it there", sql.file);
        problems.push(Problem::new("from", message));
    }
    if let Some(Definition::Silver { spec: upstream, .. }) = project.tables.get(from).map(|table| &table.definition) {
        problems.extend(check_upstream(from, &upstream.write, &spec.write));
    }
    problems.extend(spec.watermark.as_ref().and_then(|_| silver::check_watermark_upstream(from)));
    problems.extend(check_write(&spec.write));
    problems
}

fn check_gold(spec: &gold::spec::GoldSpec) -> Vec<Problem> {
    let mut problems = check_columns_once("key", &spec.key);
    if spec.materialized == gold::spec::Materialized::View && !spec.partition_by.is_empty() {
        let message = "a view stores nothing, so it has no partitions; leave out `partition_by` or `materialized`";
        problems.push(Problem::new("partition_by", message));
    }
    let is_view = spec.materialized == gold::spec::Materialized::View;
    for (at, is_given) in [("expect", !spec.expect.is_empty()), ("check", !spec.check.is_empty())] {
        if is_view && is_given {
            let message = format!("a view stores nothing that could be checked; leave out `{at}` or `materialized`");
            problems.push(Problem::new(at, message));
        }
    }
    problems
}

/// Reports columns that stand in a list twice. `at` is where the list stands.
pub(crate) fn check_columns_once(at: &str, columns: &[String]) -> Vec<Problem> {
    let mut seen = BTreeSet::new();
    let repeated = columns.iter().enumerate().filter(|(_, column)| !seen.insert(column.as_str()));
    repeated
        .map(|(index, column)| {
            Problem::new(format!("{at}/{index}"), format!("the column `{column}` stands here twice"))
        })
        .collect()
}

/// Reports the tables that a SQL text names and that do not exist.
fn check_references(project: &Project, table: &Table, sql: &SqlText, files: &Files, findings: &mut Vec<Finding>) {
    for name in &table.named {
        if let Err(message) = known(name, files).and_then(|()| readable(project, table, name)) {
            let (line, column) = line_and_column(&sql.text, place_in(&sql.text, name));
            findings.push(Finding { file: sql.file.clone(), line, column, message });
        }
    }
}

/// A view is only a saved query, so nothing that is stored can be kept up to date with it.
fn readable(project: &Project, reader: &Table, name: &TableName) -> Result<(), String> {
    let is_view = project.tables.get(name).is_some_and(Table::is_view);
    match is_view && !reader.is_view() {
        true => Err(format!("`{name}` is a view, which no table may read; read the tables that it reads")),
        false => Ok(()),
    }
}

/// The tables that the checks of a table read must exist.
fn check_tables_of_checks(project: &Project, table: &Table, files: &Files, findings: &mut Vec<Finding>) {
    for (index, spec) in table.checks().iter().enumerate() {
        let reads = match spec.reads(table.name.pipeline()) {
            Ok(reads) => reads
                .into_iter()
                .map(|(at, name)| {
                    let readable = known(&name, files).and_then(|()| readable(project, table, &name));
                    readable.map_err(|wrong| Problem::new(at, wrong))
                })
                .collect(),
            Err(problem) => vec![Err(problem)],
        };
        let wrong = reads.into_iter().filter_map(Result::err);
        findings.extend(wrong.map(|problem| {
            table.document.locate(&Problem::new(format!("check/{index}/{}", problem.at), problem.message))
        }));
    }
}

/// Where a SQL text names a table first.
pub(crate) fn place_in(sql: &str, name: &TableName) -> usize {
    let full = name.to_string();
    let short = format!("{}.{}", name.layer(), name.table());
    let is_part = |one: char| one.is_ascii_alphanumeric() || one == '_';
    let ends_there = |at: usize| !sql[at + short.len()..].starts_with(is_part);
    let find = |text: &str| {
        sql.match_indices(text).map(|(at, found)| at + found.len() - short.len()).find(|at| ends_there(*at))
    };
    find(&full).map(|at| at + short.len() - full.len()).or_else(|| find(&short)).unwrap_or(0)
}

/// Whether there is such a table, and if not, the nearest one.
pub(crate) fn known(name: &TableName, files: &Files) -> Result<(), String> {
    let exists = match (name.layer(), written_by(name)) {
        (Layer::System, _) => {
            if files.pipelines.contains(name.pipeline()) && !SYSTEM_TABLES.contains(&name.table()) {
                let hint = hint(name.table(), SYSTEM_TABLES);
                return Err(format!("there is no system table `{}`{hint}", name.table()));
            }
            files.pipelines.contains(name.pipeline())
        }
        (_, Some(writer)) => files.tables.contains_key(&writer),
        (_, None) => false,
    };
    if exists {
        return Ok(());
    }
    let names: Vec<String> = files.tables.keys().map(ToString::to_string).collect();
    // A table of the same pipeline is nearer than one of the same name elsewhere.
    let in_pipeline =
        names.iter().map(String::as_str).filter(|known| known.starts_with(&format!("{}.", name.pipeline())));
    let mut near = hint(&name.to_string(), in_pipeline);
    if near.is_empty() {
        near = hint(&name.to_string(), names.iter().map(String::as_str));
    }
    Err(format!("there is no table `{name}`{near}"))
}

fn cycle_finding(project: &Project, cycle: &[&TableName]) -> Option<Finding> {
    let first = project.tables.get(*cycle.first()?)?;
    let next = cycle.get(1).or(cycle.first())?;
    // The way is from the reader to what it reads, so rows flow the other way round.
    let way: Vec<String> = cycle.iter().chain(cycle.first()).map(ToString::to_string).collect();
    let message = format!("these tables read each other in a circle: {}; leave one of them out", way.join(" reads "));
    match &first.definition {
        Definition::Silver { from, .. } if from == *next => Some(first.document.locate(&Problem::new("from", message))),
        _ => {
            let sql = first.sql()?;
            let (line, column) = line_and_column(&sql.text, place_in(&sql.text, next));
            Some(Finding { file: sql.file.clone(), line, column, message })
        }
    }
}

/// Reports columns that a schema does not have. `at` is where the list of them stands.
pub(crate) fn check_columns_exist<'a>(
    at: &str,
    columns: impl IntoIterator<Item = &'a String>,
    known: &[&str],
    remedy: &str,
) -> Vec<Problem> {
    let unknown = columns.into_iter().enumerate().filter(|(_, column)| !known.contains(&column.as_str()));
    unknown
        .map(|(index, column)| {
            let hint = hint(column, known.iter().copied());
            Problem::new(format!("{at}/{index}"), format!("there is no column `{column}`{hint}{remedy}"))
        })
        .collect()
}
