//! A question to the lake.
//!
//! The rows are streamed. The first ones are kept as the output of the task, all are counted, and a table of a few goes into
//! the log.

use std::collections::BTreeMap;

use arrow::array::RecordBatch;
use arrow::json::WriterBuilder;
use arrow::json::writer::JsonArray;
use arrow::util::pretty::pretty_format_batches;
use futures::StreamExt as _;
use futures::future::BoxFuture;
use serde_json::{Map, Value};
use stage::{Context, Error, Progress, Result};
use tokio::sync::mpsc;
use tokio_util::task::AbortOnDropHandle;
use workflow::action::{Action, MOST_VALUE_BYTES, Output};
use workflow::log::TaskLog;

use super::unless_stopped;
use crate::Workbench;
use crate::commands::planned;
use crate::output::counted;
use crate::project::only_pipeline;

/// The most rows that are kept for the tasks after this one.
const MOST_ROWS: usize = 1000;
/// The most bytes of them, as JSON.
const MOST_BYTES: usize = 1 << 20;
/// The most rows in the log.
const ROWS_IN_LOG: usize = 20;
/// How many batches may wait to be looked at.
const BATCHES_AHEAD: usize = 2;

pub(super) struct Query {
    pub(super) workbench: Workbench,
    /// Relative to the project's folder.
    pub(super) file: String,
    pub(super) parameters: BTreeMap<String, String>,
}

impl Action for Query {
    fn run<'a>(self: Box<Self>, context: &'a Context, log: &'a TaskLog) -> BoxFuture<'a, Result<Output>> {
        Box::pin(async move { unless_stopped(context, self.answered(log)).await })
    }
}

impl Query {
    async fn answered(&self, log: &TaskLog) -> Result<Output> {
        let file = &self.file;
        let text = std::fs::read_to_string(self.workbench.project.root.join(file))
            .map_err(|error| Error::config(format!("could not read the query in {file}")).with_source(error))?;
        let pipeline = only_pipeline(&self.workbench.project);
        let answer = self.first_rows(pipeline, &text).await;
        let (kept, count) = answer.map_err(|error| error.context(format!("the query in {file} failed")))?;
        tell(&kept, count, log)?;
        output(&kept, count, log)
    }

    /// The rows that are kept, and how many there are.
    async fn first_rows(&self, pipeline: &str, text: &str) -> Result<(Vec<RecordBatch>, u64)> {
        let (session, plan) = planned(&self.workbench, pipeline, text, &self.parameters).await?;
        let (sender, mut batches) = mpsc::channel(BATCHES_AHEAD);
        let mut readers = Vec::new();
        for mut stream in sql::execute(&session, plan).await? {
            let sender = sender.clone();
            readers.push(AbortOnDropHandle::new(tokio::spawn(async move {
                while let Some(batch) = stream.next().await {
                    if sender.send(batch.map_err(sql::classify)).await.is_err() {
                        return;
                    }
                }
            })));
        }
        drop(sender);
        let (mut kept, mut rows_kept, mut count) = (Vec::new(), 0, 0);
        while let Some(batch) = batches.recv().await {
            let batch = batch?;
            count += batch.num_rows() as u64;
            let taken = batch.num_rows().min(MOST_ROWS - rows_kept);
            if taken > 0 {
                rows_kept += taken;
                kept.push(batch.slice(0, taken));
            }
        }
        for reader in readers {
            reader.await.map_err(|error| Error::bug("a reader of the query died").with_source(error))?;
        }
        Ok((kept, count))
    }
}

/// Shows the rows to people.
fn tell(kept: &[RecordBatch], count: u64, log: &TaskLog) -> Result<()> {
    let mut left = ROWS_IN_LOG;
    let shown: Vec<RecordBatch> = kept
        .iter()
        .map(|batch| {
            let taken = batch.num_rows().min(left);
            left -= taken;
            batch.slice(0, taken)
        })
        .collect();
    let table = pretty_format_batches(&shown).map_err(unprintable)?.to_string();
    table.lines().for_each(|line| log.line(line));
    log.line(&counted(count, "row"));
    Ok(())
}

fn output(kept: &[RecordBatch], count: u64, log: &TaskLog) -> Result<Output> {
    let mut rows = objects(kept)?;
    let mut bytes = 0;
    let fitting = rows.iter().take_while(|row| {
        bytes += Value::Object((*row).clone()).to_string().len();
        bytes <= MOST_BYTES
    });
    let fitting = fitting.count();
    rows.truncate(fitting);
    if (rows.len() as u64) < count {
        log.line(&format!("the first {} are the output of the task", rows.len()));
    }
    let is_small = |(name, value): &(&String, &Value)| {
        let is_small = value.to_string().len() <= MOST_VALUE_BYTES;
        if !is_small {
            log.line(&format!("the column {name} of the first row is too long to be a value"));
        }
        is_small
    };
    let first = rows.first().into_iter().flatten().filter(is_small);
    let mut values: Map<String, Value> = first.map(|(name, value)| (name.clone(), value.clone())).collect();
    values.insert("rows".to_owned(), count.into());
    let progress = Progress { rows_read: count, ..Progress::default() };
    Ok(Output { values, rows: Some(rows), progress })
}

/// Rows as JSON has them. A null is written, so that every row has all columns.
fn objects(batches: &[RecordBatch]) -> Result<Vec<Map<String, Value>>> {
    let mut writer = WriterBuilder::new().with_explicit_nulls(true).build::<_, JsonArray>(Vec::new());
    batches.iter().try_for_each(|batch| writer.write(batch)).and_then(|()| writer.finish()).map_err(unprintable)?;
    let bytes = writer.into_inner();
    if bytes.is_empty() {
        return Ok(Vec::new());
    }
    serde_json::from_slice(&bytes).map_err(|error| Error::bug("rows are no JSON").with_source(error))
}

fn unprintable(error: arrow::error::ArrowError) -> Error {
    Error::data("a column of the query cannot be written as JSON or text; cast it").with_source(error)
}
