//! How users write a bronze table.

use arrow::datatypes::{FieldRef, Schema};
use frame::TimeSpan;
use frame::spec::{CsvSpec, EvolutionSpec, Format, SchemaSpec};
use quality::checks::spec::CheckSpec;
use quality::profile::spec::ProfileSpec;
use quality::spec::ExpectationSpec;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use stage::{Error, Result};

use crate::columns::system_fields;
use crate::kafka;
use crate::kafka::spec::KafkaSpec;
use crate::kinesis;
use crate::kinesis::spec::KinesisSpec;

/// A bronze table: where rows come from and what is known of them. The file's place is the table's name.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BronzeSpec {
    /// What the table holds, in a sentence.
    #[serde(default)]
    pub description: String,
    /// Where the rows come from.
    pub source: SourceSpec,
    /// Known columns. They win over what is inferred.
    #[serde(default)]
    pub schema: SchemaSpec,
    /// How the table meets data that its schema does not describe.
    #[serde(default)]
    pub evolution: EvolutionSpec,
    /// Columns the table is partitioned by.
    #[serde(default)]
    pub partition_by: Vec<String>,
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

/// The source of a bronze table.
#[expect(clippy::large_enum_variant, reason = "a project has few sources")]
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
pub enum SourceSpec {
    /// Files in a local folder or under an S3 prefix.
    Files(FilesSpec),
    /// Topics of Kafka.
    Kafka(KafkaSpec),
    /// A stream of Kinesis.
    Kinesis(KinesisSpec),
}

impl SourceSpec {
    /// The columns that bronze adds to those of the data, in the order in which they stand behind them.
    pub fn added_fields(&self) -> Vec<FieldRef> {
        match self {
            SourceSpec::Files(_) => system_fields(),
            SourceSpec::Kafka(_) => kafka::KIND.table_schema(&Schema::empty()).fields().to_vec(),
            SourceSpec::Kinesis(_) => kinesis::KIND.table_schema(&Schema::empty()).fields().to_vec(),
        }
    }

    /// Where it is, in words: what fails as a whole when it fails.
    pub fn place(&self) -> String {
        match self {
            SourceSpec::Files(files) => match files.path.strip_prefix("s3://") {
                Some(path) => format!("s3://{}", path.split('/').next().unwrap_or_default()),
                None => files.path.clone(),
            },
            SourceSpec::Kafka(kafka) => format!("Kafka at {}", kafka.brokers),
            SourceSpec::Kinesis(kinesis) => format!("the Kinesis stream {}", kinesis.stream),
        }
    }

    /// The spec of a source of files.
    pub(crate) fn files(&self) -> Result<&FilesSpec> {
        match self {
            SourceSpec::Files(files) => Ok(files),
            SourceSpec::Kafka(_) | SourceSpec::Kinesis(_) => {
                Err(Error::bug("the stage of files was given a source that has none"))
            }
        }
    }
}

/// What happens when a file that was read has changed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnChange {
    /// The change is not read.
    #[default]
    Ignore,
    /// The file is read again, whole.
    Ingest,
    /// The batch is refused.
    Fail,
}

/// `[source.files]`: files that land in a folder and are read once each.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FilesSpec {
    /// A folder, or `s3://bucket/prefix`. Everything below it is read, however deep.
    pub path: String,
    /// How the files are written.
    pub format: Format,
    /// Only files whose name matches, with `*` and `?`, such as `orders-*.csv`.
    #[serde(default)]
    pub pattern: Option<String>,
    /// How CSV files are written.
    #[serde(default)]
    pub csv: CsvSpec,
    /// What happens when a file that was read has changed.
    #[serde(default)]
    pub on_change: OnChange,
    /// The most files in one batch.
    #[serde(default = "default_max_files")]
    pub max_files: u64,
    /// The most bytes in one batch, as the files are stored. A single larger file is a batch of its own.
    #[serde(default = "default_max_bytes")]
    pub max_bytes: u64,
    /// Seconds since the last change before a local file counts as complete.
    #[serde(default)]
    pub minimum_age_seconds: u64,
    /// How often a stream looks whether files have landed, such as `200ms`, `5s` or `1m`.
    #[serde(default = "default_trigger")]
    pub trigger: TimeSpan,
}

impl FilesSpec {
    /// All files of a folder, read as soon as they are there.
    pub fn of_folder(path: String, format: Format, csv: CsvSpec) -> FilesSpec {
        FilesSpec {
            path,
            format,
            pattern: None,
            csv,
            on_change: OnChange::default(),
            max_files: default_max_files(),
            max_bytes: default_max_bytes(),
            minimum_age_seconds: 0,
            trigger: default_trigger(),
        }
    }
}

fn default_trigger() -> TimeSpan {
    TimeSpan::milliseconds(1_000)
}

fn default_max_files() -> u64 {
    10_000
}

fn default_max_bytes() -> u64 {
    64 << 30
}
