//! What people read is kept in golden files; what must hold for every graph is tried on random ones.

mod examples;
mod golden;
mod properties;
