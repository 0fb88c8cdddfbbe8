//! How users write a silver table.

use frame::TimeSpan;
use frame::spec::CleanSpec;
use quality::checks::spec::CheckSpec;
use quality::profile::spec::ProfileSpec;
use quality::spec::ExpectationSpec;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

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
    /// How late rows may come.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub watermark: Option<WatermarkSpec>,
    /// What every row must fulfil.
    #[serde(default)]
    pub expect: Vec<ExpectationSpec>,
    /// What the table as a whole must fulfil.
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
    /// The table is replaced as a whole from all of its upstream.
    Overwrite,
}

/// `write = { merge = { ... } }`: the newest row of each key wins.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MergeSpec {
    /// The columns that name a row.
    pub keys: Vec<String>,
    /// The column that says which row is newer.
    pub sequence_by: String,
    /// A boolean in SQL; rows for which it is true delete the row of their key.
    #[serde(default)]
    pub delete_when: Option<String>,
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
