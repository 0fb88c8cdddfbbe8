//! A set of row keys that stays within its memory.
//!
//! A unique key needs no order, so a key is a 128-bit hash in a set. When the set is full it is sorted into a run on
//! disk and begun anew; keys that turn up in several runs are found by merging the runs afterwards.

use std::sync::{Mutex, MutexGuard, PoisonError, RwLock};

use ::stage::{Error, Result};
use arrow::array::{ArrayRef, BooleanArray, RecordBatch};
use arrow::row::{RowConverter, SortField};
use sql::{KeySet, SortedRuns};
use xxhash_rust::xxh3::xxh3_128;

/// Sets that are locked one by one, so that workers rarely wait for each other.
const SHARDS: usize = 64;
/// Memory of one key in a set that has just grown.
pub(crate) const BYTES_PER_KEY: usize = 40;

/// Hashes the key columns of rows. Two nulls are the same value.
#[derive(Debug, Clone)]
pub(crate) struct KeyHasher {
    columns: Vec<String>,
}

impl KeyHasher {
    pub(crate) fn new(columns: &[String]) -> KeyHasher {
        KeyHasher { columns: columns.to_vec() }
    }

    /// One hash per row.
    pub(crate) fn hash(&self, rows: &RecordBatch) -> Result<Vec<u128>> {
        let columns: Vec<ArrayRef> = self
            .columns
            .iter()
            .map(|name| {
                rows.column_by_name(name).cloned().ok_or_else(|| {
                    Error::config(format!("the key column `{name}` is not among the columns that are written"))
                })
            })
            .collect::<Result<_>>()?;
        let fields = columns.iter().map(|column| SortField::new(column.data_type().clone())).collect();
        let failed = |error| Error::data("the key columns cannot be compared").with_source(error);
        let converter = RowConverter::new(fields).map_err(failed)?;
        let keys = converter.convert_columns(&columns).map_err(failed)?;
        Ok(keys.iter().map(|key| xxh3_128(key.as_ref())).collect())
    }
}

/// The keys of one batch.
#[derive(Debug)]
pub(crate) struct BatchKeys {
    /// Read-locked by inserts, write-locked while the sets are turned into a run.
    turning: RwLock<()>,
    shards: Vec<Mutex<KeySet>>,
    runs: Mutex<SortedRuns>,
    limit: usize,
}

/// Keys whose rows must go.
#[derive(Debug, Default)]
pub(crate) struct Duplicates {
    /// Every row of these keys goes: the table has one already.
    pub(crate) everywhere: KeySet,
    /// All rows of these keys but the first go.
    pub(crate) but_first: KeySet,
}

impl Duplicates {
    pub(crate) fn is_empty(&self) -> bool {
        self.everywhere.is_empty() && self.but_first.is_empty()
    }

    /// Whether a file with these keys has to be looked at more closely.
    pub(crate) fn touch(&self, keys: &[u128]) -> bool {
        keys.iter().any(|key| self.everywhere.contains(key) || self.but_first.contains(key))
    }

    /// Which rows stay. `met` remembers the first row of each key over all files.
    pub(crate) fn keep(&self, keys: &[u128], met: &mut KeySet) -> BooleanArray {
        let stays = |key: &u128| !self.everywhere.contains(key) && (!self.but_first.contains(key) || met.insert(*key));
        keys.iter().map(stays).map(Some).collect()
    }

    /// An empty memory for [`Duplicates::keep`].
    pub(crate) fn nothing_met() -> KeySet {
        KeySet::default()
    }
}

impl BatchKeys {
    /// Keys that use about `memory_bytes` at most.
    pub(crate) fn new(memory_bytes: usize) -> BatchKeys {
        BatchKeys {
            turning: RwLock::new(()),
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
            runs: Mutex::default(),
            limit: (memory_bytes / BYTES_PER_KEY / SHARDS).max(16),
        }
    }

    /// Adds keys and says which of them were not there, as far as memory tells. Duplicates of earlier runs are found by
    /// [`BatchKeys::repeated`].
    pub(crate) fn insert(&self, keys: &[u128]) -> Result<BooleanArray> {
        let mut is_full = false;
        let mut new = Vec::with_capacity(keys.len());
        {
            let _reading = self.turning.read().unwrap_or_else(PoisonError::into_inner);
            for key in keys {
                let mut shard = self.shard(*key);
                new.push(shard.insert(*key));
                is_full |= shard.len() >= self.limit;
            }
        }
        if is_full {
            self.turn_into_run()?;
        }
        Ok(BooleanArray::from(new))
    }

    /// Keys that are in several runs: all but one of their rows must go.
    pub(crate) fn repeated(&self) -> Result<KeySet> {
        let mut repeated = KeySet::default();
        if self.runs().is_empty() {
            return Ok(repeated);
        }
        self.turn_into_run()?;
        let runs = self.runs();
        let mut merged = runs.merged()?;
        let mut last: Option<u128> = None;
        while let Some(key) = merged.next_key()? {
            if last == Some(key) {
                repeated.insert(key);
            }
            last = Some(key);
        }
        Ok(repeated)
    }

    /// Which of some other keys this batch has.
    pub(crate) fn shared_with(&self, others: &[u128], found: &mut KeySet) -> Result<()> {
        if self.runs().is_empty() {
            found.extend(others.iter().filter(|key| self.shard(**key).contains(*key)));
            return Ok(());
        }
        self.turn_into_run()?;
        let mut sorted = others.to_vec();
        sorted.sort_unstable();
        for mut run in self.runs().each()? {
            let mut rest = sorted.as_slice();
            while let (Some(key), false) = (run.next_key()?, rest.is_empty()) {
                rest = &rest[rest.partition_point(|other| *other < key)..];
                if rest.first() == Some(&key) {
                    found.insert(key);
                }
            }
        }
        Ok(())
    }

    /// Which keys of this batch are among some others.
    pub(crate) fn found_in(&self, others: &KeySet, found: &mut KeySet) -> Result<()> {
        for shard in &self.shards {
            let shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
            found.extend(shard.iter().filter(|key| others.contains(*key)));
        }
        for mut run in self.runs().each()? {
            while let Some(key) = run.next_key()? {
                if others.contains(&key) {
                    found.insert(key);
                }
            }
        }
        Ok(())
    }

    fn turn_into_run(&self) -> Result<()> {
        let _turning = self.turning.write().unwrap_or_else(PoisonError::into_inner);
        let mut keys: Vec<u128> = Vec::new();
        for shard in &self.shards {
            // A set that is taken frees its memory before the sorted copy grows.
            let taken = std::mem::take(&mut *shard.lock().unwrap_or_else(PoisonError::into_inner));
            keys.extend(taken);
        }
        self.runs().push(keys)
    }

    fn shard(&self, key: u128) -> MutexGuard<'_, KeySet> {
        // The high bits choose the shard, the low bits the place in it.
        let number = (key >> 122) as usize % SHARDS;
        self.shards[number].lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn runs(&self) -> MutexGuard<'_, SortedRuns> {
        self.runs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet as StandardSet;

    use proptest::prelude::*;

    use super::*;

    /// Spreads small numbers over all shards.
    fn spread(number: u16) -> u128 {
        xxh3_128(&number.to_le_bytes())
    }

    proptest! {
        #[test]
        fn one_row_of_each_key_stays_however_small_the_memory(
            batches in prop::collection::vec(prop::collection::vec(0u16..300, 0..80), 0..12),
            existing in prop::collection::vec(0u16..300, 0..50),
            memory in prop::sample::select(vec![0usize, 1 << 20]),
        ) {
            let keys = BatchKeys { limit: if memory == 0 { 2 } else { 1 << 20 }, ..BatchKeys::new(memory) };
            let mut staged: Vec<Vec<u128>> = Vec::new();
            for batch in &batches {
                let hashes: Vec<u128> = batch.iter().map(|number| spread(*number)).collect();
                let new = keys.insert(&hashes).unwrap();
                staged.push(hashes.iter().zip(new.iter()).filter(|(_, new)| *new == Some(true)).map(|(key, _)| *key).collect());
            }
            let existing: Vec<u128> = existing.iter().map(|number| spread(*number)).collect();
            let mut duplicates = Duplicates { but_first: keys.repeated().unwrap(), ..Duplicates::default() };
            keys.shared_with(&existing, &mut duplicates.everywhere).unwrap();
            let mut found = KeySet::default();
            keys.found_in(&existing.iter().copied().collect(), &mut found).unwrap();
            prop_assert_eq!(&found, &duplicates.everywhere);
            let mut met = Duplicates::nothing_met();
            let mut kept: Vec<u128> = Vec::new();
            for file in &staged {
                let keep = duplicates.keep(file, &mut met);
                kept.extend(file.iter().zip(keep.iter()).filter(|(_, keep)| *keep == Some(true)).map(|(key, _)| *key));
            }
            let wanted: StandardSet<u128> =
                batches.iter().flatten().map(|number| spread(*number)).filter(|key| !existing.contains(key)).collect();
            prop_assert_eq!(kept.len(), wanted.len());
            prop_assert_eq!(kept.into_iter().collect::<StandardSet<_>>(), wanted);
        }
    }
}
