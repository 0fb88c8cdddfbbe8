//! When things happen: rows spread over days with the ups and downs of a day, and how their times are written.

use chrono::{DateTime, Datelike, NaiveDate, Timelike, Utc};
use stage::{Error, Result};

use crate::chance::{Dice, Purpose};

/// Microseconds of an hour.
pub(crate) const HOUR: i64 = 3_600_000_000;

/// How busy each hour of a day is, in UTC. A night hour has a fifth of the traffic of the evening.
const TRAFFIC: [u64; 24] = [4, 3, 3, 3, 3, 4, 5, 7, 9, 10, 11, 12, 13, 12, 11, 11, 11, 12, 13, 15, 15, 13, 10, 6];

/// The times of `rows` rows, from `start` on, over `days` days. Row numbers and times have the same order.
#[derive(Debug, Clone)]
pub(crate) struct Timeline {
    seed: u64,
    start: i64,
    days: u64,
    rows: u64,
}

impl Timeline {
    /// A timeline.
    ///
    /// # Errors
    /// [`stage::Kind::Config`] when there is no day, or when the rows are too many to have a microsecond each.
    pub(crate) fn new(seed: u64, start: NaiveDate, days: u32, rows: u64) -> Result<Self> {
        if days == 0 {
            return Err(Error::config("could not generate rows over 0 days; give at least 1 day"));
        }
        let most = u64::from(days) * 24 * HOUR as u64 / 100;
        if rows > most {
            return Err(Error::config(format!(
                "could not generate {rows} rows in {days} days: their times would not differ; give more days or at most {most} rows"
            )));
        }
        let start = start.and_time(chrono::NaiveTime::MIN).and_utc().timestamp_micros();
        Ok(Timeline { seed, start, days: u64::from(days), rows })
    }

    /// The time of row `index`, in microseconds since 1970.
    pub(crate) fn at(&self, index: u64) -> i64 {
        let per_day = TRAFFIC.iter().sum::<u64>() as u128 * HOUR as u128;
        let span = per_day * u128::from(self.days);
        let rows = u128::from(self.rows.max(1));
        let (from, to) = (span * u128::from(index) / rows, span * (u128::from(index) + 1) / rows);
        let jitter = Dice::new(self.seed, Purpose::Time, index).below((to - from) as u64);
        let place = from + u128::from(jitter);
        let (day, mut rest) = ((place / per_day) as i64, place % per_day);
        let mut hour = 0;
        for traffic in TRAFFIC {
            let width = u128::from(traffic) * HOUR as u128;
            if rest < width {
                rest /= u128::from(traffic);
                break;
            }
            rest -= width;
            hour += 1;
        }
        self.start + (day * 24 + hour) * HOUR + rest as i64
    }

    /// The time after `share` of the whole span.
    pub(crate) fn after(&self, share: f64) -> i64 {
        self.start + (share * (self.days as i64 * 24 * HOUR) as f64) as i64
    }
}

/// Appends a time as RFC 3339 with microseconds and offset: `2024-01-31T08:05:00.000123+00:00`.
pub(crate) fn push_time(line: &mut Vec<u8>, micros: i64) {
    let time = time_of(micros);
    push_date(line, micros);
    line.push(b'T');
    push_digits(line, time.hour(), 2);
    line.push(b':');
    push_digits(line, time.minute(), 2);
    line.push(b':');
    push_digits(line, time.second(), 2);
    line.push(b'.');
    push_digits(line, time.timestamp_subsec_micros(), 6);
    line.extend_from_slice(b"+00:00");
}

/// Appends the date of a time: `2024-01-31`.
pub(crate) fn push_date(line: &mut Vec<u8>, micros: i64) {
    let date = time_of(micros);
    push_digits(line, date.year().unsigned_abs(), 4);
    line.push(b'-');
    push_digits(line, date.month(), 2);
    line.push(b'-');
    push_digits(line, date.day(), 2);
}

/// The folder of an hour below its landing folder: `year=2024/month=01/day=31/hour=08`.
pub(crate) fn hour_folder(hour: i64) -> String {
    let time = time_of(hour * HOUR);
    format!("year={:04}/month={:02}/day={:02}/hour={:02}", time.year(), time.month(), time.day(), time.hour())
}

/// The hour a time lies in, counted from 1970.
pub(crate) fn hour_of(micros: i64) -> i64 {
    micros.div_euclid(HOUR)
}

fn time_of(micros: i64) -> DateTime<Utc> {
    DateTime::from_timestamp_micros(micros).unwrap_or_default()
}

fn push_digits(line: &mut Vec<u8>, number: u32, width: usize) {
    let mut digits = [b'0'; 6];
    let mut rest = number;
    for digit in digits.iter_mut().rev() {
        *digit += (rest % 10) as u8;
        rest /= 10;
    }
    line.extend_from_slice(&digits[6 - width..]);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn timeline(days: u32, rows: u64) -> Timeline {
        Timeline::new(1, NaiveDate::from_ymd_opt(2024, 1, 31).unwrap(), days, rows).unwrap()
    }

    #[test]
    fn times_grow_with_the_row_and_stay_in_the_span() {
        let timeline = timeline(3, 50_000);
        let times: Vec<i64> = (0..50_000).map(|index| timeline.at(index)).collect();
        assert!(times.is_sorted_by(|earlier, later| earlier < later));
        assert!(times[0] >= timeline.after(0.0) && times[49_999] < timeline.after(1.0));
    }

    #[test]
    fn evenings_are_busier_than_nights() {
        let timeline = timeline(1, 20_000);
        let at = |hour| (0..20_000).filter(|index| hour_of(timeline.at(*index)) % 24 == hour).count();
        assert!(at(20) > 3 * at(3));
    }

    #[test]
    fn times_and_folders_are_written_as_usual() {
        let micros = timeline(1, 1).after(0.0) + 8 * HOUR + 300_000_123;
        let mut line = Vec::new();
        push_time(&mut line, micros);
        assert_eq!(String::from_utf8(line).unwrap(), "2024-01-31T08:05:00.000123+00:00");
        assert_eq!(hour_folder(hour_of(micros)), "year=2024/month=01/day=31/hour=08");
    }

    #[test]
    fn more_rows_than_microseconds_are_refused() {
        let start = NaiveDate::from_ymd_opt(2024, 1, 1).unwrap();
        assert!(Timeline::new(1, start, 1, u64::MAX).is_err());
        assert!(Timeline::new(1, start, 0, 1).is_err());
    }
}
