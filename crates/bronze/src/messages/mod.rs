//! Messages, whichever source they come from: how their payloads become rows.
//!
//! Avro and Protocol Buffers become JSON text by the `schemas` of a `registry` first, so that `payload` reads all
//! formats by the same rules. A record of Kinesis is a message here, as one of Kafka is.

pub(crate) mod address;
mod avro;
mod avro_json;
pub(crate) mod check;
pub(crate) mod payload;
mod protobuf;
mod registry;
pub(crate) mod schemas;
pub mod spec;
pub(crate) mod values;
mod wire;
