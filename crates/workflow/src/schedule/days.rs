//! The day fields of a cron expression: which days of a month they allow.
//!
//! Quartz wants one of them to be `?`, so that an expression speaks of days of the month or of days of the week, never
//! of both.

use chrono::{Datelike, NaiveDate};

use super::field::{DAY_OF_MONTH, DAY_OF_WEEK, Set, number};

/// The greatest n of `L-n`.
const FURTHEST_FROM_LAST: u32 = 30;

/// The days that an expression allows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Days {
    /// The days of the month that any of these names.
    OfMonth(Vec<MonthDay>),
    /// The days of the week.
    OfWeek(WeekDay),
}

/// An item of the day of month.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum MonthDay {
    /// Those days, in the months that have them.
    Each(Set),
    /// `15W`: the weekday nearest to that day, in the same month.
    NearestWeekday(u32),
    /// `L-3`: so many days before the last one.
    Last(u32),
    /// `LW`, `L-3W`: the weekday nearest to the day so many days before the last one, in the same month.
    LastWeekday(u32),
}

/// The day of week, 1 for Sunday to 7 for Saturday.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum WeekDay {
    /// Each of those.
    Each(Set),
    /// `6L`: the last one of the month.
    Last(u32),
    /// `FRI#2`: the second one of the month.
    Nth(u32, u32),
}

impl Days {
    /// From the two fields, in capitals.
    ///
    /// # Errors
    /// When not exactly one is `?`, or the other cannot be read.
    pub(super) fn parse(of_month: &str, of_week: &str) -> Result<Days, String> {
        match (of_month, of_week) {
            ("?", "?") => Err("day of month and day of week: found `?` in both, expected it in one of them; \
                               write `*` as the day of month for every day"
                .to_owned()),
            ("?", days) => WeekDay::parse(days).map(Days::OfWeek),
            (days, "?") => days.split(',').map(MonthDay::parse).collect::<Result<_, _>>().map(Days::OfMonth),
            _ => Err(format!(
                "day of month and day of week: found `{of_month}` and `{of_week}`, expected `?` in one of them, \
                 as in `{}`",
                if of_week == "*" { format!("{of_month} and ?") } else { format!("? and {of_week}") }
            )),
        }
    }

    /// The days of a month that are allowed.
    pub(super) fn of(&self, year: i32, month: u32) -> Set {
        let Some(month) = Month::new(year, month) else { return Set::from_iter([]) };
        match self {
            Days::OfMonth(items) => items.iter().fold(Set::from_iter([]), |days, item| days.union(item.days(month))),
            Days::OfWeek(item) => item.days(month),
        }
    }
}

impl MonthDay {
    fn parse(item: &str) -> Result<MonthDay, String> {
        let refuse = || DAY_OF_MONTH.refuse(item);
        if let Some(rest) = item.strip_prefix('L') {
            let (rest, weekday) = match rest.strip_suffix('W') {
                Some(rest) => (rest, true),
                None => (rest, false),
            };
            let before = match rest.strip_prefix('-') {
                Some(before) => number(before).filter(|before| *before <= FURTHEST_FROM_LAST).ok_or_else(refuse)?,
                None if rest.is_empty() => 0,
                None => return Err(refuse()),
            };
            return Ok(if weekday { MonthDay::LastWeekday(before) } else { MonthDay::Last(before) });
        }
        if let Some(day) = item.strip_suffix('W') {
            return DAY_OF_MONTH.value(day).map(MonthDay::NearestWeekday).ok_or_else(refuse);
        }
        DAY_OF_MONTH.values(item).map(|days| MonthDay::Each(days.into_iter().collect()))
    }

    fn days(self, month: Month) -> Set {
        let day = match self {
            MonthDay::Each(days) => return days.iter().filter(|day| *day <= month.last).collect(),
            MonthDay::NearestWeekday(day) => {
                Some(day).filter(|day| *day <= month.last).map(|day| month.nearest_weekday(day))
            }
            MonthDay::Last(before) => month.before_last(before),
            MonthDay::LastWeekday(before) => month.before_last(before).map(|day| month.nearest_weekday(day)),
        };
        day.into_iter().collect()
    }
}

impl WeekDay {
    fn parse(text: &str) -> Result<WeekDay, String> {
        let refuse = || DAY_OF_WEEK.refuse(text);
        if text.contains(',') && (text.contains('#') || text.contains('L')) {
            return Err(format!(
                "{}: found `{text}`, expected an item with `L` or `#` to stand alone",
                DAY_OF_WEEK.name
            ));
        }
        if text == "L" {
            return Ok(WeekDay::Each(Set::from_iter([7])));
        }
        if let Some(day) = text.strip_suffix('L') {
            return DAY_OF_WEEK.value(day).map(WeekDay::Last).ok_or_else(refuse);
        }
        if let Some((day, nth)) = text.split_once('#') {
            let day = DAY_OF_WEEK.value(day).ok_or_else(refuse)?;
            let nth = number(nth)
                .filter(|nth| (1..=5).contains(nth))
                .ok_or_else(|| format!("{}: found `#{nth}` in `{text}`, expected `#1` to `#5`", DAY_OF_WEEK.name))?;
            return Ok(WeekDay::Nth(day, nth));
        }
        DAY_OF_WEEK.values(text).map(|days| WeekDay::Each(days.into_iter().collect()))
    }

    fn days(self, month: Month) -> Set {
        (1..=month.last)
            .filter(|day| match self {
                WeekDay::Each(weekdays) => weekdays.has(month.weekday(*day)),
                WeekDay::Last(weekday) => month.weekday(*day) == weekday && day + 7 > month.last,
                WeekDay::Nth(weekday, nth) => month.weekday(*day) == weekday && day.div_ceil(7) == nth,
            })
            .collect()
    }
}

/// The shape of a month.
#[derive(Clone, Copy)]
struct Month {
    /// The day of the week of its first day, 0 for Sunday.
    begins_on: u32,
    /// Its last day.
    last: u32,
}

impl Month {
    fn new(year: i32, month: u32) -> Option<Month> {
        let first = NaiveDate::from_ymd_opt(year, month, 1)?;
        Some(Month { begins_on: first.weekday().num_days_from_sunday(), last: u32::from(first.num_days_in_month()) })
    }

    /// 1 for Sunday to 7 for Saturday.
    fn weekday(self, day: u32) -> u32 {
        (self.begins_on + day - 1) % 7 + 1
    }

    fn before_last(self, days: u32) -> Option<u32> {
        self.last.checked_sub(days).filter(|day| *day > 0)
    }

    /// Saturday goes to Friday and Sunday to Monday, but neither leaves the month.
    fn nearest_weekday(self, day: u32) -> u32 {
        match self.weekday(day) {
            7 if day == 1 => 3,
            7 => day - 1,
            1 if day == self.last => day - 2,
            1 => day + 1,
            _ => day,
        }
    }
}
