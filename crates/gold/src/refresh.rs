//! Whether and how a gold table is brought up to date.
//!
//! This is the seam for incremental techniques: each is one more case here, chosen when it is certain to give what the
//! whole query would.

use std::collections::BTreeMap;

use lake::Record;

/// What a refresh is decided by: what would be read now, and what made the rows that are there.
pub(crate) struct Situation<'a> {
    /// The versions that would be read.
    pub(crate) reads: &'a BTreeMap<String, u64>,
    /// The fingerprint of the query and the spec.
    pub(crate) fingerprint: &'a str,
    /// What the newest commit tells, if there is one.
    pub(crate) last: Option<&'a Record>,
    /// Whether the run was asked to rebuild.
    pub(crate) is_forced: bool,
}

/// How a table is brought up to date.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Technique {
    /// Nothing has changed.
    Nothing,
    /// The whole query replaces all rows, for the given reason.
    Full(String),
}

/// Chooses the technique.
pub(crate) fn choose(situation: &Situation<'_>) -> Technique {
    let Some(last) = situation.last else { return Technique::Full("the table is new".to_owned()) };
    if situation.is_forced {
        return Technique::Full("a full refresh was asked for".to_owned());
    }
    if last.fingerprint.as_deref() != Some(situation.fingerprint) {
        return Technique::Full("the query or its spec changed".to_owned());
    }
    let changed: Vec<String> = situation
        .reads
        .iter()
        .filter(|(table, version)| last.reads.get(*table) != Some(version))
        .map(|(table, version)| format!("{table} is at version {version}"))
        .collect();
    match changed.is_empty() {
        true => Technique::Nothing,
        false => Technique::Full(changed.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn choose_for(version: u64, fingerprint: &str, is_forced: bool) -> Technique {
        let read = |version| BTreeMap::from([("shop.silver.orders".to_owned(), version)]);
        let last = Record { reads: read(3), fingerprint: Some("f".to_owned()), ..Record::default() };
        choose(&Situation { reads: &read(version), fingerprint, last: Some(&last), is_forced })
    }

    #[test]
    fn nothing_is_done_while_inputs_and_query_are_the_same() {
        assert_eq!(choose_for(3, "f", false), Technique::Nothing);
    }

    #[test]
    fn a_new_version_a_new_query_or_a_wish_refreshes() {
        assert_eq!(choose_for(4, "f", false), Technique::Full("shop.silver.orders is at version 4".to_owned()));
        assert!(matches!(choose_for(3, "g", false), Technique::Full(_)));
        assert!(matches!(choose_for(3, "f", true), Technique::Full(_)));
    }
}
