//! Behaviour of streams, with fake tables and a paused clock.

mod ending;
mod failing;
mod tables;
mod waking;
