//! Everything behind the `medallion` command: the project, its schemas, and the scaffold of a new one.

pub mod project;
pub mod scaffold;
pub mod schema;
