//! Who is told of what, checked.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::spec::Metric;

/// Something people and programs can be told of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Occasion {
    /// It started.
    Start,
    /// It succeeded.
    Success,
    /// It failed, ran out of time, or was skipped.
    Failure,
    /// It takes longer than its health rule says.
    DurationWarning,
    /// A source is further behind than its health rule says.
    BacklogWarning,
}

/// Who is told.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Recipients {
    /// Mail addresses.
    pub addresses: Vec<String>,
    /// Names of webhooks in `medallion.toml`.
    pub webhooks: Vec<String>,
}

/// Who is told of what about a workflow or a task.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Notifications {
    /// Who is told, by occasion.
    pub recipients: BTreeMap<Occasion, Recipients>,
    /// Nobody is told of what was skipped.
    pub not_of_skipped: bool,
    /// Nobody is told of what was cancelled.
    pub not_of_canceled: bool,
    /// Only the last attempt is told of as a failure, and only the first as a start.
    pub only_last_attempt: bool,
    /// Figures that are watched.
    pub health: Vec<HealthRule>,
}

/// A figure and its limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HealthRule {
    /// The figure.
    pub metric: Metric,
    /// The limit; a warning is given above it.
    pub limit: u64,
}

impl Notifications {
    /// After how long a duration warning is due; the shortest of several rules.
    pub fn longest_duration(&self) -> Option<Duration> {
        let durations = self.health.iter().filter(|rule| rule.metric == Metric::RunDurationSeconds);
        durations.map(|rule| Duration::from_secs(rule.limit)).min()
    }
}
