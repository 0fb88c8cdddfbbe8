//! The ways to bring a gold table up to date, and which is the cheapest that gives what the whole query would.
//!
//! Each way is looked at in turn: it either says about how many rows it would read, or why it cannot be taken. Time is
//! estimated from rows and from how long the same way took the last time; what was looked at stands in the record.

use std::collections::BTreeMap;

use lake::{Considered, Record};
use sql::{Part, Refusal};

use crate::groups::Step;
use crate::partitions::Affected;

/// What a refresh takes whatever it reads, in milliseconds.
const BASE_MILLISECONDS: u64 = 30;
/// What a million rows take where no run has told, in milliseconds.
const USUAL_PACE: u64 = 300;
/// A run over fewer rows says nothing about how long rows take.
const TELLING_ROWS: u64 = 50_000;
const MILLION: u64 = 1_000_000;

/// A way to bring a table up to date.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Technique {
    /// What the query makes of the new rows is appended.
    Append,
    /// What the query makes of the new rows is put together with the rows that are there.
    Merge(Vec<Part>),
    /// Kept groups are brought up to date, and what stands above them is computed anew.
    Groups(Vec<Step>),
    /// What stands in some partitions of the result is replaced.
    Partitions(Affected),
    /// The whole query replaces all rows.
    Full,
}

/// What became of a technique that was looked at.
pub(crate) enum Candidate {
    /// It can be taken, and reads about so many rows.
    Possible(Technique, u64),
    /// It can be taken too, but reads so many rows that another one is done first whatever comes of a closer look.
    Slower(&'static str, u64),
    /// It cannot, for the reason.
    Refused(&'static str, Refusal),
}

/// The technique that is taken, and all that were looked at.
#[derive(Debug)]
pub(crate) struct Choice {
    pub(crate) technique: Technique,
    /// The rows it was expected to read.
    pub(crate) rows: u64,
    pub(crate) considered: Vec<Considered>,
}

impl Technique {
    /// The word for it, in records and for people.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Technique::Append => APPEND,
            Technique::Merge(_) => MERGE,
            Technique::Groups(_) => GROUPS,
            Technique::Partitions(_) => PARTITIONS,
            Technique::Full => FULL,
        }
    }
}

pub(crate) const APPEND: &str = "append";
pub(crate) const MERGE: &str = "merge_groups";
pub(crate) const GROUPS: &str = "kept_groups";
pub(crate) const PARTITIONS: &str = "affected_partitions";
pub(crate) const FULL: &str = "refresh";

/// Takes the technique that is expected to be done first. [`Technique::Full`] must be among them.
pub(crate) fn choose(candidates: Vec<Candidate>, paces: &BTreeMap<String, u64>) -> Choice {
    let mut choice = Choice { technique: Technique::Full, rows: 0, considered: Vec::new() };
    let mut best = u64::MAX;
    for candidate in candidates {
        match candidate {
            Candidate::Possible(technique, rows) => {
                let milliseconds = estimate(technique.name(), rows, paces);
                let considered = possible(technique.name(), rows, milliseconds);
                if milliseconds < best {
                    best = milliseconds;
                    (choice.technique, choice.rows) = (technique, rows);
                    choice.considered.insert(0, considered);
                } else {
                    choice.considered.push(considered);
                }
            }
            Candidate::Slower(technique, rows) => {
                choice.considered.push(possible(technique, rows, estimate(technique, rows, paces)));
            }
            Candidate::Refused(technique, refusal) => choice.considered.push(refused(technique, &refusal)),
        }
    }
    choice
}

/// How long the fastest of the candidates is expected to take, in milliseconds.
pub(crate) fn best(candidates: &[Candidate], paces: &BTreeMap<String, u64>) -> u64 {
    let possible = candidates.iter().filter_map(|candidate| match candidate {
        Candidate::Possible(technique, rows) => Some(estimate(technique.name(), *rows, paces)),
        _ => None,
    });
    possible.min().unwrap_or(u64::MAX)
}

fn possible(technique: &str, rows: u64, milliseconds: u64) -> Considered {
    Considered {
        technique: technique.to_owned(),
        rows: Some(rows),
        milliseconds: Some(milliseconds),
        ..Considered::default()
    }
}

/// A technique that cannot be taken.
pub(crate) fn refused(technique: &str, refusal: &Refusal) -> Considered {
    Considered {
        technique: technique.to_owned(),
        code: Some(refusal.code.to_owned()),
        refusal: Some(refusal.text.clone()),
        ..Considered::default()
    }
}

/// Notes how long a technique took.
pub(crate) fn learn(record: &mut Record, earlier: Option<&Record>, technique: &Technique, rows: u64) {
    record.paces = earlier.map(|earlier| earlier.paces.clone()).unwrap_or_default();
    if rows >= TELLING_ROWS {
        let pace = record.milliseconds.saturating_sub(BASE_MILLISECONDS).max(1) * MILLION / rows;
        record.paces.insert(technique.name().to_owned(), pace);
    }
}

/// How long a technique is expected to take for so many rows, in milliseconds.
pub(crate) fn estimate(technique: &str, rows: u64, paces: &BTreeMap<String, u64>) -> u64 {
    let usual = paces.get(FULL).copied().unwrap_or(USUAL_PACE);
    let pace = paces.get(technique).copied().unwrap_or(usual);
    BASE_MILLISECONDS + rows.saturating_mul(pace) / MILLION
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(paces: &[(&str, u64)]) -> Choice {
        let paces = paces.iter().map(|(name, pace)| ((*name).to_owned(), *pace)).collect();
        let candidates = vec![
            Candidate::Refused(APPEND, Refusal::new("groups", "the query has groups")),
            Candidate::Possible(Technique::Groups(Vec::new()), 200_000),
            Candidate::Possible(Technique::Full, 1_000_000),
        ];
        choose(candidates, &paces)
    }

    #[test]
    fn fewer_rows_win_until_runs_tell_otherwise() {
        assert_eq!(chosen(&[]).technique, Technique::Groups(Vec::new()));
        assert_eq!(chosen(&[(FULL, 100), (GROUPS, 2_000)]).technique, Technique::Full);
        assert_eq!(chosen(&[(FULL, 400), (GROUPS, 1_000)]).technique, Technique::Groups(Vec::new()));
    }

    #[test]
    fn what_was_looked_at_is_told_with_the_taken_one_first() {
        let considered = chosen(&[]).considered;
        let told: Vec<(&str, Option<u64>, Option<&str>)> =
            considered.iter().map(|one| (one.technique.as_str(), one.rows, one.code.as_deref())).collect();
        let expected = [(GROUPS, Some(200_000), None), (APPEND, None, Some("groups")), (FULL, Some(1_000_000), None)];
        assert_eq!(told, expected);
    }

    #[test]
    fn short_runs_teach_nothing() {
        let mut record = Record { milliseconds: 130, ..Record::default() };
        learn(&mut record, None, &Technique::Full, 10);
        assert!(record.paces.is_empty());
        learn(&mut record, None, &Technique::Full, 1_000_000);
        assert_eq!(record.paces[FULL], 100);
    }
}
