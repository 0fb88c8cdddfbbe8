//! The query of a gold table, planned over its tables or over some of their rows.

use ::stage::{Result, TableName};
use sql::{Engine, LogicalPlan, SessionContext};

use crate::inputs::Tables;

/// Plans the query of one table.
pub(crate) struct Planner<'a> {
    pub(crate) name: &'a TableName,
    pub(crate) sql: &'a str,
    pub(crate) engine: &'a Engine,
}

impl Planner<'_> {
    /// The query over the given tables, and the session to run it in.
    ///
    /// # Errors
    /// When the query does not fit the tables.
    pub(crate) async fn plan(&self, tables: &Tables) -> Result<(SessionContext, LogicalPlan)> {
        let pipeline = self.name.pipeline();
        let session = self.engine.session(pipeline);
        let plan = sql::plan(&session, pipeline, self.sql, tables).await;
        Ok((session, plan.map_err(|problem| problem.in_table(self.name))?))
    }
}
