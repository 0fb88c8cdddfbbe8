//! Whether `write` of a silver table holds together: by itself, with the table it reads, and with the columns it writes.

use arrow::datatypes::Schema;
use silver::spec::{ChangeSource, WriteSpec};
use sql::Engine;
use stage::{Problem, TableName};

use super::check::{check_columns_exist, check_columns_once};

/// What is wrong with `write`, whatever the columns are.
pub(crate) fn check_write(write: &WriteSpec) -> Vec<Problem> {
    let keys = match write {
        WriteSpec::UniqueKey(keys) => return check_keys("write/unique_key", keys),
        WriteSpec::Append | WriteSpec::Overwrite => return Vec::new(),
        WriteSpec::Merge(merge) => &merge.keys,
        WriteSpec::Scd2(history) => &history.keys,
    };
    let at = place(write);
    let mut problems = check_keys(&format!("{at}/keys"), keys);
    problems.extend(check_sequence(at, write));
    problems.extend(check_source(at, write));
    if let WriteSpec::Scd2(history) = write {
        let tracked = history.track.as_deref().unwrap_or_default();
        problems.extend(check_columns_once(&format!("{at}/track"), tracked));
        if history.track.as_ref().is_some_and(Vec::is_empty) {
            problems.push(Problem::new(format!("{at}/track"), "expected at least one column, found none"));
        }
        let decides = |column: &String| history.keys.contains(column) || history.sequence_by.0.contains(column);
        for (index, column) in tracked.iter().enumerate().filter(|(_, column)| decides(column)) {
            let message = format!("`{column}` is a key or in `sequence_by`, which make no version; leave it out");
            problems.push(Problem::new(format!("{at}/track/{index}"), message));
        }
    }
    problems
}

fn check_keys(at: &str, keys: &[String]) -> Vec<Problem> {
    match keys.is_empty() {
        true => vec![Problem::new(at, "expected at least one column that names a row, found none")],
        false => check_columns_once(at, keys),
    }
}

fn check_sequence(at: &str, write: &WriteSpec) -> Vec<Problem> {
    let (sequence, is_needed) = match write {
        WriteSpec::Merge(merge) => (&merge.sequence_by.0, merge.source == ChangeSource::Changes),
        WriteSpec::Scd2(history) => (&history.sequence_by.0, true),
        _ => return Vec::new(),
    };
    if sequence.is_empty() && is_needed {
        let message = "expected `sequence_by`: the column, or columns, that say which row is newer";
        return vec![Problem::new(at, message)];
    }
    check_columns_once(&format!("{at}/sequence_by"), sequence)
}

/// A snapshot says all there is, so what says more of single rows contradicts it.
fn check_source(at: &str, write: &WriteSpec) -> Vec<Problem> {
    let (source, keys) = match write {
        WriteSpec::Merge(merge) => (
            merge.source,
            [
                ("delete_when", merge.delete_when.is_some()),
                ("truncate_when", merge.truncate_when.is_some()),
                ("ignore_null_updates", merge.ignore_null_updates),
            ],
        ),
        WriteSpec::Scd2(history) => {
            (history.source, [("delete_when", history.delete_when.is_some()), ("", false), ("", false)])
        }
        _ => return Vec::new(),
    };
    let of_changes = keys.into_iter().filter(|(_, is_set)| *is_set && source == ChangeSource::Snapshots);
    of_changes
        .map(|(key, _)| {
            let message = format!("`{key}` is for changes, and `source` is \"snapshots\"; leave one of them out");
            Problem::new(format!("{at}/{key}"), message)
        })
        .collect()
}

/// Why a table written by `write` cannot follow one written by `upstream`, whose rows change.
pub(crate) fn check_upstream(from: &TableName, upstream: &WriteSpec, write: &WriteSpec) -> Option<Problem> {
    let (mode, keys) = match upstream {
        WriteSpec::Append | WriteSpec::UniqueKey(_) => return None,
        WriteSpec::Merge(merge) => ("merge", Some(&merge.keys)),
        WriteSpec::Scd2(_) => ("scd2", None),
        WriteSpec::Overwrite => ("overwrite", None),
    };
    let elsewhere = format!("read the table that `{from}` is made from, or name `{from}` in the SQL only");
    match write {
        WriteSpec::Overwrite => None,
        WriteSpec::Merge(merge) if merge.source == ChangeSource::Snapshots => None,
        WriteSpec::Scd2(history) if history.source == ChangeSource::Snapshots => {
            (mode != "overwrite").then(|| {
                let message = format!(
                    "`{from}` is written with {mode}, so what it gains is no snapshot; name it in an overwritten table first, or {elsewhere}"
                );
                Problem::new("from", message)
            })
        }
        WriteSpec::Merge(merge) if merge.ignore_null_updates => Some(Problem::new(
            "write/merge/ignore_null_updates",
            format!("`{from}` is written with {mode}, so its rows say all there is; leave `ignore_null_updates` out"),
        )),
        WriteSpec::Merge(merge) => {
            let differ = keys.is_some_and(|keys| !is_same_set(keys, &merge.keys));
            differ.then(|| {
                let keys = keys.map(|keys| keys.join(", ")).unwrap_or_default();
                let message = format!(
                    "`{from}` is merged by {keys}, and rows that change or go there can only be followed by the same keys; use those, or write = \"overwrite\""
                );
                Problem::new("write/merge/keys", message)
            })
        }
        WriteSpec::Append | WriteSpec::UniqueKey(_) | WriteSpec::Scd2(_) => {
            let message = format!(
                "`{from}` is written with {mode}, so its rows change and cannot be read as new ones; set write = \"overwrite\" here, or merge by its keys, {elsewhere}"
            );
            Some(Problem::new("from", message))
        }
    }
}

/// What is wrong with `write` over the columns that the table's query gives.
pub(crate) fn check_written(engine: &Engine, write: &WriteSpec, output: &Schema) -> Vec<Problem> {
    let columns: Vec<&str> = output.fields().iter().map(|field| field.name().as_str()).collect();
    let exist =
        |key: &str, named: &[String]| check_columns_exist(&format!("{}/{key}", place(write)), named, &columns, "");
    match write {
        WriteSpec::Append | WriteSpec::Overwrite => Vec::new(),
        WriteSpec::UniqueKey(keys) => check_columns_exist("write/unique_key", keys, &columns, ""),
        WriteSpec::Merge(merge) => {
            let mut problems = exist("keys", &merge.keys);
            problems.extend(exist("sequence_by", &merge.sequence_by.0));
            problems.extend(check_condition(engine, write, output, "delete_when", merge.delete_when.as_deref()));
            problems.extend(check_condition(engine, write, output, "truncate_when", merge.truncate_when.as_deref()));
            problems
        }
        WriteSpec::Scd2(history) => {
            let mut problems = exist("keys", &history.keys);
            problems.extend(exist("sequence_by", &history.sequence_by.0));
            problems.extend(exist("track", history.track.as_deref().unwrap_or_default()));
            problems.extend(check_condition(engine, write, output, "delete_when", history.delete_when.as_deref()));
            problems.extend(silver::own_columns(write).iter().filter(|name| columns.contains(name)).map(|name| {
                Problem::new("write/scd2", format!("the column `{name}` is one that scd2 writes; rename it"))
            }));
            problems
        }
    }
}

fn check_condition(
    engine: &Engine,
    write: &WriteSpec,
    output: &Schema,
    key: &str,
    text: Option<&str>,
) -> Option<Problem> {
    let problem = sql::boolean(engine, output, text?).err()?;
    Some(Problem::new(format!("{}/{key}", place(write)), quality::sql_message(&problem)))
}

/// Where `write` stands in the file.
fn place(write: &WriteSpec) -> &'static str {
    match write {
        WriteSpec::Merge(_) => "write/merge",
        WriteSpec::Scd2(_) => "write/scd2",
        WriteSpec::UniqueKey(_) => "write/unique_key",
        WriteSpec::Append | WriteSpec::Overwrite => "write",
    }
}

fn is_same_set(one: &[String], other: &[String]) -> bool {
    one.len() == other.len() && one.iter().all(|column| other.contains(column))
}
