//! Values numbered once, so that a set of them is a bitmap.
//!
//! A value is known by the 128-bit hash of its bytes; the chance that two of a billion values share one is below one in
//! 10^20. Numbers are dense and never change, so bitmaps made with them stay right in later refreshes. Several threads number
//! at the same time: the hash chooses a part of the map, and only that part is locked.

use std::hash::{Hash, Hasher};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use arrow::array::{Array, ArrayRef, AsArray as _, Int64Array, RecordBatch};
use arrow::datatypes::{DataType, Field, Int64Type, Schema, SchemaRef};
use arrow::row::{RowConverter, SortField};
use hashbrown::HashMap;
use stage::{Error, Result};
use xxhash_rust::xxh3::xxh3_128;

/// Parts of the map.
const PARTS: usize = 64;
/// Bytes a numbered value takes in memory, the map's spare room included.
const BYTES_OF_A_VALUE: usize = 40;
/// Numbers in a batch of [`Numbering::added`].
const BATCH: usize = 64 * 1024;

/// The numbers of values. Cheap to clone; clones are the same numbering.
#[derive(Debug, Clone)]
pub struct Numbering {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    parts: Vec<Mutex<HashMap<u128, u32>>>,
    next: AtomicU32,
    /// Numbers below are known from earlier.
    known: u32,
    limit: u32,
}

impl Numbering {
    /// A numbering that goes on from `known` batches of [`Numbering::schema`], and takes about `memory_bytes` at most.
    ///
    /// # Errors
    /// [`stage::Kind::Bug`] when the batches are not of that schema.
    pub fn new(memory_bytes: usize, known: &[RecordBatch]) -> Result<Numbering> {
        let rows: usize = known.iter().map(RecordBatch::num_rows).sum();
        let parts = (0..PARTS).map(|_| Mutex::new(HashMap::with_capacity(rows / PARTS * 9 / 8))).collect();
        let known_count =
            u32::try_from(rows).map_err(|_| Error::bug("more values are numbered than there are numbers"))?;
        let limit = u32::try_from(memory_bytes / BYTES_OF_A_VALUE).unwrap_or(u32::MAX);
        let inner = Inner { parts, next: AtomicU32::new(known_count), known: known_count, limit };
        let numbering = Numbering { inner: Arc::new(inner) };
        known.iter().try_for_each(|batch| numbering.load(batch))?;
        Ok(numbering)
    }

    /// The columns a numbering is kept as: both halves of the hash, and the number.
    pub fn schema() -> SchemaRef {
        let fields = ["high", "low", "number"].map(|name| Field::new(name, DataType::Int64, true));
        Arc::new(Schema::new(fields.to_vec()))
    }

    /// The values that were numbered since it was made, of [`Numbering::schema`].
    ///
    /// # Errors
    /// [`stage::Kind::Bug`] when they do not fit their columns.
    pub fn added(&self) -> Result<Vec<RecordBatch>> {
        let mut added: Vec<(u32, u128)> = Vec::new();
        for part in &self.inner.parts {
            let part = part.lock().unwrap_or_else(PoisonError::into_inner);
            added.extend(
                part.iter().filter(|(_, number)| **number >= self.inner.known).map(|(key, number)| (*number, *key)),
            );
        }
        added.sort_unstable_by_key(|(number, _)| *number);
        let batch = |rows: &[(u32, u128)]| {
            let column = |value: &dyn Fn(&(u32, u128)) -> i64| {
                Arc::new(rows.iter().map(value).collect::<Int64Array>()) as ArrayRef
            };
            let columns = vec![
                column(&|(_, key)| (key >> 64) as u64 as i64),
                column(&|(_, key)| *key as u64 as i64),
                column(&|(number, _)| i64::from(*number)),
            ];
            RecordBatch::try_new(Numbering::schema(), columns)
                .map_err(|error| Error::bug("could not make rows of numbered values").with_source(error))
        };
        added.chunks(BATCH).map(batch).collect()
    }

    /// Whether there were more values than there is room for. The sets that were made are of no use then.
    pub fn is_full(&self) -> bool {
        self.inner.next.load(Ordering::Relaxed) >= self.inner.limit
    }

    /// How many values it has room for.
    pub fn limit(&self) -> u32 {
        self.inner.limit
    }

    /// Calls `visit` with the row and the number of each value that is not null and `is_wanted`, in no order. When there is
    /// no room for a new value, the rest is passed over: whoever asks must look at [`Numbering::is_full`].
    pub(super) fn number_each(
        &self,
        values: &ArrayRef,
        is_wanted: impl Fn(usize) -> bool,
        mut visit: impl FnMut(usize, u32),
    ) -> datafusion::error::Result<()> {
        let mut keys: Vec<(usize, u128)> = Vec::with_capacity(values.len());
        for_each_value(values, |row, bytes| {
            if is_wanted(row) {
                keys.push((row, xxh3_128(bytes)));
            }
        })?;
        // One lock for all values of a part; in between, looking up one does not wait for the memory of the one before.
        let room = 2 * keys.len() / PARTS;
        let mut by_part: Vec<Vec<(usize, u128)>> = (0..PARTS).map(|_| Vec::with_capacity(room)).collect();
        for (row, key) in keys {
            by_part[part_of(key)].push((row, key));
        }
        for (part, keys) in self.inner.parts.iter().zip(&by_part).filter(|(_, keys)| !keys.is_empty()) {
            let mut part = part.lock().unwrap_or_else(PoisonError::into_inner);
            for (row, key) in keys {
                if let Some(number) = self.number(&mut part, *key) {
                    visit(*row, number);
                }
            }
        }
        Ok(())
    }

    fn number(&self, part: &mut HashMap<u128, u32>, key: u128) -> Option<u32> {
        if let Some(number) = part.get(&key) {
            return Some(*number);
        }
        if self.is_full() {
            return None;
        }
        let number = self.inner.next.fetch_add(1, Ordering::Relaxed);
        part.insert(key, number);
        Some(number)
    }

    fn load(&self, batch: &RecordBatch) -> Result<()> {
        let column = |index: usize| {
            let column = batch.columns().get(index).and_then(|column| column.as_primitive_opt::<Int64Type>());
            column.ok_or_else(|| Error::bug("the kept numbers have other columns than expected"))
        };
        let (high, low, number) = (column(0)?, column(1)?, column(2)?);
        let mut by_part: Vec<Vec<(u128, u32)>> = vec![Vec::new(); PARTS];
        for ((high, low), number) in high.values().iter().zip(low.values()).zip(number.values()) {
            let key = (u128::from(*high as u64) << 64) | u128::from(*low as u64);
            by_part[part_of(key)].push((key, *number as u32));
        }
        for (part, numbers) in self.inner.parts.iter().zip(by_part) {
            part.lock().unwrap_or_else(PoisonError::into_inner).extend(numbers);
        }
        Ok(())
    }
}

/// The high bits choose the part, the low bits the place in it.
fn part_of(key: u128) -> usize {
    (key >> 122) as usize % PARTS
}

/// Calls `visit` with the row and the bytes of each value that is not null.
fn for_each_value(values: &ArrayRef, mut visit: impl FnMut(usize, &[u8])) -> datafusion::error::Result<()> {
    let mut texts = |texts: &mut dyn Iterator<Item = Option<&str>>| {
        texts
            .enumerate()
            .filter_map(|(row, text)| Some((row, text?)))
            .for_each(|(row, text)| visit(row, text.as_bytes()));
    };
    match values.data_type() {
        DataType::Utf8View => texts(&mut values.as_string_view().iter()),
        DataType::Utf8 => texts(&mut values.as_string::<i32>().iter()),
        DataType::LargeUtf8 => texts(&mut values.as_string::<i64>().iter()),
        other => {
            let converter = RowConverter::new(vec![SortField::new(other.clone())])?;
            let rows = converter.convert_columns(std::slice::from_ref(values))?;
            let nulls = values.logical_nulls();
            let is_there = |row: &usize| nulls.as_ref().is_none_or(|nulls| nulls.is_valid(*row));
            (0..values.len()).filter(is_there).for_each(|row| visit(row, rows.row(row).data()));
        }
    }
    Ok(())
}

impl PartialEq for Numbering {
    fn eq(&self, other: &Numbering) -> bool {
        Arc::ptr_eq(&self.inner, &other.inner)
    }
}

impl Eq for Numbering {}

impl Hash for Numbering {
    fn hash<H: Hasher>(&self, state: &mut H) {
        Arc::as_ptr(&self.inner).hash(state);
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::StringViewArray;

    use super::*;

    fn numbers(numbering: &Numbering, values: ArrayRef) -> Vec<u32> {
        let mut found = vec![u32::MAX; values.len()];
        numbering.number_each(&values, |_| true, |row, number| found[row] = number).unwrap();
        found
    }

    fn texts(values: &[Option<&str>]) -> ArrayRef {
        Arc::new(StringViewArray::from(values.to_vec()))
    }

    #[test]
    fn a_value_keeps_its_number_over_refreshes() {
        let first = Numbering::new(1 << 20, &[]).unwrap();
        let known = numbers(&first, texts(&[Some("a"), None, Some("b"), Some("a")]));
        assert_eq!((known[0], known[1]), (known[3], u32::MAX));
        assert_ne!(known[0], known[2]);
        let second = Numbering::new(1 << 20, &first.added().unwrap()).unwrap();
        assert_eq!(numbers(&second, texts(&[Some("b"), Some("c"), Some("a")])), [known[2], 2, known[0]]);
        assert_eq!(second.added().unwrap().iter().map(RecordBatch::num_rows).sum::<usize>(), 1);
        assert_eq!(numbers(&second, Arc::new(Int64Array::from(vec![Some(7), None, Some(7)]))), [3, u32::MAX, 3]);
    }

    #[test]
    fn it_says_when_there_is_no_room() {
        let numbering = Numbering::new(2 * BYTES_OF_A_VALUE, &[]).unwrap();
        assert_eq!(numbers(&numbering, texts(&[Some("a")])), [0]);
        assert!(!numbering.is_full());
        numbers(&numbering, texts(&[Some("b"), Some("c")]));
        assert!(numbering.is_full());
    }
}
