//! Expected rows against found ones, and the difference in words.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::case::Expected;
use super::values::{equal, equal_reasons};
use crate::project::hint;

type Row = Map<String, Value>;

/// One difference, and the line of the test it is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Difference {
    pub(crate) line: usize,
    pub(crate) text: String,
}

/// What is different between the rows that are expected and those that were found; nothing when they fit. `columns` are
/// those that rows can have.
pub(super) fn differences(
    line: usize,
    expected: &[Expected],
    found: &[Row],
    columns: &[String],
    in_order: bool,
) -> Vec<Difference> {
    let unknown = unknown_columns(expected, columns);
    if !unknown.is_empty() && !columns.is_empty() {
        return unknown;
    }
    let partners = if in_order { by_order(expected, found) } else { partners(expected, found) };
    let mut left: BTreeSet<usize> = (0..found.len()).collect();
    partners.iter().flatten().for_each(|index| {
        left.remove(index);
    });
    let named: BTreeSet<&String> = expected.iter().flat_map(|row| row.values.keys()).collect();
    let mut differences = Vec::new();
    for (index, (row, _)) in expected.iter().zip(&partners).enumerate().filter(|(_, (_, partner))| partner.is_none()) {
        let nearest = if in_order { left.contains(&index).then_some(index) } else { nearest(row, found, &left) };
        let text = match nearest {
            Some(other) => {
                left.remove(&other);
                format!("expected {}\n{}", told(&row.values), changed(row, &found[other]))
            }
            None => format!("expected {}\nand there is no such row", told(&row.values)),
        };
        differences.push(Difference { line: row.line, text });
    }
    for other in left {
        let shown: Row = found[other]
            .iter()
            .filter(|(name, _)| named.is_empty() || named.contains(name))
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect();
        differences.push(Difference { line, text: format!("not expected: {}", told(&shown)) });
    }
    differences
}

fn unknown_columns(expected: &[Expected], columns: &[String]) -> Vec<Difference> {
    let mut told: BTreeSet<&str> = BTreeSet::new();
    let mut unknown = Vec::new();
    for row in expected {
        for name in row.values.keys().filter(|name| !columns.contains(name)) {
            if told.insert(name) {
                let hint = hint(name, columns.iter().map(String::as_str));
                unknown.push(Difference { line: row.line, text: format!("there is no column `{name}`{hint}") });
            }
        }
    }
    unknown
}

/// For each expected row the found one that it stands for, so that as many as possible have one.
fn partners(expected: &[Expected], found: &[Row]) -> Vec<Option<usize>> {
    let fitting: Vec<Vec<usize>> =
        expected.iter().map(|row| (0..found.len()).filter(|index| fits(row, &found[*index])).collect()).collect();
    let mut taken: Vec<Option<usize>> = vec![None; found.len()];
    for row in 0..expected.len() {
        let mut tried = vec![false; found.len()];
        place(row, &fitting, &mut taken, &mut tried);
    }
    let mut partners = vec![None; expected.len()];
    for (index, row) in taken.iter().enumerate() {
        if let Some(row) = row {
            partners[*row] = Some(index);
        }
    }
    partners
}

/// Finds a partner for a row; rows that have one already may have to move (Kuhn's algorithm for bipartite matching).
fn place(row: usize, fitting: &[Vec<usize>], taken: &mut [Option<usize>], tried: &mut [bool]) -> bool {
    for &index in &fitting[row] {
        if tried[index] {
            continue;
        }
        tried[index] = true;
        if taken[index].is_none_or(|other| place(other, fitting, taken, tried)) {
            taken[index] = Some(row);
            return true;
        }
    }
    false
}

fn by_order(expected: &[Expected], found: &[Row]) -> Vec<Option<usize>> {
    let fits = |index: usize| found.get(index).is_some_and(|row| fits(&expected[index], row));
    (0..expected.len()).map(|index| fits(index).then_some(index)).collect()
}

fn fits(expected: &Expected, found: &Row) -> bool {
    expected.values.keys().all(|name| column_fits(expected, found, name))
}

fn column_fits(expected: &Expected, found: &Row, name: &str) -> bool {
    let wanted = &expected.values[name];
    let value = found.get(name).unwrap_or(&Value::Null);
    match name {
        "reasons" if wanted.is_array() => equal_reasons(wanted, value),
        _ => equal(wanted, value, expected.is_loose),
    }
}

/// The found row that has most columns in common with an expected one; none when it has nothing in common.
fn nearest(expected: &Expected, found: &[Row], left: &BTreeSet<usize>) -> Option<usize> {
    let common =
        |index: usize| expected.values.keys().filter(|name| column_fits(expected, &found[index], name)).count();
    left.iter()
        .copied()
        .map(|index| (common(index), index))
        .filter(|(common, _)| *common > 0)
        .max_by_key(|(common, index)| (*common, usize::MAX - index))
        .map(|(_, index)| index)
}

fn changed(expected: &Expected, found: &Row) -> String {
    let different = expected.values.iter().filter(|(name, _)| !column_fits(expected, found, name));
    let lines = different.map(|(name, value)| {
        let other = found.get(name).unwrap_or(&Value::Null);
        format!("  {name}: expected {value}, found {other}")
    });
    lines.collect::<Vec<_>>().join("\n")
}

fn told(row: &Row) -> String {
    let columns: Vec<String> = row.iter().map(|(name, value)| format!("{name} = {value}")).collect();
    format!("{{ {} }}", columns.join(", "))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn row(value: Value) -> Row {
        value.as_object().unwrap().clone()
    }

    fn compared(expected: &[Value], found: &[Value], in_order: bool) -> Vec<Difference> {
        let expected: Vec<Expected> = expected
            .iter()
            .enumerate()
            .map(|(index, value)| Expected { line: index + 10, values: row(value.clone()), is_loose: false })
            .collect();
        let found: Vec<Row> = found.iter().cloned().map(row).collect();
        let columns: Vec<String> = found.first().map(|row| row.keys().cloned().collect()).unwrap_or_default();
        differences(9, &expected, &found, &columns, in_order)
    }

    #[test]
    fn order_does_not_matter_unless_it_is_asked_for() {
        let (one, two) = (json!({ "a": 1, "b": 1 }), json!({ "a": 2, "b": 2 }));
        assert!(compared(&[two.clone(), one.clone()], &[one.clone(), two.clone()], false).is_empty());
        assert_eq!(compared(&[two.clone(), one.clone()], &[one, two], true).len(), 2);
    }

    #[test]
    fn a_row_that_fits_several_leaves_each_to_the_one_that_needs_it() {
        let found = [json!({ "a": 1, "b": 1 }), json!({ "a": 1, "b": 2 })];
        assert!(compared(&[json!({ "a": 1 }), json!({ "a": 1, "b": 1 })], &found, false).is_empty());
        assert!(compared(&[json!({ "a": 1, "b": 2 }), json!({ "a": 1 })], &found, false).is_empty());
    }

    #[test]
    fn a_difference_names_line_column_and_both_values() {
        let found = [json!({ "id": 1, "name": "Ada" }), json!({ "id": 3, "name": "x" })];
        let told = compared(&[json!({ "id": 1, "name": "ada" }), json!({ "id": 2 })], &found, false);
        assert_eq!(told[0].line, 10);
        assert_eq!(told[0].text, "expected { id = 1, name = \"ada\" }\n  name: expected \"ada\", found \"Ada\"");
        assert_eq!((told[1].line, told[1].text.as_str()), (11, "expected { id = 2 }\nand there is no such row"));
        assert_eq!((told[2].line, told[2].text.as_str()), (9, "not expected: { id = 3, name = \"x\" }"));
        let told = compared(&[json!({ "nam": "x" })], &found, false);
        assert_eq!(told[0].text, "there is no column `nam`; nearest is `name`");
    }
}
