//! The parts of a time that a reference can ask for.

use chrono::{DateTime, Datelike, SecondsFormat, Timelike, Utc};

/// How a time is written, always in UTC. Numbers have no leading zeros, except inside the two ISO forms.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TimeArgument {
    /// `iso_date`: `2026-03-01`.
    IsoDate,
    /// `iso_datetime`: `2026-03-01T06:05:09Z`, with whole seconds. Databricks does not document its form; this is the
    /// RFC 3339 one that everything can read.
    IsoDatetime,
    /// `iso_weekday`: from 1, Monday, to 7, Sunday.
    IsoWeekday,
    /// `is_weekday`: `true` from Monday to Friday, `false` otherwise.
    IsWeekday,
    /// `year`: `2026`.
    Year,
    /// `month`: from 1 to 12.
    Month,
    /// `day`: from 1 to 31.
    Day,
    /// `hour`: from 0 to 23.
    Hour,
    /// `minute`: from 0 to 59.
    Minute,
    /// `second`: from 0 to 59.
    Second,
    /// `timestamp_ms`: milliseconds since 1970.
    TimestampMs,
}

impl TimeArgument {
    /// That part of `time`.
    pub fn of(self, time: DateTime<Utc>) -> String {
        match self {
            TimeArgument::IsoDate => time.date_naive().to_string(),
            TimeArgument::IsoDatetime => time.to_rfc3339_opts(SecondsFormat::Secs, true),
            TimeArgument::IsoWeekday => time.weekday().number_from_monday().to_string(),
            TimeArgument::IsWeekday => (time.weekday().number_from_monday() <= 5).to_string(),
            TimeArgument::Year => time.year().to_string(),
            TimeArgument::Month => time.month().to_string(),
            TimeArgument::Day => time.day().to_string(),
            TimeArgument::Hour => time.hour().to_string(),
            TimeArgument::Minute => time.minute().to_string(),
            TimeArgument::Second => time.second().to_string(),
            TimeArgument::TimestampMs => time.timestamp_millis().to_string(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every argument with its value at a time given in RFC 3339.
    fn check_arguments(time: &str, expected: [(TimeArgument, &str); 11]) {
        let time = DateTime::parse_from_rfc3339(time).unwrap().to_utc();
        for (argument, text) in expected {
            assert_eq!(argument.of(time), text, "{argument:?}");
        }
    }

    #[test]
    fn a_time_is_told_in_utc_whatever_the_zone_it_was_given_in() {
        check_arguments(
            "2026-03-02T01:05:09.250+02:00",
            [
                (TimeArgument::IsoDate, "2026-03-01"),
                (TimeArgument::IsoDatetime, "2026-03-01T23:05:09Z"),
                (TimeArgument::IsoWeekday, "7"),
                (TimeArgument::IsWeekday, "false"),
                (TimeArgument::Year, "2026"),
                (TimeArgument::Month, "3"),
                (TimeArgument::Day, "1"),
                (TimeArgument::Hour, "23"),
                (TimeArgument::Minute, "5"),
                (TimeArgument::Second, "9"),
                (TimeArgument::TimestampMs, "1772406309250"),
            ],
        );
    }

    #[test]
    fn weekdays_are_monday_to_friday() {
        for (day, number, weekday) in
            [("2026-03-02", "1", "true"), ("2026-03-06", "5", "true"), ("2026-03-07", "6", "false")]
        {
            let time = DateTime::parse_from_rfc3339(&format!("{day}T00:00:00Z")).unwrap().to_utc();
            assert_eq!(TimeArgument::IsoWeekday.of(time), number);
            assert_eq!(TimeArgument::IsWeekday.of(time), weekday);
        }
    }
}
