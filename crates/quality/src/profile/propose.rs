//! Expectations that a profile suggests, as TOML to read, change and paste into a spec.
//!
//! What is proposed held for every row that was profiled, or for all but very few; it says nothing of rows to come, so
//! bounds get some room and every rule only warns.

use serde_json::Value;

use super::Profile;
use super::column::ColumnProfile;

/// Below so many rows nothing is proposed: too little was seen.
const FEWEST_ROWS: u64 = 100;
/// At most so many values make a set.
const MOST_OF_A_SET: u64 = 20;
/// Every value of a set was met this often at least.
const LEAST_OF_A_VALUE: u64 = 5;
/// A column with fewer nulls than one in so many is probably meant to have none.
const FEW_NULLS: u64 = 1_000;

/// The proposed expectations and checks, as TOML. Columns of which nothing can be said are not in it.
pub fn propose(profile: &Profile) -> String {
    let mut toml = String::new();
    let rows = profile.columns().map(|(_, column)| column.rows).max().unwrap_or(0);
    if rows < FEWEST_ROWS {
        return format!("# only {rows} rows were profiled; proposals need {FEWEST_ROWS}\n");
    }
    let filled: Vec<&str> = profile.columns().filter(|(_, column)| is_filled(column)).map(|(name, _)| name).collect();
    if !filled.is_empty() {
        let names: Vec<String> = filled.iter().map(|name| quoted(name)).collect();
        rule(&mut toml, "has_values", &format!("not_null = [{}]", names.join(", ")), "");
    }
    // A rule that needs a value is violated by a null, so only columns that hardly have any get one.
    for (name, column) in profile.columns().filter(|(_, column)| is_filled(column)) {
        if let Some(values) = set_of(column) {
            let values: Vec<String> = values.iter().map(|value| quoted(value)).collect();
            let body = format!("in_set = {{ column = {}, values = [{}] }}", quoted(name), values.join(", "));
            rule(&mut toml, &format!("known_{name}"), &body, "");
        } else if let Some((low, high, seen)) = bounds_of(column) {
            let body = format!("between = {{ column = {}, min = {low}, max = {high} }}", quoted(name));
            rule(&mut toml, &format!("plausible_{name}"), &body, &seen);
        }
    }
    for (name, column) in profile.columns() {
        if column.nulls == 0 && column.distinct_values() as f64 >= 0.97 * column.rows as f64 && is_key(name, column) {
            toml.push_str(&format!(
                "# about every value is different\n[[check]]\nname = {}\nunique = [{}]\nseverity = \"warn\"\n\n",
                quoted(&format!("unique_{name}")),
                quoted(name)
            ));
        }
    }
    toml
}

fn rule(toml: &mut String, name: &str, body: &str, seen: &str) {
    let comment = if seen.is_empty() { String::new() } else { format!("# {seen}\n") };
    toml.push_str(&format!("{comment}[[expect]]\nname = {}\n{body}\non_fail = \"warn\"\n\n", quoted(name)));
}

fn is_filled(column: &ColumnProfile) -> bool {
    column.rows > 0 && column.nulls.saturating_mul(FEW_NULLS) <= column.rows
}

/// Numbers that measure something repeat by chance; names and whole numbers may be keys.
fn is_key(name: &str, column: &ColumnProfile) -> bool {
    matches!(column.type_name.as_str(), "string" | "long" | "int") && !name.ends_with("_at")
}

/// The values of a text column that has few, each met often and together all there are.
fn set_of(column: &ColumnProfile) -> Option<Vec<&str>> {
    if column.type_name != "string" || column.distinct_values() > MOST_OF_A_SET {
        return None;
    }
    let values = column.frequent.values();
    let is_all = values.len() as u64 == column.distinct_values();
    let is_sure =
        values.iter().all(|(value, count)| *count >= LEAST_OF_A_VALUE && value.len() < super::texts::KEPT_BYTES);
    let mut values: Vec<&str> = values.into_iter().map(|(value, _)| value).collect();
    values.sort_unstable();
    (is_all && is_sure && !values.is_empty()).then_some(values)
}

/// Bounds with room on both sides, and what was seen. Dates and times move on, so they have none.
fn bounds_of(column: &ColumnProfile) -> Option<(String, String, String)> {
    let numbers = column.numbers?;
    if matches!(column.type_name.as_str(), "date" | "timestamp" | "timestamp_ntz" | "boolean") {
        return None;
    }
    let room = (numbers.maximum - numbers.minimum).max(1.0) * 0.5;
    let is_whole = matches!(column.type_name.as_str(), "int" | "long");
    let told = |number: f64| match is_whole {
        true => format!("{number:.0}"),
        false => Value::from(number).to_string(),
    };
    // What was never below zero, or never zero, is probably not by chance.
    let low = if numbers.minimum >= 0.0 { 0.0 } else { numbers.minimum - room };
    let seen = format!(
        "from {} to {}, {} on average",
        numbers.minimum,
        numbers.maximum,
        (numbers.mean * 100.0).round() / 100.0
    );
    Some((told(low.floor()), told((numbers.maximum + room).ceil()), seen))
}

/// A text as TOML writes it; its basic strings are those of JSON.
fn quoted(text: &str) -> String {
    Value::from(text).to_string().replace('\u{7f}', "\\u007f")
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{ArrayRef, Date32Array, Int64Array, RecordBatch, StringViewArray};

    use super::*;
    use crate::profile::Profiler;
    use crate::profile::spec::ProfileSpec;

    fn proposed(rows: i64) -> String {
        let columns: [(&str, ArrayRef); 4] = [
            ("id", Arc::new(Int64Array::from_iter_values(0..rows))),
            ("country", Arc::new(StringViewArray::from_iter_values((0..rows).map(|n| ["D\"E", "FR"][n as usize % 2])))),
            ("amount", Arc::new(Int64Array::from_iter((0..rows).map(|n| (n % 10 > 0).then_some(n % 7 - 3))))),
            ("day", Arc::new(Date32Array::from_iter_values((0..rows).map(|n| n as i32 % 30)))),
        ];
        let rows =
            RecordBatch::try_from_iter_with_nullable(columns.map(|(name, column)| (name, column, true))).unwrap();
        let mut profiler = Profiler::new(&ProfileSpec::default());
        profiler.add(&rows);
        propose(&profiler.finish())
    }

    #[test]
    fn what_held_for_every_row_is_proposed() {
        assert_eq!(
            proposed(1_000),
            "[[expect]]\nname = \"has_values\"\nnot_null = [\"id\", \"country\", \"day\"]\non_fail = \"warn\"\n\n\
             # from 0 to 999, 499.5 on average\n[[expect]]\nname = \"plausible_id\"\n\
             between = { column = \"id\", min = 0, max = 1499 }\non_fail = \"warn\"\n\n\
             [[expect]]\nname = \"known_country\"\nin_set = { column = \"country\", values = [\"D\\\"E\", \"FR\"] }\n\
             on_fail = \"warn\"\n\n\
             # about every value is different\n[[check]]\nname = \"unique_id\"\nunique = [\"id\"]\nseverity = \"warn\"\n\n"
        );
    }

    #[test]
    fn few_rows_suggest_nothing() {
        assert!(proposed(20).starts_with("# only 20 rows"));
    }
}
