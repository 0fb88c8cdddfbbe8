//! One test from its first row to its last comparison.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ::stage::{Context, Error, Layer, Result, TableName};
use arrow::array::RecordBatch;
use arrow::datatypes::{Schema, SchemaRef};
use arrow::json::writer::LineDelimited;
use arrow::json::{ReaderBuilder, WriterBuilder};
use bronze::spec::{FilesSpec, SourceSpec};
use frame::spec::{CsvSpec, Format, TypeSpec};
use lake::{Commit, Operation, Record};
use quality::replay::View;
use serde_json::{Map, Value, json};
use sql::Engine;
use workflow::Work;

use super::case::{Case, Check, Crash, Given, Of, Rows, Step};
use super::compare::{Difference, differences};
use super::landed::{ending, file_of, format_of};
use super::values::rows_of_text;
use crate::Workbench;
use crate::project::{Definition, LakeSettings, Project};

/// Advances after which a table that is never done is a failure.
const MOST_ADVANCES: usize = 1_000;
/// Columns that messages bring along, with their types; a test may give them as columns of its rows.
const OF_MESSAGES: [(&str, &str); 4] =
    [("_key", "string"), ("_headers", "string"), ("_timestamp", "timestamp"), ("_sequence_number", "string")];

/// What tests share.
pub(crate) struct Bench<'a> {
    pub(crate) project: &'a Project,
    pub(crate) engine: Engine,
    /// The columns of the tables, as far as they follow from the files of the project.
    pub(crate) columns: BTreeMap<TableName, SchemaRef>,
}

/// How a test ended.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) failures: Vec<(String, Difference)>,
    pub(crate) duration: Duration,
}

/// One test under way.
struct Trial<'a> {
    bench: &'a Bench<'a>,
    case: &'a Case,
    folder: tempfile::TempDir,
    /// The tables that are run, each after those it reads.
    runs: Vec<TableName>,
    failures: Vec<(String, Difference)>,
}

impl Bench<'_> {
    /// Runs a test in a folder of its own.
    ///
    /// # Errors
    /// When the folder cannot be written; what is wrong with the pipeline is a failure of the test.
    pub(crate) async fn run(&self, case: &Case) -> Result<Outcome> {
        let begun = Instant::now();
        let folder = tempfile::Builder::new().prefix("medallion-test-").tempdir().map_err(unwritable)?;
        let mut trial = Trial { bench: self, case, folder, runs: self.tables_to_run(case), failures: Vec::new() };
        trial.run().await?;
        Ok(Outcome { failures: trial.failures, duration: begun.elapsed() })
    }

    /// The tables that a test speaks of and all that they are made from, but not those that it fills itself.
    fn tables_to_run(&self, case: &Case) -> Vec<TableName> {
        let steps = || case.steps.iter();
        let filled: BTreeSet<&TableName> = steps()
            .flat_map(|step| &step.given)
            .map(|given| &given.table)
            .filter(|name| name.layer() != Layer::Bronze)
            .collect();
        let checked = steps().flat_map(|step| &step.checks).map(|check| &check.table);
        let crashes = steps().filter_map(|step| step.crash.as_ref()).map(|crash| match crash {
            Crash::Before(table) | Crash::After(table) => table,
        });
        let mut wanted: Vec<&TableName> = checked.chain(crashes).collect();
        if wanted.is_empty() {
            wanted = self.project.tables.keys().filter(|name| name.pipeline() == case.pipeline).collect();
        }
        let mut needed: BTreeSet<&TableName> = BTreeSet::new();
        while let Some(name) = wanted.pop() {
            if !filled.contains(name) && needed.insert(name) {
                wanted.extend(self.project.upstreams(name));
            }
        }
        let is_run = |name: &&TableName| {
            needed.contains(name) && self.project.tables.get(*name).is_some_and(|table| !table.is_view())
        };
        self.project.order().into_iter().filter(is_run).cloned().collect()
    }
}

impl Trial<'_> {
    async fn run(&mut self) -> Result<()> {
        let mut workbench = self.open()?;
        for step in &self.case.steps {
            for given in &step.given {
                if let Err(error) = self.give(&workbench, step, given).await {
                    return self.fail(step, given.line, &given.table.to_string(), error.chain());
                }
            }
            let ended = self.bring_up_to_date(&workbench, step).await;
            match (ended, &step.fails) {
                (Ok(()), None) => {}
                (Err((_, error)), Some((_, said))) if error.chain().contains(said) => {}
                (Err((table, error)), None) => {
                    let line = step.checks.first().map_or(1, |check| check.line);
                    return self.fail(step, line, &table.to_string(), remedied(&error));
                }
                (Err((table, error)), Some((line, said))) => {
                    let text = format!("expected an error that says `{said}`, found: {}", error.chain());
                    return self.fail(step, *line, &table.to_string(), text);
                }
                (Ok(()), Some((line, said))) => {
                    let text = format!("expected an error that says `{said}`, and all went well");
                    return self.fail(step, *line, &self.case.pipeline.clone(), text);
                }
            }
            for check in &step.checks {
                self.check(&workbench, step, check).await?;
            }
            if step.crash.is_some() {
                workbench = self.open()?;
            }
        }
        Ok(())
    }

    fn fail(&mut self, step: &Step, line: usize, about: &str, text: String) -> Result<()> {
        self.failures.push((named(about, step), Difference { line, text }));
        Ok(())
    }

    /// The project as the test sees it: another lake, and files instead of sources.
    fn open(&self) -> Result<Workbench> {
        let mut project = self.bench.project.clone();
        project.lake = LakeSettings::of_folder(self.path("lake"));
        for (name, table) in &mut project.tables {
            let Definition::Bronze(spec) = &mut table.definition else { continue };
            let folder = self.path(&format!("landing/{}", name.path()));
            std::fs::create_dir_all(&folder).map_err(unwritable)?;
            let (format, csv) = format_of(&spec.source);
            if !matches!(spec.source, SourceSpec::Files(_)) && !spec.schema.is_empty() {
                for (column, data_type) in OF_MESSAGES {
                    spec.schema.entry(column.to_owned()).or_insert_with(|| TypeSpec::Name(data_type.to_owned()));
                }
            }
            spec.source = SourceSpec::Files(FilesSpec::of_folder(folder, format, csv));
        }
        Workbench::with_engine(project, self.bench.engine.clone())
    }

    fn path(&self, below: &str) -> String {
        self.folder.path().join(below).display().to_string()
    }

    /// Lands rows of a bronze table, or puts rows into any other.
    async fn give(&self, workbench: &Workbench, step: &Step, given: &Given) -> Result<()> {
        match &workbench.project.tables[&given.table].definition {
            Definition::Bronze(spec) => {
                let (format, _) = format_of(&self.bench_source(&given.table));
                let SourceSpec::Files(files) = &spec.source else { return Ok(()) };
                let text = match &given.rows {
                    Rows::Text(text) => text.trim_start_matches('\n').to_owned(),
                    Rows::Values(rows) => file_of(rows, format, &files.csv)?,
                };
                if text.is_empty() {
                    return Ok(());
                }
                let path = Path::new(&files.path).join(format!("{}.{}", step.number, ending(format)));
                std::fs::write(path, text).map_err(unwritable)
            }
            _ => self.fill(workbench, given).await,
        }
    }

    fn bench_source(&self, table: &TableName) -> SourceSpec {
        match &self.bench.project.tables[table].definition {
            Definition::Bronze(spec) => spec.source.clone(),
            _ => SourceSpec::Files(FilesSpec::of_folder(String::new(), Format::Ndjson, CsvSpec::default())),
        }
    }

    async fn fill(&self, workbench: &Workbench, given: &Given) -> Result<()> {
        let rows = match &given.rows {
            Rows::Values(rows) => rows.clone(),
            Rows::Text(text) => {
                let read = rows_of_text(text).map_err(Error::config)?;
                read.rows.into_iter().map(|(_, row)| row).collect()
            }
        };
        let Some(schema) = self.bench.columns.get(&given.table) else {
            return Err(Error::config(
                "its columns are not known from the files of the project; declare [schema] of the bronze table it is made from",
            ));
        };
        let batch = typed(schema, &rows)?;
        let partition_by = workbench.project.tables[&given.table].partition_by().to_vec();
        let mut table = workbench.lake.open(&given.table).await?;
        let mut writer = table.staging().writer(schema.clone(), &partition_by);
        writer.write(&batch).await?;
        let commit = Commit {
            operation: Operation::Append,
            schema: schema.clone(),
            partition_by,
            properties: BTreeMap::new(),
            add: writer.close().await?,
            remove: Vec::new(),
            range: None,
            record: Record { action: "append".to_owned(), ..Record::default() },
        };
        table.commit(commit).await.map(|_| ())
    }

    /// Runs the tables one after the other, up to where the process dies.
    async fn bring_up_to_date(&self, workbench: &Workbench, step: &Step) -> Result<(), (TableName, Error)> {
        let context = Context { fixed_now: Some(step.now), ..Context::new(format!("test-{}", step.number)) };
        for name in &self.runs {
            if step.crash == Some(Crash::Before(name.clone())) {
                return Ok(());
            }
            advance(workbench, name, &context).await.map_err(|error| (name.clone(), error))?;
            if step.crash == Some(Crash::After(name.clone())) {
                return Ok(());
            }
        }
        Ok(())
    }

    async fn check(&mut self, workbench: &Workbench, step: &Step, check: &Check) -> Result<()> {
        let asked = match check.of {
            Of::Table => found(workbench, &check.table).await,
            Of::Quarantine => refused(workbench, &check.table).await,
        };
        let (rows, columns) = match asked {
            Ok(found) => found,
            Err(error) => return self.fail(step, check.line, &check.table.to_string(), remedied(&error)),
        };
        let in_order = check.of == Of::Table && self.case.in_order.contains(&check.table);
        let name = match check.of {
            Of::Table => check.table.to_string(),
            Of::Quarantine => format!("rejects of {}", check.table),
        };
        for difference in differences(check.line, &check.rows, &rows, &columns, in_order) {
            self.failures.push((named(&name, step), difference));
        }
        Ok(())
    }
}

fn named(about: &str, step: &Step) -> String {
    if step.number == 0 { about.to_owned() } else { format!("{about} after step {}", step.number) }
}

async fn advance(workbench: &Workbench, name: &TableName, context: &Context) -> Result<()> {
    let work = match name.layer() {
        Layer::Bronze => Work::Bronze(name.clone()),
        Layer::Silver => Work::Silver(name.clone()),
        _ => Work::Gold(name.clone()),
    };
    for mut stage in workbench.waves(&work)?.into_iter().flatten() {
        let mut advances = 0;
        while !stage.advance(context).await?.idle {
            advances += 1;
            if advances == MOST_ADVANCES {
                return Err(Error::bug(format!("{name} is not done after {MOST_ADVANCES} batches")));
            }
        }
    }
    Ok(())
}

type Found = (Vec<Map<String, Value>>, Vec<String>);

/// The rows of a table, and its columns. A table that does not exist holds none.
async fn found(workbench: &Workbench, name: &TableName) -> Result<Found> {
    let is_view = workbench.view(name).is_some();
    if !is_view && workbench.lake.open(name).await?.version().is_none() {
        return Ok((Vec::new(), Vec::new()));
    }
    let text = format!("SELECT * FROM {name}");
    let batches = crate::commands::ask(workbench, name.pipeline(), &text, 0).await?;
    let mut rows = Vec::new();
    for batch in &batches {
        rows.extend(objects(batch)?);
    }
    let columns = match workbench.lake.open(name).await?.schema() {
        Some(schema) => schema.fields().iter().map(|field| field.name().clone()).collect(),
        None => rows.first().map(|row| row.keys().cloned().collect()).unwrap_or_default(),
    };
    Ok((rows, columns))
}

/// The rows that wait in quarantine: their own columns, and why they are there. Any column may be asked for, as each row
/// has those that it had when it was refused.
async fn refused(workbench: &Workbench, name: &TableName) -> Result<Found> {
    let table = name.quarantine();
    if workbench.lake.open(&table).await?.version().is_none() {
        return Ok((Vec::new(), Vec::new()));
    }
    let text = format!("SELECT * FROM {table}");
    let mut rows = Vec::new();
    for batch in crate::commands::ask(workbench, name.pipeline(), &text, 0).await? {
        let view = View::of(&batch)?;
        for (index, told) in objects(&batch)?.into_iter().enumerate() {
            if view.state(index) != lake::replay::QUARANTINED {
                continue;
            }
            let inner = told.get("row").and_then(Value::as_str).and_then(|row| serde_json::from_str(row).ok());
            let mut row = match inner {
                Some(Value::Object(row)) => row,
                _ => Map::new(),
            };
            row.extend(told);
            row.insert("reasons".to_owned(), json!(view.reasons(index)));
            rows.push(row);
        }
    }
    Ok((rows, Vec::new()))
}

fn objects(batch: &RecordBatch) -> Result<Vec<Map<String, Value>>> {
    let failed = |error: arrow::error::ArrowError| Error::bug("could not read rows of a test").with_source(error);
    let mut writer = WriterBuilder::new().with_explicit_nulls(true).build::<_, LineDelimited>(Vec::new());
    writer.write(batch).and_then(|()| writer.finish()).map_err(failed)?;
    let text = String::from_utf8(writer.into_inner()).unwrap_or_default();
    let rows = text.lines().map(serde_json::from_str).collect::<Result<_, _>>();
    rows.map_err(|error| Error::bug("rows of a test are no JSON").with_source(error))
}

/// Rows in the columns of a table.
fn typed(schema: &SchemaRef, rows: &[Map<String, Value>]) -> Result<RecordBatch> {
    for name in rows.iter().flat_map(Map::keys) {
        if schema.field_with_name(name).is_err() {
            let known: Vec<&str> = schema.fields().iter().map(|field| field.name().as_str()).collect();
            let hint = crate::project::hint(name, known);
            return Err(Error::config(format!("there is no column `{name}`{hint}")));
        }
    }
    let failed = |error: arrow::error::ArrowError| Error::config("a row does not fit its columns").with_source(error);
    let builder = ReaderBuilder::new(Arc::new(Schema::new(schema.fields().clone())));
    let mut decoder =
        builder.with_coerce_primitive(true).with_batch_size(rows.len().max(1)).build_decoder().map_err(failed)?;
    decoder.serialize(rows).map_err(failed)?;
    Ok(decoder.flush().map_err(failed)?.unwrap_or_else(|| RecordBatch::new_empty(schema.clone())))
}

/// A table that nobody filled is the usual slip.
fn remedied(error: &Error) -> String {
    let text = error.chain();
    match text.contains("does not exist yet") {
        true => format!(
            "{text}; a test fills it with rows in [given], which may be none: `[given.silver]` and `customers = []`"
        ),
        false => text,
    }
}

fn unwritable(error: std::io::Error) -> Error {
    Error::unavailable("could not write the folder of a test").with_source(error)
}
