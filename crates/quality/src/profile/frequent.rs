//! Which values are most frequent: a Misra-Gries summary.
//!
//! Misra and Gries, "Finding repeated elements" (1982): with `K` counters every count is too low by at most the count of
//! all divided by `K` + 1. Two summaries merge as in Agarwal et al., "Mergeable summaries" (2012). Counters are kept by
//! hash; a value is only made into text when it has a counter at the end of a batch.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

/// How many values have a counter.
const K: usize = 48;

/// Counters of the values met most often.
#[derive(Debug, Clone, Default)]
pub(crate) struct Frequent {
    counters: HashMap<u64, Counter, BuildHasherDefault<AsIs>>,
}

#[derive(Debug, Clone)]
struct Counter {
    count: u64,
    value: Value,
}

#[derive(Debug, Clone)]
enum Value {
    /// A row of the batch that is being read.
    Row(usize),
    Text(Box<str>),
}

impl Frequent {
    /// Counts the value of a row, which stands for `weight` rows.
    #[inline]
    pub(crate) fn insert(&mut self, hash: u64, row: usize, weight: u64) {
        if let Some(counter) = self.counters.get_mut(&hash) {
            counter.count += weight;
        } else if self.counters.len() < K {
            self.counters.insert(hash, Counter { count: weight, value: Value::Row(row) });
        } else {
            self.counters.retain(|_, counter| {
                counter.count = counter.count.saturating_sub(weight);
                counter.count > 0
            });
        }
    }

    /// Ends a batch: what its rows hold is kept as text.
    pub(crate) fn settle(&mut self, text: impl Fn(usize) -> String) {
        for counter in self.counters.values_mut() {
            if let Value::Row(row) = counter.value {
                counter.value = Value::Text(text(row).into_boxed_str());
            }
        }
    }

    /// Adds the counts of another summary. Both must be settled.
    pub(crate) fn merge(&mut self, other: &Frequent) {
        for (hash, theirs) in &other.counters {
            match self.counters.get_mut(hash) {
                Some(ours) => ours.count += theirs.count,
                None => {
                    self.counters.insert(*hash, theirs.clone());
                }
            }
        }
        let mut counts: Vec<u64> = self.counters.values().map(|counter| counter.count).collect();
        counts.sort_unstable_by(|left, right| right.cmp(left));
        let Some(spared) = counts.get(K).copied() else { return };
        self.counters.retain(|_, counter| {
            counter.count = counter.count.saturating_sub(spared);
            counter.count > 0
        });
    }

    /// The values with their counts, the most frequent first.
    pub(crate) fn values(&self) -> Vec<(&str, u64)> {
        let texts = self.counters.values().filter_map(|counter| match &counter.value {
            Value::Text(text) => Some((text.as_ref(), counter.count)),
            Value::Row(_) => None,
        });
        let mut values: Vec<(&str, u64)> = texts.collect();
        values.sort_unstable_by(|left, right| right.1.cmp(&left.1).then(left.0.cmp(right.0)));
        values
    }

    /// Hash, count and text of every value with a counter, the most frequent first.
    pub(crate) fn to_parts(&self) -> Vec<(u64, u64, String)> {
        let parts = self.counters.iter().filter_map(|(hash, counter)| match &counter.value {
            Value::Text(text) => Some((*hash, counter.count, text.to_string())),
            Value::Row(_) => None,
        });
        let mut parts: Vec<(u64, u64, String)> = parts.collect();
        parts.sort_unstable_by(|left, right| right.1.cmp(&left.1).then_with(|| left.2.cmp(&right.2)));
        parts
    }

    /// What [`Frequent::to_parts`] gave.
    pub(crate) fn from_parts(parts: Vec<(u64, u64, String)>) -> Frequent {
        let counter = |count, text: String| Counter { count, value: Value::Text(text.into_boxed_str()) };
        let counters = parts.into_iter().take(K).map(|(hash, count, text)| (hash, counter(count, text)));
        Frequent { counters: counters.collect() }
    }
}

/// Hashes are hashes already.
#[derive(Default)]
pub(crate) struct AsIs(u64);

impl Hasher for AsIs {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        self.0 = bytes.iter().fold(self.0, |hash, byte| hash.rotate_left(8) ^ u64::from(*byte));
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;
    use crate::profile::hashing::mixed;

    fn of(values: &[u64]) -> Frequent {
        let mut frequent = Frequent::default();
        for batch in values.chunks(100) {
            for (row, value) in batch.iter().enumerate() {
                frequent.insert(mixed(*value), row, 1);
            }
            frequent.settle(|row| batch[row].to_string());
        }
        frequent
    }

    proptest! {
        #[test]
        fn counts_are_never_too_high_and_too_low_by_the_bound_at_most(
            left in prop::collection::vec(0..200_u64, 0..2_000),
            right in prop::collection::vec(0..20_u64, 0..2_000),
        ) {
            let mut merged = of(&left);
            merged.merge(&of(&right));
            let mut exact: BTreeMap<String, u64> = BTreeMap::new();
            let all: Vec<u64> = left.into_iter().chain(right).collect();
            all.iter().for_each(|value| *exact.entry(value.to_string()).or_default() += 1);
            let told: BTreeMap<String, u64> =
                merged.values().into_iter().map(|(value, count)| (value.to_owned(), count)).collect();
            let bound = (all.len() / (K + 1)) as u64 + 1;
            for (value, count) in exact {
                let told = told.get(&value).copied().unwrap_or(0);
                prop_assert!(told <= count && count - told <= bound, "{value}: {told} of {count}");
            }
        }
    }

    #[test]
    fn few_values_are_counted_exactly_and_come_back_from_their_parts() {
        let frequent = of(&[3, 1, 3, 2, 3, 2]);
        assert_eq!(frequent.values(), [("3", 3), ("2", 2), ("1", 1)]);
        assert_eq!(Frequent::from_parts(frequent.to_parts()).values(), frequent.values());
    }
}
