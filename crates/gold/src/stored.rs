//! How columns of a query are stored, and whether that loses anything.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Fields, Schema, SchemaRef};

/// The columns that kept groups are stored in: times that tables hold less exactly are stored as the numbers they are.
pub(crate) fn kept_schema(query: &SchemaRef) -> SchemaRef {
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
        (DataType::Struct(query), DataType::Struct(stored)) => {
            query.iter().zip(stored).any(|(query, stored)| loses(query, stored))
        }
        (DataType::List(query) | DataType::LargeList(query) | DataType::ListView(query), DataType::List(stored)) => {
            loses(query, stored)
        }
        // What these hold is not looked into.
        (query @ (DataType::FixedSizeList(..) | DataType::Map(..) | DataType::Union(..)), stored) => query != stored,
        _ => false,
    }
}
