//! Clean and enrich: the rows an upstream table gained, each into the silver table exactly once.
//!
//! [`Silver`] reads the changed rows of one upstream table, passes them through the declared clean steps and the SQL,
//! checks them, and writes them by one of five modes: append, unique_key, merge, scd2, overwrite.

mod clean_step;
mod event_time;
mod keys;
mod known_keys;
mod merge;
mod overlap;
mod settle;
pub mod spec;
mod stage;
mod unique;
mod watermark;
mod work;

pub use event_time::check_event_time;
pub use merge::rules::{own_columns, written_columns};
pub use stage::{Silver, SilverReplay};
pub use watermark::{check_watermark_column, check_watermark_upstream};
