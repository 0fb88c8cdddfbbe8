//! Integration tests of the whole program live in `it/`.
