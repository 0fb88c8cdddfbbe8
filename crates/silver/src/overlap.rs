//! Which files of a table can hold the same keys as some new ones, by their statistics alone.
//!
//! A file is left out only when its bounds prove that it cannot; a column without bounds proves nothing.

use std::cmp::Ordering;

use ::stage::{Error, Result};
use arrow::array::{Array as _, ArrayRef, AsArray as _, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Int64Type};
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

/// The values of a key column in a batch, each as the bounds of files tell values.
#[derive(Debug, Default)]
pub(crate) struct KeyValues {
    column: String,
    numbers: Vec<i64>,
    /// Texts as far as they are compared.
    texts: Vec<String>,
    has_null: bool,
    /// Partitions write times in another way than bounds.
    are_times: bool,
    /// Values of this type cannot be compared with bounds.
    is_unknown: bool,
}

impl KeyValues {
    /// The values of a column in these batches.
    ///
    /// # Errors
    /// [`::stage::Kind::Bug`] when a batch lacks the column.
    pub(crate) fn of(batches: &[&RecordBatch], column: &str) -> Result<KeyValues> {
        let mut values = KeyValues { column: column.to_owned(), ..KeyValues::default() };
        for rows in batches {
            let found =
                rows.column_by_name(column).ok_or_else(|| Error::bug(format!("rows lack the key `{column}`")))?;
            values.add(found)?;
        }
        values.numbers.sort_unstable();
        values.numbers.dedup();
        values.texts.sort_unstable();
        values.texts.dedup();
        Ok(values)
    }

    fn add(&mut self, column: &ArrayRef) -> Result<()> {
        self.has_null |= column.null_count() > 0;
        self.are_times |= matches!(column.data_type(), DataType::Timestamp(..));
        let failed = |error| Error::bug("could not read the keys of a batch").with_source(error);
        match column.data_type() {
            DataType::Int8 | DataType::Int16 | DataType::Int32 | DataType::Int64 => {
                let numbers = cast(column, &DataType::Int64).map_err(failed)?;
                self.numbers.extend(numbers.as_primitive::<Int64Type>().iter().flatten());
            }
            DataType::Utf8View | DataType::Date32 | DataType::Timestamp(..) => {
                let texts = cast(column, &DataType::Utf8).map_err(failed)?;
                self.texts.extend(texts.as_string::<i32>().iter().flatten().map(|text| cut(text).to_owned()));
            }
            _ => self.is_unknown = true,
        }
        Ok(())
    }

    /// Whether the file may hold one of the values. Only its bounds are looked at.
    pub(crate) fn may_be_in(&self, file: &Add) -> bool {
        let is_partition = file.partition_values.contains_key(&self.column);
        let bounds = Bounds::of(file, &self.column);
        match (&bounds.least, &bounds.greatest) {
            _ if self.is_unknown || (is_partition && self.are_times) => true,
            // Rows without a value lie in a partition of their own.
            (None, None) if is_partition => self.has_null,
            (Some(Value::Number(least)), Some(Value::Number(greatest))) => match (least.as_i64(), greatest.as_i64()) {
                (Some(least), Some(greatest)) if self.texts.is_empty() => has_between(&self.numbers, &least, &greatest),
                _ => true,
            },
            (Some(Value::String(least)), Some(Value::String(greatest))) if self.numbers.is_empty() => {
                has_between(&self.texts, &cut(least).to_owned(), &cut(greatest).to_owned())
            }
            (Some(Value::String(least)), Some(_)) if is_partition => match least.parse::<i64>() {
                Ok(number) => has_between(&self.numbers, &number, &number),
                Err(_) => true,
            },
            _ => true,
        }
    }
}

/// Whether one of the sorted values lies between two others, both included.
fn has_between<T: Ord>(values: &[T], least: &T, greatest: &T) -> bool {
    values.get(values.partition_point(|value| value < least)).is_some_and(|value| value <= greatest)
}

/// The files that may hold a text between `least` and `greatest` in a column.
pub(crate) fn holding(existing: Vec<Add>, column: &str, least: &str, greatest: &str) -> Vec<Add> {
    let text = |text: &str| Some(Value::String(text.to_owned()));
    let wanted = Bounds { least: text(least), greatest: text(greatest) };
    existing.into_iter().filter(|add| Bounds::of(add, column).meets(&wanted)).collect()
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
    use std::sync::Arc;

    use super::*;
    use arrow::array::{Float64Array, Int64Array, StringViewArray};
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

    fn values(column: ArrayRef) -> KeyValues {
        let rows = RecordBatch::try_from_iter([("k", column)]).unwrap();
        KeyValues::of(&[&rows], "k").unwrap()
    }

    #[test]
    fn a_file_between_the_keys_of_a_batch_is_left_out() {
        let numbers = values(Arc::new(Int64Array::from(vec![Some(50), Some(1), None])));
        assert!(!numbers.may_be_in(&file(json!(2), json!(49), 0)));
        assert!(numbers.may_be_in(&file(json!(2), json!(50), 0)));
        assert!(numbers.may_be_in(&file(json!(2), json!(49), 1)), "nulls are equal to nulls");
        assert!(numbers.may_be_in(&file(json!("2"), json!("3"), 0)), "types differ");
        assert!(numbers.may_be_in(&file(json!(null), json!(null), 0)), "no bounds, no proof");
        let texts = values(Arc::new(StringViewArray::from(vec!["b", "y"])));
        assert!(!texts.may_be_in(&file(json!("c"), json!("x"), 0)));
        assert!(texts.may_be_in(&file(json!("c"), json!("yy"), 0)));
        let amounts = values(Arc::new(Float64Array::from(vec![1.5])));
        assert!(amounts.may_be_in(&file(json!(2), json!(49), 0)), "such values are not compared");
    }

    #[test]
    fn a_partition_holds_only_its_own_value() {
        let partition = |value: Option<&str>| {
            let mut file = file(json!(1), json!(2), 0);
            file.partition_values.insert("k".to_owned(), value.map(str::to_owned));
            file
        };
        let numbers = values(Arc::new(Int64Array::from(vec![Some(5), Some(9)])));
        assert!(numbers.may_be_in(&partition(Some("5"))) && !numbers.may_be_in(&partition(Some("7"))));
        assert!(!numbers.may_be_in(&partition(None)));
        assert!(values(Arc::new(Int64Array::from(vec![None]))).may_be_in(&partition(None)));
    }

    #[test]
    fn times_within_the_same_second_overlap() {
        let early = file(json!("2024-01-01T00:00:00.000Z"), json!("2024-01-01T10:00:00.123Z"), 0);
        let late = file(json!("2024-01-01T10:00:00.123456Z"), json!("2024-01-01T11:00:00Z"), 0);
        assert!(meets(early.clone(), late));
        assert!(!meets(early, file(json!("2024-01-01T10:00:01Z"), json!("2024-01-01T11:00:00Z"), 0)));
    }
}
