//! quality

pub mod spec;
