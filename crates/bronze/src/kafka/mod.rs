//! Messages of Kafka into a bronze table, each exactly once.
//!
//! The table is the checkpoint: a start reads offsets from the table and never from the broker, and a commit carries the
//! rows of a batch together with the next offset of every partition. So partitions are assigned, not subscribed to:
//! there is no consumer group, and nothing is ever committed to Kafka.
//!
//! A `reader` thread polls librdkafka into a bounded `buffer` of pieces while a `scout` looks for new topics; workers decode them (`payload`), add the
//! columns of the message (`columns`), check and write them (`ingest`). Avro and Protocol Buffers become JSON text
//! by the `schemas` of a registry first, so all formats follow the same rules. `positions` decides where reading begins,
//! `failure` what an error of the library means.
//!
//! [`Producer`] and [`StandIn`] write messages and take the place of a cluster, so that all this can be tried: they are
//! here because the library has its home here.

mod address;
mod avro;
mod avro_json;
pub(crate) mod batch;
mod buffer;
mod check;
pub(crate) mod columns;
mod connection;
mod failure;
mod feed;
mod ingest;
pub(crate) mod payload;
mod positions;
mod producer;
mod protobuf;
mod reader;
mod registry;
pub(crate) mod schemas;
mod scout;
mod settings;
mod source;
pub mod spec;
mod stand_in;
mod token;
mod wire;

pub use check::check;
pub use producer::Producer;
pub use source::KafkaBronze;
pub use spec::KafkaSecrets;
pub use stand_in::StandIn;
