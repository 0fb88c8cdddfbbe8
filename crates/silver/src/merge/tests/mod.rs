//! Merges into real tables, against what all changes in order would have given.

mod files;
mod orders;
mod shelf;
