//! The columns that bronze adds to every row, by which all other stages tell where a row came from and when.

/// The file, partition or shard a row came from.
pub const SOURCE: &str = "_source";
/// The line, ordinal or offset of a row in its source.
pub const POSITION: &str = "_position";
/// When the row was ingested.
pub const INGESTED_AT: &str = "_ingested_at";
/// The batch the row came with.
pub const BATCH: &str = "_batch";
/// What did not fit the schema, as a JSON object.
pub const RESCUED_DATA: &str = "_rescued_data";
/// All of them, in the order in which they stand behind the data.
pub const ALL: [&str; 5] = [SOURCE, POSITION, INGESTED_AT, BATCH, RESCUED_DATA];
