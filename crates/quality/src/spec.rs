//! How users write expectations.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// What happens to rows that violate an expectation.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnFail {
    /// The row is written; the violation is counted.
    Warn,
    /// The row is left out; the violation is counted.
    Drop,
    /// The row is kept in quarantine with the reasons.
    #[default]
    Quarantine,
    /// The whole batch is refused; the table stays as it was.
    Fail,
}

/// A column and the values it may or may not hold.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SetSpec {
    /// The column.
    pub column: String,
    /// Texts, numbers or booleans.
    pub values: Vec<Value>,
}

/// A column and its bounds, both inclusive; either may be left out.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RangeSpec {
    /// The column.
    pub column: String,
    /// A number, or a date or timestamp as text.
    #[serde(default)]
    pub min: Option<Value>,
    /// A number, or a date or timestamp as text.
    #[serde(default)]
    pub max: Option<Value>,
}

/// A text column and a regular expression that must be found in it; write `^` and `$` to match all of it.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PatternSpec {
    /// The column.
    pub column: String,
    /// The regular expression.
    pub pattern: String,
}

/// A text column and how many characters it may have, both bounds inclusive.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LengthSpec {
    /// The column.
    pub column: String,
    /// The fewest characters.
    #[serde(default)]
    pub min: Option<u64>,
    /// The most characters.
    #[serde(default)]
    pub max: Option<u64>,
}

/// Two columns of one row and how they must relate.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CompareSpec {
    /// The column on the left.
    pub left: String,
    /// `<`, `<=`, `=`, `!=`, `>=` or `>`.
    pub operator: String,
    /// The column on the right.
    pub right: String,
}

/// `[[expect]]`: what every row must fulfil. Exactly one rule stands in each. A null where a rule needs a value is a
/// violation.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ExpectationSpec {
    /// The name under which violations are counted; unique in the table.
    pub name: String,
    /// What happens to rows that violate it.
    pub on_fail: OnFail,
    /// Columns that must have a value.
    pub not_null: Option<Vec<String>>,
    /// A column that must hold one of some values.
    pub in_set: Option<SetSpec>,
    /// A column that must hold none of some values.
    pub not_in_set: Option<SetSpec>,
    /// A column that must lie between two bounds.
    pub between: Option<RangeSpec>,
    /// A text column that must match a regular expression.
    pub matches: Option<PatternSpec>,
    /// A text column whose length is bounded.
    pub length: Option<LengthSpec>,
    /// Dates or timestamps that must not be later than now.
    pub not_in_future: Option<Vec<String>>,
    /// Text columns that must be mail addresses.
    pub email: Option<Vec<String>>,
    /// Text columns that must be UUIDs.
    pub uuid: Option<Vec<String>>,
    /// Two columns that must relate.
    pub compare: Option<CompareSpec>,
    /// A boolean in SQL that must be true.
    pub expect: Option<String>,
}
