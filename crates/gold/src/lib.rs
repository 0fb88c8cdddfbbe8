//! Aggregate: the result of a query over silver, brought up to date when something it reads has changed.
//!
//! [`Gold`] notes in each commit which versions it read and a fingerprint of its query. While neither changes there is
//! nothing to do. When one table only got more rows, the query runs over those alone where that is proven to give the
//! same; else it runs again over everything. One commit makes the result visible, so readers never see half.

mod refresh;
pub mod spec;
mod stage;
#[cfg(test)]
mod tests;

pub use stage::Gold;
