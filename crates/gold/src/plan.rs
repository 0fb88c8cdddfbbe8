//! The query of a gold table, planned over its tables or over some of their rows.

use std::sync::Arc;

use ::stage::{Result, TableName};
use arrow::datatypes::{DataType, Field, Fields, Schema, SchemaRef};
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

/// The columns that kept groups are stored in: times that tables hold less exactly are stored as the numbers they are.
pub(crate) fn kept(query: &SchemaRef) -> SchemaRef {
    let stored = lake::in_flight(query);
    let both = query.fields().iter().zip(stored.fields()).map(|(query, stored)| match query.data_type() {
        DataType::Timestamp(..) | DataType::Time64(_) | DataType::Duration(_) if loses(query, stored) => {
            Arc::new(Field::new(stored.name(), DataType::Int64, true))
        }
        _ => stored.clone(),
    });
    Arc::new(Schema::new(both.collect::<Fields>()))
}

/// The first column that loses something when it is stored, so that two groups could become one.
pub(crate) fn coarser(query: &SchemaRef, stored: &SchemaRef) -> Option<String> {
    let mut both = query.fields().iter().zip(stored.fields());
    both.find(|(query, stored)| loses(query, stored)).map(|(query, _)| query.name().clone())
}

fn loses(query: &Field, stored: &Field) -> bool {
    match (query.data_type(), stored.data_type()) {
        (DataType::Timestamp(..) | DataType::Time64(_) | DataType::Duration(_), DataType::Int64) => false,
        (DataType::Timestamp(query, _), DataType::Timestamp(stored, _)) => query != stored,
        (query @ (DataType::Time64(_) | DataType::Duration(_) | DataType::Interval(_) | DataType::Float16), stored) => {
            query != stored
        }
        _ => false,
    }
}
