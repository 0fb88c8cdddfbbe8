//! Rows in quarantine once more: text that did not become rows is decoded by today's schema and format, rows that broke a
//! rule are checked by today's. Those that pass are appended, with the origin and the batch they came with.

use std::collections::BTreeMap;
use std::sync::Arc;

use ::stage::columns::{BATCH, POSITION, SOURCE};
use ::stage::{Checkpoint, Context, Error, OffsetRange, Progress, Result, Stage, TableName};
use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringViewArray};
use arrow::datatypes::{Schema, SchemaRef};
use arrow::error::ArrowError;
use arrow::json::ReaderBuilder;
use futures::future::BoxFuture;
use lake::{Commit, Lake, Operation, Record, Replay, Table};
use quality::quarantine::Unread;
use quality::replay::{Fate, RefusedRow, Selection, Together, Waiting, rule_of, waiting};
use quality::{Checks, Gate, PARSE_RULE, Passage, Passed, Staged, batch};
use sql::Engine;

use crate::listing::Landing;
use crate::messages::replay::Messages;
use crate::replay_files::Lines;
use crate::spec::BronzeSpec;

/// Rows that are checked at a time.
const ROWS_AT_A_TIME: usize = 8_192;

/// The stage that looks at rows in quarantine once more.
pub struct BronzeReplay {
    name: TableName,
    spec: BronzeSpec,
    texts: Texts,
    selection: Selection,
    lake: Lake,
    engine: Engine,
}

/// What the texts in quarantine are, and how they become rows.
pub enum Texts {
    /// Lines or values of files.
    Files(Box<Landing>),
    /// Payloads of messages as base64.
    Messages(Messages),
    /// Records whose text cannot be decoded again, and why not.
    Unknown(&'static str),
}

/// Texts that came with one batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Came {
    /// Its number.
    pub(crate) batch: i64,
    /// Its time, in microseconds since 1970.
    pub(crate) at_micros: i64,
}

impl BronzeReplay {
    /// A replay of the rows that `selection` means.
    pub fn new(
        name: TableName,
        spec: BronzeSpec,
        texts: Texts,
        selection: Selection,
        lake: Lake,
        engine: Engine,
    ) -> BronzeReplay {
        BronzeReplay { name, spec, texts, selection, lake, engine }
    }

    async fn advance_once(&self, context: &Context) -> Result<Progress> {
        let mut table = batch::open(&self.lake, &self.name).await?;
        let Some(schema) = table.schema() else { return Ok(Progress::idle()) };
        let together = Together::OneByOne;
        let next = waiting(&self.lake, &self.engine, &table, &self.selection, together, context).await?;
        let Some(waiting) = next else { return Ok(Progress::idle()) };
        let number = table.record().map_or(0, |(_, record)| record.batch);
        let gate = Gate::open(&self.lake, &self.engine, &self.name, &self.spec.expect, number, context)?
            .profiling(&self.spec.profile);
        let (staged, schema) = self.validate(&table, &schema, waiting.rows()?, &gate, context).await?;
        let mut passed = gate.close().await?;
        let replay = waiting.decide(&mut passed, |_, _| Fate::Decided, &self.engine, context).await?;
        let _committing = context.begin_commit()?;
        self.commit(&mut table, &waiting, schema, staged, passed, replay, context).await
    }

    /// Stages what passes, and returns the columns of the table with those that were added.
    async fn validate(
        &self,
        table: &Table,
        schema: &SchemaRef,
        rows: Vec<RefusedRow>,
        gate: &Gate,
        context: &Context,
    ) -> Result<(Staged, SchemaRef)> {
        let passage = Passage::new(gate, table, &self.spec.partition_by, context);
        let mut lane = passage.lane(Vec::new());
        let mut grown = schema.clone();
        let (texts, rows): (Vec<_>, Vec<_>) = rows.into_iter().partition(is_text);
        for rows in rows.chunks(ROWS_AT_A_TIME) {
            context.check()?;
            if let Some(rows) = read_rows(schema, rows, gate).await? {
                lane.pass(rows).await?;
            }
        }
        let decoded = match &self.texts {
            Texts::Files(landing) => Lines::new(landing, &self.spec, schema)?.decode(texts, gate, context).await?,
            Texts::Messages(messages) => messages.decode(&self.spec, schema, texts, &passage).await?,
            Texts::Unknown(why) => {
                let unread: Vec<Unread> = texts.iter().map(|text| unread(text, why)).collect();
                gate.put_aside_unread(&unread).await?;
                Vec::new()
            }
        };
        for rows in decoded {
            grown = lake::union(&grown, &rows.schema())?;
            lane.pass(rows).await?;
        }
        Ok((lane.finish().await?, grown))
    }

    #[expect(clippy::too_many_arguments, reason = "a commit tells everything of a batch")]
    async fn commit(
        &self,
        table: &mut Table,
        waiting: &Waiting,
        schema: SchemaRef,
        staged: Staged,
        passed: Passed,
        replay: Replay,
        context: &Context,
    ) -> Result<Progress> {
        let position = waiting.position()?;
        let from = table.position(&position).await?;
        let number = table.record().map_or(0, |(_, record)| record.batch);
        let record = Record {
            action: "replay".to_owned(),
            reason: replay.reason(),
            rows_read: replay.passed + replay.refused,
            replay: Some(replay),
            ..batch::record(passed, number, staged.rows, context)
        };
        let commit = Commit {
            operation: Operation::Append,
            schema,
            partition_by: self.spec.partition_by.clone(),
            properties: BTreeMap::default(),
            add: staged.added,
            remove: Vec::new(),
            range: Some(OffsetRange { from: Checkpoint::of(&position, from), to: Checkpoint::of(&position, from + 1) }),
            record,
        };
        let checks = Checks::before_commit(&self.spec.check, &self.lake, &self.engine, context);
        batch::commit(&self.lake, table, commit, &[], &checks).await
    }
}

impl Stage for BronzeReplay {
    fn table(&self) -> &TableName {
        &self.name
    }

    fn advance<'a>(&'a mut self, context: &'a Context) -> BoxFuture<'a, Result<Progress>> {
        Box::pin(self.advance_once(context))
    }
}

/// Whether a row never became one.
fn is_text(row: &RefusedRow) -> bool {
    row.reasons.iter().any(|reason| reason != PARSE_RULE && rule_of(reason) == PARSE_RULE)
}

/// A text that is refused again.
pub(crate) fn unread<'a>(row: &'a RefusedRow, reason: &'a str) -> Unread<'a> {
    Unread { raw: &row.row, reason, source: &row.source, position: row.position }
}

/// Rows as they were when they broke a rule. One that no longer fits the table is refused again.
async fn read_rows(schema: &SchemaRef, rows: &[RefusedRow], gate: &Gate) -> Result<Option<RecordBatch>> {
    let all: Vec<&RefusedRow> = rows.iter().collect();
    if let Ok(batch) = from_json(schema, &all) {
        return Ok(Some(batch));
    }
    let mut fitting = Vec::new();
    for row in rows {
        match from_json(schema, &[row]) {
            Ok(_) => fitting.push(row),
            Err(error) => gate.put_aside_unread(&[unread(row, &error.to_string())]).await?,
        }
    }
    if fitting.is_empty() {
        return Ok(None);
    }
    from_json(schema, &fitting)
        .map(Some)
        .map_err(|error| Error::bug("rows fit their table one by one and not together").with_source(error))
}

fn from_json(schema: &SchemaRef, rows: &[&RefusedRow]) -> Result<RecordBatch, ArrowError> {
    let origin = [SOURCE, POSITION, BATCH];
    let written: Vec<_> =
        schema.fields().iter().filter(|field| !origin.contains(&field.name().as_str())).cloned().collect();
    let mut decoder = ReaderBuilder::new(Arc::new(Schema::new(written))).with_batch_size(rows.len()).build_decoder()?;
    for row in rows {
        let text = row.row.as_bytes();
        if decoder.decode(text)? != text.len() {
            return Err(ArrowError::JsonError("more than one row".to_owned()));
        }
        decoder.decode(b"\n")?;
    }
    let read = decoder.flush()?.filter(|read| read.num_rows() == rows.len());
    let read = read.ok_or_else(|| ArrowError::JsonError("not one JSON object for each row".to_owned()))?;
    let columns = schema.fields().iter().map(|field| -> Result<ArrayRef, ArrowError> {
        Ok(match field.name().as_str() {
            SOURCE => Arc::new(rows.iter().map(|row| Some(row.source.as_str())).collect::<StringViewArray>()),
            POSITION => Arc::new(rows.iter().map(|row| Some(row.position)).collect::<Int64Array>()),
            BATCH => Arc::new(rows.iter().map(|row| row.batch).collect::<Int64Array>()),
            name => read.column(read.schema_ref().index_of(name)?).clone(),
        })
    });
    RecordBatch::try_new(schema.clone(), columns.collect::<Result<_, _>>()?)
}

#[cfg(test)]
mod tests {
    use arrow::array::{
        BinaryArray, BooleanArray, Date32Array, Decimal128Array, Float64Array, Int32Array, ListArray, StructArray,
        TimestampMicrosecondArray,
    };
    use arrow::datatypes::Int64Type;
    use chrono::DateTime;
    use quality::Violation;
    use quality::quarantine::{self, Origin};

    use super::*;

    #[test]
    fn a_row_of_any_types_comes_back_as_it_was() {
        let inner: Vec<(_, ArrayRef)> = vec![(
            Arc::new(arrow::datatypes::Field::new("x", arrow::datatypes::DataType::Utf8View, true)),
            Arc::new(StringViewArray::from(vec![Some("a \"b\"\n"), None])),
        )];
        let element = Arc::new(arrow::datatypes::Field::new("element", arrow::datatypes::DataType::Int64, true));
        let list = ListArray::from_iter_primitive::<Int64Type, _, _>([Some(vec![Some(1), None]), None]);
        let list = ListArray::new(
            element,
            list.offsets().clone(),
            list.values().clone(),
            arrow::array::Array::nulls(&list).cloned(),
        );
        let times = TimestampMicrosecondArray::from(vec![Some(1_706_688_000_123_456), None]);
        let decimals = Decimal128Array::from(vec![Some(-12_345_678_901_234_567_890), None]);
        let columns: Vec<(&str, ArrayRef)> = vec![
            ("boolean", Arc::new(BooleanArray::from(vec![Some(true), None]))),
            ("int", Arc::new(Int32Array::from(vec![Some(-7), None]))),
            ("long", Arc::new(Int64Array::from(vec![Some(i64::MAX), None]))),
            ("double", Arc::new(Float64Array::from(vec![Some(0.1), None]))),
            ("decimal", Arc::new(decimals.with_precision_and_scale(38, 6).unwrap())),
            ("date", Arc::new(Date32Array::from(vec![Some(19_753), None]))),
            ("timestamp", Arc::new(times.clone().with_timezone("UTC"))),
            ("timestamp_ntz", Arc::new(times)),
            ("binary", Arc::new(BinaryArray::from(vec![Some(&b"\xff\x00"[..]), None]))),
            ("list", Arc::new(list)),
            ("struct", Arc::new(StructArray::from(inner))),
            (SOURCE, Arc::new(StringViewArray::from(vec!["f", "f"]))),
            (POSITION, Arc::new(Int64Array::from(vec![1, 2]))),
            (BATCH, Arc::new(Int64Array::from(vec![3, 3]))),
        ];
        let rows =
            RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(name, array)| (name, array, true)));
        let rows = rows.unwrap();
        let violations: Vec<Violation> = (0..2).map(|row| Violation { row, rules: vec!["a".to_owned()] }).collect();
        let origin = Origin { run: "run", at: DateTime::UNIX_EPOCH, batch: None };
        let refused = quarantine::rows(&rows, &violations, &origin).unwrap();
        let refused: Vec<RefusedRow> = (0..2).map(|row| RefusedRow::of(&refused, row).unwrap()).collect();
        assert_eq!(from_json(&rows.schema(), &refused.iter().collect::<Vec<_>>()).unwrap(), rows);
    }
}
