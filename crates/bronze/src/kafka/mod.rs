//! Messages of Kafka into a bronze table, each exactly once.
//!
//! The table is the checkpoint: a start reads offsets from the table and never from the broker, and a commit carries the
//! rows of a batch together with the next offset of every partition. So partitions are assigned, not subscribed to:
//! there is no consumer group, and nothing is ever committed to Kafka.
//!
//! A `reader` thread polls librdkafka into a bounded `buffer` of pieces; workers decode them (`payload`), add the
//! columns of the message (`columns`), check and write them (`ingest`). Avro and Protocol Buffers become JSON text
//! by the `schemas` of a registry first, so all formats follow the same rules. `positions` decides where reading begins,
//! `failure` what an error of the library means.

mod avro;
mod avro_json;
mod batch;
mod buffer;
mod check;
mod columns;
mod connection;
mod failure;
mod feed;
mod ingest;
mod payload;
mod positions;
mod protobuf;
mod reader;
mod registry;
mod schemas;
mod settings;
mod source;
pub mod spec;
mod token;
mod wire;

pub use check::check;
pub use source::KafkaBronze;
pub use spec::KafkaSecrets;
