//! What the columns of a merged table mean, and rows in the order and identity that follow from it.
//!
//! Rows are compared in Arrow's row format: bytes whose order is that of the values, nulls first. Keys, and rows that only
//! have to be told apart, are hashes of 128 bits of these bytes, as everywhere in this crate.

use std::sync::Arc;

use ::stage::{Error, Result};
use arrow::array::{Array as _, ArrayRef, Int8Array, RecordBatch};
use arrow::compute::SortOptions;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::row::{OwnedRow, RowConverter, Rows, SortField};
use xxhash_rust::xxh3::xxh3_128;

/// When a version became valid, until when it was, and whether it still is.
pub(crate) const HISTORY_COLUMNS: [&str; 3] = ["_valid_from", "_valid_to", "_is_current"];

/// What a table shows of the changes of a key.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Mode {
    /// The newest.
    Newest,
    /// The newest, and where it has nulls the newest value there was.
    Filled,
    /// Each that differs from the one before in these columns; in all but keys and sequence when `None`.
    History(Option<Vec<String>>),
}

/// The columns of a merged table.
#[derive(Debug)]
pub(crate) struct Layout {
    pub(crate) schema: SchemaRef,
    pub(crate) mode: Mode,
    keys: Ordered,
    sequence: Ordered,
    /// Everything that changes bring, to choose between equally new rows.
    content: Ordered,
    /// Everything that is in the table.
    whole: Ordered,
    tracked: Ordered,
    /// The first column of the sequence.
    first: Ordered,
    /// What a snapshot can change: neither the sequence nor the origin.
    stated: Ordered,
    /// Columns in which a null may mean that nothing is new.
    pub(crate) fillable: Vec<usize>,
}

/// Some columns, compared in order.
#[derive(Debug)]
struct Ordered {
    columns: Vec<usize>,
    converter: RowConverter,
}

impl Layout {
    /// The layout of a table whose changes have the columns of `changes`.
    pub(crate) fn new(changes: &Schema, keys: &[String], sequence: &[String], mode: Mode) -> Result<Layout> {
        let schema = shown_schema(changes, sequence, &mode)?;
        let is_own = |name: &str| !is_history(&mode) || !HISTORY_COLUMNS.contains(&name);
        let mut content: Vec<usize> =
            (0..schema.fields().len()).filter(|index| is_own(schema.field(*index).name())).collect();
        // The order of columns depends on the order in which they came, and must not decide between rows.
        content.sort_by_key(|index| (is_origin(schema.field(*index).name()), schema.field(*index).name().clone()));
        let named = |names: &[String]| names.iter().map(|name| place_of(&schema, name)).collect::<Result<Vec<_>>>();
        let (keys, sequence) = (named(keys)?, named(sequence)?);
        let fillable: Vec<usize> =
            content.iter().copied().filter(|index| !keys.contains(index) && !sequence.contains(index)).collect();
        let tracked = match &mode {
            Mode::History(Some(columns)) => named(columns)?,
            Mode::History(None) => {
                fillable.iter().copied().filter(|index| !is_origin(schema.field(*index).name())).collect()
            }
            _ => Vec::new(),
        };
        let whole = (0..schema.fields().len()).collect();
        let stated: Vec<usize> =
            fillable.iter().copied().filter(|index| !is_origin(schema.field(*index).name())).collect();
        let first = sequence.iter().take(1).copied().collect();
        Ok(Layout {
            first: Ordered::new(&schema, first, false)?,
            stated: Ordered::new(&schema, stated, false)?,
            keys: Ordered::new(&schema, keys, false)?,
            sequence: Ordered::new(&schema, sequence, false)?,
            content: Ordered::new(&schema, content, true)?,
            whole: Ordered::new(&schema, whole, false)?,
            tracked: Ordered::new(&schema, tracked, false)?,
            fillable,
            schema,
            mode,
        })
    }

    /// Whether the table holds versions.
    pub(crate) fn is_history(&self) -> bool {
        is_history(&self.mode)
    }

    /// The column of the sequence that `_valid_from` and `_valid_to` show.
    pub(crate) fn first_of_sequence(&self) -> Option<usize> {
        self.sequence.columns.first().copied()
    }

    /// Where the columns of the sequence stand.
    pub(crate) fn sequence_columns(&self) -> &[usize] {
        &self.sequence.columns
    }

    /// The columns of the key.
    pub(crate) fn key_columns(&self) -> SchemaRef {
        self.columns_at(&self.keys.columns)
    }

    /// The columns that tell the place of a change in the order of changes.
    pub(crate) fn sequence_schema(&self) -> SchemaRef {
        self.columns_at(&self.sequence.columns)
    }

    /// The columns in which something is remembered.
    pub(crate) fn remembered_columns(&self) -> Vec<usize> {
        let mut columns: Vec<usize> = match self.mode {
            Mode::Newest => self.keys.columns.iter().chain(&self.sequence.columns).copied().collect(),
            Mode::Filled | Mode::History(_) => self.content.columns.clone(),
        };
        columns.sort_unstable();
        columns.dedup();
        columns
    }

    fn columns_at(&self, places: &[usize]) -> SchemaRef {
        Arc::new(Schema::new(places.iter().map(|place| self.schema.fields()[*place].clone()).collect::<Vec<_>>()))
    }

    /// The keys of rows as bytes in order. Rows may have more columns than these.
    pub(crate) fn keys(&self, rows: &RecordBatch) -> Result<Rows> {
        self.keys.of(&self.schema, rows)
    }

    /// The sequence of rows as bytes in order.
    pub(crate) fn sequences(&self, rows: &RecordBatch) -> Result<Rows> {
        self.sequence.of(&self.schema, rows)
    }

    /// A hash of the tracked columns of each row.
    pub(crate) fn tracked(&self, rows: &RecordBatch) -> Result<Vec<u128>> {
        Ok(hashes(&self.tracked.of(&self.schema, rows)?))
    }

    /// A hash of all columns of each row.
    pub(crate) fn whole(&self, rows: &RecordBatch) -> Result<Vec<u128>> {
        Ok(hashes(&self.whole.of(&self.schema, rows)?))
    }

    /// What chooses between equally new rows: the greatest, column by column in the order of their names, wins. Columns
    /// that tell of an origin come last and the least of them wins, so that a repeat never replaces the first.
    pub(crate) fn content(&self, rows: &RecordBatch, row: usize) -> Result<OwnedRow> {
        let content = self.content.of(&self.schema, &rows.slice(row, 1))?;
        Ok(content.row(0).owned())
    }

    /// A hash of what a snapshot can change in each row: neither the sequence nor the origin.
    pub(crate) fn stated(&self, rows: &RecordBatch) -> Result<Vec<u128>> {
        Ok(hashes(&self.stated.of(&self.schema, rows)?))
    }

    /// A hash of the first column of the sequence of each row.
    pub(crate) fn firsts(&self, rows: &RecordBatch) -> Result<Vec<u128>> {
        Ok(hashes(&self.first.of(&self.schema, rows)?))
    }
}

impl Ordered {
    fn new(schema: &Schema, columns: Vec<usize>, origin_last: bool) -> Result<Ordered> {
        let field = |index: &usize| {
            let field = schema.field(*index);
            let descending = origin_last && is_origin(field.name());
            SortField::new_with_options(field.data_type().clone(), SortOptions { descending, nulls_first: !descending })
        };
        let mut fields: Vec<SortField> = columns.iter().map(field).collect();
        if fields.is_empty() {
            fields.push(SortField::new(DataType::Int8));
        }
        let converter = RowConverter::new(fields).map_err(uncomparable)?;
        Ok(Ordered { columns, converter })
    }

    fn of(&self, schema: &Schema, rows: &RecordBatch) -> Result<Rows> {
        let mut columns: Vec<ArrayRef> = Vec::with_capacity(self.columns.len());
        for index in &self.columns {
            let name = schema.field(*index).name();
            let column = rows.column_by_name(name);
            columns.push(column.cloned().ok_or_else(|| Error::bug(format!("rows of a merge lack `{name}`")))?);
        }
        if columns.is_empty() {
            // Rows without columns are all alike.
            columns.push(Arc::new(Int8Array::from(vec![0; rows.num_rows()])));
        }
        self.converter.convert_columns(&columns).map_err(uncomparable)
    }
}

/// One hash per row.
pub(crate) fn hashes(rows: &Rows) -> Vec<u128> {
    rows.iter().map(|row| xxh3_128(row.as_ref())).collect()
}

fn is_history(mode: &Mode) -> bool {
    matches!(mode, Mode::History(_))
}

/// Bronze marks rows with columns that begin so.
fn is_origin(name: &str) -> bool {
    name.starts_with('_')
}

/// The columns of the table: those of the changes, and behind them those of a history.
pub(super) fn shown_schema(changes: &Schema, sequence: &[String], mode: &Mode) -> Result<SchemaRef> {
    let mut fields: Vec<Arc<Field>> = changes.fields().iter().cloned().collect();
    if is_history(mode) {
        let first = sequence.first().ok_or_else(|| Error::config("scd2 needs `sequence_by`"))?;
        let valid = changes.field(place_of(changes, first)?).data_type().clone();
        for (name, data_type) in HISTORY_COLUMNS.into_iter().zip([valid.clone(), valid, DataType::Boolean]) {
            match fields.iter().find(|field| field.name() == name) {
                None => fields.push(Arc::new(Field::new(name, data_type, true))),
                Some(field) if *field.data_type() == data_type => {}
                Some(_) => {
                    return Err(Error::config(format!("the column `{name}` is one that scd2 writes; rename it")));
                }
            }
        }
    }
    Ok(Arc::new(Schema::new(fields)))
}

fn place_of(schema: &Schema, name: &str) -> Result<usize> {
    schema
        .index_of(name)
        .map_err(|_| Error::config(format!("the column `{name}` of `write` is not among the columns that are written")))
}

fn uncomparable(error: arrow::error::ArrowError) -> Error {
    Error::data("rows of this table cannot be compared").with_source(error)
}

/// The batch with these columns, in this order.
pub(crate) fn projected(rows: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch> {
    let places = schema.fields().iter().map(|field| rows.schema().index_of(field.name()));
    let failed = |error| Error::bug("rows of a merge lack a column").with_source(error);
    let places = places.collect::<std::result::Result<Vec<_>, _>>().map_err(failed)?;
    rows.project(&places).map_err(failed)
}

/// Whether the value is null.
pub(crate) fn is_null(rows: &RecordBatch, column: usize, row: usize) -> bool {
    rows.column(column).is_null(row)
}
