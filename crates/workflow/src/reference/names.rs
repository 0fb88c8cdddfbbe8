//! The names that references can be made of: from words to a [`Reference`], and back.

use super::{JobField, Legacy, Reference, TaskField, TaskResult, TimeArgument, TriggerField, WorkspaceField};
use crate::nearest::hint;

/// A name of a closed set, and what it stands for.
type Name<T> = (&'static str, T);

const JOB: [Name<JobField>; 4] = [
    ("id", JobField::Id),
    ("name", JobField::Name),
    ("run_id", JobField::RunId),
    ("repair_count", JobField::RepairCount),
];

const TASK: [Name<TaskField>; 4] = [
    ("name", TaskField::Name),
    ("run_id", TaskField::RunId),
    ("execution_count", TaskField::ExecutionCount),
    ("notebook_path", TaskField::NotebookPath),
];

const RESULTS: [Name<TaskResult>; 4] = [
    ("run_id", TaskResult::RunId),
    ("result_state", TaskResult::ResultState),
    ("error_code", TaskResult::ErrorCode),
    ("execution_count", TaskResult::ExecutionCount),
];

const WORKSPACE: [Name<WorkspaceField>; 2] = [("id", WorkspaceField::Id), ("url", WorkspaceField::Url)];

const TIME: [Name<TimeArgument>; 11] = [
    ("iso_date", TimeArgument::IsoDate),
    ("iso_datetime", TimeArgument::IsoDatetime),
    ("iso_weekday", TimeArgument::IsoWeekday),
    ("is_weekday", TimeArgument::IsWeekday),
    ("year", TimeArgument::Year),
    ("month", TimeArgument::Month),
    ("day", TimeArgument::Day),
    ("hour", TimeArgument::Hour),
    ("minute", TimeArgument::Minute),
    ("second", TimeArgument::Second),
    ("timestamp_ms", TimeArgument::TimestampMs),
];

const LEGACY: [Name<Legacy>; 7] = [
    ("job_id", Legacy::JobId),
    ("run_id", Legacy::RunId),
    ("start_date", Legacy::StartDate),
    ("start_time", Legacy::StartTime),
    ("task_key", Legacy::TaskKey),
    ("parent_run_id", Legacy::ParentRunId),
    ("task_retry_count", Legacy::TaskRetryCount),
];

/// The first words of all references but the deprecated ones.
pub(super) const NAMESPACES: [&str; 6] = ["job", "task", "tasks", "input", "workspace", "backfill"];

/// What the words name; `None` when the first one is unknown.
///
/// # Errors
/// The reason why they name nothing although the first one is known.
pub(super) fn resolve(words: &[&str]) -> Result<Option<Reference>, String> {
    Ok(Some(match words {
        ["job", rest @ ..] => job(rest)?,
        ["task", rest @ ..] => Reference::Task(one_of("task", rest, &TASK)?),
        ["tasks", task, rest @ ..] => Reference::OtherTask { task: (*task).to_owned(), result: result(task, rest)? },
        ["tasks"] => return Err("`tasks` needs the key of a task after it".to_owned()),
        ["input", path @ ..] => Reference::Input(owned(path)),
        ["workspace", rest @ ..] => Reference::Workspace(one_of("workspace", rest, &WORKSPACE)?),
        ["backfill", rest @ ..] => Reference::Backfill(one_of("backfill", rest, &TIME)?),
        [name] => return Ok(find(name, &LEGACY).map(Reference::Legacy)),
        _ => return Ok(None),
    }))
}

fn job(words: &[&str]) -> Result<Reference, String> {
    match words {
        ["start_time", rest @ ..] => Ok(Reference::StartTime(one_of("job.start_time", rest, &TIME)?)),
        ["parameters", name] => Ok(Reference::JobParameter((*name).to_owned())),
        ["parameters"] => Err("`job.parameters` needs the name of a parameter after it".to_owned()),
        ["parameters", name @ ..] => Err(format!(
            "a parameter has no fields; for a parameter with that name, write job.parameters.`{}`",
            name.join(".")
        )),
        ["trigger", rest @ ..] => trigger(rest),
        _ => Ok(Reference::Job(one_of_more("job", words, &JOB, &["start_time", "parameters", "trigger"])?)),
    }
}

fn trigger(words: &[&str]) -> Result<Reference, String> {
    match words {
        ["time", rest @ ..] => Ok(Reference::TriggerTime(one_of("job.trigger.time", rest, &TIME)?)),
        ["file_arrival", rest @ ..] => {
            let location = [("location", TriggerField::FileArrivalLocation)];
            Ok(Reference::Trigger(one_of("job.trigger.file_arrival", rest, &location)?))
        }
        ["table_update", rest @ ..] => Ok(Reference::Trigger(table_update(rest)?)),
        _ => {
            let plain = [("type", TriggerField::Type)];
            let nested = ["time", "file_arrival", "table_update"];
            Ok(Reference::Trigger(one_of_more("job.trigger", words, &plain, &nested)?))
        }
    }
}

/// The name of a table may be written in backticks or with its points.
fn table_update(words: &[&str]) -> Result<TriggerField, String> {
    match words {
        ["updated_tables"] => Ok(TriggerField::UpdatedTables),
        [table @ .., "version"] if !table.is_empty() => Ok(TriggerField::TableVersion(table.join("."))),
        [table @ .., "commit_timestamp", argument] if !table.is_empty() => {
            let argument = one_of("commit_timestamp", &[*argument], &TIME)?;
            Ok(TriggerField::TableCommitTime(table.join("."), argument))
        }
        _ => Err(
            "`job.trigger.table_update` is followed by `updated_tables`, or by the name of a table and then `version` \
                  or `commit_timestamp` with the part of the time"
                .to_owned(),
        ),
    }
}

fn result(task: &str, words: &[&str]) -> Result<TaskResult, String> {
    match words {
        ["values", key, path @ ..] => Ok(TaskResult::Value { key: (*key).to_owned(), path: owned(path) }),
        ["values"] => Err(format!("`tasks.{task}.values` needs the name of a value after it")),
        ["output", "first_row", column] => Ok(TaskResult::FirstRow((*column).to_owned())),
        ["output", "first_row", ..] => {
            Err(format!("`tasks.{task}.output.first_row` needs the name of one column after it"))
        }
        ["output", rest @ ..] => {
            one_of_more(&format!("tasks.{task}.output"), rest, &[("rows", TaskResult::Rows)], &["first_row"])
        }
        _ => one_of_more(&format!("tasks.{task}"), words, &RESULTS, &["values", "output"]),
    }
}

/// What the one word after `within` stands for.
fn one_of<T: Clone>(within: &str, words: &[&str], names: &[Name<T>]) -> Result<T, String> {
    one_of_more(within, words, names, &[])
}

/// The same where names in `longer`, which are followed by more words, could have stood as well.
fn one_of_more<T: Clone>(within: &str, words: &[&str], names: &[Name<T>], longer: &[&str]) -> Result<T, String> {
    let known = || names.iter().map(|(name, _)| *name).chain(longer.iter().copied());
    let listed = || known().collect::<Vec<_>>().join(", ");
    let Some((word, fields)) = words.split_first() else {
        return Err(format!("`{within}` needs one of these after it: {}", listed()));
    };
    match find(word, names) {
        Some(_) if !fields.is_empty() => Err(format!("`{within}.{word}` has no fields")),
        Some(found) => Ok(found),
        None => {
            let hint = hint(word, known());
            let hint = if hint.is_empty() { format!("; it has {}", listed()) } else { hint };
            Err(format!("`{within}` has no `{word}`{hint}"))
        }
    }
}

fn find<T: Clone>(word: &str, names: &[Name<T>]) -> Option<T> {
    names.iter().find(|(name, _)| *name == word).map(|(_, value)| value.clone())
}

fn owned(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

/// The words of a reference, without backticks.
pub(super) fn words(reference: &Reference) -> Vec<&str> {
    match reference {
        Reference::Job(field) => vec!["job", name_of(field, &JOB)],
        Reference::JobParameter(name) => vec!["job", "parameters", name],
        Reference::StartTime(argument) => vec!["job", "start_time", name_of(argument, &TIME)],
        Reference::TriggerTime(argument) => vec!["job", "trigger", "time", name_of(argument, &TIME)],
        Reference::Trigger(field) => [&["job", "trigger"], trigger_words(field).as_slice()].concat(),
        Reference::Task(field) => vec!["task", name_of(field, &TASK)],
        Reference::OtherTask { task, result } => [&["tasks", task.as_str()], result_words(result).as_slice()].concat(),
        Reference::Input(path) => [&["input"], borrowed(path).as_slice()].concat(),
        Reference::Workspace(field) => vec!["workspace", name_of(field, &WORKSPACE)],
        Reference::Backfill(argument) => vec!["backfill", name_of(argument, &TIME)],
        Reference::Legacy(legacy) => vec![name_of(legacy, &LEGACY)],
    }
}

fn trigger_words(field: &TriggerField) -> Vec<&str> {
    match field {
        TriggerField::Type => vec!["type"],
        TriggerField::FileArrivalLocation => vec!["file_arrival", "location"],
        TriggerField::UpdatedTables => vec!["table_update", "updated_tables"],
        TriggerField::TableVersion(table) => vec!["table_update", table, "version"],
        TriggerField::TableCommitTime(table, argument) => {
            vec!["table_update", table, "commit_timestamp", name_of(argument, &TIME)]
        }
    }
}

fn result_words(result: &TaskResult) -> Vec<&str> {
    match result {
        TaskResult::Value { key, path } => [&["values", key.as_str()], borrowed(path).as_slice()].concat(),
        TaskResult::FirstRow(column) => vec!["output", "first_row", column],
        TaskResult::Rows => vec!["output", "rows"],
        TaskResult::RunId | TaskResult::ResultState | TaskResult::ErrorCode | TaskResult::ExecutionCount => {
            vec![name_of(result, &RESULTS)]
        }
    }
}

/// The name of a member of a closed set. Each set above has all of its members: tested by writing and reading every
/// one.
fn name_of<T: PartialEq>(value: &T, names: &[Name<T>]) -> &'static str {
    names.iter().find(|(_, named)| named == value).map_or("", |(name, _)| name)
}

fn borrowed(words: &[String]) -> Vec<&str> {
    words.iter().map(String::as_str).collect()
}
