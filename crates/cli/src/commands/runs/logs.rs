//! `medallion runs logs N`: what the tasks of a run said, in the order they said it.

use std::collections::BTreeMap;
use std::time::Duration;

use ::stage::{Error, Result};
use serde_json::{Value, json};
use workflow::History;
use workflow::history::RunDetails;

use super::{csv, details};
use crate::args::{LogsArguments, OutputFormat};
use crate::output;
use crate::project::hint;

/// How often a log that is followed is looked at.
const LOOK: Duration = Duration::from_millis(200);
/// A line begins with its time, in RFC 3339 with milliseconds.
const TIME: usize = "2024-01-01T00:00:00.000Z".len();

/// A line of a log. Lines without a time of their own belong to the one before.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Said {
    time: String,
    task: String,
    text: String,
}

/// Prints the logs; when they are followed, until the run has ended.
pub(super) async fn run(history: &History, arguments: &LogsArguments, output: OutputFormat) -> Result<u8> {
    let mut read = BTreeMap::new();
    let mut found = details(history, arguments.number).await?;
    let all = keys(&found, arguments)?;
    let names_tasks = all.len() > 1 || arguments.task.is_none();
    let said = new_lines(history, &found, arguments, &mut read)?;
    if !arguments.follow {
        if said.is_empty() && output == OutputFormat::Table {
            output::note("nothing was said");
        }
        output::print_all(&told(&said, names_tasks, output));
        return Ok(0);
    }
    output::print_all(&followed(&said, names_tasks, output));
    while found.run.state.is_none() {
        tokio::time::sleep(LOOK).await;
        // What is said before the end that is seen here is read after it.
        found = details(history, arguments.number).await?;
        let said = new_lines(history, &found, arguments, &mut read)?;
        output::print_all(&followed(&said, names_tasks, output));
    }
    Ok(0)
}

/// The tasks that are meant, with the items of a loop.
fn keys(details: &RunDetails, arguments: &LogsArguments) -> Result<Vec<String>> {
    let all = || details.tasks.iter().map(|task| task.task_key.as_str());
    let Some(task) = &arguments.task else { return Ok(all().map(str::to_owned).collect()) };
    let items = format!("{task}[");
    let keys: Vec<String> = all().filter(|key| key == task || key.starts_with(&items)).map(str::to_owned).collect();
    match keys.is_empty() {
        false => Ok(keys),
        true => Err(Error::config(format!("run {} has no task `{task}`{}", details.run.number, hint(task, all())))),
    }
}

/// What was said since the last look, sorted by time; `read` is how many bytes of each log are known.
fn new_lines(
    history: &History,
    details: &RunDetails,
    arguments: &LogsArguments,
    read: &mut BTreeMap<String, u64>,
) -> Result<Vec<Said>> {
    let mut said = Vec::new();
    for key in keys(details, arguments)? {
        let from = read.entry(key.clone()).or_default();
        let text = history.logs().read(details.run.number, &key, *from)?;
        // A line that is being written is read when it is whole.
        let whole = text.rfind('\n').map_or("", |end| &text[..=end]);
        *from += whole.len() as u64;
        said.extend(lines(&key, whole));
    }
    said.sort_by(|one, other| one.time.cmp(&other.time));
    Ok(said)
}

fn lines(task: &str, text: &str) -> Vec<Said> {
    let mut lines: Vec<Said> = Vec::new();
    for line in text.lines() {
        match (begins_with_time(line), lines.last_mut()) {
            (true, _) | (false, None) => {
                let (time, text) = if begins_with_time(line) { (&line[..TIME], &line[TIME..]) } else { ("", line) };
                let text = text.trim_start().to_owned();
                lines.push(Said { time: time.to_owned(), task: task.to_owned(), text });
            }
            (false, Some(before)) => {
                before.text.push('\n');
                before.text.push_str(line);
            }
        }
    }
    lines
}

fn begins_with_time(line: &str) -> bool {
    line.get(..TIME).is_some_and(|time| chrono::DateTime::parse_from_rfc3339(time).is_ok())
}

fn told(said: &[Said], names_tasks: bool, output: OutputFormat) -> String {
    let objects = || said.iter().map(object).collect::<Vec<Value>>();
    match output {
        OutputFormat::Json => Value::from(objects()).to_string(),
        OutputFormat::Csv => csv(&[("time", "/time"), ("task_key", "/task_key"), ("text", "/text")], &objects()),
        OutputFormat::Table => for_people(said, names_tasks),
    }
}

/// The same piece by piece: for programs an object on each line.
fn followed(said: &[Said], names_tasks: bool, output: OutputFormat) -> String {
    match output {
        OutputFormat::Table => for_people(said, names_tasks),
        _ => said.iter().map(|said| format!("{}\n", object(said))).collect(),
    }
}

fn object(said: &Said) -> Value {
    json!({ "time": said.time, "task_key": said.task, "text": said.text })
}

fn for_people(said: &[Said], names_tasks: bool) -> String {
    let width = said.iter().map(|said| said.task.chars().count()).max().unwrap_or_default();
    let mut text = String::new();
    for Said { time, task, text: line } in said {
        // The day stands in `runs show`; what differs from line to line is the time.
        let time = time.get(11..TIME - 1).unwrap_or_default();
        let lead = if names_tasks { format!("{time} {task:width$} | ") } else { format!("{time} ") };
        let next = format!("\n{}", " ".repeat(lead.chars().count()));
        text.push_str(&format!("{lead}{}\n", line.replace('\n', &next)));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_all_tasks_stand_in_the_order_of_time_and_a_line_without_one_stays_with_the_one_before() {
        let mut said = lines("a", "2024-01-01T00:00:00.001Z one\nmore\n2024-01-01T00:00:00.003Z three\n");
        said.extend(lines("load", "2024-01-01T00:00:00.002Z two\n"));
        said.sort_by(|one, other| one.time.cmp(&other.time));
        let expected =
            "00:00:00.001 a    | one\n                    more\n00:00:00.002 load | two\n00:00:00.003 a    | three\n";
        assert_eq!(for_people(&said, true), expected);
        assert!(told(&said, true, OutputFormat::Csv).starts_with("time,task_key,text\n2024-01-01T00:00:00.001Z,a,"));
    }
}
