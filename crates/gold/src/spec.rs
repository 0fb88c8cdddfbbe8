//! How users write a gold table.

use quality::checks::spec::CheckSpec;
use quality::profile::spec::ProfileSpec;
use quality::spec::ExpectationSpec;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A gold table: the result of the `.sql` file of the same name beside it.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct GoldSpec {
    /// What the table holds, in a sentence.
    pub description: String,
    /// How the table is brought up to date.
    pub refresh: Refresh,
    /// Whether the result is stored.
    pub materialized: Materialized,
    /// Columns that name a row: by them `system.quality` tells which rows failed a rule.
    pub key: Vec<String>,
    /// Columns the table is partitioned by.
    pub partition_by: Vec<String>,
    /// What every row must fulfil.
    pub expect: Vec<ExpectationSpec>,
    /// What the table as a whole must fulfil.
    // Checks and profiles make no rows: left out here they are not in the fingerprint, and a new one rebuilds nothing.
    #[serde(skip_serializing)]
    pub check: Vec<CheckSpec>,
    /// Whether the columns are profiled while rows are written, and which.
    #[serde(skip_serializing)]
    pub profile: ProfileSpec,
}

/// How a gold table is brought up to date.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Refresh {
    /// The cheapest correct way.
    #[default]
    Auto,
    /// The whole query, each time something upstream changed.
    Full,
}

/// Whether the result of a gold query is stored.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Materialized {
    /// The result is a Delta table.
    #[default]
    Table,
    /// The query is saved and runs each time it is asked.
    View,
}
