//! `[clean]`: declared row work.
//!
//! A [`Cleaner`] is a spec checked against one schema. Each step concerns one column, so cleaning goes column by column:
//! what no step names passes through as it is, and only the columns of text steps and of casts with a format cross to
//! Polars. Flatten, rename, drop, fill and the null_if of other than text columns move no text and change no bytes that
//! Polars could change faster, so they are done on the Arrow arrays themselves.

mod cast;
mod compile;
mod exact;
mod literal;
mod names;
mod text;
mod time;

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, RecordBatch, RecordBatchOptions, Scalar, StructArray};
use arrow::buffer::{BooleanBuffer, NullBuffer};
use arrow::compute::kernels::cmp::eq;
use arrow::compute::kernels::zip::zip;
use arrow::compute::{is_not_null, nullif};
use arrow::datatypes::{Field, Schema, SchemaRef};
use stage::{Error, Problem, Result};

use self::compile::{Column, Step, compile};
pub use self::literal::{literal, typed_text};
pub use self::names::unknown_column;
use crate::spec::CleanSpec;

/// Clean steps checked against the schema of their input.
#[derive(Debug, Clone)]
pub struct Cleaner {
    input: Schema,
    columns: Vec<Column>,
    output: SchemaRef,
}

/// Rows after cleaning.
#[derive(Debug, Clone)]
pub struct Cleaned {
    /// The rows, as many as came in and in their order, in the columns of [`Cleaner::output`].
    pub rows: RecordBatch,
    /// The casts that lost a value; empty when none did.
    pub lossy: Vec<LossyCast>,
}

/// A cast that turned values into null.
#[derive(Debug, Clone)]
pub struct LossyCast {
    /// The name under which it counts, `cast_<column>`.
    pub rule: String,
    /// True for each row whose value was lost; has no nulls.
    pub rows: BooleanArray,
}

impl Cleaner {
    /// Checks a spec against the schema of the rows to come.
    ///
    /// # Errors
    /// Every problem of the spec at once, with places relative to the file, such as `clean/cast/ts`.
    pub fn new(spec: &CleanSpec, input: &Schema) -> Result<Cleaner, Vec<Problem>> {
        Ok(Cleaner::of(input.clone(), compile(spec, input)?))
    }

    fn of(input: Schema, columns: Vec<Column>) -> Cleaner {
        let fields: Vec<Field> = columns
            .iter()
            .filter(|column| !column.dropped)
            .map(|column| Field::new(&column.name, column.data_type.clone(), true))
            .collect();
        let output = Arc::new(Schema::new_with_metadata(fields, input.metadata().clone()));
        Cleaner { input, columns, output }
    }

    /// The columns after cleaning.
    pub fn output(&self) -> SchemaRef {
        self.output.clone()
    }

    /// Whether the rows come out as they went in.
    pub fn is_idle(&self) -> bool {
        self.columns.iter().all(|column| {
            column.steps.is_empty()
                && column.path.is_empty()
                && !column.dropped
                && self.input.field(column.source).name() == &column.name
        })
    }

    /// The columns of the input, in its order, that are needed for the wanted columns of the output. Columns with a cast
    /// are always among them, because a lost value counts even if nobody reads the column.
    pub fn columns_read(&self, wanted: &[&str]) -> Vec<&str> {
        let needed = |source: usize| self.columns.iter().any(|column| column.source == source && column.needed(wanted));
        (0..self.input.fields().len())
            .filter(|&source| needed(source))
            .map(|source| self.input.field(source).name().as_str())
            .collect()
    }

    /// This cleaner for the wanted columns of the output only; it takes batches that have at least
    /// [`Cleaner::columns_read`].
    #[must_use]
    pub fn narrowed(&self, wanted: &[&str]) -> Cleaner {
        let mut columns: Vec<Column> = self.columns.iter().filter(|column| column.needed(wanted)).cloned().collect();
        for column in &mut columns {
            column.dropped |= !wanted.contains(&column.name.as_str());
        }
        Cleaner::of(self.input.clone(), columns)
    }

    /// This cleaner for one column of the output alone: casts of other columns are neither done nor counted.
    #[must_use]
    pub fn only(&self, wanted: &str) -> Cleaner {
        let is_wanted = |column: &&Column| !column.dropped && column.name == wanted;
        Cleaner::of(self.input.clone(), self.columns.iter().filter(is_wanted).cloned().collect())
    }

    /// Cleans one batch. Its columns are found by name, so others may stand between them.
    ///
    /// # Errors
    /// [`stage::Kind::Bug`] when the batch does not have the columns of the schema this cleaner was made for.
    pub fn clean(&self, batch: &RecordBatch) -> Result<Cleaned> {
        let mut arrays = Vec::with_capacity(self.output.fields().len());
        let mut lossy = Vec::new();
        for column in &self.columns {
            if column.dropped && !column.casts() {
                continue;
            }
            let mut array = self.take(batch, column)?;
            for step in &column.steps {
                array = apply(step, array, &mut lossy)?;
            }
            if !column.dropped {
                arrays.push(array);
            }
        }
        let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
        let rows = RecordBatch::try_new_with_options(self.output.clone(), arrays, &options)
            .map_err(|error| Error::bug("the clean steps made other columns than they said").with_source(error))?;
        Ok(Cleaned { rows, lossy })
    }

    /// The column as it comes in, out of its structs if it was in some.
    fn take(&self, batch: &RecordBatch, column: &Column) -> Result<ArrayRef> {
        let field = self.input.field(column.source);
        let array =
            batch.column_by_name(field.name()).filter(|array| array.data_type() == field.data_type()).ok_or_else(
                || Error::bug(format!("column `{}` changed after the clean steps were checked", field.name())),
            )?;
        let mut array = array.clone();
        for child in &column.path {
            array = struct_field(array.as_struct(), *child)?;
        }
        Ok(array)
    }
}

impl Column {
    fn casts(&self) -> bool {
        self.steps.iter().any(|step| matches!(step, Step::Cast(..)))
    }

    fn needed(&self, wanted: &[&str]) -> bool {
        self.casts() || (!self.dropped && wanted.contains(&self.name.as_str()))
    }
}

/// One field of a struct column; where the struct is null, the field is null too, whatever stands below.
fn struct_field(parent: &StructArray, child: usize) -> Result<ArrayRef> {
    let array = parent.column(child);
    if parent.null_count() == 0 {
        return Ok(array.clone());
    }
    let valid = NullBuffer::union(parent.nulls(), array.nulls());
    let data = array.to_data().into_builder().nulls(valid).build();
    let data = data.map_err(|error| Error::bug("could not take a field out of its struct").with_source(error))?;
    Ok(arrow::array::make_array(data))
}

fn apply(step: &Step, array: ArrayRef, lossy: &mut Vec<LossyCast>) -> Result<ArrayRef> {
    let refused = |error| Error::bug("a clean step that was checked could not be done").with_source(error);
    match step {
        Step::Text(steps) => text::apply(steps, &array),
        Step::NullIf(values) => {
            let mut array = array;
            for value in values {
                let mask = eq(&array, &Scalar::new(value.clone())).map_err(refused)?;
                array = nullif(&array, &mask).map_err(refused)?;
            }
            Ok(array)
        }
        Step::Cast(rule, cast) => {
            let after = cast.apply(&array)?;
            if after.null_count() != array.null_count() {
                lossy.push(LossyCast { rule: rule.clone(), rows: lost(&array, &after) });
            }
            Ok(after)
        }
        Step::Fill(_) if array.null_count() == 0 => Ok(array),
        Step::Fill(value) => {
            let present = is_not_null(&array).map_err(refused)?;
            zip(&present, &array, &Scalar::new(value.clone())).map_err(refused)
        }
    }
}

/// Which values were there before and are not after.
fn lost(before: &ArrayRef, after: &ArrayRef) -> BooleanArray {
    let absent = match after.nulls() {
        Some(after) => !after.inner(),
        None => BooleanBuffer::new_unset(after.len()),
    };
    let lost = match before.nulls() {
        Some(before) => &absent & before.inner(),
        None => absent,
    };
    BooleanArray::new(lost, None)
}

#[cfg(test)]
mod tests;
