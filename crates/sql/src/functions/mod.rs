//! Functions that SQL texts have beyond the engine's own.

pub(crate) mod count;
mod normal;
mod proportions;

use datafusion::error::Result;
use datafusion::execution::FunctionRegistry;
use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::{AggregateUDF, ScalarUDF};

use std::sync::Arc;

/// Makes our functions known to every session cloned from `state`.
pub(crate) fn register(state: &mut SessionState) -> Result<()> {
    state.register_udf(Arc::new(ScalarUDF::from(normal::NormalCdf::new())))?;
    state.register_udf(Arc::new(ScalarUDF::from(proportions::TwoProportionZTest::new())))?;
    state.register_udaf(Arc::new(AggregateUDF::from(count::Count::new())))?;
    Ok(())
}
