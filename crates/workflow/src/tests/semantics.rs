//! The semantics of Jobs JSON as tables of tests: a row is a workflow in short, and how each of its tasks and its run end.
//!
//! A task is written as `key: those before | what else`, with `c=true` for one outcome of the condition task `c`:
//!
//! | Word | stands for |
//! |---|---|
//! | `do <program>` | a shell task, see [`lab`]; `do ok` when there is no body |
//! | `when <left> <op> <right>` | a condition task |
//! | `if <RUN_IF>` | `run_if` |
//! | `disabled`, `retry_on_timeout` | those fields |
//! | `retries <n>`, `interval <millis>`, `timeout <seconds>` | those fields |
//!
//! An end is written as `key=STATE`, and `key=STATE*2` for a task that was started twice.

mod attempts;
mod jobs;
pub(crate) mod lab;
mod loops;
mod parameters;
mod references;
mod results;
mod run_if;

use serde_json::{Map, Value, json};

use crate::{ResultState, RunOutcome};
use lab::Lab;

/// A workflow in short, and how it ends.
type Row<'a> = (&'a str, &'a [&'a str], &'a str, ResultState);

/// Runs each row and compares.
async fn check_rows(rows: &[Row<'_>]) {
    for (name, tasks, ends, state) in rows {
        let outcome = Lab::new(&[workflow("w", tasks)]).run("w").await;
        assert_eq!(ended(&outcome), *ends, "{name}");
        assert_eq!(outcome.state, *state, "{name}");
    }
}

/// A workflow of tasks in short.
pub(crate) fn workflow(name: &str, tasks: &[&str]) -> Value {
    json!({"name": name, "max_parallel_tasks": 100, "tasks": tasks.iter().map(|text| task(text)).collect::<Vec<_>>()})
}

pub(crate) fn task(text: &str) -> Value {
    let (head, rest) = text.split_once('|').unwrap_or((text, ""));
    let (key, before) = head.split_once(':').unwrap_or((head, ""));
    let before = before.split_whitespace().map(|text| match text.split_once('=') {
        Some((key, outcome)) => json!({"task_key": key, "outcome": outcome}),
        None => json!({"task_key": text}),
    });
    let mut task = Map::new();
    task.insert("task_key".into(), key.trim().into());
    task.insert("depends_on".into(), before.collect::<Vec<_>>().into());
    for part in rest.split('|').map(str::trim).filter(|part| !part.is_empty()) {
        let (word, value) = part.split_once(' ').unwrap_or((part, ""));
        let number = || value.parse::<i64>().unwrap();
        let (field, value): (&str, Value) = match word {
            "do" => ("shell_task", json!({"command": value.split_whitespace().collect::<Vec<_>>()})),
            "when" => {
                let [left, op, right] = value.split_whitespace().collect::<Vec<_>>()[..] else { panic!("{part}") };
                ("condition_task", json!({"left": left, "op": op, "right": right}))
            }
            "if" => ("run_if", value.into()),
            "disabled" | "retry_on_timeout" => (word, true.into()),
            "retries" => ("max_retries", number().into()),
            "interval" => ("min_retry_interval_millis", number().into()),
            "timeout" => ("timeout_seconds", number().into()),
            other => panic!("there is no word {other}"),
        };
        task.insert(field.into(), value);
    }
    if !task.keys().any(|field| field.ends_with("_task")) {
        task.insert("shell_task".into(), json!({"command": ["ok", key.trim()]}));
    }
    Value::Object(task)
}

/// How the tasks ended, in short.
pub(crate) fn ended(outcome: &RunOutcome) -> String {
    let task = |task: &crate::TaskOutcome| match task.executions {
        0 | 1 => format!("{}={}", task.task_key, task.state),
        times => format!("{}={}*{times}", task.task_key, task.state),
    };
    outcome.tasks.iter().map(task).collect::<Vec<_>>().join(" ")
}
