//! What lies at a share of the sorted values: a KLL sketch.
//!
//! Karnin, Lang and Liberty, "Optimal quantile approximation in streams" (2016). Values stand in levels; one on level `l`
//! stands for 2^l values. A level that is full is sorted, and every second value of it moves one level up. With `K` =
//! 160 a rank is off by about 1.7 % of the count. What is known to stand for several values, such as one of a sample, is
//! inserted on its level.

/// Values on the highest level.
const K: f64 = 160.0;
/// How much smaller each lower level is.
const SHRINK: f64 = 2.0 / 3.0;
/// The least room of a level.
const LEAST: usize = 8;
/// So many levels hold more values than there are rows anywhere.
const MOST_LEVELS: usize = 60;

/// Values that only remember about where each stands among the others.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Quantiles {
    levels: Vec<Vec<f64>>,
    /// Chooses which half of a level moves up; the same values in the same order give the same sketch.
    coin: u64,
}

impl Quantiles {
    /// Adds a value that stands for 2^`level` values. It must be finite.
    pub(crate) fn insert(&mut self, value: f64, level: usize) {
        self.grow(level + 1);
        if let Some(values) = self.levels.get_mut(level) {
            values.push(value);
        }
        if self.levels.get(level).is_some_and(|values| values.len() >= capacity(level, self.levels.len())) {
            self.compress();
        }
    }

    /// Adds all values of another sketch.
    pub(crate) fn merge(&mut self, other: &Quantiles) {
        self.grow(other.levels.len());
        for (ours, theirs) in self.levels.iter_mut().zip(&other.levels) {
            ours.extend(theirs);
        }
        self.compress();
    }

    /// How many values the sketch stands for.
    pub(crate) fn count(&self) -> u64 {
        self.levels.iter().enumerate().map(|(level, values)| (values.len() as u64) << level).sum()
    }

    /// The values with what each stands for, from the least to the greatest.
    pub(crate) fn weighted(&self) -> Vec<(f64, u64)> {
        let levels = self.levels.iter().enumerate();
        let mut all: Vec<(f64, u64)> =
            levels.flat_map(|(level, values)| values.iter().map(move |value| (*value, 1_u64 << level))).collect();
        all.sort_unstable_by(|left, right| left.0.total_cmp(&right.0));
        all
    }

    /// The values at the given shares, from 0 to 1 and ascending; `None` while there are none.
    pub(crate) fn at<const N: usize>(&self, shares: [f64; N]) -> Option<[f64; N]> {
        let weighted = self.weighted();
        let total = self.count() as f64;
        let last = weighted.last()?.0;
        Some(shares.map(|share| {
            let mut below = 0.0;
            let found = weighted.iter().find(|(_, weight)| {
                below += *weight as f64;
                below >= share * total
            });
            found.map_or(last, |(value, _)| *value)
        }))
    }

    /// The levels as bytes: of each how many values it has, and those.
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        let level = |values: &Vec<f64>| {
            let count = (values.len() as u32).to_le_bytes();
            count.into_iter().chain(values.iter().flat_map(|value| value.to_le_bytes())).collect::<Vec<u8>>()
        };
        self.levels.iter().flat_map(level).collect()
    }

    /// What [`Quantiles::to_bytes`] wrote; `None` when these bytes are something else.
    pub(crate) fn from_bytes(mut bytes: &[u8]) -> Option<Quantiles> {
        let mut quantiles = Quantiles::default();
        while let Some((count, rest)) = bytes.split_first_chunk::<4>() {
            let length = usize::try_from(u32::from_le_bytes(*count)).ok()?.checked_mul(8)?;
            let (values, rest) = rest.split_at_checked(length)?;
            let values: Vec<f64> = values.as_chunks::<8>().0.iter().map(|value| f64::from_le_bytes(*value)).collect();
            if values.iter().any(|value| !value.is_finite()) || quantiles.levels.len() >= MOST_LEVELS {
                return None;
            }
            quantiles.levels.push(values);
            bytes = rest;
        }
        bytes.is_empty().then_some(quantiles)
    }

    fn grow(&mut self, levels: usize) {
        let wanted = self.levels.len().max(levels).min(MOST_LEVELS);
        self.levels.resize_with(wanted, Vec::new);
    }

    /// Halves the lowest levels that are too full, until the sketch as a whole has room.
    fn compress(&mut self) {
        loop {
            let count = self.levels.len();
            let room: usize = (0..count).map(|level| capacity(level, count)).sum();
            if self.levels.iter().map(Vec::len).sum::<usize>() < room {
                return;
            }
            let full = (0..count).find(|level| self.levels[*level].len() >= capacity(*level, count));
            let Some(full) = full.filter(|full| full + 1 < MOST_LEVELS) else { return };
            self.halve(full);
        }
    }

    fn halve(&mut self, level: usize) {
        self.grow(level + 2);
        let mut values = std::mem::take(&mut self.levels[level]);
        values.sort_unstable_by(f64::total_cmp);
        // An odd one stays, so that the weight of all is the same as before.
        let odd = if values.len() % 2 == 1 { values.pop() } else { None };
        self.coin = self.coin.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let offset = (self.coin >> 63) as usize;
        self.levels[level + 1].extend(values.iter().skip(offset).step_by(2));
        self.levels[level].extend(odd);
    }
}

/// The room of a level when there are `count` of them.
fn capacity(level: usize, count: usize) -> usize {
    let depth = count.saturating_sub(level + 1).min(MOST_LEVELS);
    ((K * SHRINK.powi(depth as i32)) as usize).max(LEAST)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The greatest distance of a rank in the sketch from the real one, as a share of the count.
    fn rank_error(sketch: &Quantiles, sorted: &[f64]) -> f64 {
        let total = sorted.len() as f64;
        let mut below = 0.0;
        let mut worst: f64 = 0.0;
        for (value, weight) in sketch.weighted() {
            below += weight as f64;
            let (first, last) =
                (sorted.partition_point(|other| *other < value), sorted.partition_point(|other| *other <= value));
            let (first, last) = (first as f64 / total, last as f64 / total);
            let told = below / total;
            worst = worst.max((first - told).max(told - last).max(0.0));
        }
        worst
    }

    fn of(values: &[f64]) -> Quantiles {
        let mut sketch = Quantiles::default();
        values.iter().for_each(|value| sketch.insert(*value, 0));
        sketch
    }

    #[test]
    fn ranks_are_within_three_per_cent_whatever_the_order() {
        let ascending: Vec<f64> = (0..200_000).map(f64::from).collect();
        let descending: Vec<f64> = ascending.iter().rev().copied().collect();
        let scattered: Vec<f64> = (0..200_000_u64).map(|n| (n * 7_919 % 200_003) as f64).collect();
        for values in [ascending, descending, scattered] {
            let sketch = of(&values);
            let mut sorted = values;
            sorted.sort_unstable_by(f64::total_cmp);
            let error = rank_error(&sketch, &sorted);
            assert!(error < 0.03, "{error}");
            assert!(sketch.weighted().len() < 600, "{}", sketch.weighted().len());
        }
    }

    #[test]
    fn few_values_are_told_exactly() {
        let sketch = of(&[5.0, 1.0, 3.0, 2.0, 4.0]);
        assert_eq!(sketch.at([0.0, 0.5, 1.0]), Some([1.0, 3.0, 5.0]));
        assert_eq!(Quantiles::default().at([0.5]), None);
    }

    #[test]
    fn one_in_eight_inserted_for_eight_tells_what_all_would() {
        let values: Vec<f64> = (0..400_000_u64).map(|n| (n * 7_919 % 400_009) as f64).collect();
        let mut sketch = Quantiles::default();
        values.iter().step_by(8).for_each(|value| sketch.insert(*value, 3));
        let mut sorted = values;
        sorted.sort_unstable_by(f64::total_cmp);
        assert_eq!(sketch.count(), 400_000);
        assert!(rank_error(&sketch, &sorted) < 0.03, "{}", rank_error(&sketch, &sorted));
    }

    proptest! {
        #[test]
        fn merged_parts_tell_of_all_values(left in prop::collection::vec(-1e6..1e6_f64, 0..4_000), right in prop::collection::vec(0.0..10.0_f64, 0..4_000)) {
            let mut merged = of(&left);
            merged.merge(&of(&right));
            let mut sorted: Vec<f64> = left.into_iter().chain(right).collect();
            sorted.sort_unstable_by(f64::total_cmp);
            prop_assert_eq!(merged.count(), sorted.len() as u64);
            prop_assert!(sorted.is_empty() || rank_error(&merged, &sorted) < 0.04);
        }

        #[test]
        fn bytes_bring_back_what_was_written(values in prop::collection::vec(-1e9..1e9_f64, 0..2_000)) {
            let sketch = of(&values);
            let read = Quantiles::from_bytes(&sketch.to_bytes()).unwrap();
            prop_assert_eq!(read.weighted(), sketch.weighted());
        }
    }

    #[test]
    fn bytes_of_something_else_are_refused() {
        assert!(Quantiles::from_bytes(&[1, 0, 0, 0, 9]).is_none());
        assert!(Quantiles::from_bytes(&[1, 0]).is_none());
        let infinite = [&1_u32.to_le_bytes()[..], &f64::INFINITY.to_le_bytes()[..]].concat();
        assert!(Quantiles::from_bytes(&infinite).is_none());
    }
}
