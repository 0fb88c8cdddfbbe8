//! What sets the messages of Kafka apart: `_headers` is a JSON object, or null where there are none, and `_timestamp` is when
//! a message was made, or appended, as its topic says. `_source` is topic/partition, `_position` the offset there.

use crate::messages::kind::{MessageKind, Place};

/// The messages of Kafka.
pub(crate) const KIND: MessageKind = MessageKind {
    source: "kafka",
    noun: "message",
    oldest: "earliest",
    detail: "_headers",
    place: Place::Position("offset"),
};
