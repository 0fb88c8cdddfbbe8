//! How users write a silver table.

use std::borrow::Cow;
use std::fmt;

use frame::TimeSpan;
use frame::spec::CleanSpec;
use quality::checks::spec::CheckSpec;
use quality::profile::spec::ProfileSpec;
use quality::spec::ExpectationSpec;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A silver table: cleaned and enriched rows of one upstream table. A `.sql` file of the same name beside it, if there
/// is one, runs over the changed rows after the clean steps.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SilverSpec {
    /// What the table holds, in a sentence.
    #[serde(default)]
    pub description: String,
    /// The table that is read incrementally, such as `bronze.events`. Other tables in the SQL are read whole.
    pub from: String,
    /// Columns the table is partitioned by.
    #[serde(default)]
    pub partition_by: Vec<String>,
    /// How rows enter the table.
    #[serde(default)]
    pub write: WriteSpec,
    /// Declared row work, before the SQL.
    #[serde(default)]
    pub clean: CleanSpec,
    /// The column of the table that says when a row happened: a timestamp or date. Runs over an interval and
    /// `medallion gaps` go by it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event_time: Option<String>,
    /// How late rows may come.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub watermark: Option<WatermarkSpec>,
    /// What every row must fulfil.
    #[serde(default)]
    pub expect: Vec<ExpectationSpec>,
    /// What the table as a whole must fulfil.
    // Checks and profiles make no rows: left out here they are not in the fingerprint, and a new one rebuilds nothing.
    #[serde(default, skip_serializing)]
    pub check: Vec<CheckSpec>,
    /// Whether the columns are profiled while rows are written, and which.
    #[serde(default, skip_serializing)]
    pub profile: ProfileSpec,
}

impl SilverSpec {
    /// The columns that name a row, where rows are written by them.
    pub fn keys(&self) -> &[String] {
        match &self.write {
            WriteSpec::UniqueKey(keys) => keys,
            WriteSpec::Merge(merge) => &merge.keys,
            WriteSpec::Scd2(history) => &history.keys,
            WriteSpec::Append | WriteSpec::Overwrite => &[],
        }
    }
}

/// How rows enter a silver table.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum WriteSpec {
    /// Every row is added.
    #[default]
    Append,
    /// A row is added unless a row with the same values in these columns is there.
    UniqueKey(Vec<String>),
    /// Rows replace older rows of the same key.
    Merge(MergeSpec),
    /// Rows become versions of their key.
    Scd2(Scd2Spec),
    /// The table is replaced as a whole from all of its upstream.
    Overwrite,
}

/// `write = { merge = { ... } }`: the newest row of each key wins.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MergeSpec {
    /// The columns that name a row.
    pub keys: Vec<String>,
    /// The column that says which row is newer; of several, those behind decide where the ones before are equal. Only
    /// whole snapshots can do without.
    #[serde(default, skip_serializing_if = "Columns::is_empty")]
    pub sequence_by: Columns,
    /// A boolean in SQL; rows for which it is true delete the row of their key.
    #[serde(default)]
    pub delete_when: Option<String>,
    /// A boolean in SQL; rows for which it is true remove every older row of the table, whatever its key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub truncate_when: Option<String>,
    /// A null in a newer row leaves the older value as it is.
    #[serde(default, skip_serializing_if = "is_default")]
    pub ignore_null_updates: bool,
    /// What a batch of rows is.
    #[serde(default, skip_serializing_if = "is_default")]
    pub source: ChangeSource,
    /// How long deletes are remembered, and with `ignore_null_updates` which row each value is of.
    #[serde(default = "remember", skip_serializing_if = "is_as_usual")]
    pub remember: TimeSpan,
}

/// `write = { scd2 = { ... } }`: every version of each key, with the time it was valid.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Scd2Spec {
    /// The columns that name what has versions.
    pub keys: Vec<String>,
    /// The column that says when a row became valid; of several, those behind decide where the ones before are equal.
    pub sequence_by: Columns,
    /// The columns whose change makes a new version; all but the keys and `sequence_by` when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub track: Option<Vec<String>>,
    /// A boolean in SQL; rows for which it is true end the version of their key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delete_when: Option<String>,
    /// What a batch of rows is.
    #[serde(default, skip_serializing_if = "is_default")]
    pub source: ChangeSource,
    /// How long deletes are remembered, and changes that made no version.
    #[serde(default = "remember", skip_serializing_if = "is_as_usual")]
    pub remember: TimeSpan,
}

/// What the rows of a batch are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ChangeSource {
    /// Changes, each of one key.
    #[default]
    Changes,
    /// All there is: a key that is missing was deleted.
    Snapshots,
}

/// One column, or several in order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Columns(pub Vec<String>);

impl Columns {
    /// Whether no column is named.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl<'de> Deserialize<'de> for Columns {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Columns, D::Error> {
        deserializer.deserialize_any(ColumnsVisitor)
    }
}

struct ColumnsVisitor;

impl<'de> Visitor<'de> for ColumnsVisitor {
    type Value = Columns;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a column or a list of columns")
    }

    fn visit_str<E: serde::de::Error>(self, column: &str) -> Result<Columns, E> {
        Ok(Columns(vec![column.to_owned()]))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Columns, A::Error> {
        let mut columns = Vec::new();
        while let Some(column) = items.next_element()? {
            columns.push(column);
        }
        Ok(Columns(columns))
    }
}

impl Serialize for Columns {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0.as_slice() {
            [one] => one.serialize(serializer),
            several => several.serialize(serializer),
        }
    }
}

impl JsonSchema for Columns {
    fn schema_name() -> Cow<'static, str> {
        "Columns".into()
    }

    fn json_schema(_generator: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "One column, or several in order.",
            "anyOf": [{ "type": "string" }, { "type": "array", "items": { "type": "string" } }],
        })
    }
}

/// Thirty days.
const REMEMBERED_FOR: TimeSpan = TimeSpan::milliseconds(30 * 24 * 60 * 60 * 1000);

fn remember() -> TimeSpan {
    REMEMBERED_FOR
}

fn is_as_usual(remember: &TimeSpan) -> bool {
    *remember == REMEMBERED_FOR
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// `watermark = { column = "event_time", delay = "1h" }`: how far rows may lie behind the newest of their source. Those that
/// lie further behind are late and kept in quarantine, and repeats are looked for no further back.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WatermarkSpec {
    /// A timestamp or date after the clean steps: when the row happened.
    pub column: String,
    /// How late a row may come, such as `90s`, `10m`, `1h` or `7d`.
    pub delay: TimeSpan,
}
