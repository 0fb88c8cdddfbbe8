//! Schedules against hand-checked examples and slow oracles.

mod catch_up;
mod clock_changes;
mod examples;
mod messages;
mod oracle;
mod starts;
mod watching;

use chrono::{DateTime, Utc};

use super::Cron;

fn at(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

fn cron(expression: &str, zone: &str) -> Cron {
    Cron::new(expression, zone).unwrap()
}
