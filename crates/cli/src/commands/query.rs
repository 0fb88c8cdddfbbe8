//! `medallion query "<sql>"`: one SELECT over the lake.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use ::stage::{Error, Result, TableName};
use arrow::array::RecordBatch;
use arrow::csv::WriterBuilder;
use arrow::json::ArrayWriter;
use arrow::util::pretty::pretty_format_batches;
use futures::future::try_join_all;
use sql::{LogicalPlan, SessionContext, SqlProblem, TableProvider};

use crate::args::{OutputFormat, QueryArguments};
use crate::output;
use crate::project::only_pipeline;
use crate::workbench::Workbench;

/// Answers the query.
pub(super) async fn run(workbench: Workbench, arguments: &QueryArguments, output: OutputFormat) -> Result<u8> {
    let pipeline = match &arguments.pipeline {
        Some(pipeline) => pipeline.clone(),
        None => only_pipeline(&workbench.project).to_owned(),
    };
    let rows = ask(&workbench, &pipeline, &arguments.sql, arguments.limit).await?;
    output::print(&format(&rows, output)?);
    let shown: usize = rows.iter().map(RecordBatch::num_rows).sum();
    if arguments.limit > 0 && shown == arguments.limit && output == OutputFormat::Table {
        output::note(&format!("the first {shown} rows; use --limit 0 for all"));
    }
    Ok(0)
}

/// The rows of one SELECT, at most `limit` unless it is 0.
pub(crate) async fn ask(workbench: &Workbench, pipeline: &str, text: &str, limit: usize) -> Result<Vec<RecordBatch>> {
    let (session, plan) = planned(workbench, pipeline, text, &BTreeMap::new()).await?;
    let limited = if limit == 0 { plan } else { sql::first_rows(plan, limit)? };
    sql::collect(&session, limited).await
}

/// How one SELECT is to be answered, with the values of the parameters in it.
pub(crate) async fn planned(
    workbench: &Workbench,
    pipeline: &str,
    text: &str,
    parameters: &BTreeMap<String, String>,
) -> Result<(SessionContext, LogicalPlan)> {
    let wrong = |problem: SqlProblem| {
        Error::config(format!("line {}, column {}: {}", problem.line, problem.column, problem.message))
    };
    let names = sql::references(text, pipeline).map_err(wrong)?;
    let tables = open_tables(workbench, names).await?;
    let session = workbench.engine.session(pipeline);
    let plan = sql::plan_with(&session, pipeline, text, parameters, &tables).await.map_err(wrong)?;
    Ok((session, plan))
}

/// The tables a query names, views among them with the tables they read.
async fn open_tables(
    workbench: &Workbench,
    names: BTreeSet<TableName>,
) -> Result<BTreeMap<TableName, Arc<dyn TableProvider>>> {
    let (views, names): (Vec<_>, Vec<_>) = names.into_iter().partition(|name| workbench.view(name).is_some());
    let opened = try_join_all(names.iter().map(|name| async {
        let table = workbench.lake.open(name).await?;
        table.provider().await.map_err(|error| with_nearest(workbench, name, error))
    }));
    let mut tables: BTreeMap<_, _> = names.iter().cloned().zip(opened.await?).collect();
    for view in views {
        let text = workbench.view(&view).unwrap_or_default();
        let reads = sql::references(text, view.pipeline())?;
        let inner = Box::pin(open_tables(workbench, reads)).await?;
        let session = workbench.engine.session(view.pipeline());
        let plan = sql::plan(&session, view.pipeline(), text, &inner).await?;
        tables.insert(view, sql::view(plan));
    }
    Ok(tables)
}

/// A table that does not exist may be a slip of the pen.
fn with_nearest(workbench: &Workbench, name: &TableName, error: Error) -> Error {
    if workbench.project.tables.contains_key(name) {
        return error;
    }
    let known: Vec<String> = workbench.project.tables.keys().map(ToString::to_string).collect();
    let hint = crate::project::hint(&name.to_string(), known.iter().map(String::as_str));
    match hint.is_empty() {
        true => error,
        false => Error::config(format!("there is no table `{name}`{hint}")),
    }
}

/// Rows as a table, a JSON array, or CSV.
pub(super) fn format(rows: &[RecordBatch], output: OutputFormat) -> Result<String> {
    let failed = |error: arrow::error::ArrowError| Error::bug("could not print the rows").with_source(error);
    let bytes = match output {
        OutputFormat::Table => return pretty_format_batches(rows).map(|table| table.to_string()).map_err(failed),
        OutputFormat::Json => {
            let mut writer = ArrayWriter::new(Vec::new());
            rows.iter().try_for_each(|batch| writer.write(batch)).and_then(|()| writer.finish()).map_err(failed)?;
            writer.into_inner()
        }
        OutputFormat::Csv => {
            let mut writer = WriterBuilder::new().with_header(true).build(Vec::new());
            rows.iter().try_for_each(|batch| writer.write(batch)).map_err(failed)?;
            writer.into_inner()
        }
    };
    String::from_utf8(bytes).map_err(|error| Error::bug("could not print the rows").with_source(error))
}
