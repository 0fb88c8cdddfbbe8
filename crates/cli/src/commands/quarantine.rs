//! `medallion quarantine list|show|replay`: the rows that were refused, and a second look at them.

use std::collections::BTreeMap;
use std::sync::Arc;

use ::stage::{Error, Layer, Result, TableName};
use arrow::array::RecordBatch;
use arrow::datatypes::{Schema, SchemaRef};
use chrono::{DateTime, SecondsFormat, Utc};
use futures::TryStreamExt as _;
use quality::replay::{Selection, View, rule_of};
use serde_json::{Value, json};
use sql::RowStream;
use workflow::{Built, Work, Workflow, Workshop};

use super::run::{Asked, execute};
use crate::args::{OutputFormat, QuarantineCommand, ReplayArguments, ShowQuarantineArguments};
use crate::output::{self, thousands};
use crate::workbench::Workbench;

/// Lists, shows or replays.
pub(super) async fn run(workbench: Workbench, command: &QuarantineCommand, output: OutputFormat) -> Result<u8> {
    match command {
        QuarantineCommand::List { table } => list(&workbench, table.as_deref(), output).await,
        QuarantineCommand::Show(arguments) => show(&workbench, arguments, output).await,
        QuarantineCommand::Replay(arguments) => replay(&workbench, arguments, output).await,
    }
}

/// Rows of one table that one rule of one run refused, by their state.
#[derive(Debug, Default)]
struct Counted {
    rows: u64,
    first_micros: i64,
    last_micros: i64,
}

/// What rows are counted by: table, rule, run and state.
type Group = (TableName, String, String, String);

async fn list(workbench: &Workbench, table: Option<&str>, output: OutputFormat) -> Result<u8> {
    let names: Vec<TableName> = match table {
        Some(table) => vec![workbench.project.table(table)?.name.clone()],
        None => {
            workbench.project.tables.values().filter(|table| !table.is_view()).map(|table| table.name.clone()).collect()
        }
    };
    let mut counted: BTreeMap<Group, Counted> = BTreeMap::new();
    let schema = quality::quarantine::schema();
    let columns: Vec<_> = schema.fields().iter().filter(|field| field.name() != "row").cloned().collect();
    let columns = Arc::new(Schema::new(columns));
    for name in names {
        for mut stream in read(workbench, &name, &columns, &[]).await? {
            while let Some(rows) = stream.try_next().await? {
                count(&name, &rows, &mut counted)?;
            }
        }
    }
    output::print(&listed(&counted, output));
    Ok(0)
}

fn count(name: &TableName, rows: &RecordBatch, counted: &mut BTreeMap<Group, Counted>) -> Result<()> {
    let view = View::of(rows)?;
    for row in 0..rows.num_rows() {
        let mut rules: Vec<String> = view.reasons(row).iter().map(|reason| rule_of(reason).to_owned()).collect();
        rules.dedup();
        for rule in rules {
            let at = view.at_micros(row);
            let group = (name.clone(), rule, view.run(row).to_owned(), view.state(row).to_owned());
            let known = counted.entry(group).or_insert(Counted { rows: 0, first_micros: at, last_micros: at });
            known.rows += 1;
            known.first_micros = known.first_micros.min(at);
            known.last_micros = known.last_micros.max(at);
        }
    }
    Ok(())
}

fn listed(counted: &BTreeMap<Group, Counted>, output: OutputFormat) -> String {
    if output == OutputFormat::Json {
        let objects = counted.iter().map(|((table, rule, run, state), counted)| {
            json!({
                "table": table.to_string(), "rule": rule, "run": run, "state": state, "rows": counted.rows,
                "first_at": at(counted.first_micros), "last_at": at(counted.last_micros),
            })
        });
        return Value::from(objects.collect::<Vec<_>>()).to_string();
    }
    let header = ["table", "rule", "run", "state", "rows", "first at", "last at"];
    let rows: Vec<Vec<String>> = counted
        .iter()
        .map(|((table, rule, run, state), counted)| {
            let rows = if output == OutputFormat::Csv { counted.rows.to_string() } else { thousands(counted.rows) };
            let (first, last) = (at(counted.first_micros), at(counted.last_micros));
            vec![table.to_string(), rule.clone(), run.clone(), state.clone(), rows, first, last]
        })
        .collect();
    match output {
        OutputFormat::Csv => output::csv(&header, &rows),
        _ if rows.is_empty() => "nothing is in quarantine\n".to_owned(),
        _ => output::columns(&header, &rows),
    }
}

async fn show(workbench: &Workbench, arguments: &ShowQuarantineArguments, output: OutputFormat) -> Result<u8> {
    let name = workbench.project.table(&arguments.table)?.name.clone();
    let selection = Selection { rule: arguments.rule.clone(), run: arguments.run.clone() };
    let mut rows = Vec::new();
    let mut left = if arguments.limit == 0 { usize::MAX } else { arguments.limit };
    let order = ["quarantined_at", "source", "position"];
    for mut stream in read(workbench, &name, &quality::quarantine::schema(), &order).await? {
        while left > 0
            && let Some(batch) = stream.try_next().await?
        {
            rows.push(meant(&batch, &selection, &mut left)?);
        }
    }
    rows.retain(|batch| batch.num_rows() > 0);
    if rows.is_empty() && output == OutputFormat::Table {
        output::print("no such rows are in quarantine\n");
        return Ok(0);
    }
    output::print(&super::query::format(&rows, output)?);
    Ok(0)
}

/// Those of the rows that are meant, up to as many as are left to show.
fn meant(batch: &RecordBatch, selection: &Selection, left: &mut usize) -> Result<RecordBatch> {
    let view = View::of(batch)?;
    let mut keep = vec![false; batch.num_rows()];
    for (row, keep) in keep.iter_mut().enumerate() {
        let reasons = view.reasons(row);
        *keep = *left > 0 && selection.means(reasons.iter().map(String::as_str), view.run(row));
        *left -= usize::from(*keep);
    }
    arrow::compute::filter_record_batch(batch, &keep.into())
        .map_err(|error| Error::bug("could not choose rows to show").with_source(error))
}

async fn replay(workbench: &Workbench, arguments: &ReplayArguments, output: OutputFormat) -> Result<u8> {
    let name = workbench.project.table(&arguments.table)?.name.clone();
    if name.layer() == Layer::Gold {
        return Err(Error::config(format!(
            "rows of {name} are made anew by its query, so there is nothing to replay; run `medallion gold {name} \
             --full-refresh`, which checks all of them again"
        )));
    }
    let selection = Selection { rule: arguments.rule.clone(), run: arguments.run.clone() };
    let workshop = Replaying { workbench, name: &name, selection };
    let work = if name.layer() == Layer::Bronze { Work::Bronze(name.clone()) } else { Work::Silver(name.clone()) };
    let workflow = Workflow::single(work).named(format!("replay {name}"));
    execute(workbench, &workshop, &workflow, Asked::default(), output).await
}

/// Builds the one stage of a replay.
struct Replaying<'a> {
    workbench: &'a Workbench,
    name: &'a TableName,
    selection: Selection,
}

impl Workshop for Replaying<'_> {
    fn build(&self, _: &Work) -> Result<Built> {
        Ok(Built::Waves(vec![vec![self.workbench.replay(self.name, self.selection.clone())?]]))
    }
}

/// Columns of the quarantine table beside a table, in the order of some of them; no streams when there is none.
async fn read(workbench: &Workbench, name: &TableName, columns: &SchemaRef, order: &[&str]) -> Result<Vec<RowStream>> {
    let quarantine = workbench.lake.open(&name.quarantine()).await?;
    if quarantine.version().is_none() {
        return Ok(Vec::new());
    }
    let rows = quarantine.scan(&quarantine.files().await?, columns, &[])?;
    let session = workbench.engine.session(name.pipeline());
    sql::flow(&session, sql::ordered(&session, rows, order)?, columns).await
}

fn at(micros: i64) -> String {
    DateTime::<Utc>::from_timestamp_micros(micros).unwrap_or_default().to_rfc3339_opts(SecondsFormat::Secs, true)
}
