//! Runs that end, are killed, resumed and repaired: what must hold whatever happens.

mod killed;
mod random;
