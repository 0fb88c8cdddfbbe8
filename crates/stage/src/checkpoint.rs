//! Positions. A position is always the *next* one to read, so nothing needs a special value for "none yet".

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// How far each source has been read: position id to next position.
///
/// The id is the `appId` of the Delta `txn` action that carries it, such as `files/<source>` or `table/<table id>`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Checkpoint(BTreeMap<String, i64>);

impl Checkpoint {
    /// No position at all: every source is read from its beginning.
    pub fn new() -> Self {
        Checkpoint::default()
    }

    /// A checkpoint of one position.
    pub fn of(id: impl Into<String>, next: i64) -> Self {
        Checkpoint(BTreeMap::from([(id.into(), next)]))
    }

    /// The next position to read of `id`; 0 when it was never read.
    pub fn next(&self, id: &str) -> i64 {
        self.0.get(id).copied().unwrap_or(0)
    }

    /// The recorded position of `id`, if there is one.
    pub fn get(&self, id: &str) -> Option<i64> {
        self.0.get(id).copied()
    }

    /// Sets the next position of `id`.
    pub fn set(&mut self, id: impl Into<String>, next: i64) {
        self.0.insert(id.into(), next);
    }

    /// Every id with its next position, in order of the ids.
    pub fn iter(&self) -> impl Iterator<Item = (&str, i64)> {
        self.0.iter().map(|(id, next)| (id.as_str(), *next))
    }

    /// Whether no position is recorded.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// This checkpoint with every position of `newer` written over it. Ids that `newer` does not name stay.
    #[must_use]
    pub fn advanced_by(&self, newer: &Checkpoint) -> Checkpoint {
        let mut merged = self.clone();
        for (id, next) in newer.iter() {
            merged.set(id, next);
        }
        merged
    }
}

impl FromIterator<(String, i64)> for Checkpoint {
    fn from_iter<T: IntoIterator<Item = (String, i64)>>(positions: T) -> Self {
        Checkpoint(positions.into_iter().collect())
    }
}

/// What one batch reads: from (inclusive) to (exclusive), per position id.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OffsetRange {
    /// The first position to read.
    pub from: Checkpoint,
    /// The position to continue from afterwards.
    pub to: Checkpoint,
}

impl OffsetRange {
    /// Whether the range reads nothing.
    pub fn is_empty(&self) -> bool {
        self.to.iter().all(|(id, next)| self.from.next(id) >= next)
    }

    /// Whether a table that stands at `current` may take this range: every position it moves still stands at `from`.
    pub fn continues(&self, current: &Checkpoint) -> bool {
        self.to.iter().all(|(id, _)| self.from.next(id) == current.next(id))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn advancing_keeps_the_positions_of_other_sources() {
        let mut before = Checkpoint::of("files/a", 3);
        before.set("files/b", 7);
        let after = before.advanced_by(&Checkpoint::of("files/a", 4));
        assert_eq!((after.next("files/a"), after.next("files/b"), after.next("files/c")), (4, 7, 0));
    }

    #[test]
    fn a_range_only_continues_from_where_it_began() {
        let range = OffsetRange { from: Checkpoint::of("files/a", 3), to: Checkpoint::of("files/a", 4) };
        assert!(range.continues(&Checkpoint::of("files/a", 3)));
        assert!(!range.continues(&Checkpoint::of("files/a", 4)));
        assert!(!range.is_empty());
    }
}
