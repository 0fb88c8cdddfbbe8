//! A schema that grows while several threads decode by it.
//!
//! Fields are only ever added, at the end of the schema or of a struct, so an index once known stays true. Whoever adds a
//! field first decides its type; the others' values then fit it or are rescued.

use std::sync::{Arc, PoisonError, RwLock};

use arrow::datatypes::{DataType, Field, Fields, Schema, SchemaRef};

use crate::types;

/// A schema shared by everyone who decodes rows of one table. Clones see each other's additions.
#[derive(Debug, Clone)]
pub struct EvolvingSchema {
    current: Arc<RwLock<SchemaRef>>,
    /// Names that no column may get.
    reserved: Arc<Vec<String>>,
}

impl EvolvingSchema {
    /// Begins with a schema.
    pub fn new(schema: SchemaRef) -> Self {
        EvolvingSchema::reserving(schema, &[])
    }

    /// Begins with a schema to which no column of these names is ever added. Values that have them are rescued.
    pub fn reserving(schema: SchemaRef, reserved: &[&str]) -> Self {
        let reserved = reserved.iter().map(|name| (*name).to_owned()).collect();
        EvolvingSchema { current: Arc::new(RwLock::new(schema)), reserved: Arc::new(reserved) }
    }

    /// The schema as it stands now.
    pub fn current(&self) -> SchemaRef {
        Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Adds the fields of `seen` that are not known yet, nested ones too, and returns the schema as it then stands.
    /// Known fields keep their type.
    pub fn add(&self, seen: &Fields) -> SchemaRef {
        let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
        let is_reserved = |field: &Field| self.reserved.iter().any(|name| name.eq_ignore_ascii_case(field.name()));
        let allowed: Fields = seen.iter().filter(|field| !is_reserved(field)).cloned().collect();
        if let Some(grown) = grown(current.fields(), &allowed) {
            *current = Arc::new(Schema::new_with_metadata(grown, current.metadata().clone()));
        }
        Arc::clone(&current)
    }
}

/// `known` with the new fields of `seen` behind; `None` when there are none.
fn grown(known: &Fields, seen: &Fields) -> Option<Fields> {
    let mut fields: Vec<Arc<Field>> = known.iter().cloned().collect();
    let mut changed = false;
    for candidate in seen {
        // Table formats compare names without case: a field that differs only there finds no place and is rescued.
        match fields.iter_mut().find(|field| field.name().eq_ignore_ascii_case(candidate.name())) {
            Some(field) if field.name() == candidate.name() => {
                if let Some(data_type) = grown_type(field.data_type(), candidate.data_type()) {
                    *field = Arc::new(field.as_ref().clone().with_data_type(data_type));
                    changed = true;
                }
            }
            Some(_) => {}
            None => {
                fields.push(Arc::clone(candidate));
                changed = true;
            }
        }
    }
    changed.then(|| Fields::from(fields))
}

fn grown_type(known: &DataType, seen: &DataType) -> Option<DataType> {
    match (known, seen) {
        (DataType::Struct(known), DataType::Struct(seen)) => grown(known, seen).map(DataType::Struct),
        (DataType::List(known), DataType::List(seen)) => {
            grown_type(known.data_type(), seen.data_type()).map(types::list_of)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(list: &[(&str, DataType)]) -> Fields {
        list.iter().map(|(name, data_type)| Field::new(*name, data_type.clone(), true)).collect()
    }

    #[test]
    fn the_first_type_of_a_new_field_stays() {
        let evolving = EvolvingSchema::new(Arc::new(Schema::new(fields(&[("a", DataType::Int64)]))));
        let other = evolving.clone();
        evolving.add(&fields(&[("b", DataType::Int64)]));
        other.add(&fields(&[("b", DataType::Utf8View), ("a", DataType::Utf8View)]));
        assert_eq!(evolving.current().fields(), &fields(&[("a", DataType::Int64), ("b", DataType::Int64)]));
    }

    #[test]
    fn a_reserved_name_is_never_added() {
        let evolving = EvolvingSchema::reserving(Arc::new(Schema::empty()), &["_key"]);
        evolving.add(&fields(&[("_KEY", DataType::Int64), ("b", DataType::Int64)]));
        assert_eq!(evolving.current().fields(), &fields(&[("b", DataType::Int64)]));
    }

    #[test]
    fn nested_fields_are_added_at_the_end_of_their_struct() {
        let inner = |names: &[&str]| {
            let list: Vec<(&str, DataType)> = names.iter().map(|name| (*name, DataType::Int64)).collect();
            types::list_of(DataType::Struct(fields(&list)))
        };
        let evolving = EvolvingSchema::new(Arc::new(Schema::new(fields(&[("s", inner(&["x"]))]))));
        let schema = evolving.add(&fields(&[("s", inner(&["y", "x"]))]));
        assert_eq!(schema.fields(), &fields(&[("s", inner(&["x", "y"]))]));
    }
}
