//! The times of those rows that may be late, as a step of a query: numbers alone, so that sorting them takes little.

use std::collections::BTreeMap;
use std::sync::Arc;

use ::stage::{Error, Result};
use arrow::array::{ArrayRef, Int64Builder, RecordBatch};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use sql::{RowFunction, RowStep};

use super::times::{TimeColumns, Times};

/// The name of the table that the step makes.
pub(super) const SUSPECTS: &str = "suspects";

/// The numbers of the parts that are looked at, by source and batch.
pub(super) type Numbers = BTreeMap<String, BTreeMap<i64, i64>>;

/// Leaves out all rows of other parts, and rows without a time.
#[derive(Debug)]
pub(super) struct Suspects {
    times: Times,
    numbers: Arc<Numbers>,
}

impl Suspects {
    pub(super) fn new(times: Times, numbers: Numbers) -> Suspects {
        Suspects { times, numbers: Arc::new(numbers) }
    }
}

impl RowStep for Suspects {
    fn output(&self) -> SchemaRef {
        let names = ["_part", "_position", "_time", "_moves_to"];
        Arc::new(Schema::new(names.map(|name| Field::new(name, DataType::Int64, true)).to_vec()))
    }

    fn narrowed(&self, wanted: &[&str]) -> (Vec<String>, RowFunction) {
        let (times, numbers, output) = (self.times.clone(), self.numbers.clone(), self.output());
        let indices: Vec<usize> = wanted.iter().filter_map(|name| output.index_of(name).ok()).collect();
        let function = move |rows: RecordBatch| {
            let all = taken(&times.of(&rows)?, &numbers, &output)?;
            all.project(&indices).map_err(|error| Error::bug("could not order columns").with_source(error))
        };
        (self.times.columns_read(), Arc::new(function))
    }
}

fn taken(rows: &TimeColumns, numbers: &Numbers, output: &SchemaRef) -> Result<RecordBatch> {
    let mut columns: [Int64Builder; 4] = Default::default();
    for run in rows.runs()? {
        let batches = numbers.get(rows.source(run.start));
        let Some(number) = batches.and_then(|batches| batches.get(&rows.batch(run.start))) else { continue };
        for row in run {
            let (Some(time), Some(moves_to)) = (rows.time(row), rows.moves_to(row)) else { continue };
            let values = [*number, rows.position(row).cast_signed(), time, moves_to];
            columns.iter_mut().zip(values).for_each(|(column, value)| column.append_value(value));
        }
    }
    let columns = columns.iter_mut().map(|column| Arc::new(column.finish()) as ArrayRef).collect();
    RecordBatch::try_new(output.clone(), columns)
        .map_err(|error| Error::bug("could not take the times of rows that may be late").with_source(error))
}
