//! From violations to what becomes of each row.
//!
//! A violated `fail` rule refuses the whole batch. Otherwise a row that violates a `quarantine` rule is kept aside, one
//! that violates only `drop` rules is left out, and `warn` does nothing but count.

use arrow::array::BooleanArray;
use arrow::buffer::BooleanBuffer;

use crate::RuleCount;
use crate::spec::OnFail;

/// The rows that violate one rule.
#[derive(Debug, Clone)]
pub struct Violated {
    /// The name of the rule.
    pub rule: String,
    /// What happens to the rows.
    pub on_fail: OnFail,
    /// A set bit for each row that violates the rule; `None` when no row does.
    pub rows: Option<BooleanBuffer>,
}

/// A row that goes to quarantine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// The row in its batch, from 0.
    pub row: usize,
    /// Every rule that the row violates, whatever their `on_fail`, in the order of the spec.
    pub rules: Vec<String>,
}

/// What becomes of the rows of one batch.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Verdict {
    /// The rows that stay; `None` when all do.
    pub keep: Option<BooleanArray>,
    /// The rows that go to quarantine, in order.
    pub quarantined: Vec<Violation>,
    /// How many rows are left out.
    pub dropped: u64,
    /// The violations of every rule, also of those that had none.
    pub counts: Vec<RuleCount>,
    /// The `fail` rules that were violated, with how many rows did. When there are any the batch must not be written,
    /// and nothing is said of single rows.
    pub refused: Vec<(String, u64)>,
}

impl Verdict {
    /// Whether the batch must not be written.
    pub fn is_refused(&self) -> bool {
        !self.refused.is_empty()
    }

    /// How many rows stay, of a batch of `rows`.
    pub fn kept(&self, rows: usize) -> usize {
        self.keep.as_ref().map_or(rows, BooleanArray::true_count)
    }
}

/// Decides over a batch of `rows` rows by the rules that were checked on it. Nothing is allocated per row unless a row
/// has to go.
pub fn judge(rows: usize, checked: &[Violated]) -> Verdict {
    let mut verdict = Verdict::default();
    for rule in checked {
        let failed = rule.rows.as_ref().map_or(0, |rows| rows.count_set_bits() as u64);
        verdict.counts.push(RuleCount { rule: rule.rule.clone(), on_fail: rule.on_fail, failed });
        if rule.on_fail == OnFail::Fail && failed > 0 {
            verdict.refused.push((rule.rule.clone(), failed));
        }
    }
    if verdict.is_refused() {
        return verdict;
    }
    let quarantined = union(checked, OnFail::Quarantine);
    let dropped = union(checked, OnFail::Drop);
    if let Some(quarantined) = &quarantined {
        verdict.quarantined = violations(quarantined, checked);
    }
    let gone = match (&quarantined, &dropped) {
        (Some(quarantined), Some(dropped)) => Some(quarantined | dropped),
        (one, other) => one.clone().or_else(|| other.clone()),
    };
    if let Some(gone) = gone.filter(|gone| gone.count_set_bits() > 0) {
        debug_assert_eq!(gone.len(), rows);
        verdict.dropped = (gone.count_set_bits() - verdict.quarantined.len()) as u64;
        verdict.keep = Some(BooleanArray::new(!&gone, None));
    }
    verdict
}

fn union(checked: &[Violated], on_fail: OnFail) -> Option<BooleanBuffer> {
    let masks = checked.iter().filter(|rule| rule.on_fail == on_fail).filter_map(|rule| rule.rows.clone());
    masks.reduce(|left, right| &left | &right)
}

fn violations(quarantined: &BooleanBuffer, checked: &[Violated]) -> Vec<Violation> {
    let violated: Vec<(&str, &BooleanBuffer)> =
        checked.iter().filter_map(|rule| Some((rule.rule.as_str(), rule.rows.as_ref()?))).collect();
    let names = |row: usize| {
        let names = violated.iter().filter(|(_, rows)| rows.value(row));
        names.map(|(rule, _)| (*rule).to_owned()).collect()
    };
    quarantined.set_indices().map(|row| Violation { row, rules: names(row) }).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn violated(rule: &str, on_fail: OnFail, rows: &[bool]) -> Violated {
        let rows = rows.contains(&true).then(|| BooleanBuffer::from(rows.to_vec()));
        Violated { rule: rule.to_owned(), on_fail, rows }
    }

    #[test]
    fn nothing_is_made_when_nothing_is_violated() {
        let verdict = judge(3, &[violated("a", OnFail::Drop, &[false; 3]), violated("b", OnFail::Fail, &[false; 3])]);
        assert_eq!((&verdict.keep, verdict.quarantined.len(), verdict.dropped), (&None, 0, 0));
        assert_eq!(verdict.counts.iter().map(|count| count.failed).collect::<Vec<_>>(), [0, 0]);
        assert_eq!(verdict.kept(3), 3);
    }

    #[test]
    fn quarantine_wins_over_drop_and_names_every_rule() {
        let verdict = judge(
            4,
            &[
                violated("warned", OnFail::Warn, &[true, true, true, false]),
                violated("dropped", OnFail::Drop, &[false, true, true, false]),
                violated("kept_aside", OnFail::Quarantine, &[false, false, true, false]),
            ],
        );
        assert_eq!(verdict.keep, Some(BooleanArray::from(vec![true, false, false, true])));
        assert_eq!(verdict.dropped, 1);
        let rules = vec!["warned".to_owned(), "dropped".to_owned(), "kept_aside".to_owned()];
        assert_eq!(verdict.quarantined, [Violation { row: 2, rules }]);
        assert!(!verdict.is_refused());
    }

    #[test]
    fn one_violated_fail_rule_refuses_the_batch() {
        let verdict = judge(
            2,
            &[
                violated("gate", OnFail::Fail, &[true, true]),
                violated("kept_aside", OnFail::Quarantine, &[true, false]),
            ],
        );
        assert_eq!(verdict.refused, [("gate".to_owned(), 2)]);
        assert_eq!((verdict.keep, verdict.quarantined.len()), (None, 0));
        assert_eq!(verdict.counts.len(), 2);
    }

    #[test]
    fn a_warning_leaves_every_row() {
        let verdict = judge(2, &[violated("warned", OnFail::Warn, &[true, true])]);
        assert_eq!((verdict.keep, verdict.counts[0].failed), (None, 2));
    }

    proptest! {
        #[test]
        fn every_row_is_kept_quarantined_or_dropped(
            rows in 0_usize..40,
            rules in prop::collection::vec((0_usize..3, prop::collection::vec(any::<bool>(), 40)), 0..5),
        ) {
            let actions = [OnFail::Warn, OnFail::Drop, OnFail::Quarantine];
            let checked: Vec<Violated> =
                rules.iter().map(|(action, mask)| violated("rule", actions[*action], &mask[..rows])).collect();
            let verdict = judge(rows, &checked);
            prop_assert_eq!(verdict.kept(rows) + verdict.quarantined.len() + verdict.dropped as usize, rows);
            for violation in &verdict.quarantined {
                prop_assert!(!violation.rules.is_empty());
                prop_assert!(!verdict.keep.as_ref().unwrap().value(violation.row));
            }
        }
    }
}
