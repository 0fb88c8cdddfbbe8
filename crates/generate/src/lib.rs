//! Realistic test data, the same for the same seed.
