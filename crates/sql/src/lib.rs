//! SQL over tables: one engine per process, sessions per query, plans that are checked before they run.
//!
//! Every SQL text of a user is one SELECT in one dialect (DataFusion's) with case-sensitive names. Tables are handed in
//! as providers; this crate does not know where they rest.

mod blame;
mod boolean;
mod carry;
mod classify;
mod difference;
mod divide;
mod engine;
mod execute;
mod flow;
mod functions;
mod growth;
mod interval;
mod kept;
mod lineage;
mod optimizer;
mod parameters;
mod plan;
mod pool;
mod problem;
mod references;
mod refusal;
mod rows;
mod runs;
mod scope;
mod select;
mod sorted;
#[cfg(test)]
mod testing;
mod text;

pub use datafusion::catalog::TableProvider;
pub use datafusion::common::ScalarValue;
pub use datafusion::logical_expr::LogicalPlan;
pub use datafusion::prelude::SessionContext;

pub use boolean::{Predicate, boolean};
pub use carry::carry_columns;
pub use classify::classify;
pub use difference::difference;
pub use divide::{Divider, appended, distinct_values, dividers, rows_with};
pub use engine::{Engine, EngineOptions};
pub use execute::{collect, execute, explain};
pub use flow::{RowStream, flow, one_of_each, read};
pub use growth::{Growth, Part, growth, merged};
pub use interval::{Side, apart};
pub use kept::{Groups, Kept, Keys, Numbering, Parted};
pub use lineage::passes_unchanged;
pub use parameters::check_parameters;
pub use plan::{output_schema, plan, plan_with, shape};
pub use problem::SqlProblem;
pub use references::{fingerprint, references};
pub use refusal::Refusal;
pub use rows::{RowFunction, RowStep, stepped};
pub use runs::{KeyMap, KeySet, SortedRuns};
pub use scope::needs_other_rows;
pub use select::{first_rows, ordered, select, view};
pub use sorted::{TABLE_COLUMN, sorted};
