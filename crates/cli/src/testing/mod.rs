//! `medallion test`: pipelines tried on a few rows, without the user's lake.
//!
//! A test runs the stages that run in production, in a lake and a landing folder of its own that go with it. Only where
//! rows come from is another place: what a test gives to a bronze table lands there as a file.

mod case;
mod compare;
mod landed;
mod run;
pub(crate) mod spec;
mod values;

pub(crate) use self::case::Case;
pub(crate) use self::run::{Bench, Outcome};
