//! How many rows violated which rule. Counts travel in commit metadata and end in `system.quality`.

use lake::RuleOutcome;
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64;

use crate::spec::OnFail;

/// The kind of rules that each row must fulfil, in records.
pub(crate) const EXPECTATION: &str = "expectation";
/// The kind of rules that a table as a whole must fulfil, in records.
pub(crate) const CHECK: &str = "check";

/// The violations of one rule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RuleCount {
    /// The name of the rule.
    pub rule: String,
    /// What happened to the rows.
    pub on_fail: OnFail,
    /// How many rows violated it.
    pub failed: u64,
}

impl RuleCount {
    /// The count as records tell it, without how many rows were checked.
    pub(crate) fn outcome(&self) -> RuleOutcome {
        RuleOutcome {
            rule: self.rule.clone(),
            on_fail: on_fail_name(self.on_fail).to_owned(),
            kind: EXPECTATION.to_owned(),
            severity: if self.on_fail == OnFail::Fail { "fail".to_owned() } else { "warn".to_owned() },
            failed: self.failed,
            ..RuleOutcome::default()
        }
    }
}

/// The name of `on_fail` in records, as users write it.
pub(crate) fn on_fail_name(on_fail: OnFail) -> &'static str {
    match on_fail {
        OnFail::Warn => "warn",
        OnFail::Drop => "drop",
        OnFail::Quarantine => "quarantine",
        OnFail::Fail => "fail",
    }
}

/// What stands for a rule as it was written.
pub(crate) fn fingerprint(rule: &impl Serialize) -> String {
    serde_json::to_vec(rule).map(|json| format!("{:016x}", xxh3_64(&json))).unwrap_or_default()
}

/// Adds the counts of another batch; rules that were not there yet are appended.
pub fn add(total: &mut Vec<RuleCount>, more: &[RuleCount]) {
    for count in more {
        match total.iter_mut().find(|known| known.rule == count.rule && known.on_fail == count.on_fail) {
            Some(known) => known.failed += count.failed,
            None => total.push(count.clone()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(rule: &str, failed: u64) -> RuleCount {
        RuleCount { rule: rule.to_owned(), on_fail: OnFail::Quarantine, failed }
    }

    #[test]
    fn counts_of_the_same_rule_are_summed() {
        let mut total = vec![count("a", 1)];
        add(&mut total, &[count("b", 0), count("a", 2)]);
        add(&mut total, &[count("b", 5)]);
        assert_eq!(total, [count("a", 3), count("b", 5)]);
    }

    #[test]
    fn records_tell_what_kind_of_rule_it_was_and_whether_it_refuses_the_batch() {
        let told = |on_fail| RuleCount { on_fail, ..count("a", 1) }.outcome();
        let (warns, fails) = (told(OnFail::Quarantine), told(OnFail::Fail));
        assert_eq!(
            (warns.kind.as_str(), warns.severity.as_str(), warns.on_fail.as_str()),
            ("expectation", "warn", "quarantine")
        );
        assert_eq!(
            (fails.kind.as_str(), fails.severity.as_str(), fails.on_fail.as_str()),
            ("expectation", "fail", "fail")
        );
    }

    #[test]
    fn counts_survive_being_written_as_json() {
        let json = serde_json::to_string(&count("a", 3)).unwrap();
        assert_eq!(json, r#"{"rule":"a","on_fail":"quarantine","failed":3}"#);
        assert_eq!(serde_json::from_str::<RuleCount>(&json).unwrap(), count("a", 3));
    }
}
