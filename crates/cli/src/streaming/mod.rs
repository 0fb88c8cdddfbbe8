//! What surrounds a stream that goes on: what people see of it, what it serves, the system tables behind
//! it, and the upkeep of its tables.
//!
//! All of it reads [`workflow::stream::StreamStatus`] or is told of events; nothing here holds up the tables.

mod delays;
pub(crate) mod display;
pub(crate) mod figures;
mod metrics;
pub(crate) mod server;
pub(crate) mod system;
pub(crate) mod upkeep;
