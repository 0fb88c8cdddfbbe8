//! Cron expressions against an oracle that looks at the clock every ten seconds, over days on which clocks are set.
//!
//! The oracle shares no code with the module: expressions are generated together with what they mean.

use chrono::{DateTime, Datelike, Days, NaiveDate, NaiveDateTime, TimeDelta, Timelike, Utc, Weekday};
use chrono_tz::{TZ_VARIANTS, Tz};
use proptest::prelude::*;
use proptest::sample::select;

use super::{at, cron};
use crate::schedule::Recurrence as _;

/// A field as it is written, and the values it allows.
type Written = (&'static str, &'static [u32]);
/// Day of month and day of week as they are written, and the days they allow.
type WrittenDays = (&'static str, &'static str, fn(NaiveDate) -> bool);

const SECONDS: [Written; 4] =
    [("0", &[0]), ("0/20", &[0, 20, 40]), ("10,50", &[10, 50]), ("*/10", &[0, 10, 20, 30, 40, 50])];
const MINUTES: [Written; 6] = [
    ("0", &[0]),
    ("30", &[30]),
    ("*/15", &[0, 15, 30, 45]),
    ("15/20", &[15, 35, 55]),
    ("59-1", &[59, 0, 1]),
    ("10-40/10,45", &[10, 20, 30, 40, 45]),
];
const EVERY_HOUR: &[u32] = &[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23];
const HOURS: [Written; 9] = [
    ("*", EVERY_HOUR),
    ("0-23", EVERY_HOUR),
    ("0", &[0]),
    ("2", &[2]),
    ("1,2,3", &[1, 2, 3]),
    ("22-2", &[22, 23, 0, 1, 2]),
    ("*/2", &[0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22]),
    ("1-23", &[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23]),
    ("23", &[23]),
];
const DAYS: [WrittenDays; 10] = [
    ("*", "?", |_| true),
    ("?", "*", |_| true),
    ("*/2", "?", |date| date.day() % 2 == 1),
    ("L", "?", |date| tomorrow(date).day() == 1),
    ("L-1", "?", |date| tomorrow(tomorrow(date)).day() == 1),
    ("26,30", "?", |date| date.day() == 26 || date.day() == 30),
    ("LW", "?", |date| {
        let later = (1..31).map(|days| date + Days::new(days)).take_while(|later| later.month() == date.month());
        is_weekday(date) && later.filter(|later| is_weekday(*later)).count() == 0
    }),
    ("?", "MON-FRI", is_weekday),
    ("?", "SAT-SUN", |date| !is_weekday(date)),
    ("?", "1L", |date| date.weekday() == Weekday::Sun && (date + Days::new(7)).month() != date.month()),
];

fn tomorrow(date: NaiveDate) -> NaiveDate {
    date + Days::new(1)
}

fn is_weekday(date: NaiveDate) -> bool {
    !matches!(date.weekday(), Weekday::Sat | Weekday::Sun)
}

/// Zones, and a day within a day of which a clock there is set, or is not.
const PLACES: [(&str, &str); 16] = [
    ("Europe/Berlin", "2025-03-30T00:00:00Z"),
    ("Europe/Berlin", "2025-10-26T00:00:00Z"),
    ("America/New_York", "2025-03-09T06:00:00Z"),
    ("America/New_York", "2025-11-02T06:00:00Z"),
    ("Australia/Lord_Howe", "2025-04-05T14:00:00Z"),
    ("Australia/Lord_Howe", "2025-10-04T14:00:00Z"),
    ("Africa/Casablanca", "2025-02-23T01:00:00Z"),
    ("Africa/Casablanca", "2025-04-06T01:00:00Z"),
    ("Africa/Cairo", "2025-04-24T21:00:00Z"),
    ("Africa/Cairo", "2025-10-30T21:00:00Z"),
    ("Pacific/Apia", "2011-12-30T10:00:00Z"),
    ("Atlantic/Azores", "2025-10-26T00:00:00Z"),
    ("Asia/Kolkata", "2025-07-01T00:00:00Z"),
    ("Asia/Kathmandu", "2025-12-31T12:00:00Z"),
    ("UTC", "2025-02-28T12:00:00Z"),
    ("Europe/Berlin", "2025-12-31T12:00:00Z"),
];

const STEP: TimeDelta = TimeDelta::seconds(10);

#[derive(Debug, Clone)]
struct Case {
    seconds: Written,
    minutes: Written,
    hours: Written,
    days: WrittenDays,
    place: (&'static str, &'static str),
}

impl Case {
    fn expression(&self) -> String {
        format!("{} {} {} {} * {}", self.seconds.0, self.minutes.0, self.hours.0, self.days.0, self.days.1)
    }

    fn allows(&self, reading: NaiveDateTime) -> bool {
        self.seconds.1.contains(&reading.second())
            && self.minutes.1.contains(&reading.minute())
            && self.hours.1.contains(&reading.hour())
            && self.days.2(reading.date())
    }

    /// The times after the one and up to the other instant.
    fn walk(&self, after: DateTime<Utc>, until: DateTime<Utc>) -> Vec<DateTime<Utc>> {
        let zone: Tz = self.place.0.parse().unwrap();
        let reading = |instant: DateTime<Utc>| instant.with_timezone(&zone).naive_local();
        // A day before the start, so that it is known which readings have been there already.
        let mut instant = after - TimeDelta::days(1);
        let mut latest = reading(instant);
        let mut times = Vec::new();
        while instant < until {
            instant += STEP;
            let now = reading(instant);
            let fires = if self.hours.1.len() == 24 {
                self.allows(now)
            } else {
                let mut fires = false;
                while latest < now {
                    latest += STEP;
                    fires |= self.allows(latest);
                }
                fires
            };
            if fires && instant > after {
                times.push(instant);
            }
        }
        times
    }
}

fn cases() -> impl Strategy<Value = Case> {
    (select(&SECONDS[..]), select(&MINUTES[..]), select(&HOURS[..]), select(&DAYS[..]), select(&PLACES[..]))
        .prop_map(|(seconds, minutes, hours, days, place)| Case { seconds, minutes, hours, days, place })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    #[test]
    fn times_are_those_of_somebody_who_looks_at_the_clock(case in cases(), offset in -6i64 * 360..6 * 360, length in 0i64..12_000) {
        let after = at(case.place.1) - TimeDelta::hours(20) + STEP * i32::try_from(offset).unwrap();
        let until = after + STEP * i32::try_from(length).unwrap();
        let expected = case.walk(after, until);
        let cron = cron(&case.expression(), case.place.0);
        prop_assert_eq!(&cron.between(after, until).collect::<Vec<_>>()[..], &expected[..], "{} {:?}", case.expression(), case.place);
        prop_assert_eq!(cron.count(after, until), expected.len() as u64, "{} {:?}", case.expression(), case.place);
    }

    #[test]
    fn the_next_time_is_right_from_wherever_one_starts(case in cases(), starts in proptest::collection::vec(0i64..60 * 3600, 100)) {
        let (from, until) = (at(case.place.1) - TimeDelta::hours(30), at(case.place.1) + TimeDelta::hours(30));
        let expected = case.walk(from, until);
        let cron = cron(&case.expression(), case.place.0);
        for start in starts {
            let start = from + TimeDelta::milliseconds(start * 1000 + start % 1000);
            let next = expected.iter().copied().find(|time| *time > start);
            let later = expected.iter().filter(|time| **time > start).count();
            prop_assert_eq!(cron.next_after(start).filter(|time| *time <= until), next, "{} {:?} {}", case.expression(), case.place, start);
            prop_assert_eq!(cron.count(start, until), later as u64, "{} {:?} {}", case.expression(), case.place, start);
        }
    }

    #[test]
    fn in_every_zone_counting_agrees_with_going_through_the_times(
        case in cases(),
        zone in select(&TZ_VARIANTS[..]),
        start in 0i64..60 * 365 * 86_400,
        days in 1i64..400,
    ) {
        let case = Case { seconds: SECONDS[0], minutes: MINUTES[1], ..case };
        let after = at("1990-01-01T00:00:00Z") + TimeDelta::seconds(start);
        let until = after + TimeDelta::days(days);
        let cron = cron(&case.expression(), zone.name());
        prop_assert_eq!(cron.count(after, until), cron.between(after, until).count() as u64, "{} {}", cron, after);
    }
}
