//! How users write checks of a table as a whole.

use frame::TimeSpan;
use frame::spec::SchemaSpec;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What a check that fails means.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// It is told and nothing else.
    Warn,
    /// A commit is refused, and an audit ends with exit code 3.
    #[default]
    Fail,
}

/// When a check is run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum When {
    /// By `medallion quality <table>` and `quality_task`, on the table as it stands.
    #[default]
    Audit,
    /// Before every commit as well, on the table as it would be; a commit that fails a check is not made.
    Commit,
}

/// `[[check]]`: what the table as a whole must fulfil. Exactly one rule stands in each.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct CheckSpec {
    /// The name under which results are told; no other check or expectation of the table has it.
    pub name: String,
    /// What it means when the check fails.
    pub severity: Severity,
    /// When the check is run.
    pub when: When,
    /// Columns whose values together are different in every row; rows with a null in one of them are not compared.
    pub unique: Option<Vec<String>>,
    /// As `unique`, and none of the columns is null.
    pub primary_key: Option<Vec<String>>,
    /// Columns whose values are found in another table.
    pub foreign_key: Option<ForeignKeySpec>,
    /// How many rows there are.
    pub row_count: Option<RowCountSpec>,
    /// How old the newest row is.
    pub freshness: Option<FreshnessSpec>,
    /// The share of rows that have a value.
    pub completeness: Option<CompletenessSpec>,
    /// The value of an aggregate in SQL.
    pub aggregate: Option<AggregateSpec>,
    /// Names and types of the columns.
    pub schema: Option<ColumnsSpec>,
    /// How far the values of the newest rows are from those of all earlier ones.
    pub distribution: Option<DistributionSpec>,
    /// Whether a commit writes about as many rows as earlier ones.
    pub volume: Option<VolumeSpec>,
    /// One SELECT whose rows are those that fail.
    pub sql: Option<String>,
}

/// `foreign_key = { columns = ["customer_id"], table = "silver.customers", keys = ["id"] }`. Rows with a null in one of the
/// columns refer to nothing.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ForeignKeySpec {
    /// The columns of this table.
    pub columns: Vec<String>,
    /// The table they refer to, as `layer.table` or in full. Its newest version is read.
    pub table: String,
    /// The columns there, in the same order; of the same names when left out.
    #[serde(default)]
    pub keys: Vec<String>,
}

/// `row_count = { min = 1 }`; several bounds may stand together.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RowCountSpec {
    /// The fewest rows.
    pub min: Option<u64>,
    /// The most rows.
    pub max: Option<u64>,
    /// A table that has as many rows, as `layer.table` or in full. Its newest version is read.
    pub equal_to: Option<String>,
    /// The fewest rows, as a share of those there were before: when the check was last made, or before the commit.
    pub min_of_before: Option<f64>,
    /// The most rows, as a share of those there were before.
    pub max_of_before: Option<f64>,
}

/// `freshness = { column = "updated_at", within = "1h" }`.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FreshnessSpec {
    /// A timestamp or date.
    pub column: String,
    /// How far its greatest value may lie back, such as `90s`, `1h` or `2d`.
    pub within: TimeSpan,
}

/// `completeness = { column = "email", min = 0.95 }`.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CompletenessSpec {
    /// The column.
    pub column: String,
    /// The least share of rows that have a value in it, from 0 to 1.
    pub min: f64,
}

/// `aggregate = { expression = "SUM(amount)", min = 0 }`.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AggregateSpec {
    /// An aggregate in SQL that results in a number.
    pub expression: String,
    /// Its least value.
    #[serde(default)]
    pub min: Option<f64>,
    /// Its greatest value.
    #[serde(default)]
    pub max: Option<f64>,
}

/// `schema = { columns = { id = "long" }, exact = true }`.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ColumnsSpec {
    /// Columns that the table has, with their types.
    pub columns: SchemaSpec,
    /// Whether it has no others.
    #[serde(default)]
    pub exact: bool,
    /// Whether they stand in this order.
    #[serde(default)]
    pub ordered: bool,
}

/// `distribution = { column = "amount", max_psi = 0.25 }`. Earlier rows are known by their stored profiles.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DistributionSpec {
    /// The column; it must be profiled.
    pub column: String,
    /// The greatest population stability index. Below 0.1 values are commonly taken as stable, above 0.25 as shifted.
    #[serde(default)]
    pub max_psi: Option<f64>,
    /// The greatest Kolmogorov-Smirnov distance, from 0 to 1; for numbers, dates and times only.
    #[serde(default)]
    pub max_ks: Option<f64>,
}

/// With what a commit is compared.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Season {
    /// All earlier commits.
    #[default]
    None,
    /// Those on the same day of the week, in UTC.
    DayOfWeek,
}

/// `volume = { max_deviations = 4, season = "day_of_week" }`.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct VolumeSpec {
    /// How many deviations the rows of a commit may lie from the median of earlier commits. A deviation is 1.4826 times the
    /// median distance from the median, which is the standard deviation where rows are normally distributed.
    pub max_deviations: f64,
    /// With what commits it is compared.
    pub season: Season,
    /// So many commits to compare with are needed; with fewer the check passes.
    pub min_history: u64,
}

impl Default for VolumeSpec {
    fn default() -> VolumeSpec {
        VolumeSpec { max_deviations: 3.5, season: Season::None, min_history: 7 }
    }
}
