//! The crossing between Arrow arrays and Polars series, one column at a time, over Arrow's C data interface.
//!
//! Both libraries define the structs of that interface themselves; they agree on the layout because the interface
//! fixes it, so an exported struct is moved from one to the other as it is. This is the only unsafe code here.
//!
//! | in flight                    | in Polars          | crosses                                  |
//! |------------------------------|--------------------|------------------------------------------|
//! | string (views)               | String             | without a copy, both ways                |
//! | int, long, float, double     | Int32 ... Float64  | without a copy, both ways                |
//! | boolean                      | Boolean            | without a copy, both ways                |
//! | date                         | Date               | without a copy, both ways                |
//! | timestamp, with or without zone | Datetime        | without a copy, both ways                |
//! | decimal                      | Decimal            | exactly, both ways                       |
//! | binary                       | Binary (views)     | exactly, views are made there and unmade here |
//! | list                         | List               | exactly, offsets grow there and shrink here |
//! | struct                       | Struct             | exactly, field by field                  |
//!
//! Small integers, unsigned integers and string or binary arrays with offsets cross too; what else Arrow has does not.

#![expect(unsafe_code, reason = "the C data interface moves pointers between two libraries")]

use std::mem::{align_of, size_of, transmute};
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, make_array};
use arrow::compute::{CastOptions, cast_with_options};
use arrow::datatypes::{DataType, Field, FieldRef, TimeUnit};
use arrow::ffi::{FFI_ArrowArray, FFI_ArrowSchema, from_ffi, to_ffi};
use polars::prelude::{CompatLevel, Series};
use polars_arrow::datatypes::Field as PolarsField;
use polars_arrow::ffi::{
    ArrowArray, ArrowSchema, export_array_to_c, export_field_to_c, import_array_from_c, import_field_from_c,
};
use stage::{Error, Result};

const _: () = assert!(size_of::<FFI_ArrowArray>() == size_of::<ArrowArray>());
const _: () = assert!(align_of::<FFI_ArrowArray>() == align_of::<ArrowArray>());
const _: () = assert!(size_of::<FFI_ArrowSchema>() == size_of::<ArrowSchema>());
const _: () = assert!(align_of::<FFI_ArrowSchema>() == align_of::<ArrowSchema>());

/// The column as a Polars series of the given name.
///
/// # Errors
/// [`stage::Kind::Bug`] when the type is not in the table above; specs cannot name such a type.
pub fn to_series(name: &str, array: &ArrayRef) -> Result<Series> {
    if !crosses(array.data_type()) {
        return Err(Error::bug(format!("column `{name}` of type {} cannot cross to Polars", array.data_type())));
    }
    let failed = |error| Error::bug(format!("could not hand column `{name}` to Polars")).with_source(error);
    let (exported, schema) = to_ffi(&array.to_data()).map_err(|error| failed(Box::new(error) as stage::BoxError))?;
    // SAFETY: both types are `repr(C)` images of the same struct of the C data interface, checked above for size and
    // alignment; `transmute` takes the value by move, so exactly one side runs the release callback.
    let exported: ArrowArray = unsafe { transmute::<FFI_ArrowArray, ArrowArray>(exported) };
    // SAFETY: as for the array.
    let schema: ArrowSchema = unsafe { transmute::<FFI_ArrowSchema, ArrowSchema>(schema) };
    // SAFETY: the schema was exported by `to_ffi` a moment ago and is still alive.
    let field = unsafe { import_field_from_c(&schema) }.map_err(|error| failed(Box::new(error)))?;
    // SAFETY: array and schema were exported together, so the type describes the buffers.
    let imported = unsafe { import_array_from_c(exported, field.dtype) }.map_err(|error| failed(Box::new(error)))?;
    Series::from_arrow(name.into(), imported).map_err(|error| failed(Box::new(error)))
}

/// The series as one Arrow array in the types that rows have in flight.
///
/// # Errors
/// [`stage::Kind::Bug`] when the series has a type that is not in the table above.
pub fn to_array(series: &Series) -> Result<ArrayRef> {
    let series = series.rechunk();
    let name = series.name().clone();
    let failed = |error| Error::bug(format!("could not take column `{name}` from Polars")).with_source(error);
    // Only the newest layout may be exported: the oldest applies the offset of a sliced string array twice.
    let array = series.to_arrow(0, CompatLevel::newest());
    let field = PolarsField::new(name.clone(), array.dtype().clone(), true);
    // SAFETY: see `to_series`; this is the same move in the other direction.
    let exported = unsafe { transmute::<ArrowArray, FFI_ArrowArray>(export_array_to_c(array)) };
    // SAFETY: as for the array.
    let schema = unsafe { transmute::<ArrowSchema, FFI_ArrowSchema>(export_field_to_c(&field)) };
    // SAFETY: array and schema were exported together, so the schema describes the buffers.
    let data = unsafe { from_ffi(exported, &schema) }.map_err(|error| failed(Box::new(error) as stage::BoxError))?;
    let array = make_array(data);
    let wanted = in_flight(array.data_type());
    if &wanted == array.data_type() {
        return Ok(array);
    }
    let strict = CastOptions { safe: false, ..CastOptions::default() };
    cast_with_options(&array, &wanted, &strict).map_err(|error| failed(Box::new(error)))
}

/// Whether a column of this type can cross to Polars and back.
pub fn crosses(data_type: &DataType) -> bool {
    match data_type {
        DataType::Boolean
        | DataType::Int8
        | DataType::Int16
        | DataType::Int32
        | DataType::Int64
        | DataType::UInt8
        | DataType::UInt16
        | DataType::UInt32
        | DataType::UInt64
        | DataType::Float32
        | DataType::Float64
        | DataType::Utf8
        | DataType::LargeUtf8
        | DataType::Utf8View
        | DataType::Binary
        | DataType::LargeBinary
        | DataType::BinaryView
        | DataType::Date32
        | DataType::Decimal128(_, 0..) => true,
        // Polars keeps seconds as milliseconds, which is not the same column any more.
        DataType::Timestamp(unit, _) => *unit != TimeUnit::Second,
        DataType::List(element) | DataType::LargeList(element) => crosses(element.data_type()),
        DataType::Struct(fields) => !fields.is_empty() && fields.iter().all(|field| crosses(field.data_type())),
        _ => false,
    }
}

/// The type that a column of this layout has in flight.
fn in_flight(data_type: &DataType) -> DataType {
    match data_type {
        DataType::Utf8 | DataType::LargeUtf8 => DataType::Utf8View,
        DataType::LargeBinary | DataType::BinaryView => DataType::Binary,
        DataType::List(element) | DataType::LargeList(element) => {
            DataType::List(Arc::new(Field::new("element", in_flight(element.data_type()), true)))
        }
        DataType::Struct(fields) => DataType::Struct(
            fields
                .iter()
                .map(|field| Arc::new(Field::new(field.name(), in_flight(field.data_type()), true)))
                .collect::<Vec<FieldRef>>()
                .into(),
        ),
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::{
        ArrayRef, BinaryArray, BooleanArray, Date32Array, Decimal128Array, Float32Array, Float64Array, Int32Array,
        Int64Array, LargeStringArray, ListArray, StringViewArray, StructArray, TimestampMicrosecondArray,
        new_empty_array,
    };
    use arrow::buffer::{NullBuffer, OffsetBuffer};
    use proptest::prelude::*;

    use super::*;

    const LONG_TEXT: &str = "a text that is longer than the twelve bytes that stand in a view itself";

    fn list(lengths: &[usize], values: ArrayRef, valid: Vec<bool>) -> ArrayRef {
        let element = Arc::new(Field::new("element", values.data_type().clone(), true));
        let offsets = OffsetBuffer::from_lengths(lengths.iter().copied());
        Arc::new(ListArray::new(element, offsets, values, Some(NullBuffer::from(valid))))
    }

    fn record(text: ArrayRef, number: ArrayRef, valid: Vec<bool>) -> ArrayRef {
        let fields = vec![
            Field::new("text", text.data_type().clone(), true),
            Field::new("number", number.data_type().clone(), true),
        ];
        Arc::new(StructArray::new(fields.into(), vec![text, number], Some(NullBuffer::from(valid))))
    }

    fn one_of_each() -> Vec<ArrayRef> {
        let numbers: ArrayRef = Arc::new(Int64Array::from(vec![Some(1), None, Some(i64::MAX), Some(4)]));
        let texts: ArrayRef = Arc::new(StringViewArray::from(vec![Some("short"), None, Some(LONG_TEXT), Some("")]));
        let times = TimestampMicrosecondArray::from(vec![Some(0), None, Some(1_700_000_000_123_456), Some(-1)]);
        let decimals = Decimal128Array::from(vec![Some(1230), None, Some(-1), Some(99_999_999_999_999_999_999_999)]);
        let nested = record(
            list(&[1, 0, 2, 1], texts.clone(), vec![true, false, true, true]),
            numbers.clone(),
            vec![true, true, false, true],
        );
        vec![
            texts.clone(),
            numbers.clone(),
            Arc::new(Int32Array::from(vec![Some(1), None, Some(i32::MIN), Some(4)])),
            Arc::new(Float64Array::from(vec![Some(0.1), None, Some(f64::INFINITY), Some(-0.0)])),
            Arc::new(Float32Array::from(vec![Some(0.1), None, Some(f32::MIN), Some(-0.0)])),
            Arc::new(BooleanArray::from(vec![Some(true), None, Some(false), Some(true)])),
            Arc::new(Date32Array::from(vec![Some(0), None, Some(19_000), Some(-1)])),
            Arc::new(times.clone()),
            Arc::new(times.with_timezone("UTC")),
            Arc::new(decimals.with_precision_and_scale(38, 10).unwrap()),
            Arc::new(BinaryArray::from(vec![
                Some(b"\x00\xff".as_slice()),
                None,
                Some(LONG_TEXT.as_bytes()),
                Some(b""),
            ])),
            list(&[1, 0, 2, 1], texts.clone(), vec![true, false, true, true]),
            record(texts, numbers, vec![true, true, false, true]),
            nested,
        ]
    }

    fn check_round_trip(array: &ArrayRef) {
        let series = to_series("column", array).unwrap();
        assert_eq!(series.len(), array.len());
        assert_eq!(series.null_count(), array.null_count());
        let back = to_array(&series).unwrap();
        assert_eq!(back.data_type(), array.data_type());
        assert_eq!(back.as_ref(), array.as_ref());
    }

    #[test]
    fn every_type_of_a_spec_comes_back_as_it_went() {
        for array in one_of_each() {
            check_round_trip(&array);
        }
    }

    #[test]
    fn slices_and_empty_columns_come_back_as_they_went() {
        for array in one_of_each() {
            for (offset, length) in [(0, 0), (0, 1), (1, 1), (1, 3), (3, 1), (4, 0)] {
                check_round_trip(&array.slice(offset, length));
            }
            check_round_trip(&new_empty_array(array.data_type()));
        }
    }

    #[test]
    fn slices_taken_in_polars_come_back_too() {
        for array in one_of_each() {
            let series = to_series("column", &array).unwrap().slice(1, 2);
            assert_eq!(to_array(&series).unwrap().as_ref(), array.slice(1, 2).as_ref());
        }
    }

    #[test]
    fn text_with_offsets_arrives_as_views() {
        let array: ArrayRef = Arc::new(LargeStringArray::from(vec![Some("a"), None, Some(LONG_TEXT)]));
        let back = to_array(&to_series("column", &array.slice(1, 2)).unwrap()).unwrap();
        assert_eq!(back.as_ref(), &StringViewArray::from(vec![None, Some(LONG_TEXT)]) as &dyn Array);
    }

    #[test]
    fn types_outside_the_table_are_refused() {
        let array = new_empty_array(&DataType::Decimal256(50, 2));
        assert!(to_series("column", &array).is_err());
    }

    proptest! {
        #[test]
        fn any_slice_of_any_column_comes_back(
            rows in prop::collection::vec(
                (prop::option::of(".{0,20}"), prop::option::of(any::<i64>()), any::<bool>(), 0_usize..3), 0..40),
            from in 0_usize..40,
            to in 0_usize..40,
        ) {
            let (from, to) = (from.min(to).min(rows.len()), from.max(to).min(rows.len()));
            let texts: ArrayRef = Arc::new(rows.iter().map(|row| row.0.as_deref()).collect::<StringViewArray>());
            let numbers: ArrayRef = Arc::new(rows.iter().map(|row| row.1).collect::<Int64Array>());
            let valid: Vec<bool> = rows.iter().map(|row| row.2).collect();
            let lengths: Vec<usize> = rows.iter().map(|row| if row.2 { row.3 } else { 0 }).collect();
            let elements: ArrayRef =
                Arc::new((0..lengths.iter().sum::<usize>()).map(|index| Some(index.to_string())).collect::<StringViewArray>());
            let decimals = rows.iter().map(|row| row.1.map(i128::from)).collect::<Decimal128Array>();
            let columns = [
                texts.clone(),
                numbers.clone(),
                list(&lengths, elements, valid.clone()),
                record(texts, numbers, valid),
                Arc::new(decimals.with_precision_and_scale(30, 4).unwrap()) as ArrayRef,
            ];
            for column in columns {
                check_round_trip(&column.slice(from, to - from));
            }
        }
    }
}
