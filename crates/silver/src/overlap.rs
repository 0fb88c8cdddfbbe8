//! Which files of a table can hold the same keys as some new ones, by their statistics alone.
//!
//! A file is left out only when its bounds prove that it cannot; a column without bounds proves nothing.

use std::cmp::Ordering;

use lake::Add;
use serde_json::Value;

/// Characters of a text bound that are compared. Times may be cut to milliseconds in statistics, so they are compared to
/// the second; cutting both sides alike keeps any bound a bound.
const COMPARED_CHARACTERS: usize = 19;

/// The existing files that may share a key with one of the staged files.
pub(crate) fn overlapping(existing: Vec<Add>, staged: &[Add], keys: &[String]) -> Vec<Add> {
    let wanted: Vec<Bounds> = keys.iter().map(|key| Bounds::of_all(staged, key)).collect();
    let may_share = |add: &Add| keys.iter().zip(&wanted).all(|(key, bounds)| Bounds::of(add, key).meets(bounds));
    existing.into_iter().filter(may_share).collect()
}

/// What is known of a column: its least and greatest value, each `None` when unknown.
#[derive(Debug, Clone, Default)]
struct Bounds {
    least: Option<Value>,
    greatest: Option<Value>,
}

impl Bounds {
    fn of(add: &Add, column: &str) -> Bounds {
        if let Some(value) = add.partition_values.get(column) {
            let value = value.clone().map(Value::String);
            return Bounds { least: value.clone(), greatest: value };
        }
        let stats: Value = add.stats.as_deref().and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default();
        // Nulls lie outside the bounds, and two nulls are the same key.
        let has_nulls = stats["nullCount"][column].as_u64() != Some(0);
        let bound = |side: &str| Some(stats[side][column].clone()).filter(|value| !value.is_null() && !has_nulls);
        Bounds { least: bound("minValues"), greatest: bound("maxValues") }
    }

    fn of_all(adds: &[Add], column: &str) -> Bounds {
        let mut each = adds.iter().map(|add| Bounds::of(add, column));
        let Some(first) = each.next() else { return Bounds::default() };
        each.fold(first, |known, next| Bounds {
            least: extreme(known.least, next.least, Ordering::Less),
            greatest: extreme(known.greatest, next.greatest, Ordering::Greater),
        })
    }

    fn meets(&self, other: &Bounds) -> bool {
        let below = |one: &Option<Value>, two: &Option<Value>| match (one, two) {
            (Some(one), Some(two)) => compare(one, two) == Some(Ordering::Less),
            _ => false,
        };
        !below(&self.greatest, &other.least) && !below(&other.greatest, &self.least)
    }
}

fn extreme(one: Option<Value>, two: Option<Value>, wanted: Ordering) -> Option<Value> {
    let (one, two) = (one?, two?);
    match compare(&one, &two)? {
        ordering if ordering == wanted => Some(one),
        _ => Some(two),
    }
}

fn compare(one: &Value, two: &Value) -> Option<Ordering> {
    match (one, two) {
        (Value::String(one), Value::String(two)) => Some(cut(one).cmp(cut(two))),
        (Value::Number(one), Value::Number(two)) => match (one.as_i64(), two.as_i64()) {
            (Some(one), Some(two)) => Some(one.cmp(&two)),
            _ => one.as_f64()?.partial_cmp(&two.as_f64()?),
        },
        _ => None,
    }
}

fn cut(text: &str) -> &str {
    text.char_indices().nth(COMPARED_CHARACTERS).map_or(text, |(end, _)| &text[..end])
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn file(least: Value, greatest: Value, nulls: u64) -> Add {
        let stats = json!({ "minValues": { "k": least }, "maxValues": { "k": greatest }, "nullCount": { "k": nulls } });
        serde_json::from_value(json!({
            "path": "f", "partitionValues": {}, "size": 1, "modificationTime": 0, "dataChange": true,
            "stats": stats.to_string(),
        }))
        .unwrap()
    }

    fn meets(existing: Add, staged: Add) -> bool {
        !overlapping(vec![existing], &[staged], &["k".to_owned()]).is_empty()
    }

    #[test]
    fn only_a_proof_leaves_a_file_out() {
        assert!(!meets(file(json!(1), json!(5), 0), file(json!(6), json!(9), 0)));
        assert!(meets(file(json!(1), json!(6), 0), file(json!(6), json!(9), 0)));
        assert!(meets(file(json!(1), json!(5), 1), file(json!(6), json!(9), 1)), "nulls are equal to nulls");
        assert!(meets(file(json!(null), json!(null), 0), file(json!(6), json!(9), 0)), "no bounds, no proof");
        assert!(meets(file(json!("a"), json!("b"), 0), file(json!(6), json!(9), 0)), "types differ");
    }

    #[test]
    fn times_within_the_same_second_overlap() {
        let early = file(json!("2024-01-01T00:00:00.000Z"), json!("2024-01-01T10:00:00.123Z"), 0);
        let late = file(json!("2024-01-01T10:00:00.123456Z"), json!("2024-01-01T11:00:00Z"), 0);
        assert!(meets(early.clone(), late));
        assert!(!meets(early, file(json!("2024-01-01T10:00:01Z"), json!("2024-01-01T11:00:00Z"), 0)));
    }
}
