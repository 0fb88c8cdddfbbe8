//! Aggregate: the result of a query over silver, brought up to date when something it reads has changed.
//!
//! [`Gold`] notes in each commit which versions it read and a fingerprint of its query. While neither changes there is
//! nothing to do. Else the cheapest way is taken that is proven to give what the whole query would: rows are appended,
//! groups are put together, kept groups are gone on from, affected
//! partitions are replaced, or the query runs again over everything. One commit makes the
//! result visible, so readers never see half.

mod assess;
mod groups;
mod inputs;
mod partitions;
mod plan;
pub mod spec;
mod stage;
mod stored;
mod technique;
#[cfg(test)]
mod tests;

pub use stage::{Gold, Outlook};
