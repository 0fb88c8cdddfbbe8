//! What to say to somebody who wrote a Unix cron expression where Quartz is meant.

use super::field::{DAY_OF_WEEK, number};
use super::pattern::Pattern;

/// The message for the five fields minute, hour, day of month, month and day of week, in capitals; with what they are
/// in Quartz, if they can be said in one expression.
pub(super) fn explain(fields: [&str; 5]) -> String {
    let [minute, hour, day, month, weekday] = fields;
    let message = "found 5 fields, which looks like Unix cron; Quartz has seconds first, `?` in one of the day fields \
                   and 1 for SUN";
    let weekdays = by_names(weekday);
    let (day, weekday) = match (day, weekday) {
        (day, "*" | "?") => (day, "?"),
        ("*" | "?", _) => ("?", weekdays.as_str()),
        _ => return format!("{message}; a day of month and a day of week need two expressions"),
    };
    match Pattern::parse(["0", minute, hour, day, month, weekday], "*") {
        Ok(_) => format!("{message}: write `0 {minute} {hour} {day} {month} {weekday}`"),
        Err(_) => format!("{message}: second minute hour day-of-month month day-of-week [year]"),
    }
}

/// Days of the week by name: Unix counts from 0 (and 7) for Sunday, Quartz from 1. What follows a `/` is no day.
fn by_names(weekday: &str) -> String {
    let mut renamed = String::new();
    let mut rest = weekday;
    while let Some(start) = rest.find(|character: char| character.is_ascii_digit()) {
        let end =
            rest[start..].find(|character: char| !character.is_ascii_digit()).map_or(rest.len(), |end| start + end);
        let digits = &rest[start..end];
        let is_step = rest[..start].ends_with('/');
        let name =
            number(digits).filter(|day| !is_step && *day <= 7).and_then(|day| DAY_OF_WEEK.names.get(day as usize % 7));
        renamed.push_str(&rest[..start]);
        renamed.push_str(name.unwrap_or(&digits));
        rest = &rest[end..];
    }
    renamed + rest
}
