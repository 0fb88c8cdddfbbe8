//! How users write types and clean steps. These are the words of the TOML files; checking them is elsewhere.

use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A column type as written in a spec: `"long"`, `["string"]` for a list, `{ key = "string" }` for a struct.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(untagged)]
pub enum TypeSpec {
    /// A simple type: string, boolean, int, long, float, double, date, timestamp, timestamp_ntz, binary, decimal(p,s).
    Name(String),
    /// A list of one element type.
    List([Box<TypeSpec>; 1]),
    /// A struct with its fields in order.
    Struct(IndexMap<String, TypeSpec>),
}

/// Column names with their types, in order.
pub type SchemaSpec = IndexMap<String, TypeSpec>;

/// What happens to a field that the schema does not know.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum NewColumns {
    /// The column is added to the table, in the same commit.
    #[default]
    Add,
    /// The value is kept in `_rescued_data`.
    Rescue,
    /// The value is left out.
    Ignore,
    /// The batch is refused.
    Fail,
}

/// What happens to a value that does not fit its column's type.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Mismatch {
    /// The column is null and the value is kept in `_rescued_data`.
    #[default]
    Rescue,
    /// The whole row goes to quarantine.
    Quarantine,
    /// The batch is refused.
    Fail,
}

/// `[evolution]`: how a table meets data that its schema does not describe.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct EvolutionSpec {
    /// What happens to a field that the schema does not know.
    pub new_columns: NewColumns,
    /// What happens to a value that does not fit its column's type.
    pub mismatch: Mismatch,
}

/// The formats of files. Each may also be compressed as a whole with gzip (`.gz`) or zstd (`.zst`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Format {
    /// One JSON object per line.
    Ndjson,
    /// A JSON array of objects, or objects one after the other, over as many lines as they like.
    Json,
    /// Comma-separated values.
    Csv,
    /// Apache Parquet.
    Parquet,
    /// Apache Avro object container files.
    Avro,
}

/// `[source.files.csv]`: how CSV files are written.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct CsvSpec {
    /// Whether the first line holds the column names. Without, columns are `column_1`, `column_2`, ...
    pub header: bool,
    /// One character between fields.
    pub delimiter: String,
    /// One character around fields that hold delimiters or line breaks.
    pub quote: String,
    /// Texts that stand for null, besides the empty field.
    pub nulls: Vec<String>,
}

impl Default for CsvSpec {
    fn default() -> Self {
        CsvSpec { header: true, delimiter: ",".to_owned(), quote: "\"".to_owned(), nulls: Vec::new() }
    }
}

/// A cast: a type, or a type with the format its text is written in.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(untagged)]
pub enum CastSpec {
    /// The type; text is read in the usual ISO forms.
    Type(String),
    /// The type and a `strftime` format.
    Format {
        /// The type to cast to.
        r#type: String,
        /// How dates or times are written, in `strftime` letters such as `%d/%m/%Y %H:%M`.
        format: String,
    },
}

/// `[clean]`: declared row work, done in this order whatever the order in the file: flatten, rename, trim, lower, upper,
/// null_if, cast, fill, deduplicate, drop.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct CleanSpec {
    /// Struct columns whose fields become columns `column_field`.
    pub flatten: Vec<String>,
    /// New names by old names.
    pub rename: IndexMap<String, String>,
    /// Text columns whose white space at both ends goes.
    pub trim: Vec<String>,
    /// Text columns turned to lower case.
    pub lower: Vec<String>,
    /// Text columns turned to upper case.
    pub upper: Vec<String>,
    /// Texts that mean null, by column.
    pub null_if: IndexMap<String, Vec<String>>,
    /// Types to cast to, by column. A cast that turns a value into null is a violation, and the row is kept in quarantine.
    pub cast: IndexMap<String, CastSpec>,
    /// Values that replace null, by column.
    pub fill: IndexMap<String, serde_json::Value>,
    /// Columns by which rows of the same batch are duplicates; one of them stays.
    pub deduplicate: Vec<String>,
    /// Columns that go.
    pub drop: Vec<String>,
}
