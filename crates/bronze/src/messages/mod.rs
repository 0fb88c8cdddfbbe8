//! Messages, whichever source they come from: how they are gathered into batches, and become rows of a bronze table.
//!
//! A source, `kafka` or `kinesis`, reads on its own and adds what it read to pieces that are `waiting`. The one `stage`
//! opens it, gathers a batch of pieces from its `feed`, and commits that together with how far was read. So a source is a
//! `Feed` that knows where it stands, and a `MessageKind` that sets its messages apart.
//!
//! Workers do the `decoding` of each `piece`. Avro and Protocol Buffers become JSON text by the `schemas` of a `registry`
//! first, so that `payload` reads all formats by the same rules; then `columns` adds what messages bring beside it.

pub(crate) mod address;
mod avro;
mod avro_json;
pub(crate) mod check;
mod columns;
mod decoding;
pub(crate) mod feed;
pub(crate) mod kind;
pub(crate) mod payload;
pub(crate) mod piece;
mod protobuf;
mod registry;
pub mod replay;
mod schemas;
pub mod spec;
pub(crate) mod stage;
pub(crate) mod start;
pub(crate) mod values;
pub(crate) mod waiting;
mod wire;

pub use stage::Sink;
