//! Runs that wait and could not begin for a reason that may pass: each is tried again, later and later.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::Instant;

/// How long a run is held back after the first try; twice as long after each further one.
const FIRST_WAIT: Duration = Duration::from_secs(1);
/// The longest that it is held back.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// The runs that are held back, by number.
#[derive(Debug, Default)]
pub(super) struct HeldBack {
    runs: BTreeMap<i64, Tries>,
}

/// How often it was tried in vain, and when it is tried again; not by the clock on the wall, which may be set back.
#[derive(Debug)]
struct Tries {
    count: u32,
    again: Instant,
}

impl HeldBack {
    /// Takes note that a run could not begin.
    pub(super) fn hold(&mut self, number: i64) {
        let tries = self.runs.entry(number).or_insert_with(|| Tries { count: 0, again: Instant::now() });
        tries.again = Instant::now() + wait(tries.count);
        tries.count = tries.count.saturating_add(1);
    }

    /// Whether it is too early to try a run again.
    pub(super) fn holds(&self, number: i64) -> bool {
        self.runs.get(&number).is_some_and(|tries| Instant::now() < tries.again)
    }

    /// Forgets the runs that no longer wait.
    pub(super) fn retain(&mut self, waits: impl Fn(i64) -> bool) {
        self.runs.retain(|number, _| waits(*number));
    }
}

fn wait(tries_before: u32) -> Duration {
    FIRST_WAIT.saturating_mul(1 << tries_before.min(16)).min(LONGEST_WAIT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_run_is_held_back_twice_as_long_each_time_and_a_minute_at_most() {
        let mut held_back = HeldBack::default();
        let mut waits = Vec::new();
        for _ in 0..8 {
            held_back.hold(1);
            let held = Instant::now();
            while held_back.holds(1) {
                tokio::time::sleep(FIRST_WAIT).await;
            }
            waits.push(held.elapsed().as_secs());
        }
        assert_eq!(waits, [1, 2, 4, 8, 16, 32, 60, 60]);
        assert!(!held_back.holds(2));
    }

    #[tokio::test(start_paused = true)]
    async fn a_run_that_no_longer_waits_is_forgotten() {
        let mut held_back = HeldBack::default();
        held_back.hold(1);
        held_back.retain(|number| number != 1);
        assert!(!held_back.holds(1));
    }
}
