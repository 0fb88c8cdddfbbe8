//! Tests on a lake in a temporary folder. `shelf` is one table of it, with everything the tests do to a table.

mod compaction;
mod log;
mod many_commits;
mod races;
mod shelf;
mod vacuum;
