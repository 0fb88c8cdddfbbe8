//! Records of Kinesis into a bronze table, each exactly once.
//!
//! The table is the checkpoint. Sequence numbers have up to 128 digits, far more than a position can hold, so the
//! position `kinesis/<account>/<region>/<stream>` counts batches, as that of files does, and the record of the commit
//! says in its state where each shard stands. Every later commit of the table repeats that state, whoever makes it.
//!
//! `shards` decides where each shard is begun, in which order, and what is gone: a shard that came of a split or a
//! merge is read once its parents were read to their end. A `reader` keeps a task for each shard that may be read,
//! which asks the `client` for records into a bounded `buffer`, where what the producer library of Kinesis packed together
//! is `unpacked`. The `feed` hands out what was read, and what becomes of it is the same for all
//! [`messages`](crate::messages).
//!
//! The client is a few signed requests over the HTTP client that is there anyway; the SDK of AWS would build forty more
//! crates, and variants of those that all engines stand on.

mod check;
mod kind;
pub mod spec;

#[cfg(feature = "kinesis")]
mod buffer;
#[cfg(feature = "kinesis")]
mod client;
#[cfg(feature = "kinesis")]
mod failure;
#[cfg(feature = "kinesis")]
mod feed;
#[cfg(feature = "kinesis")]
mod http;
#[cfg(feature = "kinesis")]
mod piece;
#[cfg(feature = "kinesis")]
mod reader;
#[cfg(feature = "kinesis")]
mod shards;
#[cfg(feature = "kinesis")]
mod source;
#[cfg(feature = "kinesis")]
mod unpacked;

pub use check::{NEEDS_FEATURE, check};
pub(crate) use kind::KIND;
#[cfg(feature = "kinesis")]
pub use source::stage;
pub use spec::KinesisSecrets;
