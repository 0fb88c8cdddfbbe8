//! The form of rows in which a table can hold them: any Arrow type to the one type its column has.
//!
//! No value changes on the way, but times finer than microseconds are cut off. What is then asked of the values by the
//! table's schema is not decided here.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, ListArray, StructArray};
use arrow::buffer::Buffer;
use arrow::compute::{CastOptions, can_cast_types, cast_with_options};
use arrow::datatypes::{DataType, Field, FieldRef, Fields, TimeUnit};
use stage::{Error, Result};

use crate::decode::columns::Column;
use crate::decode::json_of::json_of;
use crate::decode::rows::push_text;
use crate::decode::shape::RESERVED;
use crate::types;

/// The columns a table gets for rows of these fields: types in their canonical form, without names that cannot be columns.
pub(crate) fn columns(fields: &Fields) -> Fields {
    let allowed =
        |field: &&FieldRef| !field.name().is_empty() && !RESERVED.contains(&field.name().to_ascii_lowercase().as_str());
    let typed = fields.iter().filter(allowed).filter_map(|field| {
        let data_type = column_type(&canonical_type(field.data_type()))?;
        Some(Field::new(field.name(), data_type, true))
    });
    typed.collect()
}

/// The same rows with every type in the form a table can have, without changing a value. A type that has no such form
/// becomes text.
pub(crate) fn canonical(source: &StructArray) -> Result<StructArray> {
    let mut fields = Vec::with_capacity(source.num_columns());
    let mut arrays = Vec::with_capacity(source.num_columns());
    for (field, array) in source.fields().iter().zip(source.columns()) {
        let array = canonical_array(array)?;
        fields.push(Field::new(field.name(), array.data_type().clone(), true));
        arrays.push(array);
    }
    StructArray::try_new_with_length(fields.into(), arrays, source.nulls().cloned(), source.len()).map_err(defect)
}

/// Values as text: plain ones as they print, nested ones as JSON.
pub(crate) fn as_text(array: &ArrayRef) -> Result<ArrayRef> {
    let mut column = Column::new(&DataType::Utf8View)?;
    for index in 0..array.len() {
        if array.is_null(index) {
            column.push_null();
            continue;
        }
        let json = json_of(array.as_ref(), index);
        let text = serde_json::from_str::<String>(&json).unwrap_or(json);
        if !push_text(&mut column, &text) {
            column.push_null();
        }
    }
    column.finish(&Buffer::from_vec(Vec::<u8>::new()))
}

/// Values in another type; one that the type cannot hold becomes null.
pub(crate) fn cast(array: &ArrayRef, wanted: &DataType) -> Result<ArrayRef> {
    cast_with_options(array, wanted, &CastOptions { safe: true, ..CastOptions::default() }).map_err(defect)
}

/// What should not be able to happen while columns are brought to a type.
pub(crate) fn defect(why: arrow::error::ArrowError) -> Error {
    Error::bug("rows could not be brought to the table's schema").with_source(why)
}

fn canonical_array(array: &ArrayRef) -> Result<ArrayRef> {
    match array.data_type() {
        DataType::Struct(_) => Ok(Arc::new(canonical(array.as_struct())?)),
        DataType::List(_) => {
            let lists = array.as_list::<i32>();
            let values = canonical_array(lists.values())?;
            let field = Field::new(types::ELEMENT, values.data_type().clone(), true);
            let array = ListArray::try_new(field.into(), lists.offsets().clone(), values, lists.nulls().cloned());
            Ok(Arc::new(array.map_err(defect)?))
        }
        DataType::LargeList(element)
        | DataType::FixedSizeList(element, _)
        | DataType::ListView(element)
        | DataType::LargeListView(element) => canonical_array(&cast(array, &DataType::List(Arc::clone(element)))?),
        DataType::Map(_, _) => {
            let map = array.as_map();
            let entries = canonical(map.entries())?;
            let field = Field::new(types::ELEMENT, entries.data_type().clone(), true);
            let array =
                ListArray::try_new(field.into(), map.offsets().clone(), Arc::new(entries), map.nulls().cloned());
            Ok(Arc::new(array.map_err(defect)?))
        }
        DataType::Dictionary(_, values) => canonical_array(&cast(array, values)?),
        data_type => {
            let wanted = canonical_type(data_type);
            if wanted == *data_type || *data_type == DataType::Null {
                Ok(Arc::clone(array))
            } else if can_cast_types(data_type, &wanted) {
                cast(array, &wanted)
            } else {
                as_text(array)
            }
        }
    }
}

/// The type a table's column has for values of a type. Finer times than microseconds are cut off.
fn canonical_type(data_type: &DataType) -> DataType {
    match data_type {
        DataType::Int8 | DataType::Int16 | DataType::UInt8 | DataType::UInt16 => DataType::Int32,
        DataType::UInt32 => DataType::Int64,
        DataType::UInt64 => DataType::Decimal128(20, 0),
        DataType::Float16 => DataType::Float32,
        DataType::Decimal32(precision, scale) | DataType::Decimal64(precision, scale) if *scale >= 0 => {
            DataType::Decimal128(*precision, *scale)
        }
        DataType::Decimal256(precision, scale) if *precision <= 38 && *scale >= 0 => {
            DataType::Decimal128(*precision, *scale)
        }
        DataType::Date64 => DataType::Timestamp(TimeUnit::Microsecond, None),
        DataType::Timestamp(_, None) => DataType::Timestamp(TimeUnit::Microsecond, None),
        DataType::Timestamp(_, Some(_)) => types::timestamp(),
        DataType::LargeBinary | DataType::BinaryView | DataType::FixedSizeBinary(_) => DataType::Binary,
        DataType::Struct(fields) => {
            let fields = fields.iter().map(|field| Field::new(field.name(), canonical_type(field.data_type()), true));
            DataType::Struct(fields.collect())
        }
        DataType::List(element)
        | DataType::LargeList(element)
        | DataType::FixedSizeList(element, _)
        | DataType::ListView(element)
        | DataType::LargeListView(element)
        | DataType::Map(element, _) => types::list_of(canonical_type(element.data_type())),
        DataType::Dictionary(_, values) => canonical_type(values),
        DataType::Null
        | DataType::Boolean
        | DataType::Int32
        | DataType::Int64
        | DataType::Float32
        | DataType::Float64
        | DataType::Date32
        | DataType::Binary
        | DataType::Decimal128(_, _) => data_type.clone(),
        _ => DataType::Utf8View,
    }
}

/// The type without fields that can hold nothing; `None` when nothing is left.
fn column_type(data_type: &DataType) -> Option<DataType> {
    match data_type {
        DataType::Null => None,
        DataType::Struct(fields) => {
            let fields: Fields = fields
                .iter()
                .filter_map(|field| Some(Field::new(field.name(), column_type(field.data_type())?, true)))
                .collect();
            (!fields.is_empty()).then_some(DataType::Struct(fields))
        }
        DataType::List(element) => column_type(element.data_type()).map(types::list_of),
        other => Some(other.clone()),
    }
}
