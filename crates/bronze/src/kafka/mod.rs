//! Messages of Kafka into a bronze table, each exactly once.
//!
//! The table is the checkpoint: a start reads offsets from the table and never from the broker, and a commit carries
//! the rows of a batch together with the next offset of every partition. So partitions are assigned, not subscribed to:
//! there is no consumer group, and nothing is ever committed to Kafka.
//!
//! A `reader` thread polls librdkafka into a bounded `buffer` while a `scout` looks for new topics; the `feed` hands out
//! what was polled, and what becomes of it is the same for all [`messages`](crate::messages). `positions` decides where
//! reading begins, `failure` what an error of the library means.
//!
//! [`Producer`] and [`StandIn`] write messages and take the place of a cluster, so that all this can be tried: they are
//! here because the library has its home here.

mod buffer;
mod check;
mod connection;
mod failure;
mod feed;
pub(crate) mod kind;
mod piece;
mod positions;
mod producer;
mod reader;
mod replay;
mod scout;
mod settings;
mod source;
pub mod spec;
mod stand_in;
mod token;

pub use check::check;
pub(crate) use kind::KIND;
pub use producer::Producer;
pub use replay::replay;
pub use source::stage;
pub use spec::KafkaSecrets;
pub use stand_in::StandIn;
