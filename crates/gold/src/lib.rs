//! Aggregate: the result of a query over silver, replaced as a whole when something it reads has changed.
//!
//! [`Gold`] notes in each commit which versions it read and a fingerprint of its query. While neither changes there is
//! nothing to do; when one does, the query runs again and one commit replaces all rows, so readers never see half.

mod refresh;
pub mod spec;
mod stage;

pub use stage::Gold;
