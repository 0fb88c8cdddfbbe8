//! After a time of absence nothing is forgotten and nothing is done twice.

use std::cell::Cell;

use chrono::{DateTime, TimeDelta, Utc};
use proptest::prelude::*;
use proptest::sample::select;

use super::{at, cron};
use crate::schedule::{CatchUp, Cron, Due, MOST_RUNS, ON_TIME, Periodic, PeriodicUnit, Recurrence, due};

/// All times, slowly, and that `run` and `missed` are these and no others.
fn check(times: &impl Recurrence, last_due: DateTime<Utc>, now: DateTime<Utc>, policy: CatchUp) -> Due {
    let due = due(times, last_due, now, policy);
    let next = |time: &DateTime<Utc>| times.next_after(*time).filter(|time| *time <= now);
    let all: Vec<_> = std::iter::successors(next(&last_due), next).collect();
    let (missed, run) = all.split_at(all.len() - due.run.len());
    assert_eq!(due.run, run);
    match due.missed {
        None => assert!(missed.is_empty()),
        Some(summary) => {
            assert_eq!(summary.count, missed.len() as u64);
            assert_eq!((Some(&summary.first), Some(&summary.last)), (missed.first(), missed.last()));
        }
    }
    let expected = match policy {
        CatchUp::Skip => usize::from(all.last().is_some_and(|time| now - *time <= ON_TIME)),
        CatchUp::Latest => all.len().min(1),
        CatchUp::All => all.len().min(MOST_RUNS),
    };
    assert_eq!(due.run.len(), expected);
    due
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn run_and_missed_are_the_times_in_question_each_once(
        expression in select(&["0 */7 * * * ?", "0 30 2 * * ?", "0 0/20 1-3 * * ?", "*/10 0 * * * ?", "0 0 0 ? * 6L", "0 0 0 1 1 ? 2020"][..]),
        zone in select(&["Europe/Berlin", "Australia/Lord_Howe", "UTC"][..]),
        start in 0i64..400 * 86_400,
        seconds in -100i64..30 * 86_400,
        policy in select(&[CatchUp::Skip, CatchUp::Latest, CatchUp::All][..]),
    ) {
        let last_due = at("2025-01-01T00:00:00Z") + TimeDelta::seconds(start);
        check(&cron(expression, zone), last_due, last_due + TimeDelta::seconds(seconds), policy);
    }

    #[test]
    fn the_same_holds_for_intervals(
        interval in 1i64..500,
        anchor in -1_000_000i64..1_000_000,
        milliseconds in -100i64..5_000_000_000,
        policy in select(&[CatchUp::Skip, CatchUp::Latest, CatchUp::All][..]),
    ) {
        let last_due = at("2025-01-01T00:00:00.5Z");
        let beats = Periodic::new(interval, PeriodicUnit::Minutes).unwrap().since(last_due + TimeDelta::milliseconds(anchor));
        check(&beats, last_due, last_due + TimeDelta::milliseconds(milliseconds), policy);
    }
}

/// Counts how often it is asked.
struct Counted {
    times: Cron,
    questions: Cell<u32>,
}

impl Recurrence for Counted {
    fn next_after(&self, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        self.questions.set(self.questions.get() + 1);
        self.times.next_after(now)
    }

    fn count(&self, after: DateTime<Utc>, until: DateTime<Utc>) -> u64 {
        self.questions.set(self.questions.get() + 1);
        self.times.count(after, until)
    }
}

#[test]
fn a_year_of_absence_from_an_every_ten_seconds_schedule_is_counted_and_not_gone_through() {
    let (last_due, now) = (at("2025-01-01T00:00:00Z"), at("2026-01-01T00:00:00Z"));
    let cron = Counted { times: cron("*/10 * * * * ?", "Europe/Berlin"), questions: Cell::new(0) };
    let due = due(&cron, last_due, now, CatchUp::All);
    assert!(cron.questions.get() < 200, "{}", cron.questions.get());
    let missed = due.missed.unwrap();
    assert_eq!(due.run.len(), 100);
    assert_eq!(missed.count, 365 * 8640 - 100);
    assert_eq!((missed.first, missed.last), (at("2025-01-01T00:00:10Z"), at("2025-12-31T23:43:20Z")));
    assert_eq!((due.run[0], due.run[99]), (at("2025-12-31T23:43:30Z"), now));
}

#[test]
fn a_policy_decides_what_is_run_of_a_night_that_was_missed() {
    let nightly = cron("0 0 2 * * ?", "UTC");
    let (last_due, now) = (at("2025-06-01T02:00:00Z"), at("2025-06-04T09:00:00Z"));
    let run = |policy| check(&nightly, last_due, now, policy).run;
    assert!(run(CatchUp::Skip).is_empty());
    assert_eq!(run(CatchUp::default()), [at("2025-06-04T02:00:00Z")]);
    assert_eq!(run(CatchUp::All), [at("2025-06-02T02:00:00Z"), at("2025-06-03T02:00:00Z"), at("2025-06-04T02:00:00Z")]);
    // On the minute no policy keeps a run from starting.
    assert_eq!(check(&nightly, last_due, at("2025-06-02T02:00:01Z"), CatchUp::Skip).run, [at("2025-06-02T02:00:00Z")]);
}
