//! frame

pub mod bridge;
pub mod clean;
pub mod decode;
pub mod infer;
pub mod spec;
pub mod types;
