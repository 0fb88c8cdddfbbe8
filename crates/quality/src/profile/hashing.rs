//! Hashes of whole columns. A value has the same hash in every batch, worker and process, so that sketches merge.

use arrow::array::{Array, ArrayRef, AsArray, StringViewArray};
use arrow::datatypes::{
    DataType, Date32Type, Decimal128Type, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type,
    TimestampMicrosecondType,
};
use xxhash_rust::xxh3::xxh3_64;

/// The longest text that stands in its view itself.
const INLINE: u32 = 12;

/// The finalizer of MurmurHash3 (Appleby, 2011): every bit of the result depends on every bit of the number.
#[inline]
pub(crate) fn mixed(mut number: u64) -> u64 {
    number ^= number >> 33;
    number = number.wrapping_mul(0xff51_afd7_ed55_8ccd);
    number ^= number >> 33;
    number = number.wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    number ^ (number >> 33)
}

/// Puts a hash for each row into `hashes`, whatever was there before; those of nulls mean nothing. False for types whose
/// values are not told apart.
pub(crate) fn hash_column(column: &ArrayRef, hashes: &mut Vec<u64>) -> bool {
    hashes.clear();
    match column.data_type() {
        DataType::Utf8View => hash_texts(column.as_string_view(), hashes),
        DataType::Boolean => {
            hashes.extend(column.as_boolean().values().iter().map(|value| mixed(u64::from(value) + 1)))
        }
        DataType::Int8 => signed(hashes, column.as_primitive::<Int8Type>().values(), |value| i64::from(*value)),
        DataType::Int16 => signed(hashes, column.as_primitive::<Int16Type>().values(), |value| i64::from(*value)),
        DataType::Int32 => signed(hashes, column.as_primitive::<Int32Type>().values(), |value| i64::from(*value)),
        DataType::Int64 => signed(hashes, column.as_primitive::<Int64Type>().values(), |value| *value),
        DataType::Date32 => signed(hashes, column.as_primitive::<Date32Type>().values(), |value| i64::from(*value)),
        DataType::Timestamp(..) => {
            let Some(times) = column.as_primitive_opt::<TimestampMicrosecondType>() else { return false };
            signed(hashes, times.values(), |value| *value);
        }
        DataType::Float32 => {
            floats(hashes, column.as_primitive::<Float32Type>().values(), |value| f64::from(*value));
        }
        DataType::Float64 => floats(hashes, column.as_primitive::<Float64Type>().values(), |value| *value),
        DataType::Decimal128(..) => {
            let values = column.as_primitive::<Decimal128Type>().values();
            hashes.extend(values.iter().map(|value| wide(*value as u128)));
        }
        _ => return false,
    }
    true
}

fn signed<T>(hashes: &mut Vec<u64>, values: &[T], number: impl Fn(&T) -> i64) {
    hashes.extend(values.iter().map(|value| mixed(number(value) as u64)));
}

fn floats<T>(hashes: &mut Vec<u64>, values: &[T], number: impl Fn(&T) -> f64) {
    // Zero has two signs and one meaning.
    hashes.extend(values.iter().map(|value| mixed((number(value) + 0.0).to_bits())));
}

fn hash_texts(texts: &StringViewArray, hashes: &mut Vec<u64>) {
    let buffers = texts.data_buffers();
    hashes.extend(texts.views().iter().map(|view| {
        let length = *view as u32;
        if length <= INLINE {
            return wide(*view);
        }
        let (buffer, offset) = ((*view >> 64) as u32, (*view >> 96) as usize);
        let bytes = buffers.get(buffer as usize).and_then(|buffer| buffer.get(offset..offset + length as usize));
        // The view of a null may point anywhere.
        xxh3_64(bytes.unwrap_or_default())
    }));
}

#[inline]
fn wide(value: u128) -> u64 {
    mixed((value as u64) ^ mixed((value >> 64) as u64 ^ 0x9e37_79b9_7f4a_7c15))
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::sync::Arc;

    use arrow::array::{Float64Array, StringViewArray};

    use super::*;

    fn hashes(column: ArrayRef) -> Vec<u64> {
        let mut hashes = Vec::new();
        assert!(hash_column(&column, &mut hashes));
        hashes
    }

    #[test]
    fn texts_short_and_long_have_hashes_of_their_own_wherever_they_stand() {
        let texts = ["", "a", "b", "twelve bytes", "thirteen bytes", "thirteen byteS"];
        let all = hashes(Arc::new(StringViewArray::from_iter_values(texts)));
        assert_eq!(all.iter().collect::<HashSet<_>>().len(), texts.len());
        let last = hashes(Arc::new(StringViewArray::from_iter_values([texts[4]])));
        assert_eq!(last[0], all[4]);
    }

    #[test]
    fn both_zeros_are_one_value() {
        let all = hashes(Arc::new(Float64Array::from(vec![0.0, -0.0])));
        assert_eq!(all[0], all[1]);
    }
}
