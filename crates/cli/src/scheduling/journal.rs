//! What a scheduler says on stderr: a line for each thing that happens, or a JSON object for programs.

use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::{Value, json};
use workflow::Event as RunEvent;
use workflow::scheduler::Event;

use crate::args::LogFormat;
use crate::output::{self, thousands};

/// Writes events as they happen.
pub(crate) struct Journal {
    format: LogFormat,
}

/// An event as it is written: how grave it is, its name, its words and its values.
struct Entry {
    level: &'static str,
    event: &'static str,
    text: String,
    values: Value,
}

impl Journal {
    /// A journal in that format.
    pub(crate) fn new(format: LogFormat) -> Journal {
        Journal { format }
    }

    /// Writes an event, if it is one that somebody wants to read later.
    pub(crate) fn write(&self, event: &Event) {
        if let Some(entry) = entry(event) {
            output::note(&line(self.format, Utc::now(), entry));
        }
    }

    /// Writes a line that is not about an event.
    pub(crate) fn note(&self, text: &str) {
        let entry = Entry { level: "INFO", event: "note", text: text.to_owned(), values: json!({}) };
        output::note(&line(self.format, Utc::now(), entry));
    }
}

fn line(format: LogFormat, now: DateTime<Utc>, entry: Entry) -> String {
    let now = now.to_rfc3339_opts(SecondsFormat::Millis, true);
    let Entry { level, event, text, values } = entry;
    match format {
        LogFormat::Text => format!("{now} {text}"),
        LogFormat::Json => {
            let mut object =
                json!({"timestamp": now, "level": level, "target": "scheduler", "event": event, "message": text});
            if let (Value::Object(object), Value::Object(values)) = (&mut object, values) {
                object.extend(values);
            }
            object.to_string()
        }
    }
}

fn entry(event: &Event) -> Option<Entry> {
    let entry = |level, event, text, values| Some(Entry { level, event, text, values });
    match event {
        Event::RunQueued { number, workflow, .. } => {
            let text = format!("run {number} of {workflow} waits for its turn");
            entry("INFO", "run_queued", text, json!({"run": number, "workflow": workflow}))
        }
        Event::RunSkipped { number, workflow, reason, .. } => {
            let text = format!("run {number} of {workflow} does not take place: {reason}");
            entry("WARN", "run_skipped", text, json!({"run": number, "workflow": workflow, "reason": reason}))
        }
        Event::Missed { number, workflow, missed, reason } => {
            let text = format!("{workflow}: {reason}; they are recorded as run {number}");
            entry("WARN", "missed", text, json!({"run": number, "workflow": workflow, "missed": missed}))
        }
        Event::Run { number, workflow, event, .. } => of_run(*number, workflow, event),
        Event::Paused { workflow, paused } => {
            let text = format!("{workflow} {}", if *paused { "is paused" } else { "goes on" });
            entry("INFO", "paused", text, json!({"workflow": workflow, "paused": paused}))
        }
        Event::Reloaded { workflows } => {
            let text = format!("the project was read anew: {}", output::counted(*workflows as u64, "workflow"));
            entry("INFO", "reloaded", text, json!({"workflows": workflows}))
        }
        Event::ProblemsFound { problems } => {
            let text = format!("the project as it was stays in use; its files have problems:\n{}", problems.join("\n"));
            entry("ERROR", "problems_found", text, json!({"problems": problems}))
        }
        Event::Trouble { workflow, kind, message } => {
            let about = workflow.as_ref().map(|workflow| format!("{workflow}: ")).unwrap_or_default();
            let values = json!({"workflow": workflow, "kind": kind.name()});
            entry("ERROR", "trouble", format!("{about}{message}"), values)
        }
        _ => None,
    }
}

fn of_run(number: i64, workflow: &str, event: &RunEvent) -> Option<Entry> {
    let (level, name, text, values) = match event {
        RunEvent::RunStarted { tasks, .. } => {
            let text = format!("run {number} of {workflow} begins: {}", output::counted(*tasks as u64, "task"));
            ("INFO", "run_started", text, json!({}))
        }
        RunEvent::AttemptFailed { task_key, attempt_number, message, will_retry_in, .. } => {
            let next = will_retry_in.map(|delay| format!("; trying again in {:.1} s", delay.as_secs_f64()));
            let next = next.unwrap_or_default();
            let text = format!("run {number} of {workflow}: task `{task_key}` failed: {message}{next}");
            ("WARN", "attempt_failed", text, json!({"task": task_key, "attempt": attempt_number}))
        }
        RunEvent::RunEnded { state, progress, seconds } => {
            let rows = thousands(progress.rows_written);
            let text = format!("run {number} of {workflow} {state} in {seconds:.2} s, {rows} rows written");
            let level = if state.is_failure() { "ERROR" } else { "INFO" };
            let values = json!({"state": state, "seconds": seconds, "rows_written": progress.rows_written});
            (level, "run_ended", text, values)
        }
        _ => return None,
    };
    let mut values = values;
    values["run"] = number.into();
    values["workflow"] = workflow.into();
    Some(Entry { level, event: name, text, values })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_a_line_for_people_and_an_object_for_programs() {
        let event = Event::RunSkipped {
            number: 7,
            workflow: "shop".to_owned(),
            cause: workflow::Cause::default(),
            reason: "max_concurrent_runs is 0".to_owned(),
        };
        let now = DateTime::from_timestamp(1_750_000_000, 0).unwrap();
        let written = |format| line(format, now, entry(&event).unwrap());
        assert_eq!(
            written(LogFormat::Text),
            "2025-06-15T15:06:40.000Z run 7 of shop does not take place: max_concurrent_runs is 0"
        );
        let object: Value = serde_json::from_str(&written(LogFormat::Json)).unwrap();
        assert_eq!(
            (&object["level"], &object["run"], &object["event"]),
            (&"WARN".into(), &7.into(), &"run_skipped".into())
        );
    }
}
