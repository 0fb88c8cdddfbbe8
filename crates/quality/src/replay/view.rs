//! Rows of a quarantine table, value by value: where they came from, why they were refused, what became of them.

use arrow::array::{Array, AsArray, ListArray, RecordBatch, StringViewArray, StructArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Int64Type, TimestampMicrosecondType};
use lake::replay;
use stage::{Error, Result};

/// Rows of a quarantine table, value by value.
pub struct View<'a> {
    rows: &'a RecordBatch,
    sources: &'a StringViewArray,
    runs: &'a StringViewArray,
    states: &'a StringViewArray,
}

impl<'a> View<'a> {
    /// The rows of a batch in the schema of quarantine tables.
    ///
    /// # Errors
    /// [`stage::Kind::Bug`] when it has another schema.
    pub fn of(rows: &'a RecordBatch) -> Result<View<'a>> {
        Ok(View { rows, sources: text(rows, "source")?, runs: text(rows, "run")?, states: text(rows, replay::STATE)? })
    }

    /// The run that refused the row first.
    pub fn run(&self, row: usize) -> &'a str {
        if self.runs.is_valid(row) { self.runs.value(row) } else { "" }
    }

    /// Whether the row waits, or went on.
    pub fn state(&self, row: usize) -> &'a str {
        if self.states.is_valid(row) { self.states.value(row) } else { replay::QUARANTINED }
    }

    /// Why the row is refused by the newest look at it; why it was when it no longer is.
    pub fn reasons(&self, row: usize) -> Vec<String> {
        match self.last_replay(row) {
            Some((replays, last)) if self.state(row) == replay::QUARANTINED => replays
                .column_by_name("reasons")
                .map(|reasons| texts(reasons.as_list::<i32>(), last))
                .unwrap_or_default(),
            _ => self.first_reasons(row),
        }
    }

    /// Why the row was refused first.
    pub fn first_reasons(&self, row: usize) -> Vec<String> {
        self.rows.column_by_name("reasons").map(|reasons| texts(reasons.as_list::<i32>(), row)).unwrap_or_default()
    }

    /// The file or partition the row came from; empty when that is not known.
    pub fn source(&self, row: usize) -> &'a str {
        if self.sources.is_valid(row) { self.sources.value(row) } else { "" }
    }

    pub(super) fn position(&self, row: usize) -> i64 {
        self.number("position", row).unwrap_or(-1)
    }

    pub(super) fn batch(&self, row: usize) -> Option<i64> {
        self.number("batch", row)
    }

    /// When the row was refused first, in microseconds since 1970.
    pub fn at_micros(&self, row: usize) -> i64 {
        let times =
            self.rows.column_by_name("quarantined_at").map(|times| times.as_primitive::<TimestampMicrosecondType>());
        times.map_or(0, |times| times.value(row))
    }

    /// Whether the row waits and was not looked at by this run.
    pub(super) fn waits(&self, row: usize, run: &str) -> bool {
        let seen = self.last_replay(row).is_some_and(|(replays, last)| {
            let runs = replays.column_by_name("run").map(|runs| runs.as_string_view());
            runs.is_some_and(|runs| runs.is_valid(last) && runs.value(last) == run)
        });
        self.state(row) == replay::QUARANTINED && !seen
    }

    /// The entries of all rows, and which is the newest of this one.
    fn last_replay(&self, row: usize) -> Option<(&'a StructArray, usize)> {
        let lists = self.rows.column_by_name(replay::REPLAYS)?.as_list::<i32>();
        let end = *lists.value_offsets().get(row + 1)? as usize;
        let is_empty = lists.is_null(row) || lists.value_length(row) == 0;
        (!is_empty).then(|| (lists.values().as_struct(), end - 1))
    }

    fn number(&self, name: &str, row: usize) -> Option<i64> {
        let numbers = self.rows.column_by_name(name)?.as_primitive::<Int64Type>();
        numbers.is_valid(row).then(|| numbers.value(row))
    }
}

fn texts(lists: &ListArray, row: usize) -> Vec<String> {
    if lists.is_null(row) {
        return Vec::new();
    }
    let list = lists.value(row);
    let Ok(list) = cast(&list, &DataType::Utf8View) else { return Vec::new() };
    list.as_string_view().iter().flatten().map(str::to_owned).collect()
}

pub(super) fn text<'a>(rows: &'a RecordBatch, name: &str) -> Result<&'a StringViewArray> {
    let column = rows.column_by_name(name).and_then(|column| column.as_string_view_opt());
    column.ok_or_else(|| Error::bug(format!("a quarantine table has no text column `{name}`")))
}
