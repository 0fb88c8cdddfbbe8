//! What sets the records of Kinesis apart.
//!
//! `_key` is the partition key, `_timestamp` the approximate time of arrival, `_sequence_number` the sequence number as
//! text, because no number column holds it. `_source` is stream/shard. `_position` counts the rows that this table read
//! of the shard, from 0: with `_source` it names a row and gives its order, as an offset does.

use crate::messages::kind::{MessageKind, Place};

/// The records of Kinesis.
pub(crate) const KIND: MessageKind = MessageKind {
    source: "kinesis",
    noun: "record",
    oldest: "trim_horizon",
    detail: "_sequence_number",
    place: Place::Detail("sequence number"),
};
