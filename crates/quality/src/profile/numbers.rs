//! Mean, deviation and bounds of the numbers in a column.
//!
//! Each batch is summed in two passes, first for its mean, then for the squares around it, so nothing is lost where the
//! numbers are large and close together. Batches are put together as in Chan, Golub and LeVeque, "Updating formulae and
//! a pairwise algorithm for computing sample variances" (1979).

use serde::{Deserialize, Serialize};

/// Sums that run side by side, so that additions need not wait for each other.
const LANES: usize = 8;

/// What is known of numbers that were met. Only finite ones count.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) struct Numbers {
    pub(crate) count: u64,
    pub(crate) mean: f64,
    /// The sum of the squared distances from the mean.
    pub(crate) squares: f64,
    pub(crate) minimum: f64,
    pub(crate) maximum: f64,
}

impl Numbers {
    /// What a batch of finite numbers tells; `None` of an empty one.
    pub(crate) fn of(values: &[f64]) -> Option<Numbers> {
        let first = *values.first()?;
        let count = values.len() as f64;
        let (mut sums, mut least, mut most) = ([0.0; LANES], [first; LANES], [first; LANES]);
        let (chunks, rest) = values.as_chunks::<LANES>();
        for chunk in chunks {
            for lane in 0..LANES {
                sums[lane] += chunk[lane] - first;
                least[lane] = if chunk[lane] < least[lane] { chunk[lane] } else { least[lane] };
                most[lane] = if chunk[lane] > most[lane] { chunk[lane] } else { most[lane] };
            }
        }
        let rest_sum: f64 = rest.iter().map(|value| value - first).sum();
        let mean = finite(first + (sums.iter().sum::<f64>() + rest_sum) / count);
        let mut squares = [0.0; LANES];
        for chunk in chunks {
            for lane in 0..LANES {
                squares[lane] += (chunk[lane] - mean) * (chunk[lane] - mean);
            }
        }
        let rest_squares: f64 = rest.iter().map(|value| (value - mean) * (value - mean)).sum();
        Some(Numbers {
            count: values.len() as u64,
            mean,
            squares: finite(squares.iter().sum::<f64>() + rest_squares),
            minimum: least.into_iter().chain(rest.iter().copied()).fold(first, f64::min),
            maximum: most.into_iter().chain(rest.iter().copied()).fold(first, f64::max),
        })
    }

    /// What both tell together.
    pub(crate) fn merge(&mut self, other: &Numbers) {
        let (ours, theirs) = (self.count as f64, other.count as f64);
        let distance = other.mean - self.mean;
        let between = distance * distance * ours * theirs / (ours + theirs);
        self.squares = finite(self.squares + other.squares + between);
        self.mean = finite(self.mean + distance * theirs / (ours + theirs));
        self.count += other.count;
        self.minimum = self.minimum.min(other.minimum);
        self.maximum = self.maximum.max(other.maximum);
    }

    /// The standard deviation of all the numbers.
    pub(crate) fn deviation(&self) -> f64 {
        (self.squares / self.count.max(1) as f64).sqrt()
    }
}

/// What is too great to be told is told as the greatest there is, because JSON has no infinity.
fn finite(number: f64) -> f64 {
    if number.is_nan() { f64::MAX } else { number.clamp(f64::MIN, f64::MAX) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn merged_parts_are_the_whole(left in prop::collection::vec(-1e6..1e6_f64, 1..300), right in prop::collection::vec(-1e3..1e9_f64, 1..300)) {
            let mut merged = Numbers::of(&left).unwrap();
            merged.merge(&Numbers::of(&right).unwrap());
            let all: Vec<f64> = left.into_iter().chain(right).collect();
            let whole = Numbers::of(&all).unwrap();
            prop_assert_eq!((merged.count, merged.minimum, merged.maximum), (whole.count, whole.minimum, whole.maximum));
            prop_assert!((merged.mean - whole.mean).abs() <= 1e-9 * whole.mean.abs().max(1.0));
            prop_assert!((merged.deviation() - whole.deviation()).abs() <= 1e-6 * whole.deviation().max(1.0));
        }
    }

    #[test]
    fn large_numbers_that_lie_close_together_keep_their_deviation() {
        let values: Vec<f64> = (0..1000).map(|n| 1e15 + f64::from(n % 2)).collect();
        assert_eq!(Numbers::of(&values).unwrap().deviation(), 0.5);
        assert_eq!(Numbers::of(&[]), None);
    }

    #[test]
    fn sums_that_overflow_stay_numbers() {
        let mut numbers = Numbers::of(&[f64::MAX, f64::MIN, 1e200]).unwrap();
        numbers.merge(&Numbers::of(&[f64::MIN; 20]).unwrap());
        assert!(numbers.mean.is_finite() && numbers.deviation().is_finite(), "{numbers:?}");
    }
}
