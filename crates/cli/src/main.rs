//! The `medallion` binary.

fn main() {}
