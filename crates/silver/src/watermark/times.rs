//! The few columns of an upstream row that decide whether it is late: where it stands in its source, its time after the
//! clean steps, and when it was ingested.

use std::ops::Range;
use std::sync::Arc;

use ::stage::columns::{BATCH, INGESTED_AT, POSITION, SOURCE};
use ::stage::{Error, Result};
use arrow::array::{Array as _, ArrayRef, AsArray as _, Int64Array, RecordBatch, StringViewArray};
use arrow::compute::{cast, partition};
use arrow::datatypes::{DataType, Field, Int64Type, Schema, SchemaRef, TimeUnit};
use arrow::error::ArrowError;
use frame::clean::Cleaner;
use sql::{RowFunction, RowStep};

/// The time in the output of the step, which has no other columns than these five.
const TIME: &str = "_time";

/// How times are taken out of upstream rows. As a step of a query it hands on just these columns, times in microseconds.
#[derive(Debug, Clone)]
pub(super) struct Times {
    /// The clean steps of the column alone.
    cleaner: Cleaner,
    column: String,
}

/// Where rows came from.
#[derive(Debug)]
pub(super) struct Origins {
    source: StringViewArray,
    batch: Int64Array,
    position: Int64Array,
}

/// Where rows came from, and when.
#[derive(Debug)]
pub(super) struct TimeColumns {
    origins: Origins,
    ingested_at: Int64Array,
    time: Int64Array,
}

impl Times {
    pub(super) fn new(cleaner: &Cleaner, column: &str) -> Times {
        Times { cleaner: cleaner.only(column), column: column.to_owned() }
    }

    /// The column of the cleaned rows.
    pub(super) fn column(&self) -> &str {
        &self.column
    }

    /// The column, if the clean steps leave it as it is upstream.
    pub(super) fn plain_column(&self) -> Option<&str> {
        self.cleaner.is_idle().then_some(&self.column)
    }

    /// The upstream columns that are needed.
    pub(super) fn columns_read(&self) -> Vec<String> {
        let mut columns: Vec<String> = [SOURCE, BATCH, POSITION, INGESTED_AT].into_iter().map(str::to_owned).collect();
        for column in self.cleaner.columns_read(&[&self.column]) {
            if !columns.iter().any(|known| known == column) {
                columns.push(column.to_owned());
            }
        }
        columns
    }

    /// The times of upstream rows.
    pub(super) fn of(&self, rows: &RecordBatch) -> Result<TimeColumns> {
        let cleaned = self.cleaner.clean(rows)?.rows;
        let time = microseconds(column(&cleaned, &self.column)?)?;
        Ok(TimeColumns { origins: Origins::of(rows)?, ingested_at: microseconds(column(rows, INGESTED_AT)?)?, time })
    }
}

impl RowStep for Times {
    fn output(&self) -> SchemaRef {
        let field = |name: &str, data_type: DataType| Field::new(name, data_type, true);
        Arc::new(Schema::new(vec![
            field(SOURCE, DataType::Utf8View),
            field(BATCH, DataType::Int64),
            field(POSITION, DataType::Int64),
            field(INGESTED_AT, DataType::Int64),
            field(TIME, DataType::Int64),
        ]))
    }

    fn narrowed(&self, wanted: &[&str]) -> (Vec<String>, RowFunction) {
        let times = self.clone();
        let order: Vec<String> = wanted.iter().map(|name| (*name).to_owned()).collect();
        let output = self.output();
        let function = move |rows: RecordBatch| {
            let all = times.of(&rows)?.into_rows(&output)?;
            let indices = order.iter().map(|name| output.index_of(name)).collect::<Result<Vec<usize>, _>>();
            indices.and_then(|indices| all.project(&indices)).map_err(misshapen)
        };
        (self.columns_read(), Arc::new(function))
    }
}

impl Origins {
    /// Where upstream rows came from.
    pub(super) fn of(rows: &RecordBatch) -> Result<Origins> {
        let number = |name: &str| cast(column(rows, name)?, &DataType::Int64).map_err(misshapen);
        let source = cast(column(rows, SOURCE)?, &DataType::Utf8View).map_err(misshapen)?;
        Ok(Origins {
            source: source.as_string_view().clone(),
            batch: number(BATCH)?.as_primitive::<Int64Type>().clone(),
            position: number(POSITION)?.as_primitive::<Int64Type>().clone(),
        })
    }

    /// Neighbours of the same source and batch.
    pub(super) fn runs(&self) -> Result<Vec<Range<usize>>> {
        let columns: [ArrayRef; 2] = [Arc::new(self.source.clone()), Arc::new(self.batch.clone())];
        Ok(partition(&columns).map_err(misshapen)?.ranges())
    }

    pub(super) fn source(&self, row: usize) -> &str {
        self.source.value(row)
    }

    pub(super) fn batch(&self, row: usize) -> i64 {
        self.batch.value(row)
    }

    /// The position as a bitmap takes it.
    pub(super) fn position(&self, row: usize) -> u64 {
        self.position.value(row).cast_unsigned()
    }
}

impl TimeColumns {
    /// The columns back out of what the step handed on.
    pub(super) fn from_rows(rows: &RecordBatch) -> Result<TimeColumns> {
        let number = |name: &str| Ok::<_, Error>(column(rows, name)?.as_primitive::<Int64Type>().clone());
        Ok(TimeColumns { origins: Origins::of(rows)?, ingested_at: number(INGESTED_AT)?, time: number(TIME)? })
    }

    fn into_rows(self, output: &SchemaRef) -> Result<RecordBatch> {
        let Origins { source, batch, position } = self.origins;
        let columns: Vec<ArrayRef> = vec![
            Arc::new(source),
            Arc::new(batch),
            Arc::new(position),
            Arc::new(self.ingested_at),
            Arc::new(self.time),
        ];
        RecordBatch::try_new(output.clone(), columns).map_err(misshapen)
    }

    /// Neighbours of the same source and batch.
    pub(super) fn runs(&self) -> Result<Vec<Range<usize>>> {
        self.origins.runs()
    }

    pub(super) fn source(&self, row: usize) -> &str {
        self.origins.source(row)
    }

    pub(super) fn batch(&self, row: usize) -> i64 {
        self.origins.batch(row)
    }

    pub(super) fn position(&self, row: usize) -> u64 {
        self.origins.position(row)
    }

    /// The time of a row, if it has one.
    pub(super) fn time(&self, row: usize) -> Option<i64> {
        self.time.is_valid(row).then(|| self.time.value(row))
    }

    /// The time a row moves its source to: no row is later than when it was ingested.
    pub(super) fn moves_to(&self, row: usize) -> Option<i64> {
        let at_most = if self.ingested_at.is_valid(row) { self.ingested_at.value(row) } else { i64::MAX };
        self.time(row).map(|time| time.min(at_most))
    }
}

/// Times as microseconds since 1970; those without a zone are taken as UTC, and a date as its midnight.
fn microseconds(times: &ArrayRef) -> Result<Int64Array> {
    let zone = match times.data_type() {
        DataType::Timestamp(_, zone) => zone.clone(),
        _ => None,
    };
    let micros = cast(times, &DataType::Timestamp(TimeUnit::Microsecond, zone)).map_err(misshapen)?;
    Ok(cast(&micros, &DataType::Int64).map_err(misshapen)?.as_primitive::<Int64Type>().clone())
}

fn column<'a>(rows: &'a RecordBatch, name: &str) -> Result<&'a ArrayRef> {
    rows.column_by_name(name).ok_or_else(|| Error::bug(format!("rows whose lateness is to be told have no `{name}`")))
}

fn misshapen(error: ArrowError) -> Error {
    Error::bug("could not take the times out of rows").with_source(error)
}
