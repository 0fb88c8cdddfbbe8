//! What there is to tell, and how it is put in words.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};

use crate::text::one_line;

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Event {
    /// A run or a task began.
    Start,
    /// It succeeded.
    Success,
    /// It failed.
    Failure,
    /// It takes longer than a health rule allows.
    DurationWarning,
    /// What waits to be read is more than a health rule allows.
    BacklogWarning,
    /// A run was due and did not take place.
    Skipped,
    /// Nothing happened; somebody wants to know whether notices arrive.
    Test,
}

impl Event {
    /// The name in JSON.
    pub fn name(self) -> &'static str {
        match self {
            Event::Start => "start",
            Event::Success => "success",
            Event::Failure => "failure",
            Event::DurationWarning => "duration_warning",
            Event::BacklogWarning => "backlog_warning",
            Event::Skipped => "skipped",
            Event::Test => "test",
        }
    }

    /// What the workflow or the task did, as the end of a sentence.
    fn verb(self) -> &'static str {
        match self {
            Event::Start => "started",
            Event::Success => "succeeded",
            Event::Failure => "failed",
            Event::DurationWarning => "takes longer than expected",
            Event::BacklogWarning => "falls behind",
            Event::Skipped => "was skipped",
            Event::Test => "test of notifications",
        }
    }
}

/// What there is to tell of a run, or of one task of it. Only the first three fields are always known.
#[derive(Debug, Clone, PartialEq)]
pub struct Notice {
    /// What happened.
    pub event: Event,
    /// The project.
    pub project: String,
    /// The workflow.
    pub workflow: String,
    /// The number of the run.
    pub run: Option<i64>,
    /// The task, when it is not the run as a whole.
    pub task_key: Option<String>,
    /// The state of the run or task, such as `SUCCESS_WITH_FAILURES`.
    pub state: Option<String>,
    /// The parameters of the run.
    pub parameters: BTreeMap<String, String>,
    /// When it started.
    pub started_at: Option<DateTime<Utc>>,
    /// When it ended.
    pub ended_at: Option<DateTime<Utc>>,
    /// How long it took, or takes so far, in seconds.
    pub seconds: Option<f64>,
    /// How many rows it wrote.
    pub rows_written: Option<u64>,
    /// What sort of error it was, such as `unavailable`.
    pub error_kind: Option<String>,
    /// What went wrong.
    pub error_message: Option<String>,
    /// Why there is a notice at all: the threshold that was passed, or why a run was skipped.
    pub reason: Option<String>,
    /// The address of the run's page.
    pub link: Option<String>,
}

impl Notice {
    /// A notice of which nothing further is known yet.
    pub fn new(event: Event, project: impl Into<String>, workflow: impl Into<String>) -> Self {
        Notice {
            event,
            project: project.into(),
            workflow: workflow.into(),
            run: None,
            task_key: None,
            state: None,
            parameters: BTreeMap::new(),
            started_at: None,
            ended_at: None,
            seconds: None,
            rows_written: None,
            error_kind: None,
            error_message: None,
            reason: None,
            link: None,
        }
    }

    /// One line that says it all, such as `[shop] daily: task load failed (run 12)`.
    pub fn headline(&self) -> String {
        let mut line = format!("[{}] ", one_line(&self.project));
        if !self.workflow.is_empty() {
            line += &one_line(&self.workflow);
            match (self.event, &self.task_key) {
                (Event::Test, _) => line += ": ",
                (_, Some(task)) => line += &format!(": task {} ", one_line(task)),
                (_, None) => line.push(' '),
            }
        }
        line += self.event.verb();
        if let Some(run) = self.run {
            line += &format!(" (run {run})");
        }
        line
    }

    /// What else is known, as names and values for people; the error and the link are told apart from them. Values are one
    /// line each, and may be long.
    pub(crate) fn facts(&self) -> Vec<(&'static str, String)> {
        let time = |time: Option<DateTime<Utc>>| time.map(|time| time.format("%Y-%m-%d %H:%M:%S UTC").to_string());
        let parameters: Vec<String> = self.parameters.iter().map(|(name, value)| format!("{name} = {value}")).collect();
        let known = [
            ("Reason", self.reason.clone()),
            ("State", self.state.clone()),
            ("Started", time(self.started_at)),
            ("Ended", time(self.ended_at)),
            ("Took", self.seconds.map(duration)),
            ("Rows written", self.rows_written.map(grouped)),
            ("Parameters", (!parameters.is_empty()).then(|| parameters.join(", "))),
        ];
        let known = known.into_iter().filter_map(|(name, value)| Some((name, one_line(&value?))));
        known.filter(|(_, value)| !value.is_empty()).collect()
    }

    /// What went wrong, with its kind before it.
    pub(crate) fn error(&self) -> Option<String> {
        match (&self.error_kind, &self.error_message) {
            (Some(kind), Some(message)) => Some(format!("{kind}: {message}")),
            (one, other) => one.as_ref().or(other.as_ref()).cloned(),
        }
    }

    /// The address of the run's page, when it is one of the web; another could run something where it is clicked.
    pub(crate) fn web_link(&self) -> Option<String> {
        let url = reqwest::Url::parse(self.link.as_deref()?).ok()?;
        ["http", "https"].contains(&url.scheme()).then(|| url.to_string())
    }
}

/// Seconds for people.
fn duration(seconds: f64) -> String {
    let whole = seconds.max(0.0).round() as u64;
    match whole {
        0..60 => format!("{:.1} s", seconds.max(0.0)),
        60..3600 => format!("{} min {} s", whole / 60, whole % 60),
        _ => format!("{} h {} min", whole / 3600, whole % 3600 / 60),
    }
}

/// A number with a comma before each three digits.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_headline_names_project_workflow_task_and_run() {
        let mut notice = Notice::new(Event::Failure, "shop", "daily");
        assert_eq!(notice.headline(), "[shop] daily failed");
        notice.run = Some(12);
        assert_eq!(notice.headline(), "[shop] daily failed (run 12)");
        notice.task_key = Some("load\r\norders".to_owned());
        assert_eq!(notice.headline(), "[shop] daily: task load orders failed (run 12)");
        assert_eq!(Notice::new(Event::Test, "shop", "").headline(), "[shop] test of notifications");
        assert_eq!(Notice::new(Event::Test, "shop", "daily").headline(), "[shop] daily: test of notifications");
    }

    #[test]
    fn numbers_are_written_for_people() {
        assert_eq!([0.44, 59.4, 61.0, 7384.0].map(duration), ["0.4 s", "59.4 s", "1 min 1 s", "2 h 3 min"]);
        assert_eq!([7, 1_000, 1_234_567].map(grouped), ["7", "1,000", "1,234,567"]);
    }

    #[test]
    fn only_addresses_of_the_web_become_links() {
        let link = |text: &str| {
            let link = Some(text.to_owned());
            Notice { link, ..Notice::new(Event::Start, "shop", "daily") }.web_link()
        };
        assert_eq!(link("http://127.0.0.1:9601/runs/12").as_deref(), Some("http://127.0.0.1:9601/runs/12"));
        assert_eq!(link("https://host/a|b>c").as_deref(), Some("https://host/a|b%3Ec"));
        assert_eq!(link("javascript:alert(1)"), None);
        assert_eq!(link("runs/12"), None);
    }
}
