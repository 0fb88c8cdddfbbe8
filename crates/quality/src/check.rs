//! What can be said of expectations without knowing their columns.

use std::collections::BTreeMap;

use regex::Regex;
use stage::Problem;

use crate::rules::Operator;
use crate::spec::ExpectationSpec;

/// The names of all rules, as specs write them.
const RULES: [&str; 11] = [
    "not_null",
    "in_set",
    "not_in_set",
    "between",
    "matches",
    "length",
    "not_in_future",
    "email",
    "uuid",
    "compare",
    "expect",
];

/// Everything that is wrong with expectations whatever their table looks like: names, the number of rules in each, empty
/// lists, regular expressions, operators. Places are relative to the file, such as `expect/0/matches/pattern`.
pub fn check(specs: &[ExpectationSpec]) -> Vec<Problem> {
    let mut problems = Vec::new();
    let mut names: BTreeMap<&str, usize> = BTreeMap::new();
    for (index, spec) in specs.iter().enumerate() {
        let at = format!("expect/{index}");
        if spec.name.trim().is_empty() {
            problems.push(Problem::new(&at, "an expectation needs a name, under which its violations are counted"));
        } else if let Some(first) = names.insert(&spec.name, index) {
            let message =
                format!("expectation {} is called `{}` too; names are unique in a table", first + 1, spec.name);
            problems.push(Problem::new(format!("{at}/name"), message));
        }
        let present = spec.present();
        match present.as_slice() {
            [] => problems.push(Problem::new(&at, format!("there is no rule; write one of {}", RULES.join(", ")))),
            [_] => {}
            several => {
                let message = format!("{} stand together; write one rule in each [[expect]]", several.join(" and "));
                problems.push(Problem::new(&at, message));
            }
        }
        check_rules(spec, &at, &mut problems);
    }
    problems
}

fn check_rules(spec: &ExpectationSpec, at: &str, problems: &mut Vec<Problem>) {
    let mut problem = |place: &str, message: String| problems.push(Problem::new(format!("{at}/{place}"), message));
    let lists = [
        ("not_null", &spec.not_null),
        ("not_in_future", &spec.not_in_future),
        ("email", &spec.email),
        ("uuid", &spec.uuid),
    ];
    for (name, columns) in lists {
        if columns.as_ref().is_some_and(Vec::is_empty) {
            problem(name, format!("{name} names no column"));
        }
    }
    for (name, set) in [("in_set", &spec.in_set), ("not_in_set", &spec.not_in_set)] {
        if set.as_ref().is_some_and(|set| set.values.is_empty()) {
            problem(&format!("{name}/values"), format!("{name} has no values"));
        }
    }
    if spec.between.as_ref().is_some_and(|range| range.min.is_none() && range.max.is_none()) {
        problem("between", "between needs min or max".to_owned());
    }
    if let Some(length) = &spec.length {
        match (length.min, length.max) {
            (None, None) => problem("length", "length needs min or max".to_owned()),
            (Some(min), Some(max)) if min > max => {
                problem("length/min", format!("no text has at least {min} and at most {max} characters"));
            }
            _ => {}
        }
    }
    if let Some(Err(error)) = spec.matches.as_ref().map(|pattern| Regex::new(&pattern.pattern)) {
        problem("matches/pattern", format!("this is no regular expression: {}", one_line(&error)));
    }
    if let Some(compare) = spec.compare.as_ref().filter(|compare| Operator::parse(&compare.operator).is_none()) {
        problem("compare/operator", format!("`{}` is no operator; write <, <=, =, !=, >= or >", compare.operator));
    }
    if spec.expect.as_ref().is_some_and(|sql| sql.trim().is_empty()) {
        problem("expect", "the SQL is empty; write a boolean such as `price >= 0`".to_owned());
    }
}

/// The last line of what the regex parser says; the lines above it only repeat the expression.
fn one_line(error: &regex::Error) -> String {
    let text = error.to_string();
    let last = text.lines().last().unwrap_or_default().trim();
    last.strip_prefix("error: ").unwrap_or(last).to_owned()
}

impl ExpectationSpec {
    /// The rules that stand in this expectation, by name.
    pub(crate) fn present(&self) -> Vec<&'static str> {
        let present = [
            self.not_null.is_some(),
            self.in_set.is_some(),
            self.not_in_set.is_some(),
            self.between.is_some(),
            self.matches.is_some(),
            self.length.is_some(),
            self.not_in_future.is_some(),
            self.email.is_some(),
            self.uuid.is_some(),
            self.compare.is_some(),
            self.expect.is_some(),
        ];
        RULES.into_iter().zip(present).filter_map(|(name, present)| present.then_some(name)).collect()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn places(specs: Value) -> Vec<String> {
        let specs: Vec<ExpectationSpec> = serde_json::from_value(specs).unwrap();
        check(&specs).into_iter().map(|problem| problem.at).collect()
    }

    #[test]
    fn good_expectations_have_no_problems() {
        let specs =
            json!([{ "name": "a", "not_null": ["x"] }, { "name": "b", "matches": { "column": "x", "pattern": "^a" } }]);
        assert!(places(specs).is_empty());
    }

    #[test]
    fn every_problem_is_told_at_its_place() {
        let specs = json!([
            { "name": "", "not_null": ["x"] },
            { "name": "a" },
            { "name": "a", "not_null": ["x"], "email": ["x"] },
            { "name": "b", "matches": { "column": "x", "pattern": "(" } },
            { "name": "c", "length": { "column": "x", "min": 3, "max": 2 } },
            { "name": "d", "compare": { "left": "x", "operator": "<>", "right": "y" } },
            { "name": "e", "uuid": [] },
            { "name": "f", "in_set": { "column": "x", "values": [] } },
            { "name": "g", "between": { "column": "x" } },
            { "name": "h", "expect": " " },
        ]);
        assert_eq!(
            places(specs),
            [
                "expect/0",
                "expect/1",
                "expect/2/name",
                "expect/2",
                "expect/3/matches/pattern",
                "expect/4/length/min",
                "expect/5/compare/operator",
                "expect/6/uuid",
                "expect/7/in_set/values",
                "expect/8/between",
                "expect/9/expect",
            ]
        );
    }
}
