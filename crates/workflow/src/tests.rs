//! Behaviour of whole runs, with fake stages and a paused clock.

mod fakes;
mod order;
mod records;
mod recovery;
mod rehearsal;
mod retries;
mod semantics;
mod shell;
mod stopping;
mod streaming;
mod survival;
