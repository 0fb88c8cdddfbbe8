//! frame

pub mod spec;
