//! How the rows of a batch change a table, as users wrote it, checked against the columns there are.

use std::time::Duration;

use ::stage::{Error, Result};
use arrow::array::{BooleanArray, RecordBatch};
use arrow::datatypes::{Schema, SchemaRef};
use sql::{Engine, Predicate};

use super::layout::{HISTORY_COLUMNS, Mode, shown_schema};
use crate::spec::{ChangeSource, MergeSpec, Scd2Spec, WriteSpec};

/// `merge` and `scd2` in one form.
#[derive(Debug, Clone)]
pub(crate) struct Rules {
    pub(crate) keys: Vec<String>,
    pub(crate) sequence_by: Vec<String>,
    pub(crate) delete_when: Option<String>,
    pub(crate) truncate_when: Option<String>,
    pub(crate) mode: Mode,
    pub(crate) source: ChangeSource,
    pub(crate) remember: Duration,
}

impl Rules {
    /// The rules of a table whose rows change by their keys; `None` for the other ways to write.
    pub(crate) fn of(write: &WriteSpec) -> Option<Rules> {
        match write {
            WriteSpec::Merge(spec) => Some(Rules::of_merge(spec)),
            WriteSpec::Scd2(spec) => Some(Rules::of_scd2(spec)),
            WriteSpec::Append | WriteSpec::UniqueKey(_) | WriteSpec::Overwrite => None,
        }
    }

    fn of_merge(spec: &MergeSpec) -> Rules {
        Rules {
            keys: spec.keys.clone(),
            sequence_by: spec.sequence_by.0.clone(),
            delete_when: spec.delete_when.clone(),
            truncate_when: spec.truncate_when.clone(),
            mode: if spec.ignore_null_updates { Mode::Filled } else { Mode::Newest },
            source: spec.source,
            remember: spec.remember.duration(),
        }
    }

    fn of_scd2(spec: &Scd2Spec) -> Rules {
        Rules {
            keys: spec.keys.clone(),
            sequence_by: spec.sequence_by.0.clone(),
            delete_when: spec.delete_when.clone(),
            truncate_when: None,
            mode: Mode::History(spec.track.clone()),
            source: spec.source,
            remember: spec.remember.duration(),
        }
    }

    /// Whether each batch, or what it holds last, is all there is.
    pub(crate) fn is_of_snapshots(&self) -> bool {
        self.source == ChangeSource::Snapshots
    }
}

/// The columns that this way to write adds to those of the query.
pub fn own_columns(write: &WriteSpec) -> &'static [&'static str] {
    match write {
        WriteSpec::Scd2(_) => &HISTORY_COLUMNS,
        WriteSpec::Append | WriteSpec::UniqueKey(_) | WriteSpec::Merge(_) | WriteSpec::Overwrite => &[],
    }
}

/// The columns of a table whose query gives `output`. What does not fit is left out; a check of the spec reports it.
pub fn written_columns(write: &WriteSpec, output: &SchemaRef) -> SchemaRef {
    let WriteSpec::Scd2(spec) = write else { return output.clone() };
    let mode = Mode::History(None);
    shown_schema(output, &spec.sequence_by.0, &mode).unwrap_or_else(|_| output.clone())
}

/// The conditions of the rules, planned against the columns.
#[derive(Debug, Clone)]
pub(crate) struct Conditions {
    delete: Option<Predicate>,
    truncate: Option<Predicate>,
}

impl Conditions {
    pub(crate) fn new(rules: &Rules, engine: &Engine, schema: &Schema) -> Result<Conditions> {
        let plan = |key: &str, text: &Option<String>| {
            let planned = text.as_ref().map(|text| sql::boolean(engine, schema, text)).transpose();
            planned.map_err(|problem| Error::config(format!("`{key}`: {}", problem.message)))
        };
        Ok(Conditions {
            delete: plan("delete_when", &rules.delete_when)?,
            truncate: plan("truncate_when", &rules.truncate_when)?,
        })
    }

    pub(crate) fn can_truncate(&self) -> bool {
        self.truncate.is_some()
    }

    /// Which rows delete.
    pub(crate) fn deletes(&self, rows: &RecordBatch) -> Result<Option<BooleanArray>> {
        self.delete.as_ref().map(|condition| condition.evaluate(rows)).transpose()
    }

    /// Which rows empty the table.
    pub(crate) fn truncates(&self, rows: &RecordBatch) -> Result<Option<BooleanArray>> {
        self.truncate.as_ref().map(|condition| condition.evaluate(rows)).transpose()
    }
}

/// Whether the row is one for which the condition is true; unknown is not true.
pub(crate) fn holds(condition: Option<&BooleanArray>, row: usize) -> bool {
    use arrow::array::Array as _;
    condition.is_some_and(|found| found.is_valid(row) && found.value(row))
}
