//! Warnings that a stream falls behind: the mean of ten minutes is above the limit of a health rule.

use std::collections::VecDeque;
use std::time::Duration;

use chrono::Utc;
use notify::{Destination, Notice};
use tokio::time::Instant;
use workflow::spec::Metric;
use workflow::stream::{StreamStatus, TableStatus};
use workflow::{HealthRule, Occasion, Workflow};

use super::{Outbox, destinations};

/// How often the figures are looked at.
const EVERY: Duration = Duration::from_secs(30);
/// What the mean is of.
const SPAN: Duration = Duration::from_secs(600);
/// After how long a warning is repeated.
const AGAIN: Duration = Duration::from_secs(1800);

/// Watches the rules of a workflow that are about a backlog.
pub(crate) struct Backlog {
    project: String,
    workflow: String,
    to: Vec<Destination>,
    rules: Vec<Watched>,
    outbox: Outbox,
}

/// A rule and the figures of late.
struct Watched {
    rule: HealthRule,
    figures: VecDeque<(Instant, f64)>,
    told: Option<Instant>,
}

impl Backlog {
    /// What is to be watched of a workflow; without rules or somebody to tell it is nothing.
    pub(crate) fn new(project: &str, workflow: &Workflow, outbox: Outbox) -> Backlog {
        let notifications = workflow.notifications();
        let is_measured = |rule: &&HealthRule| {
            matches!(rule.metric, Metric::StreamingBacklogRecords | Metric::StreamingBacklogSeconds)
        };
        let rules = notifications.health.iter().filter(is_measured);
        let watched = |rule: &HealthRule| Watched { rule: *rule, figures: VecDeque::new(), told: None };
        Backlog {
            project: project.to_owned(),
            workflow: workflow.name().to_owned(),
            to: destinations(notifications, Occasion::BacklogWarning),
            rules: rules.map(watched).collect(),
            outbox,
        }
    }

    /// Looks at the figures again and again. It never ends.
    pub(crate) async fn watch(mut self, status: &StreamStatus) {
        if self.rules.is_empty() || self.to.is_empty() {
            return std::future::pending().await;
        }
        loop {
            tokio::time::sleep(EVERY).await;
            self.look(&status.tables());
        }
    }

    pub(super) fn look(&mut self, tables: &[TableStatus]) {
        let now = Instant::now();
        for watched in &mut self.rules {
            let Some(reason) = figure(watched.rule.metric, tables).and_then(|figure| watched.add(figure, now)) else {
                continue;
            };
            let event = notify::Event::BacklogWarning;
            let notice = Notice::new(event, self.project.as_str(), self.workflow.as_str());
            let notice = Notice { reason: Some(reason), ..notice };
            self.to.iter().for_each(|to| self.outbox.put(notice.clone(), to.clone()));
        }
    }
}

impl Watched {
    /// Adds a figure, and says why it is time for a warning, if it is.
    fn add(&mut self, figure: f64, now: Instant) -> Option<String> {
        self.figures.push_back((now, figure));
        let is_old = |(at, _): &(Instant, f64)| now - *at > SPAN;
        let is_full = self.figures.front().is_some_and(|(at, _)| now - *at >= SPAN - EVERY);
        while self.figures.front().is_some_and(is_old) {
            self.figures.pop_front();
        }
        let mean = self.figures.iter().map(|(_, figure)| figure).sum::<f64>() / self.figures.len().max(1) as f64;
        let is_due = self.told.is_none_or(|told| now - told >= AGAIN);
        if !is_full || mean <= self.rule.limit as f64 || !is_due {
            return None;
        }
        self.told = Some(now);
        let (limit, what) =
            (self.rule.limit, if self.rule.metric == Metric::StreamingBacklogSeconds { "s" } else { "rows" });
        Some(format!("{mean:.0} {what} behind, the mean of ten minutes; the limit is {limit} {what}"))
    }
}

/// How far the sources are behind; `None` when none of them tells.
fn figure(metric: Metric, tables: &[TableStatus]) -> Option<f64> {
    let behind = tables.iter().filter_map(|table| Some((table, table.total_lag()?)));
    match metric {
        Metric::StreamingBacklogRecords => behind.map(|(_, rows)| rows as f64).reduce(|sum, rows| sum + rows),
        Metric::StreamingBacklogSeconds => {
            // What waits is younger than the newest row that was read.
            let age = |(table, rows): (&TableStatus, u64)| match (rows, table.event_time) {
                (0, _) => Some(0.0),
                (_, time) => time.map(|time| (Utc::now() - time).num_milliseconds().max(0) as f64 / 1000.0),
            };
            behind.filter_map(age).reduce(f64::max)
        }
        Metric::RunDurationSeconds | Metric::StreamingBacklogBytes | Metric::StreamingBacklogFiles => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_mean_of_ten_minutes_counts_and_is_told_again_after_half_an_hour() {
        let rule = HealthRule { metric: Metric::StreamingBacklogRecords, limit: 100 };
        let mut watched = Watched { rule, figures: VecDeque::new(), told: None };
        let mut told = Vec::new();
        for minute in 0..100u64 {
            // A short peak at first, then a backlog that stays, then none.
            let figure = match minute {
                0 => 900.0,
                30..75 => 200.0,
                _ => 0.0,
            };
            for _ in 0..2 {
                told.extend(watched.add(figure, Instant::now()).map(|_| minute));
                tokio::time::advance(EVERY).await;
            }
        }
        assert_eq!(told, [35, 65]);
    }

    #[test]
    fn a_source_that_does_not_tell_how_far_it_is_behind_is_not_judged() {
        assert_eq!(figure(Metric::StreamingBacklogRecords, &[]), None);
    }
}
