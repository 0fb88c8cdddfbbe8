//! Hashes of whole columns. A value has the same hash in every batch, worker and process, so that sketches merge.

use arrow::array::{Array, ArrayRef, AsArray, StringViewArray};
use arrow::datatypes::{
    DataType, Date32Type, Decimal128Type, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type,
    TimestampMicrosecondType,
};
use xxhash_rust::xxh3::xxh3_64;

/// The longest text that stands in its view itself.
pub(super) const INLINE: u32 = 12;

/// Odd numbers without a pattern, those of wyhash (Wang Yi).
const KEYS: [u64; 3] = [0xa076_1d64_78bd_642f, 0xe703_7ed1_a0b4_28db, 0x8ebc_6af0_9c88_c6e3];

/// The two halves of a product folded together, as in wyhash: every bit of the result depends on every bit of both.
#[inline]
fn folded(left: u64, right: u64) -> u64 {
    let product = u128::from(left) * u128::from(right);
    (product as u64) ^ (product >> 64) as u64
}

/// A number whose bits are well mixed.
#[inline]
pub(crate) fn mixed(number: u64) -> u64 {
    folded(folded(number ^ KEYS[0], KEYS[1]), KEYS[2])
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
    folded(folded(value as u64 ^ KEYS[0], (value >> 64) as u64 ^ KEYS[1]), KEYS[2])
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
