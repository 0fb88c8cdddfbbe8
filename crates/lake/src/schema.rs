//! Schemas between Arrow and Delta.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Fields, Schema, SchemaRef, TimeUnit};
use delta_kernel::engine::arrow_conversion::TryIntoKernel as _;
use delta_kernel::schema::StructType;
use stage::{Error, Result};

/// The Arrow schema in the types rows travel in: strings as views, plain lists, no dictionaries, and no unsigned numbers,
/// which Delta lacks.
pub fn in_flight(schema: &Schema) -> SchemaRef {
    Arc::new(Schema::new(schema.fields().iter().map(in_flight_field).collect::<Fields>()))
}

fn in_flight_field(field: &Arc<Field>) -> Arc<Field> {
    Arc::new(Field::new(field.name(), in_flight_type(field.data_type()), true))
}

fn in_flight_type(data_type: &DataType) -> DataType {
    match data_type {
        DataType::Utf8 | DataType::LargeUtf8 => DataType::Utf8View,
        DataType::LargeBinary | DataType::BinaryView => DataType::Binary,
        DataType::UInt8 => DataType::Int16,
        DataType::UInt16 => DataType::Int32,
        DataType::UInt32 | DataType::UInt64 => DataType::Int64,
        DataType::Float16 => DataType::Float32,
        DataType::Null => DataType::Utf8View,
        DataType::Dictionary(_, value) => in_flight_type(value),
        DataType::List(item) | DataType::LargeList(item) => {
            DataType::List(Arc::new(Field::new("element", in_flight_type(item.data_type()), true)))
        }
        DataType::Struct(fields) => DataType::Struct(fields.iter().map(in_flight_field).collect()),
        DataType::Timestamp(_, Some(_)) => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
        DataType::Timestamp(_, None) => DataType::Timestamp(TimeUnit::Microsecond, None),
        other => other.clone(),
    }
}

/// The columns of `existing` followed by those of `incoming` that it lacks, nested ones included.
///
/// # Errors
/// [`stage::Kind::Data`] when a column has different types on both sides: a type never changes after creation.
pub fn union(existing: &Schema, incoming: &Schema) -> Result<SchemaRef> {
    Ok(Arc::new(Schema::new(union_fields(existing.fields(), incoming.fields(), "")?)))
}

fn union_fields(existing: &Fields, incoming: &Fields, path: &str) -> Result<Fields> {
    let mut merged: Vec<Arc<Field>> = existing.iter().cloned().collect();
    for field in incoming {
        match merged.iter_mut().find(|known| known.name() == field.name()) {
            Some(known) => *known = union_field(known, field, path)?,
            None => merged.push(Arc::new(field.as_ref().clone().with_nullable(true))),
        }
    }
    Ok(merged.into())
}

fn union_field(known: &Arc<Field>, incoming: &Arc<Field>, path: &str) -> Result<Arc<Field>> {
    let name = format!("{path}{}", known.name());
    match (known.data_type(), incoming.data_type()) {
        (DataType::Struct(ours), DataType::Struct(theirs)) => {
            let fields = union_fields(ours, theirs, &format!("{name}."))?;
            Ok(Arc::new(Field::new(known.name(), DataType::Struct(fields), true)))
        }
        (DataType::List(ours), DataType::List(theirs)) => {
            let item = union_field(ours, theirs, &format!("{name}."))?;
            Ok(Arc::new(Field::new(known.name(), DataType::List(item), true)))
        }
        (ours, theirs) if ours == theirs => Ok(known.clone()),
        (ours, theirs) => Err(Error::data(format!(
            "column `{name}` is {ours} in the table but {theirs} in the new rows; cast it, or rebuild the table with --full-refresh"
        ))),
    }
}

/// The Delta schema of Arrow columns.
pub(crate) fn to_delta(schema: &Schema) -> Result<StructType> {
    schema
        .try_into_kernel()
        .map_err(|error| Error::data("a column has a type that Delta tables cannot hold").with_source(error))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schema(fields: Vec<Field>) -> Schema {
        Schema::new(fields)
    }

    #[test]
    fn a_union_adds_nested_columns_at_the_end() {
        let nested = |names: &[&str]| {
            DataType::Struct(names.iter().map(|name| Field::new(*name, DataType::Utf8View, true)).collect())
        };
        let before = schema(vec![Field::new("a", nested(&["x"]), true), Field::new("b", DataType::Int64, true)]);
        let after = schema(vec![Field::new("a", nested(&["y", "x"]), true), Field::new("c", DataType::Int64, true)]);
        let merged = union(&before, &after).unwrap();
        let names: Vec<&str> = merged.fields().iter().map(|field| field.name().as_str()).collect();
        assert_eq!(names, ["a", "b", "c"]);
        assert_eq!(merged.field(0).data_type(), &nested(&["x", "y"]));
    }

    #[test]
    fn a_type_never_changes() {
        let before = schema(vec![Field::new("a", DataType::Int64, true)]);
        let after = schema(vec![Field::new("a", DataType::Utf8View, true)]);
        assert!(union(&before, &after).unwrap_err().message().contains("column `a`"));
    }
}
