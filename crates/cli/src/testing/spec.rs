//! How users write a test of a pipeline, in `pipelines/<pipeline>/tests/<name>.toml`.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// A test of a pipeline: rows that come in, and what its tables must hold then. It runs without the lake.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TestSpec {
    /// What is shown, in a sentence.
    #[serde(default)]
    pub description: String,
    /// The time it is in the test, such as 2024-03-01T12:00:00Z. Steps may move it.
    pub now: String,
    /// Rows that come in first.
    #[serde(default)]
    pub given: LayersSpec,
    /// What happens after that, one after the other: more rows, a later time, a crash.
    #[serde(default)]
    pub step: Vec<StepSpec>,
    /// The rows that tables hold at the end. Tables and columns that are not named are not compared.
    #[serde(default)]
    pub expect: LayersSpec,
    /// The rows that tables refuse, in quarantine at the end: `reasons` and columns of the row.
    #[serde(default)]
    pub rejects: LayersSpec,
    /// What the error at the end says, when the run is to fail.
    #[serde(default)]
    pub fails: Option<String>,
    /// Tables whose rows are expected in the order in which they are written here, such as `gold.top_products`.
    #[serde(default)]
    pub in_order: Vec<String>,
}

/// One step of a test: rows come in, and the tables are brought up to date.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct StepSpec {
    /// The time it is from this step on.
    pub now: Option<String>,
    /// Rows that come in.
    pub given: LayersSpec,
    /// Where the process dies: `before silver.orders` or `after silver.orders`. The next step starts anew.
    pub crash: Option<String>,
    /// The rows that tables hold after this step.
    pub expect: LayersSpec,
    /// The rows that tables refuse, in quarantine after this step.
    pub rejects: LayersSpec,
    /// What the error of this step says, when it is to fail.
    pub fails: Option<String>,
}

/// Rows of tables by layer.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct LayersSpec {
    /// Bronze tables: what lands and is decoded.
    pub bronze: BTreeMap<String, RowsSpec>,
    /// Silver tables. Where rows are given, the table holds just them and its own steps do not run.
    pub silver: BTreeMap<String, RowsSpec>,
    /// Gold tables, in the same way.
    pub gold: BTreeMap<String, RowsSpec>,
}

/// Rows: a list of tables with a key for each column, or a text of CSV with a header or of one JSON object a line. What is
/// given to a bronze table as text lands as it is, in the format of its source.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(untagged)]
pub enum RowsSpec {
    /// Text of several rows.
    Text(String),
    /// One table for each row. `{ null = true }` is a null.
    Rows(Vec<Map<String, Value>>),
}
