//! Clean and enrich: the rows an upstream table gained, each into the silver table exactly once.
//!
//! [`Silver`] reads the changed rows of one upstream table, passes them through the declared clean steps and the SQL,
//! checks them, and writes them by one of four modes: append, unique_key, merge, overwrite.

mod clean_step;
mod keys;
mod merge;
mod overlap;
pub mod spec;
mod stage;
mod unique;
mod work;

pub use stage::Silver;
