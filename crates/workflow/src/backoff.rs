//! How long to wait before the next attempt.

use std::time::Duration;

/// The longest delay before the first retry.
const FIRST: Duration = Duration::from_millis(500);

/// The longest delay before any retry.
pub const LONGEST_DELAY: Duration = Duration::from_secs(60);

/// The delay after the attempt of that number, counted from 0: it doubles with each attempt up to
/// [`LONGEST_DELAY`], and a random half of it is left out so that tasks that failed together do not come back together.
pub(crate) fn delay_after(attempt_number: u32) -> Duration {
    let doubled = 2u32.saturating_pow(attempt_number.min(16));
    let whole = FIRST.saturating_mul(doubled).min(LONGEST_DELAY);
    whole.mul_f64(0.5 + fastrand::f64() / 2.0)
}

/// How long to wait from now, `elapsed` after the failed attempt started, until the next one starts: what is missing
/// to `min_interval`, and the growing delay on top.
pub(crate) fn wait(attempt_number: u32, min_interval: Duration, elapsed: Duration) -> Duration {
    min_interval.saturating_sub(elapsed) + delay_after(attempt_number)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_delay_is_between_half_and_whole_of_a_growing_and_capped_one(number in 0u32..u32::MAX) {
            let delay = delay_after(number);
            prop_assert!(delay >= FIRST / 2 && delay <= LONGEST_DELAY);
            if number < 6 {
                let whole = FIRST * (1 << number);
                prop_assert!(delay >= whole / 2 && delay <= whole);
            } else {
                prop_assert!(delay >= Duration::from_secs(16));
            }
        }

        #[test]
        fn starts_are_never_closer_than_the_least_interval(number in 0u32..20, least in 0u64..100_000, took in 0u64..100_000) {
            let (least, took) = (Duration::from_millis(least), Duration::from_millis(took));
            prop_assert!(took + wait(number, least, took) >= least);
        }
    }
}
