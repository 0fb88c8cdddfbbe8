//! Whether rows are good: expectations checked on rows in flight, and what becomes of the rows that fail.
//!
//! [`compile`] turns expectations into a [`Validator`] for one schema. The validator computes masks, one bit per row and
//! rule, and a [`Verdict`] says from them which rows stay. Rows are only copied when some have to go, and only those that
//! go to [`quarantine`] are ever written as JSON.
//!
//! Every row passes a [`Gate`] on its way into a table, so what all stages do around it lives here too: how a [`batch`]
//! begins and ends, the [`Passage`] of its rows, and the [`Workers`] that bring them there.
//!
//! Whether tables are good: [`checks`] hold a table as a whole against what it must fulfil, at rest or before a commit is
//! made, a [`profile`] tells what its columns hold, and the [`report`] shows all of it.

pub mod batch;
pub mod checks;
pub mod counts;
pub mod profile;
pub mod quarantine;
pub mod replay;
pub mod report;
pub mod spec;

mod audit;
mod check;
mod compile;
mod gate;
mod passage;
mod rules;
mod samples;
mod verdict;
mod workers;

pub use audit::{Audit, Audited};
pub use check::check;
pub use checks::Checks;
pub use compile::{Validator, compile, sql_message};
pub use counts::RuleCount;
pub use gate::{Checker, Gate, PARSE_RULE, Passed};
pub use passage::{Lane, Passage};
pub use verdict::{Verdict, Violated, Violation, judge};
pub use workers::{Staged, Workers};
