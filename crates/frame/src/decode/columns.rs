//! Columns under construction, one row after the other, from which the last rows can be taken back.
//!
//! Taking back is what makes strict reading cheap: a row is appended while it is parsed, and when it turns out to be
//! dirty the columns are cut to the row before. Strings that stand in the text as they are become views into it.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{
    ArrayRef, BinaryArray, BooleanArray, BooleanBufferBuilder, Date32Array, Decimal128Array, Float32Array,
    Float64Array, Int32Array, Int64Array, ListArray, NullBufferBuilder, StringViewArray, StructArray,
    TimestampMicrosecondArray, make_view,
};
use arrow::buffer::{Buffer, NullBuffer, OffsetBuffer, ScalarBuffer};
use arrow::datatypes::{DataType, Field, Fields, TimeUnit};
use stage::{Error, Result};

use crate::types;

/// The block of a view that points into the text of the piece.
const TEXT: u32 = 0;
/// The block of a view that points into the column's own bytes.
const OWN: u32 = 1;
/// Strings up to this length stand in the view itself.
const INLINE: usize = 12;

/// One column.
pub(crate) struct Column {
    pub(crate) nulls: NullBufferBuilder,
    pub(crate) data: Data,
}

/// The values of a column by type. Null rows hold a default value.
pub(crate) enum Data {
    String(Strings),
    Boolean(BooleanBufferBuilder),
    Int(Vec<i32>),
    Long(Vec<i64>),
    Float(Vec<f32>),
    Double(Vec<f64>),
    Date(Vec<i32>),
    Timestamp(Vec<i64>),
    TimestampNtz(Vec<i64>),
    Decimal { values: Vec<i128>, precision: u8, scale: i8 },
    Binary { offsets: Vec<i32>, bytes: Vec<u8> },
    Struct(Structs),
    List(Box<Lists>),
}

/// Strings as views into the text or into bytes of their own.
#[derive(Default)]
pub(crate) struct Strings {
    views: Vec<u128>,
    own: Vec<u8>,
    /// Whether any view needs the text to be kept.
    points_into_text: bool,
}

/// The columns of a struct, found by name.
pub(crate) struct Structs {
    names: Vec<String>,
    pub(crate) columns: Vec<Column>,
    by_name: HashMap<String, usize>,
    /// Which field came after which the last time, by the index of the field before plus one: rows of one file mostly
    /// agree in their order.
    after: Vec<usize>,
}

/// The elements of lists, one behind the other.
pub(crate) struct Lists {
    offsets: Vec<i32>,
    pub(crate) elements: Column,
}

impl Column {
    /// An empty column.
    ///
    /// # Errors
    /// [`stage::Kind::Bug`] for a type that [`types::data_type`] does not give.
    pub(crate) fn new(data_type: &DataType) -> Result<Column> {
        let data = match data_type {
            DataType::Utf8View => Data::String(Strings::default()),
            DataType::Boolean => Data::Boolean(BooleanBufferBuilder::new(0)),
            DataType::Int32 => Data::Int(Vec::new()),
            DataType::Int64 => Data::Long(Vec::new()),
            DataType::Float32 => Data::Float(Vec::new()),
            DataType::Float64 => Data::Double(Vec::new()),
            DataType::Date32 => Data::Date(Vec::new()),
            DataType::Timestamp(TimeUnit::Microsecond, Some(_)) => Data::Timestamp(Vec::new()),
            DataType::Timestamp(TimeUnit::Microsecond, None) => Data::TimestampNtz(Vec::new()),
            DataType::Decimal128(precision, scale) => {
                Data::Decimal { values: Vec::new(), precision: *precision, scale: *scale }
            }
            DataType::Binary => Data::Binary { offsets: vec![0], bytes: Vec::new() },
            DataType::Struct(fields) => Data::Struct(Structs::new(fields)?),
            DataType::List(element) => {
                Data::List(Box::new(Lists { offsets: vec![0], elements: Column::new(element.data_type())? }))
            }
            other => return Err(Error::bug(format!("rows of type {other} cannot be decoded"))),
        };
        Ok(Column { nulls: NullBufferBuilder::new(0), data })
    }

    /// Rows so far.
    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.nulls.len()
    }

    /// Appends a null.
    pub(crate) fn push_null(&mut self) {
        match &mut self.data {
            Data::String(strings) => strings.views.push(0),
            Data::Boolean(values) => values.append(false),
            Data::Int(values) | Data::Date(values) => values.push(0),
            Data::Long(values) | Data::Timestamp(values) | Data::TimestampNtz(values) => values.push(0),
            Data::Float(values) => values.push(0.0),
            Data::Double(values) => values.push(0.0),
            Data::Decimal { values, .. } => values.push(0),
            Data::Binary { offsets, bytes } => offsets.push(length(bytes.len())),
            Data::Struct(structs) => structs.columns.iter_mut().for_each(Column::push_null),
            Data::List(lists) => lists.offsets.push(length(lists.elements.len())),
        }
        self.nulls.append_null();
    }

    /// Takes back every row from `rows` on, also a row of which only a part was appended.
    pub(crate) fn truncate(&mut self, rows: usize) {
        self.nulls.truncate(rows);
        match &mut self.data {
            Data::String(strings) => strings.views.truncate(rows),
            Data::Boolean(values) => values.truncate(rows),
            Data::Int(values) | Data::Date(values) => values.truncate(rows),
            Data::Long(values) | Data::Timestamp(values) | Data::TimestampNtz(values) => values.truncate(rows),
            Data::Float(values) => values.truncate(rows),
            Data::Double(values) => values.truncate(rows),
            Data::Decimal { values, .. } => values.truncate(rows),
            Data::Binary { offsets, bytes } => {
                offsets.truncate(rows + 1);
                bytes.truncate(last(offsets));
            }
            Data::Struct(structs) => structs.columns.iter_mut().for_each(|column| column.truncate(rows)),
            Data::List(lists) => {
                lists.offsets.truncate(rows + 1);
                lists.elements.truncate(last(&lists.offsets));
            }
        }
    }

    /// Makes room for a schema that has grown: new fields of structs become columns of nulls.
    ///
    /// # Errors
    /// As [`Column::new`].
    pub(crate) fn grow(&mut self, data_type: &DataType) -> Result<()> {
        let rows = self.len();
        match (&mut self.data, data_type) {
            (Data::Struct(structs), DataType::Struct(fields)) => structs.grow(fields, rows),
            (Data::List(lists), DataType::List(element)) => lists.elements.grow(element.data_type()),
            _ => Ok(()),
        }
    }

    /// The array of all rows. `text` is what the views point into.
    ///
    /// # Errors
    /// [`stage::Kind::Bug`] when arrow refuses the parts.
    pub(crate) fn finish(mut self, text: &Buffer) -> Result<ArrayRef> {
        let rows = self.len();
        let nulls = self.nulls.finish();
        Ok(match self.data {
            Data::String(strings) => strings.finish(text, nulls),
            Data::Boolean(mut values) => Arc::new(BooleanArray::new(values.finish(), nulls)),
            Data::Int(values) => Arc::new(Int32Array::new(values.into(), nulls)),
            Data::Long(values) => Arc::new(Int64Array::new(values.into(), nulls)),
            Data::Float(values) => Arc::new(Float32Array::new(values.into(), nulls)),
            Data::Double(values) => Arc::new(Float64Array::new(values.into(), nulls)),
            Data::Date(values) => Arc::new(Date32Array::new(values.into(), nulls)),
            Data::Timestamp(values) => {
                Arc::new(TimestampMicrosecondArray::new(values.into(), nulls).with_timezone("UTC"))
            }
            Data::TimestampNtz(values) => Arc::new(TimestampMicrosecondArray::new(values.into(), nulls)),
            Data::Decimal { values, precision, scale } => Arc::new(
                Decimal128Array::new(values.into(), nulls)
                    .with_precision_and_scale(precision, scale)
                    .map_err(|why| Error::bug("a decimal column does not fit its type").with_source(why))?,
            ),
            Data::Binary { offsets, bytes } => Arc::new(BinaryArray::new(
                OffsetBuffer::new(ScalarBuffer::from(offsets)),
                Buffer::from_vec(bytes),
                nulls,
            )),
            Data::Struct(structs) => Arc::new(structs.finish(text, nulls, rows)?),
            Data::List(lists) => {
                let elements = lists.elements.finish(text)?;
                let field = Field::new(types::ELEMENT, elements.data_type().clone(), true);
                let offsets = OffsetBuffer::new(ScalarBuffer::from(lists.offsets));
                Arc::new(ListArray::new(field.into(), offsets, elements, nulls))
            }
        })
    }
}

impl Strings {
    /// Appends a string that stands in the text of the piece at `offset`.
    #[inline]
    pub(crate) fn push_view(&mut self, value: &str, offset: usize) {
        match u32::try_from(offset) {
            Ok(offset) => {
                self.points_into_text |= value.len() > INLINE;
                self.views.push(make_view(value.as_bytes(), TEXT, offset));
            }
            Err(_) => self.push_own(value),
        }
    }

    /// Appends a string that stands nowhere in the text.
    pub(crate) fn push_own(&mut self, value: &str) {
        self.views.push(make_view(value.as_bytes(), OWN, length(self.own.len()).unsigned_abs()));
        if value.len() > INLINE {
            self.own.extend_from_slice(value.as_bytes());
        }
    }

    #[expect(unsafe_code, reason = "validating every view again would cost a quarter of the whole decoding")]
    fn finish(self, text: &Buffer, nulls: Option<NullBuffer>) -> ArrayRef {
        let views = ScalarBuffer::from(self.views);
        let text = if self.points_into_text { text.clone() } else { Buffer::from_vec(Vec::<u8>::new()) };
        let buffers = if self.own.is_empty() { vec![text] } else { vec![text, Buffer::from_vec(self.own)] };
        // SAFETY: each view was made by `make_view` of a `&str` that stands at this offset of the text (TEXT) or was
        // appended to the column's own bytes at this offset (OWN), neither of which has changed since; the view of a
        // null is the empty inline view.
        Arc::new(unsafe { StringViewArray::new_unchecked(views, buffers, nulls) })
    }
}

impl Structs {
    fn new(fields: &Fields) -> Result<Structs> {
        let mut structs = Structs { names: Vec::new(), columns: Vec::new(), by_name: HashMap::new(), after: vec![0] };
        structs.grow(fields, 0)?;
        Ok(structs)
    }

    /// The index of a field. `before` is the index of the field before it in this row plus one, or 0.
    #[inline]
    pub(crate) fn find(&mut self, name: &str, before: usize) -> Option<usize> {
        let guess = self.after[before];
        if self.names.get(guess).is_some_and(|known| known == name) {
            return Some(guess);
        }
        let found = *self.by_name.get(name)?;
        self.after[before] = found;
        Some(found)
    }

    fn grow(&mut self, fields: &Fields, rows: usize) -> Result<()> {
        for (index, field) in fields.iter().enumerate() {
            if let Some(column) = self.columns.get_mut(index) {
                column.grow(field.data_type())?;
                continue;
            }
            let mut column = Column::new(field.data_type())?;
            (0..rows).for_each(|_| column.push_null());
            self.columns.push(column);
            self.by_name.entry(field.name().clone()).or_insert(index);
            self.names.push(field.name().clone());
            self.after.push(index + 1);
        }
        Ok(())
    }

    fn finish(self, text: &Buffer, nulls: Option<NullBuffer>, rows: usize) -> Result<StructArray> {
        let arrays: Result<Vec<ArrayRef>> = self.columns.into_iter().map(|column| column.finish(text)).collect();
        let arrays = arrays?;
        let fields: Fields = self
            .names
            .iter()
            .zip(&arrays)
            .map(|(name, array)| Field::new(name, array.data_type().clone(), true))
            .collect();
        StructArray::try_new_with_length(fields, arrays, nulls, rows)
            .map_err(|why| Error::bug("rows do not form a struct").with_source(why))
    }
}

impl Lists {
    /// Ends the list whose elements were appended.
    pub(crate) fn close(&mut self) {
        self.offsets.push(length(self.elements.len()));
    }
}

/// A length as arrow's offsets hold it. Pieces are far smaller than the limit.
fn length(bytes: usize) -> i32 {
    i32::try_from(bytes).unwrap_or(i32::MAX)
}

fn last(offsets: &[i32]) -> usize {
    offsets.last().and_then(|last| usize::try_from(*last).ok()).unwrap_or(0)
}
