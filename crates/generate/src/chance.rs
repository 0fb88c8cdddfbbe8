//! Chance without memory: every draw is a hash of seed, purpose and row number, so rows can be made in any order.
//!
//! Only integer arithmetic and the exact operations of IEEE 754 are used, never the machine's mathematics library, so
//! that a seed gives the same bytes everywhere.

/// The draws of one row for one purpose.
#[derive(Debug, Clone)]
pub(crate) struct Dice {
    state: u64,
}

/// What draws are for. Two purposes never share their numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    Time = 1,
    Disorder,
    Event,
    Assignment,
    User,
    Conversion,
    Plan,
    Session,
    Customer,
    CustomerChange,
    Product,
    Identifier,
}

const GOLDEN: u64 = 0x9E37_79B9_7F4A_7C15;

impl Dice {
    pub(crate) fn new(seed: u64, purpose: Purpose, index: u64) -> Self {
        let stream = mix(seed ^ mix((purpose as u64).wrapping_mul(GOLDEN)));
        Dice { state: mix(stream.wrapping_add(index)) }
    }

    /// 64 random bits. The first draw differs for every index of the same seed and purpose.
    pub(crate) fn bits(&mut self) -> u64 {
        self.state = self.state.wrapping_add(GOLDEN);
        mix(self.state)
    }

    /// A number in `0..bound`; 0 when the bound is 0.
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        ((u128::from(self.bits()) * u128::from(bound)) >> 64) as u64
    }

    /// A number in `0.0..1.0`.
    pub(crate) fn unit(&mut self) -> f64 {
        (self.bits() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// True in `share` of all draws.
    pub(crate) fn happens(&mut self, share: f64) -> bool {
        self.unit() < share
    }

    /// One of `choices`, each as likely as the others.
    pub(crate) fn pick<'a, T: ?Sized>(&mut self, choices: &[&'a T]) -> &'a T {
        choices[self.below(choices.len() as u64) as usize]
    }

    /// A number around 0 with standard deviation 1, close to a normal distribution (the sum of twelve uniform draws).
    pub(crate) fn normal(&mut self) -> f64 {
        (0..12).map(|_| self.unit()).sum::<f64>() - 6.0
    }

    /// A number whose logarithm is normal, with the given median and spread: incomes, prices.
    pub(crate) fn lognormal(&mut self, median: f64, spread: f64) -> f64 {
        median * exponential(spread * self.normal())
    }
}

/// The finaliser of splitmix64: a bijection that scatters every bit.
fn mix(value: u64) -> u64 {
    let value = (value ^ (value >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    value ^ (value >> 31)
}

/// e to the power of `x`, by its series after halving `x` eight times; for the small `x` that occur here.
fn exponential(x: f64) -> f64 {
    let reduced = x / 256.0;
    let mut term = 1.0;
    let mut sum = 1.0;
    for step in 1..=10 {
        term *= reduced / f64::from(step);
        sum += term;
    }
    for _ in 0..8 {
        sum *= sum;
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_are_fixed_for_all_time() {
        let mut dice = Dice::new(7, Purpose::Event, 12);
        let first = dice.bits();
        assert_eq!(first, 5_927_218_215_759_546_867, "pinned: another number means that every data set changes");
        assert_ne!(Dice::new(8, Purpose::Event, 12).bits(), first);
        assert_ne!(Dice::new(7, Purpose::Time, 12).bits(), first);
    }

    #[test]
    fn draws_are_spread_evenly() {
        let mut counts = [0_u32; 10];
        for index in 0..10_000 {
            counts[Dice::new(1, Purpose::User, index).below(10) as usize] += 1;
        }
        assert!(counts.iter().all(|count| (850..1150).contains(count)), "{counts:?}");
    }

    #[test]
    fn the_exponential_agrees_with_the_mathematics_library() {
        for tenth in -50..=50 {
            let x = f64::from(tenth) / 10.0;
            assert!((exponential(x) / x.exp() - 1.0).abs() < 1e-12, "{x}");
        }
    }

    #[test]
    fn lognormal_numbers_lie_around_their_median() {
        let above =
            (0..10_000).filter(|index| Dice::new(3, Purpose::Customer, *index).lognormal(40_000.0, 0.5) > 40_000.0);
        assert!((4_700..5_300).contains(&above.count()));
    }
}
