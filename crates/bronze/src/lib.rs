//! Get it in: rows as they landed, each exactly once, none lost.
//!
//! [`Bronze`] lists what has landed, takes the files that were not read yet, decodes them into the table's columns and
//! commits rows and position together. What does not parse goes to quarantine as raw text, what does not fit the schema
//! into `_rescued_data`; neither stops the batch.

mod columns;
mod files_arrival;
mod ingest;
pub mod kafka;
pub mod kinesis;
mod listing;
pub mod messages;
mod queue;
mod replay;
mod replay_files;
mod schema;
pub mod spec;
mod stage;

pub use columns::{is_system, system_fields};
pub use listing::Landing;
pub use replay::{BronzeReplay, Texts};
pub use stage::Bronze;
