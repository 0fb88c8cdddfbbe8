//! The schema a bronze batch is decoded with.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, FieldRef, Fields, Schema, SchemaRef};
use frame::spec::NewColumns;
use frame::types;
use stage::{Error, Result};

use crate::columns::is_system;
use crate::listing::{LandedFile, path_columns};
use crate::spec::BronzeSpec;

/// The columns `[schema]` names.
///
/// # Errors
/// [`stage::Kind::Config`] when a type is unknown.
pub fn hints(spec: &BronzeSpec) -> Result<Schema> {
    types::schema(&spec.schema).map_err(|problems| {
        let messages: Vec<String> = problems.into_iter().map(|problem| problem.message).collect();
        Error::config(messages.join("; "))
    })
}

/// The columns made from the paths of these files: text, unless a hint says otherwise.
pub fn path_fields(files: &[LandedFile], hints: &Schema) -> Vec<FieldRef> {
    path_fields_of(files.iter().map(|file| file.path.as_str()), hints)
}

/// The columns made from these paths.
pub fn path_fields_of<'a>(paths: impl Iterator<Item = &'a str>, hints: &Schema) -> Vec<FieldRef> {
    let mut fields: BTreeMap<String, FieldRef> = BTreeMap::new();
    for (key, _) in paths.flat_map(path_columns) {
        let hint = hints.field_with_name(&key).map(|field| field.data_type().clone());
        let data_type = hint.unwrap_or(DataType::Utf8View);
        fields.entry(key.clone()).or_insert_with(|| Arc::new(Field::new(key, data_type, true)));
    }
    fields.into_values().collect()
}

/// The data columns of an existing table.
pub fn data_columns(table: &Schema, path_fields: &[FieldRef]) -> SchemaRef {
    let is_data = |field: &&FieldRef| {
        !is_system(field.name()) && !path_fields.iter().any(|path_field| path_field.name() == field.name())
    };
    Arc::new(Schema::new(table.fields().iter().filter(is_data).cloned().collect::<Vec<_>>()))
}

/// The data columns of a new table: hints win, and what was inferred follows where new columns may be added.
pub fn first_columns(spec: &BronzeSpec, hints: &Schema, inferred: &Schema, path_fields: &[FieldRef]) -> SchemaRef {
    let may_add = spec.evolution.new_columns == NewColumns::Add || hints.fields().is_empty();
    let fields = if may_add { hinted(hints.fields(), inferred.fields()) } else { hints.fields().clone() };
    data_columns(&Schema::new(fields), path_fields)
}

fn hinted(hints: &Fields, inferred: &Fields) -> Fields {
    let mut fields: Vec<FieldRef> = hints
        .iter()
        .map(|hint| {
            let found = inferred.iter().find(|field| field.name() == hint.name());
            match (hint.data_type(), found.map(|field| field.data_type())) {
                (DataType::Struct(ours), Some(DataType::Struct(theirs))) => {
                    Arc::new(Field::new(hint.name(), DataType::Struct(hinted(ours, theirs)), true))
                }
                _ => hint.clone(),
            }
        })
        .collect();
    let known = |name: &str| hints.iter().any(|hint| hint.name() == name);
    fields.extend(inferred.iter().filter(|field| !known(field.name())).cloned());
    fields.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hints_win_and_inferred_columns_follow() {
        let structure = |names: &[&str]| {
            DataType::Struct(names.iter().map(|name| Field::new(*name, DataType::Utf8View, true)).collect())
        };
        let hints =
            Schema::new(vec![Field::new("a", DataType::Utf8View, true), Field::new("s", structure(&["x"]), true)]);
        let inferred = Schema::new(vec![
            Field::new("b", DataType::Int64, true),
            Field::new("a", DataType::Int64, true),
            Field::new("s", structure(&["x", "y"]), true),
        ]);
        let fields = hinted(hints.fields(), inferred.fields());
        let names: Vec<&str> = fields.iter().map(|field| field.name().as_str()).collect();
        assert_eq!(names, ["a", "s", "b"]);
        assert_eq!(fields[0].data_type(), &DataType::Utf8View);
        assert_eq!(fields[1].data_type(), &structure(&["x", "y"]));
    }
}
