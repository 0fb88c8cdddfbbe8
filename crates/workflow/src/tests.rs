//! Behaviour of whole runs, with fake stages and a paused clock.

mod fakes;
mod order;
mod records;
mod retries;
mod semantics;
mod stopping;
mod streaming;
mod survival;
