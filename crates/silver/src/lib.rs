//! silver

pub mod spec;
