//! Behaviour of whole runs, with fake stages and a paused clock.

mod fakes;
mod order;
mod records;
mod retries;
mod stopping;
mod streaming;
