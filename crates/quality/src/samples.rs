//! Which rows failed: a few for each rule, by the columns that name a row.
//!
//! Nothing is gathered while every row passes, and nothing more once a rule has enough.

use std::collections::BTreeMap;

use arrow::array::RecordBatch;
use arrow::json::LineDelimitedWriter;
use stage::columns;

use crate::verdict::Violated;

/// Rows kept of each rule.
pub(crate) const ROWS: usize = 5;
/// Bytes of a row that are kept at most: a longer one is left out.
const ROW_BYTES: usize = 400;
/// What names a row where the table has no key.
const ORIGIN: [&str; 2] = [columns::SOURCE, columns::POSITION];

/// Some rows that failed, by rule, each as a JSON object.
#[derive(Debug, Clone, Default)]
pub(crate) struct Samples {
    rules: BTreeMap<String, Vec<String>>,
}

impl Samples {
    /// Adds rows of a batch that violate rules which have too few yet.
    pub(crate) fn add(&mut self, rows: &RecordBatch, violated: &[Violated], keys: &[String]) {
        for rule in violated {
            let Some(failed) = &rule.rows else { continue };
            let known = self.rules.get(&rule.rule).map_or(0, Vec::len);
            if known >= ROWS {
                continue;
            }
            let told = failed.set_indices().take(ROWS - known).filter_map(|row| row_as_json(&rows.slice(row, 1), keys));
            let told: Vec<String> = told.collect();
            self.rules.entry(rule.rule.clone()).or_default().extend(told);
        }
    }

    /// The rows of one rule.
    pub(crate) fn of(&self, rule: &str) -> Vec<String> {
        self.rules.get(rule).cloned().unwrap_or_default()
    }
}

/// The key columns of the only row of a batch as a JSON object; `None` when it has none of them.
fn row_as_json(row: &RecordBatch, keys: &[String]) -> Option<String> {
    let schema = row.schema();
    let found = |names: &mut dyn Iterator<Item = &str>| -> Vec<usize> {
        names.filter_map(|name| schema.index_of(name).ok()).collect()
    };
    let mut columns = found(&mut keys.iter().map(String::as_str));
    if columns.is_empty() {
        columns = found(&mut ORIGIN.into_iter());
    }
    if columns.is_empty() {
        return None;
    }
    batch_as_json(&row.project(&columns).ok()?).into_iter().next()
}

/// The rows of a batch as JSON objects, without those that are too long.
pub(crate) fn batch_as_json(rows: &RecordBatch) -> Vec<String> {
    let mut writer = LineDelimitedWriter::new(Vec::new());
    // Writing into memory cannot fail, and a type that JSON lacks is no reason to refuse a batch.
    if writer.write(rows).and_then(|()| writer.finish()).is_err() {
        return Vec::new();
    }
    let text = String::from_utf8_lossy(&writer.into_inner()).into_owned();
    text.lines().filter(|line| !line.is_empty() && line.len() <= ROW_BYTES).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{ArrayRef, Int64Array, StringViewArray};
    use arrow::buffer::BooleanBuffer;

    use super::*;
    use crate::spec::OnFail;

    fn rows() -> RecordBatch {
        let columns: [(&str, ArrayRef); 3] = [
            ("id", Arc::new(Int64Array::from_iter_values(0..20))),
            ("secret", Arc::new(StringViewArray::from_iter_values((0..20).map(|n| format!("s{n}"))))),
            ("_position", Arc::new(Int64Array::from_iter_values(100..120))),
        ];
        RecordBatch::try_from_iter(columns).unwrap()
    }

    fn violated(rows: Option<BooleanBuffer>) -> Vec<Violated> {
        vec![Violated { rule: "r".to_owned(), on_fail: OnFail::Warn, rows }]
    }

    #[test]
    fn a_few_rows_are_named_by_their_key_and_by_nothing_else() {
        let mut samples = Samples::default();
        let all = violated(Some(BooleanBuffer::new_set(20)));
        samples.add(&rows(), &all, &["id".to_owned()]);
        samples.add(&rows(), &all, &["id".to_owned()]);
        assert_eq!(samples.of("r"), (0..5).map(|n| format!("{{\"id\":{n}}}")).collect::<Vec<_>>());
    }

    #[test]
    fn rows_without_a_key_are_named_by_where_they_came_from() {
        let mut samples = Samples::default();
        samples.add(&rows(), &violated(Some(BooleanBuffer::collect_bool(20, |row| row == 7))), &["gone".to_owned()]);
        assert_eq!(samples.of("r"), ["{\"_position\":107}"]);
        samples.add(&rows(), &violated(None), &[]);
        assert_eq!(samples.of("other"), Vec::<String>::new());
    }
}
