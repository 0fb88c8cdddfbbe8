//! gold

pub mod spec;
