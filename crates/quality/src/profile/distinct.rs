//! How many different values there are: a HyperLogLog sketch.
//!
//! Registers as in Flajolet, Fusy, Gandouet and Meunier, "HyperLogLog" (2007); the estimate is the improved raw one of
//! Ertl, "New cardinality estimation algorithms for HyperLogLog sketches" (2017), algorithm 6, which needs no tables of
//! corrections. With 2,048 registers the standard error is 1.04 / √2048 = 2.3 %.

/// Bits of a hash that choose a register.
const PRECISION: u32 = 11;
const REGISTERS: usize = 1 << PRECISION;
/// The greatest value of a register: the bits of a hash that are left, and one more.
const GREATEST: usize = 64 - PRECISION as usize + 1;
/// Fewer registers than these are written one by one, in three bytes each.
const FEW: usize = REGISTERS / 4;

/// A set of hashes that only remembers how many different ones it holds, approximately.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Distinct {
    registers: Box<[u8]>,
}

impl Default for Distinct {
    fn default() -> Distinct {
        Distinct { registers: vec![0; REGISTERS].into_boxed_slice() }
    }
}

impl Distinct {
    /// Adds a value by its hash, all 64 bits of which must be well mixed.
    #[inline]
    pub(crate) fn insert(&mut self, hash: u64) {
        let register = (hash >> (64 - PRECISION)) as usize;
        // The marker bit bounds the count of zeros when all remaining bits are zero.
        let zeros = ((hash << PRECISION) | (1 << (PRECISION - 1))).leading_zeros() as u8 + 1;
        // The index has as many bits as there are registers.
        if let Some(register) = self.registers.get_mut(register) {
            *register = (*register).max(zeros);
        }
    }

    /// Adds all values of another set.
    pub(crate) fn merge(&mut self, other: &Distinct) {
        for (ours, theirs) in self.registers.iter_mut().zip(&other.registers) {
            *ours = (*ours).max(*theirs);
        }
    }

    /// About how many different values were added.
    pub(crate) fn estimate(&self) -> f64 {
        let mut counts = [0_u32; GREATEST + 1];
        for register in &self.registers {
            if let Some(count) = counts.get_mut(usize::from(*register)) {
                *count += 1;
            }
        }
        let registers = REGISTERS as f64;
        let mut sum = registers * tau((registers - f64::from(counts[GREATEST])) / registers);
        for count in counts[1..GREATEST].iter().rev() {
            sum = 0.5 * (sum + f64::from(*count));
        }
        sum += registers * sigma(f64::from(counts[0]) / registers);
        registers * registers / (2.0 * std::f64::consts::LN_2 * sum)
    }

    /// The registers as bytes: all of them, or number and value of each where only few are set.
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        let set: Vec<(usize, u8)> =
            self.registers.iter().copied().enumerate().filter(|(_, value)| *value > 0).collect();
        if set.len() >= FEW {
            return self.registers.to_vec();
        }
        set.into_iter().flat_map(|(register, value)| [(register >> 8) as u8, register as u8, value]).collect()
    }

    /// What [`Distinct::to_bytes`] wrote; `None` when these bytes are something else.
    pub(crate) fn from_bytes(bytes: &[u8]) -> Option<Distinct> {
        let mut distinct = Distinct::default();
        if bytes.len() == REGISTERS {
            distinct.registers.copy_from_slice(bytes);
        } else {
            let (set, rest) = bytes.as_chunks::<3>();
            if !rest.is_empty() {
                return None;
            }
            for [high, low, value] in set {
                *distinct.registers.get_mut(usize::from(*high) << 8 | usize::from(*low))? = *value;
            }
        }
        distinct.registers.iter().all(|value| usize::from(*value) <= GREATEST).then_some(distinct)
    }
}

/// The contribution of registers that are still zero.
fn sigma(mut share: f64) -> f64 {
    if share >= 1.0 {
        return f64::INFINITY;
    }
    let (mut weight, mut sum) = (1.0, share);
    loop {
        share *= share;
        let before = sum;
        sum += share * weight;
        weight += weight;
        if sum <= before {
            return sum;
        }
    }
}

/// The contribution of registers that cannot grow any more.
fn tau(mut share: f64) -> f64 {
    if share <= 0.0 || share >= 1.0 {
        return 0.0;
    }
    let (mut weight, mut sum) = (1.0, 1.0 - share);
    loop {
        share = share.sqrt();
        let before = sum;
        weight *= 0.5;
        sum -= (1.0 - share).powi(2) * weight;
        if sum >= before {
            return sum / 3.0;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::profile::hashing::mixed;

    fn of(values: impl IntoIterator<Item = u64>) -> Distinct {
        let mut distinct = Distinct::default();
        values.into_iter().for_each(|value| distinct.insert(mixed(value)));
        distinct
    }

    #[test]
    fn the_estimate_is_within_four_standard_errors_at_every_size() {
        for count in [0_u64, 1, 10, 100, 1_000, 10_000, 100_000, 1_000_000] {
            let estimate = of(0..count).estimate();
            let error = (estimate - count as f64).abs() / count.max(1) as f64;
            assert!(error < 4.0 * 0.023, "{count}: {estimate}");
        }
    }

    proptest! {
        #[test]
        fn merged_parts_are_the_whole(left in prop::collection::vec(0..5_000_u64, 0..3_000), right in prop::collection::vec(0..5_000_u64, 0..3_000)) {
            let mut merged = of(left.iter().copied());
            merged.merge(&of(right.iter().copied()));
            prop_assert!(merged == of(left.into_iter().chain(right)));
        }

        #[test]
        fn bytes_bring_back_what_was_written(values in prop::collection::vec(any::<u64>(), 0..3_000)) {
            let distinct = of(values);
            prop_assert!(Distinct::from_bytes(&distinct.to_bytes()) == Some(distinct));
        }
    }

    #[test]
    fn bytes_of_something_else_are_refused() {
        assert!(Distinct::from_bytes(&[1, 2]).is_none());
        assert!(Distinct::from_bytes(&[255, 255, 1]).is_none());
        assert!(Distinct::from_bytes(&[0, 0, 200]).is_none());
    }
}
