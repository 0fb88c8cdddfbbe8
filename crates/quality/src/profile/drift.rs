//! How far the values of a column have moved from what they were.
//!
//! The population stability index is Σ (a - b) · ln(a / b) over bins that hold a tenth of the earlier values each, where a
//! and b are the shares of now and then; below 0.1 is commonly read as stable and above 0.25 as a shift (Siddiqi, "Credit
//! Risk Scorecards", 2006). Texts have a bin for each frequent value. The Kolmogorov-Smirnov distance is the greatest
//! difference between the two cumulative distributions.

use std::collections::BTreeMap;

use super::column::ColumnProfile;
use super::quantiles::Quantiles;

/// Bins of the population stability index.
const BINS: usize = 10;
/// A share below this counts as this, so that an empty bin does not make the index infinite.
const LEAST_SHARE: f64 = 1e-4;

/// How far a column has moved.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Drift {
    /// The population stability index.
    pub psi: f64,
    /// The Kolmogorov-Smirnov distance, from 0 to 1; `None` for columns whose values are no numbers.
    pub ks: Option<f64>,
}

impl ColumnProfile {
    /// How far the values of this profile lie from those of an earlier one; `None` when one of them has no values.
    pub fn drift_from(&self, earlier: &ColumnProfile) -> Option<Drift> {
        if self.filled() == 0 || earlier.filled() == 0 {
            return None;
        }
        if self.quantiles.count() > 0 && earlier.quantiles.count() > 0 {
            let (now, then) = (Distribution::of(&self.quantiles), Distribution::of(&earlier.quantiles));
            return Some(Drift {
                psi: psi(now.shares(&then.edges()), then.shares(&then.edges())),
                ks: Some(ks(&now, &then)),
            });
        }
        let (now, then) = (frequencies(self), frequencies(earlier));
        let values: BTreeMap<&str, ()> = now.keys().chain(then.keys()).map(|value| (*value, ())).collect();
        let share = |of: &BTreeMap<&str, f64>| -> Vec<f64> {
            let mut shares: Vec<f64> = values.keys().map(|value| of.get(value).copied().unwrap_or(0.0)).collect();
            shares.push((1.0 - shares.iter().sum::<f64>()).max(0.0));
            shares
        };
        Some(Drift { psi: psi(share(&now), share(&then)), ks: None })
    }
}

/// The share of each frequent value.
fn frequencies(column: &ColumnProfile) -> BTreeMap<&str, f64> {
    let total = column.filled() as f64;
    column.frequent.values().into_iter().map(|(value, count)| (value, (count as f64 / total).min(1.0))).collect()
}

/// Values in order, each with the share of all that is not greater.
struct Distribution {
    steps: Vec<(f64, f64)>,
}

impl Distribution {
    fn of(quantiles: &Quantiles) -> Distribution {
        let total = quantiles.count() as f64;
        let mut below = 0.0;
        let steps = quantiles.weighted().into_iter().map(|(value, weight)| {
            below += weight as f64;
            (value, below / total)
        });
        Distribution { steps: steps.collect() }
    }

    /// The share of values that are not greater than this one.
    fn up_to(&self, value: f64) -> f64 {
        let reached = self.steps.partition_point(|(step, _)| *step <= value);
        reached.checked_sub(1).and_then(|last| self.steps.get(last)).map_or(0.0, |(_, share)| *share)
    }

    /// The upper ends of bins with about as many values each; fewer where one value fills several.
    fn edges(&self) -> Vec<f64> {
        let wanted = (1..BINS).map(|bin| bin as f64 / BINS as f64);
        let found = wanted.filter_map(|share| self.steps.iter().find(|(_, reached)| *reached >= share));
        let mut edges: Vec<f64> = found.map(|(value, _)| *value).collect();
        edges.dedup();
        edges
    }

    /// The share of values in each bin.
    fn shares(&self, edges: &[f64]) -> Vec<f64> {
        let mut before = 0.0;
        let reached = edges.iter().map(|edge| self.up_to(*edge)).chain([1.0]);
        reached.map(|reached| reached - std::mem::replace(&mut before, reached)).collect()
    }
}

fn psi(now: Vec<f64>, then: Vec<f64>) -> f64 {
    let both = now.into_iter().zip(then).map(|(now, then)| (now.max(LEAST_SHARE), then.max(LEAST_SHARE)));
    both.map(|(now, then)| (now - then) * (now / then).ln()).sum()
}

fn ks(now: &Distribution, then: &Distribution) -> f64 {
    let values = now.steps.iter().chain(&then.steps).map(|(value, _)| *value);
    values.map(|value| (now.up_to(value) - then.up_to(value)).abs()).fold(0.0, f64::max)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{ArrayRef, Float64Array, RecordBatch, StringViewArray};

    use crate::profile::spec::ProfileSpec;
    use crate::profile::{Profile, Profiler};

    fn profile(column: ArrayRef) -> Profile {
        let mut profiler = Profiler::new(&ProfileSpec::default());
        profiler.add(&RecordBatch::try_from_iter([("a", column)]).unwrap());
        profiler.finish()
    }

    fn numbers(from: u32, to: u32) -> Profile {
        profile(Arc::new(Float64Array::from_iter_values((from..to).map(f64::from))))
    }

    fn texts(texts: &[&str]) -> Profile {
        profile(Arc::new(StringViewArray::from_iter_values(texts)))
    }

    #[test]
    fn numbers_that_stay_do_not_drift_and_numbers_that_move_do() {
        let drift = |now: &Profile, then: &Profile| now.column("a").unwrap().drift_from(then.column("a").unwrap());
        let same = drift(&numbers(0, 5_000), &numbers(0, 5_000)).unwrap();
        assert!(same.psi < 0.02 && same.ks.unwrap() < 0.03, "{same:?}");
        let half = drift(&numbers(2_500, 7_500), &numbers(0, 5_000)).unwrap();
        assert!(half.psi > 0.25, "{half:?}");
        assert!((half.ks.unwrap() - 0.5).abs() < 0.05, "{half:?}");
        assert_eq!(drift(&numbers(0, 0), &numbers(0, 5)), None);
    }

    #[test]
    fn texts_drift_when_their_shares_change() {
        let drift = |now: &[&str], then: &[&str]| {
            texts(now).column("a").unwrap().drift_from(texts(then).column("a").unwrap()).unwrap()
        };
        assert!(drift(&["a", "b"], &["a", "b", "a", "b"]).psi < 1e-9);
        assert!(drift(&["a", "a", "a", "b"], &["a", "b", "b", "b"]).psi > 0.25);
        assert!(drift(&["c"], &["a"]).psi > 1.0);
    }
}
