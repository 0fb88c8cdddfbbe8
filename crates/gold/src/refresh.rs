//! Whether and how a gold table is brought up to date.
//!
//! The choice falls in two steps. What changed is told by versions alone; how little work that needs is told by the query
//! ([`sql::growth`]). Each technique gives what the whole query would, and a refusal says why the whole query has to run.

use std::collections::BTreeMap;

use lake::Record;
use quality::spec::{ExpectationSpec, OnFail};
use sql::{Growth, Part};
use stage::{Checkpoint, TableName};

use crate::spec::{GoldSpec, Refresh};

/// Something that makes the whole query unnecessary, or why it has to run.
pub(crate) type Instead<T> = Result<T, String>;

/// What a refresh is decided by: what would be read now, and what made the rows that are there.
pub(crate) struct Situation<'a> {
    /// The versions that would be read.
    pub(crate) reads: &'a BTreeMap<String, u64>,
    /// The next version of each table by its identity, which a table made anew does not share.
    pub(crate) positions: &'a Checkpoint,
    /// The fingerprint of the query and the spec.
    pub(crate) fingerprint: &'a str,
    /// What the newest commit tells, if there is one.
    pub(crate) last: Option<&'a Record>,
    /// Whether the run was asked to rebuild.
    pub(crate) is_forced: bool,
}

/// What changed since the table was last made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Change {
    /// Nothing.
    Nothing,
    /// Tables that are read have new versions. The text tells which.
    Tables(Vec<TableName>, String),
    /// So much that the whole query has to run, for the given reason.
    Everything(String),
}

/// How a table is brought up to date.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Technique {
    /// The whole query replaces all rows.
    Full,
    /// What the query makes of the new rows is appended.
    Append,
    /// What the query makes of the new rows is put together with the rows that are there.
    Merge(Vec<Part>),
}

impl Technique {
    /// The word for it in records.
    pub(crate) fn action(&self) -> &'static str {
        match self {
            Technique::Full => "refresh",
            Technique::Append => "append",
            Technique::Merge(_) => "merge groups",
        }
    }
}

/// Compares what would be read with what was.
pub(crate) fn change(situation: &Situation<'_>) -> Change {
    let Some(last) = situation.last else { return Change::Everything("the table is new".to_owned()) };
    if situation.is_forced {
        return Change::Everything("a full refresh was asked for".to_owned());
    }
    if last.fingerprint.as_deref() != Some(situation.fingerprint) {
        return Change::Everything("the query or its spec changed".to_owned());
    }
    let changed: Vec<(&String, &u64)> =
        situation.reads.iter().filter(|(table, version)| last.reads.get(*table) != Some(version)).collect();
    if !situation.positions.iter().all(|(id, _)| last.positions.get(id).is_some()) {
        return Change::Everything("a table that is read was made anew".to_owned());
    }
    if changed.is_empty() {
        return Change::Nothing;
    }
    let told: Vec<String> = changed.iter().map(|(table, version)| format!("{table} is at version {version}")).collect();
    let names: Option<Vec<TableName>> = changed.iter().map(|(table, _)| table.parse().ok()).collect();
    match names {
        Some(names) => Change::Tables(names, told.join(", ")),
        None => Change::Everything(told.join(", ")),
    }
}

/// The one table whose new rows may be enough to read.
///
/// # Errors
/// Why the whole query has to run.
pub(crate) fn grown<T>(spec: &GoldSpec, mut changed: Vec<T>) -> Instead<T> {
    match (changed.pop(), changed.is_empty()) {
        _ if spec.refresh == Refresh::Full => Err("the spec says refresh = \"full\"".to_owned()),
        (Some(one), true) => Ok(one),
        _ => Err("several tables changed".to_owned()),
    }
}

/// How the table takes in what the query makes of new rows.
///
/// # Errors
/// Why the whole query has to run.
pub(crate) fn technique(spec: &GoldSpec, growth: Growth) -> Instead<Technique> {
    let rejects = |expectation: &ExpectationSpec| matches!(expectation.on_fail, OnFail::Drop | OnFail::Quarantine);
    match growth {
        Growth::Append => Ok(Technique::Append),
        // A group that was rejected is not among the rows that the new ones would be put together with.
        Growth::Merge(_) if spec.expect.iter().any(rejects) => Err("expectations leave out groups".to_owned()),
        Growth::Merge(parts) => Ok(Technique::Merge(parts)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change_for(version: u64, fingerprint: &str, is_forced: bool) -> Change {
        let read = |version| BTreeMap::from([("shop.silver.orders".to_owned(), version)]);
        change_of(&read(version), "table/a", fingerprint, is_forced)
    }

    fn change_of(reads: &BTreeMap<String, u64>, id: &str, fingerprint: &str, is_forced: bool) -> Change {
        let last = Record {
            reads: BTreeMap::from([("shop.silver.orders".to_owned(), 3)]),
            positions: Checkpoint::of("table/a", 4),
            fingerprint: Some("f".to_owned()),
            ..Record::default()
        };
        let positions = Checkpoint::of(id, 4);
        change(&Situation { reads, positions: &positions, fingerprint, last: Some(&last), is_forced })
    }

    #[test]
    fn a_table_made_anew_is_read_again_even_at_the_same_version() {
        let reads = BTreeMap::from([("shop.silver.orders".to_owned(), 3)]);
        assert!(matches!(change_of(&reads, "table/b", "f", false), Change::Everything(_)));
    }

    #[test]
    fn a_table_made_anew_is_noticed_when_another_one_changed() {
        let reads = BTreeMap::from([("shop.silver.orders".to_owned(), 4)]);
        assert!(matches!(change_of(&reads, "table/b", "f", false), Change::Everything(_)));
    }

    #[test]
    fn nothing_is_done_while_inputs_and_query_are_the_same() {
        assert_eq!(change_for(3, "f", false), Change::Nothing);
    }

    #[test]
    fn a_new_version_a_new_query_or_a_wish_refreshes() {
        let told = "shop.silver.orders is at version 4".to_owned();
        assert_eq!(change_for(4, "f", false), Change::Tables(vec!["shop.silver.orders".parse().unwrap()], told));
        assert!(matches!(change_for(3, "g", false), Change::Everything(_)));
        assert!(matches!(change_for(3, "f", true), Change::Everything(_)));
    }

    #[test]
    fn groups_that_expectations_reject_are_not_merged() {
        let expect: ExpectationSpec =
            serde_json::from_value(serde_json::json!({ "name": "n", "not_null": ["a"], "on_fail": "drop" })).unwrap();
        let spec = GoldSpec { expect: vec![expect], ..GoldSpec::default() };
        assert_eq!(technique(&spec, Growth::Append), Ok(Technique::Append));
        assert!(technique(&spec, Growth::Merge(vec![Part::Sum])).is_err());
    }
}
