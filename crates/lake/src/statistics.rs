//! What the log tells of a file without opening it.

use deltalake::kernel::Add;

/// How many rows the statistics of a file tell; `None` when it has none.
pub fn rows_told(file: &Add) -> Option<u64> {
    let stats: serde_json::Value = serde_json::from_str(file.stats.as_deref()?).ok()?;
    stats.get("numRecords")?.as_u64()
}
