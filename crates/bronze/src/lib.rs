//! bronze

pub mod spec;
