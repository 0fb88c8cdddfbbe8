//! `medallion runs compare A B`: two runs, task by task.

use std::collections::{BTreeMap, BTreeSet};

use ::stage::Result;
use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use workflow::History;
use workflow::history::{RunDetails, TaskRecord};
use workflow::pictures::{duration, is_item, seconds_of, state_of};

use super::{csv, details, run_object, seconds, time};
use crate::args::{CompareArguments, OutputFormat};
use crate::output::{self, thousands};

const COLUMNS: [(&str, &str); 8] = [
    ("task_key", "/task_key"),
    ("first_state", "/first/state"),
    ("second_state", "/second/state"),
    ("first_seconds", "/first/seconds"),
    ("second_seconds", "/second/seconds"),
    ("ratio", "/ratio"),
    ("first_rows_written", "/first/rows_written"),
    ("second_rows_written", "/second/rows_written"),
];
/// A value longer than this is told as cut.
const LONGEST_VALUE: usize = 60;

/// Compares the runs.
pub(super) async fn run(history: &History, arguments: &CompareArguments, output: OutputFormat) -> Result<u8> {
    let now = Utc::now();
    let pair = Pair {
        first: details(history, arguments.first).await?,
        second: details(history, arguments.second).await?,
        now,
    };
    let tasks: Vec<Value> = pair.keys().iter().map(|key| pair.task(key)).collect();
    output::print(&match output {
        OutputFormat::Csv => csv(&COLUMNS, &tasks),
        OutputFormat::Json => json!({
            "first": run_object(&pair.first.run, now), "second": run_object(&pair.second.run, now),
            "parameters": pair.parameters(), "tasks": tasks,
        })
        .to_string(),
        OutputFormat::Table => pair.told(&tasks),
    });
    Ok(0)
}

struct Pair {
    first: RunDetails,
    second: RunDetails,
    now: DateTime<Utc>,
}

impl Pair {
    /// The tasks of both, in the order of the second, then those that only the first has. Items of loops are left out.
    fn keys(&self) -> Vec<String> {
        let of = |details: &RunDetails| -> Vec<String> {
            details.tasks.iter().filter(|task| !is_item(task)).map(|task| task.task_key.clone()).collect()
        };
        let mut keys = of(&self.second);
        let more: Vec<String> = of(&self.first).into_iter().filter(|key| !keys.contains(key)).collect();
        keys.extend(more);
        keys
    }

    fn task(&self, key: &str) -> Value {
        let side = |details: &RunDetails| {
            let task = details.tasks.iter().find(|task| task.task_key == key)?;
            let seconds = seconds_of(details, task, self.now);
            Some((
                seconds,
                json!({
                    "state": state_of(details, task), "seconds": seconds, "rows_written": task.rows.written,
                }),
            ))
        };
        let (first, second) = (side(&self.first), side(&self.second));
        let times = first.as_ref().and_then(|side| side.0).zip(second.as_ref().and_then(|side| side.0));
        let values = |details: &RunDetails| {
            let task = details.tasks.iter().find(|task| task.task_key == key);
            task.map(values).unwrap_or_default()
        };
        json!({
            "task_key": key, "first": first.map(|side| side.1), "second": second.map(|side| side.1),
            "ratio": times.and_then(|(first, second)| ratio(first, second)),
            "values": changed(&values(&self.first), &values(&self.second)),
        })
    }

    fn parameters(&self) -> BTreeMap<String, [Value; 2]> {
        let of = |details: &RunDetails| {
            let parameters = details.run.parameters.iter();
            parameters.map(|(name, value)| (name.clone(), Value::from(value.as_str()))).collect()
        };
        changed(&of(&self.first), &of(&self.second))
    }

    fn told(&self, tasks: &[Value]) -> String {
        let head = [&self.first.run, &self.second.run].map(|run| {
            let took = seconds(run, self.now).map(duration).unwrap_or_default();
            let started = time(run.started_at.unwrap_or(run.queued_at));
            vec![format!("run {}", run.number), run.workflow.clone(), run.status().to_string(), started, took]
        });
        let mut text = output::aligned(&head);
        let rows: Vec<Vec<String>> = tasks.iter().map(row).collect();
        text.push('\n');
        text.push_str(&output::columns(&["task", "state", "time", "ratio", "rows"], &rows));
        let mut changes: Vec<String> =
            self.parameters().iter().map(|(name, sides)| format!("parameter {name}: {}", both(sides))).collect();
        for task in tasks {
            let values = task["values"].as_object().into_iter().flatten();
            changes.extend(values.filter_map(|(name, sides)| {
                let sides: [Value; 2] = serde_json::from_value(sides.clone()).ok()?;
                Some(format!("{}.{name}: {}", task["task_key"].as_str()?, both(&sides)))
            }));
        }
        if !changes.is_empty() {
            text.push('\n');
            changes.iter().for_each(|change| text.push_str(&format!("{change}\n")));
        }
        text
    }
}

/// What a task published, without the counts that stand beside it already.
fn values(task: &TaskRecord) -> BTreeMap<String, Value> {
    let counted = ["rows_read", "rows_written", "rows_quarantined", "rows_dropped", "version", "run_id"];
    let values = task.output.values.iter().filter(|(name, _)| !counted.contains(&name.as_str()));
    values.map(|(name, value)| (name.clone(), value.clone())).collect()
}

/// What is not the same on both sides; null where a side has none.
fn changed(first: &BTreeMap<String, Value>, second: &BTreeMap<String, Value>) -> BTreeMap<String, [Value; 2]> {
    let names: BTreeSet<&String> = first.keys().chain(second.keys()).collect();
    let side = |side: &BTreeMap<String, Value>, name: &String| side.get(name).cloned().unwrap_or_default();
    let pairs = names.into_iter().map(|name| (name.clone(), [side(first, name), side(second, name)]));
    pairs.filter(|(_, [first, second])| first != second).collect()
}

/// How many times as long the second took, to two places; `None` for what took no time.
fn ratio(first: f64, second: f64) -> Option<f64> {
    (first > 0.0).then(|| (second / first * 100.0).round() / 100.0)
}

fn row(task: &Value) -> Vec<String> {
    let text = |side: &str, field: &str| match &task[side][field] {
        Value::Null => "-".to_owned(),
        Value::String(text) => text.clone(),
        Value::Number(number) if field == "seconds" => duration(number.as_f64().unwrap_or_default()),
        Value::Number(number) => thousands(number.as_u64().unwrap_or_default()),
        other => other.to_string(),
    };
    let sides = |field: &str| match (text("first", field), text("second", field)) {
        (first, second) if first == second => first,
        (first, second) => format!("{first} -> {second}"),
    };
    let ratio = task["ratio"].as_f64().map(|ratio| format!("{ratio:.2}")).unwrap_or_default();
    vec![
        task["task_key"].as_str().unwrap_or_default().to_owned(),
        sides("state"),
        sides("seconds"),
        ratio,
        sides("rows_written"),
    ]
}

fn both([first, second]: &[Value; 2]) -> String {
    let text = |value: &Value| match value {
        Value::Null => "-".to_owned(),
        Value::String(text) => workflow::drawing::fitted(text, LONGEST_VALUE),
        value => workflow::drawing::fitted(&value.to_string(), LONGEST_VALUE),
    };
    format!("{} -> {}", text(first), text(second))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_differs_is_told_and_what_a_side_lacks_is_null() {
        let first = BTreeMap::from([("same".to_owned(), json!(1)), ("old".to_owned(), json!("a"))]);
        let second = BTreeMap::from([("same".to_owned(), json!(1)), ("new".to_owned(), json!([2]))]);
        let changed = changed(&first, &second);
        assert_eq!(json!(changed), json!({ "new": [null, [2]], "old": ["a", null] }));
        assert_eq!(both(&changed["old"]), "a -> -");
    }

    #[test]
    fn a_ratio_needs_something_to_compare_with() {
        assert_eq!((ratio(2.0, 3.0), ratio(0.0, 3.0)), (Some(1.5), None));
    }
}
