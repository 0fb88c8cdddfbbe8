//! How long batches took, in the buckets of a Prometheus histogram.

/// The upper bounds of the buckets in seconds; one more bucket takes what is longer.
const BOUNDS: [f64; 12] = [0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0];

/// Seconds, counted in buckets.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Histogram {
    counts: [u64; BOUNDS.len() + 1],
    sum: f64,
}

impl Histogram {
    pub(super) fn observe(&mut self, seconds: f64) {
        let bucket = BOUNDS.iter().position(|bound| seconds <= *bound).unwrap_or(BOUNDS.len());
        self.counts[bucket] += 1;
        self.sum += seconds;
    }

    /// Every upper bound and how many observations do not exceed it; what exceeds all is only in [`Histogram::count`].
    pub fn cumulative(&self) -> impl Iterator<Item = (f64, u64)> {
        BOUNDS.into_iter().zip(&self.counts).scan(0, |below, (bound, count)| {
            *below += count;
            Some((bound, *below))
        })
    }

    /// How many observations there are.
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// All observations together, in seconds.
    pub fn sum(&self) -> f64 {
        self.sum
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_observation_counts_in_every_bucket_that_it_does_not_exceed() {
        let mut histogram = Histogram::default();
        for seconds in [0.05, 0.3, 1000.0] {
            histogram.observe(seconds);
        }
        let below = |bound: f64| histogram.cumulative().find(|(other, _)| *other == bound).map(|(_, count)| count);
        assert_eq!([0.025, 0.05, 0.25, 0.5, 300.0].map(below), [0, 1, 1, 2, 2].map(Some));
        assert_eq!((histogram.count(), histogram.sum()), (3, 1000.35));
    }
}
