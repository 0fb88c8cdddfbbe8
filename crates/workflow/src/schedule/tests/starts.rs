//! Intervals, and runs that follow each other.

use chrono::TimeDelta;
use proptest::prelude::*;

use super::at;
use crate::schedule::{ContinuousState, Ending, FIRST_DELAY, LONGEST_DELAY, Periodic, PeriodicUnit, Recurrence};

#[test]
fn an_interval_is_counted_from_the_last_start() {
    let last_start = at("2025-03-29T12:00:30Z");
    for (interval, unit, expected) in [
        (15, PeriodicUnit::Minutes, "2025-03-29T12:15:30Z"),
        (6, PeriodicUnit::Hours, "2025-03-29T18:00:30Z"),
        (1, PeriodicUnit::Days, "2025-03-30T12:00:30Z"),
        (2, PeriodicUnit::Weeks, "2025-04-12T12:00:30Z"),
    ] {
        let beats = Periodic::new(interval, unit).unwrap().since(last_start);
        assert_eq!(beats.next_after(last_start), Some(at(expected)));
        assert_eq!(beats.next_after(last_start - TimeDelta::days(3)), Some(at(expected)));
    }
    let beats = Periodic::new(15, PeriodicUnit::Minutes).unwrap().since(last_start);
    assert_eq!(beats.next_after(at("2025-03-29T12:15:30Z")), Some(at("2025-03-29T12:30:30Z")));
    assert_eq!(Periodic::new(2, PeriodicUnit::Weeks).unwrap().to_string(), "every 2 weeks");
}

#[test]
fn a_run_follows_a_good_one_at_once_and_failed_ones_later_and_later() {
    let now = at("2025-01-01T00:00:00Z");
    let mut state = ContinuousState::default();
    let mut after = |ending| (state.ended(ending, now) - now).num_seconds();
    assert_eq!(after(Ending::Well), 0);
    let delays: Vec<_> = (0..8).map(|_| after(Ending::Failed)).collect();
    assert_eq!(delays, [10, 20, 40, 80, 160, 320, 600, 600]);
    assert_eq!(after(Ending::Well), 0);
    assert_eq!(after(Ending::Failed), 10);
}

proptest! {
    #[test]
    fn a_delay_has_bounds_after_any_number_of_failures_and_the_state_can_be_kept(failures in 0u32..=u32::MAX) {
        let now = at("2025-01-01T00:00:00Z");
        let mut state = ContinuousState { failures, next_start: None };
        let delay = state.ended(Ending::Failed, now) - now;
        prop_assert!((FIRST_DELAY..=LONGEST_DELAY).contains(&delay));
        let kept = serde_json::to_string(&state).unwrap();
        prop_assert_eq!(serde_json::from_str::<ContinuousState>(&kept).unwrap(), state);
    }
}
