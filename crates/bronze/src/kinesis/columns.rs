//! The columns a record brings beside its payload.
//!
//! `_key` is the partition key, `_timestamp` the approximate time of arrival, `_sequence_number` the sequence number as
//! text, because no number column holds it. `_source` is stream/shard. `_position` counts the rows that this table read
//! of the shard, from 0: with `_source` it names a row and gives its order, as an offset does.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, FieldRef, Schema, SchemaRef};
use frame::types::timestamp;

use crate::columns::system_fields;

/// The partition key of a record.
pub(crate) const KEY: &str = "_key";
/// The sequence number of a record.
pub(crate) const SEQUENCE_NUMBER: &str = "_sequence_number";
/// When the record came to the stream, approximately.
pub(crate) const TIMESTAMP: &str = "_timestamp";
/// All of them, in their order behind the data.
pub(crate) const OF_RECORD: [&str; 3] = [KEY, SEQUENCE_NUMBER, TIMESTAMP];

/// Whether a column is one that a record brings beside its payload.
pub(crate) fn is_of_record(name: &str) -> bool {
    OF_RECORD.iter().any(|known| name.eq_ignore_ascii_case(known))
}

/// The whole schema of a table, for data of the given schema.
pub(crate) fn table_schema(data: &Schema) -> SchemaRef {
    let types = [DataType::Utf8View, DataType::Utf8View, timestamp()];
    let of_record = OF_RECORD.iter().zip(types).map(|(name, data_type)| Arc::new(Field::new(*name, data_type, true)));
    let fields: Vec<FieldRef> = data.fields().iter().cloned().chain(of_record).chain(system_fields()).collect();
    Arc::new(Schema::new(fields))
}
