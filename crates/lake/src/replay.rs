//! What became of refused rows that were looked at again, noted in the quarantine table.
//!
//! The commit that lets rows in decides; it names a staged file of decisions. Here they are repeated in the quarantine
//! table: each row keeps why it was first refused, and gains an entry in `replays` and perhaps another `state`. A row is
//! known by where it came from and when it was refused, never by the file it lies in, so a compaction in between does no
//! harm, and noting the same decisions again changes nothing that is not there already.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, Int64Array, ListArray, RecordBatch, StringViewArray, StringViewBuilder, StructArray,
    TimestampMicrosecondArray, UInt32Array, new_empty_array,
};
use arrow::buffer::{OffsetBuffer, ScalarBuffer};
use arrow::compute::{concat, take};
use arrow::datatypes::{DataType, Field, Fields, Int64Type, SchemaRef, TimeUnit, TimestampMicrosecondType};
use arrow::error::ArrowError;
use deltalake::datafusion::execution::TaskContext;
use deltalake::datafusion::physical_plan::{SendableRecordBatchStream, execute_stream_partitioned};
use deltalake::datafusion::prelude::SessionContext;
use deltalake::kernel::Add;
use futures::TryStreamExt as _;
use stage::{Error, Result};

use crate::commit::Operation;
use crate::error::classify_delta;
use crate::maintenance;
use crate::open::Lake;
use crate::record::Replay;
use crate::rolling::RollingWriter;
use crate::table::Table;

/// The column that says whether a row waits in quarantine or went on.
pub const STATE: &str = "state";
/// The column that lists how a row fared each time it was looked at again.
pub const REPLAYS: &str = "replays";
/// The state of a row that waits in quarantine.
pub const QUARANTINED: &str = "quarantined";
/// The state of a row that went through the steps of its table like a new one.
pub const REPLAYED: &str = "replayed";

/// The columns that tell what became of a row after it was refused.
pub fn fields() -> [Field; 2] {
    let entries = DataType::List(Arc::new(Field::new("element", DataType::Struct(entry_fields()), true)));
    [Field::new(STATE, DataType::Utf8View, true), Field::new(REPLAYS, entries, true)]
}

/// When a row was looked at again, by which run, in which version of its table that shows, and why it was refused again;
/// no reasons when it was not.
fn entry_fields() -> Fields {
    let reasons = DataType::List(Arc::new(Field::new("element", DataType::Utf8View, true)));
    Fields::from(vec![
        Field::new("at", DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())), true),
        Field::new("run", DataType::Utf8View, true),
        Field::new("version", DataType::Int64, true),
        Field::new("reasons", reasons, true),
    ])
}

/// The change of the quarantine table that notes what a replay decided: the files to add and to remove.
pub(crate) async fn noted(
    lake: &Lake,
    quarantine: &Table,
    replay: &Replay,
    run: &str,
    version: u64,
    schema: &SchemaRef,
) -> Result<(Operation, Vec<Add>, Vec<Add>)> {
    let session = maintenance::session(lake);
    let files = Files { session, table: quarantine, schema: schema.clone() };
    let story =
        Story { at_micros: replay.at_micros, run, version: version as i64, decided: files.decided(replay).await? };
    let mut writer = RollingWriter::new(quarantine.staging(), &[]);
    let mut removed = Vec::new();
    for file in quarantine.files().await? {
        if !files.concerns(&file, &story).await? {
            continue;
        }
        let mut rows = files.read(&file).await?;
        while let Some(batch) = rows.try_next().await.map_err(|error| files.failed(error.into()))? {
            writer.write(&story.told(&batch)?).await?;
        }
        removed.push(file);
    }
    let operation = if removed.is_empty() { Operation::Append } else { Operation::Rewrite };
    Ok((operation, writer.close().await?, removed))
}

/// The files of a quarantine table, read one by one.
struct Files<'a> {
    session: SessionContext,
    table: &'a Table,
    schema: SchemaRef,
}

impl Files<'_> {
    async fn read(&self, file: &Add) -> Result<SendableRecordBatchStream> {
        let rows = self.table.scan(std::slice::from_ref(file), &self.schema, &[])?;
        let plan =
            rows.scan(&self.session.state(), None, &[], None).await.map_err(|error| self.failed(error.into()))?;
        let context = Arc::new(TaskContext::from(&self.session));
        let mut streams = execute_stream_partitioned(plan, context).map_err(|error| self.failed(error.into()))?;
        streams.pop().ok_or_else(|| Error::bug("a file of a quarantine table has no rows to read"))
    }

    /// Why each row that was looked at again is refused; nothing when it is not.
    async fn decided(&self, replay: &Replay) -> Result<HashMap<String, Vec<String>>> {
        let mut decided = HashMap::new();
        for file in &replay.decided {
            let mut rows = self.read(file).await?;
            while let Some(batch) = rows.try_next().await.map_err(|error| self.failed(error.into()))? {
                let names = Names::of(&batch)?;
                let reasons = column(&batch, "reasons")?.as_list::<i32>();
                for row in 0..batch.num_rows() {
                    let why = reasons.value(row);
                    let why = why.as_string_view().iter().flatten().map(str::to_owned).collect();
                    decided.insert(names.of_row(row), why);
                }
            }
        }
        Ok(decided)
    }

    /// Whether a file has a row that was decided about.
    async fn concerns(&self, file: &Add, story: &Story<'_>) -> Result<bool> {
        let mut rows = self.read(file).await?;
        while let Some(batch) = rows.try_next().await.map_err(|error| self.failed(error.into()))? {
            if story.concerned(&batch)?.iter().any(Option::is_some) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn failed(&self, error: deltalake::DeltaTableError) -> Error {
        classify_delta(&format!("could not read rows of {}", self.table.name()), error)
    }
}

/// What a replay adds to the rows it looked at.
struct Story<'a> {
    at_micros: i64,
    run: &'a str,
    version: i64,
    decided: HashMap<String, Vec<String>>,
}

impl Story<'_> {
    /// For each row that waits and was decided about, why it is refused again.
    fn concerned(&self, rows: &RecordBatch) -> Result<Vec<Option<&Vec<String>>>> {
        let names = Names::of(rows)?;
        let states = column(rows, STATE)?.as_string_view();
        let waits = |row: usize| states.is_null(row) || states.value(row) != REPLAYED;
        Ok((0..rows.num_rows()).map(|row| self.decided.get(&names.of_row(row)).filter(|_| waits(row))).collect())
    }

    /// The rows with what was decided about them.
    fn told(&self, rows: &RecordBatch) -> Result<RecordBatch> {
        let concerned = self.concerned(rows)?;
        let states = column(rows, STATE)?.as_string_view();
        let now = concerned.iter().enumerate().map(|(row, reasons)| match reasons {
            Some(reasons) if reasons.is_empty() => Some(REPLAYED),
            Some(_) => Some(QUARANTINED),
            None => states.is_valid(row).then(|| states.value(row)),
        });
        let now: StringViewArray = now.collect();
        let replays = self.with_entries(column(rows, REPLAYS)?.as_list::<i32>(), &concerned)?;
        let columns =
            rows.schema_ref().fields().iter().zip(rows.columns()).map(|(field, column)| match field.name().as_str() {
                STATE => Arc::new(now.clone()) as ArrayRef,
                REPLAYS => Arc::new(replays.clone()) as ArrayRef,
                _ => column.clone(),
            });
        RecordBatch::try_new(rows.schema(), columns.collect()).map_err(unwritable)
    }

    /// The lists with one more entry for each row that was decided about.
    fn with_entries(&self, lists: &ListArray, concerned: &[Option<&Vec<String>>]) -> Result<ListArray> {
        let entries = self.entries(&concerned.iter().copied().flatten().collect::<Vec<_>>())?;
        let all = concat(&[lists.values().as_ref(), &entries]).map_err(unwritable)?;
        let mut next = lists.values().len() as u32;
        let (mut indices, mut offsets) = (Vec::new(), vec![0_i32]);
        for (row, reasons) in concerned.iter().enumerate() {
            if lists.is_valid(row) {
                let (from, to) = (lists.value_offsets()[row], lists.value_offsets()[row + 1]);
                indices.extend((from..to).map(|index| index as u32));
            }
            if reasons.is_some() {
                indices.push(next);
                next += 1;
            }
            offsets.push(indices.len() as i32);
        }
        let values = take(&all, &UInt32Array::from(indices), None).map_err(unwritable)?;
        let DataType::List(element) = lists.data_type() else { return Err(Error::bug("replays are no list")) };
        let offsets = OffsetBuffer::new(ScalarBuffer::from(offsets));
        ListArray::try_new(element.clone(), offsets, values, None).map_err(unwritable)
    }

    fn entries(&self, reasons: &[&Vec<String>]) -> Result<StructArray> {
        let count = reasons.len();
        let mut texts = StringViewBuilder::new();
        let mut offsets = vec![0_i32];
        for names in reasons {
            names.iter().for_each(|name| texts.append_value(name));
            offsets.push(offsets.last().copied().unwrap_or_default() + names.len() as i32);
        }
        let element = Arc::new(Field::new("element", DataType::Utf8View, true));
        let offsets = OffsetBuffer::new(ScalarBuffer::from(offsets));
        let lists = ListArray::try_new(element, offsets, Arc::new(texts.finish()), None).map_err(unwritable)?;
        let columns: Vec<ArrayRef> = vec![
            Arc::new(TimestampMicrosecondArray::from(vec![self.at_micros; count]).with_timezone("UTC")),
            Arc::new(StringViewArray::from(vec![self.run; count])),
            Arc::new(Int64Array::from(vec![self.version; count])),
            Arc::new(lists),
        ];
        StructArray::try_new(entry_fields(), columns, None).map_err(unwritable)
    }
}

/// What rows of a quarantine table are known by: where they came from, and when and by which run they were refused.
struct Names<'a> {
    sources: &'a StringViewArray,
    positions: &'a Int64Array,
    batches: &'a Int64Array,
    runs: &'a StringViewArray,
    times: &'a TimestampMicrosecondArray,
}

impl<'a> Names<'a> {
    fn of(rows: &'a RecordBatch) -> Result<Names<'a>> {
        Ok(Names {
            sources: column(rows, "source")?.as_string_view(),
            positions: column(rows, "position")?.as_primitive::<Int64Type>(),
            batches: column(rows, "batch")?.as_primitive::<Int64Type>(),
            runs: column(rows, "run")?.as_string_view(),
            times: column(rows, "quarantined_at")?.as_primitive::<TimestampMicrosecondType>(),
        })
    }

    fn of_row(&self, row: usize) -> String {
        let text = |array: &'a StringViewArray| if array.is_valid(row) { array.value(row) } else { "" };
        let number = |array: &Int64Array| array.is_valid(row).then(|| array.value(row));
        let time = self.times.is_valid(row).then(|| self.times.value(row));
        // Numbers hold no separator and a run's name has none either, so the source may hold anything.
        let (position, batch) = (number(self.positions), number(self.batches));
        format!("{position:?} {batch:?} {time:?} {} {}", text(self.runs), text(self.sources))
    }
}

fn column<'a>(rows: &'a RecordBatch, name: &str) -> Result<&'a ArrayRef> {
    rows.column_by_name(name).ok_or_else(|| Error::bug(format!("a quarantine table has no column `{name}`")))
}

fn unwritable(error: ArrowError) -> Error {
    Error::bug("could not note what became of rows in quarantine").with_source(error)
}

/// No entries for a number of rows.
pub fn no_replays(rows: usize) -> Result<ListArray> {
    let element = Arc::new(Field::new("element", DataType::Struct(entry_fields()), true));
    let values = new_empty_array(element.data_type());
    ListArray::try_new(element, OffsetBuffer::new_zeroed(rows), values, None).map_err(unwritable)
}
