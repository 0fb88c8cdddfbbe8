//! Rows of a span of time, and the others.

use arrow::datatypes::{DataType, TimeUnit};
use datafusion::common::ScalarValue;
use datafusion::logical_expr::{LogicalPlan, LogicalPlanBuilder, cast};
use datafusion::prelude::{ident, lit};
use stage::{Interval, Result};

use crate::classify;

/// Which rows are meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// Those whose time lies in the interval.
    Inside,
    /// All others, those without a time among them.
    Outside,
}

/// The rows of a query on one side of an interval, by a column of times or dates. Times without a zone are UTC.
///
/// # Errors
/// [`stage::Kind::Bug`] when the query has no such column.
pub fn apart(plan: LogicalPlan, column: &str, interval: Interval, side: Side) -> Result<LogicalPlan> {
    let time = cast(ident(column), DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())));
    let bound = |micros: i64| lit(ScalarValue::TimestampMicrosecond(Some(micros), Some("UTC".into())));
    let inside =
        time.clone().gt_eq(bound(interval.from.timestamp_micros())).and(time.lt(bound(interval.to.timestamp_micros())));
    let condition = match side {
        Side::Inside => inside.is_true(),
        Side::Outside => inside.is_not_true(),
    };
    LogicalPlanBuilder::from(plan).filter(condition).and_then(LogicalPlanBuilder::build).map_err(classify)
}
