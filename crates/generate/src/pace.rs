//! A steady pace: a token bucket that is filled by the time that has passed.

use std::time::Duration;

/// How much of a standstill is caught up with.
const CAPACITY: Duration = Duration::from_secs(1);

/// Says how many events are due. It never reads a clock: it is told how much time has passed since it was made, by one that
/// does not go back.
#[derive(Debug, Clone)]
pub struct TokenBucket {
    per_second: u64,
    /// How many events were taken or missed so far.
    gone: u128,
}

impl TokenBucket {
    /// An empty bucket for that many events a second.
    pub fn new(per_second: u64) -> TokenBucket {
        TokenBucket { per_second, gone: 0 }
    }

    /// Takes all events that are due when `passed` is over. After a standstill they are those of one second, not a flood.
    pub fn take(&mut self, passed: Duration) -> u64 {
        let until = |passed: Duration| u128::from(self.per_second) * passed.as_nanos() / 1_000_000_000;
        let due = until(passed).saturating_sub(self.gone);
        self.gone += due;
        due.min(until(CAPACITY)) as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn milliseconds(number: u64) -> Duration {
        Duration::from_millis(number)
    }

    #[test]
    fn events_come_at_the_rate_however_often_it_is_asked() {
        for step in [1, 7, 250] {
            let mut bucket = TokenBucket::new(5_000);
            let taken: u64 = (0..=70_000 / step).map(|turn| bucket.take(milliseconds(turn * step))).sum();
            assert_eq!(taken, 350_000, "in steps of {step} ms");
        }
    }

    #[test]
    fn less_than_one_event_a_look_is_not_lost() {
        let mut bucket = TokenBucket::new(3);
        let taken: u64 = (0..=10_000).map(|turn| bucket.take(milliseconds(turn))).sum();
        assert_eq!(taken, 30);
    }

    #[test]
    fn a_standstill_is_not_followed_by_a_flood() {
        let mut bucket = TokenBucket::new(100);
        assert_eq!(bucket.take(milliseconds(60_000)), 100);
        assert_eq!(bucket.take(milliseconds(60_500)), 50);
    }

    #[test]
    fn time_that_goes_back_gives_nothing() {
        let mut bucket = TokenBucket::new(100);
        assert_eq!((bucket.take(milliseconds(500)), bucket.take(milliseconds(400))), (50, 0));
        assert_eq!(bucket.take(milliseconds(600)), 10);
    }
}
