//! Rows in flight: bytes become typed rows, and rows are cleaned.
//!
//! - [`spec`] is how users write it, [`types`] the types of columns.
//! - [`decode`] turns files into Arrow batches, [`infer`] finds a schema in their first rows.
//! - [`TimeSpan`] is a time span as users write it.
//! - [`clean`] does declared row work; [`bridge`] takes single columns to Polars and back without copying.

pub mod bridge;
pub mod clean;
pub mod decode;
pub mod infer;
pub mod spec;
pub mod types;

mod time_span;

pub use time_span::TimeSpan;
