//! A notice as JSON for programs.
//!
//! Every field is always there, and `null` when it is not known. Fields are added, never changed or taken away, while
//! `version` is 1. Times are in UTC as ISO 8601 with milliseconds.
//!
//! | field | is |
//! |---|---|
//! | `version` | 1 |
//! | `event` | `start`, `success`, `failure`, `duration_warning`, `backlog_warning`, `skipped` or `test` |
//! | `headline` | one line for people |
//! | `project`, `workflow` | their names |
//! | `run` | the number of the run |
//! | `task_key` | the task, or `null` when it is about the run |
//! | `state` | the state, such as `SUCCESS_WITH_FAILURES` |
//! | `parameters` | an object of texts |
//! | `started_at`, `ended_at` | times |
//! | `seconds` | how long it took, or takes so far |
//! | `rows_written` | a number |
//! | `error` | an object with `kind` and `message` |
//! | `reason` | the threshold that was passed, or why a run was skipped |
//! | `link` | the address of the run's page |

use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::{Value, json};

use crate::notice::Notice;

/// The body.
pub(super) fn body(notice: &Notice) -> Value {
    let time = |time: Option<DateTime<Utc>>| time.map(|time| time.to_rfc3339_opts(SecondsFormat::Millis, true));
    let has_error = notice.error_kind.is_some() || notice.error_message.is_some();
    json!({
        "version": 1,
        "event": notice.event.name(),
        "headline": notice.headline(),
        "project": notice.project,
        "workflow": notice.workflow,
        "run": notice.run,
        "task_key": notice.task_key,
        "state": notice.state,
        "parameters": notice.parameters,
        "started_at": time(notice.started_at),
        "ended_at": time(notice.ended_at),
        "seconds": notice.seconds,
        "rows_written": notice.rows_written,
        "error": has_error.then(|| json!({ "kind": notice.error_kind, "message": notice.error_message })),
        "reason": notice.reason,
        "link": notice.web_link(),
    })
}
