//! The schema of files nobody has described, from their first rows.
//!
//! Whole numbers become `long`, other numbers `double`, both together `double`; values that disagree become `string`, which
//! holds any JSON value as its text. A field that is null in every row looked at is left out: it is added when its first
//! value comes. Dates and times in JSON and CSV are strings here; a schema or a cast gives them a type.

use arrow::datatypes::{DataType, Field, Fields, Schema};
use stage::Result;

use crate::decode::{self, DecodeOptions, Input};
use crate::types;

/// The schema of one file, from at most `max_rows` of its rows. Formats that carry a schema are not read further.
///
/// # Errors
/// As [`decode::Decoder::pieces`].
pub fn infer(input: Input, options: &DecodeOptions, max_rows: usize) -> Result<Schema> {
    decode::observe(input, options, max_rows)
}

/// The schema that holds the rows of both: columns of `a`, then those only `b` has.
pub fn merge(a: &Schema, b: &Schema) -> Schema {
    Schema::new(merge_fields(a.fields(), b.fields()))
}

fn merge_fields(a: &Fields, b: &Fields) -> Fields {
    let mut merged: Vec<Field> = a.iter().map(|field| field.as_ref().clone().with_nullable(true)).collect();
    for other in b {
        match merged.iter_mut().find(|field| field.name().eq_ignore_ascii_case(other.name())) {
            Some(field) => {
                let data_type = merge_types(field.data_type(), other.data_type());
                field.set_data_type(data_type);
            }
            None => merged.push(other.as_ref().clone().with_nullable(true)),
        }
    }
    Fields::from(merged)
}

fn merge_types(a: &DataType, b: &DataType) -> DataType {
    match (a, b) {
        (DataType::Struct(a), DataType::Struct(b)) => DataType::Struct(merge_fields(a, b)),
        (DataType::List(a), DataType::List(b)) => types::list_of(merge_types(a.data_type(), b.data_type())),
        (a, b) if a == b => a.clone(),
        (DataType::Int32 | DataType::Int64, DataType::Int32 | DataType::Int64) => DataType::Int64,
        (a, b) if is_number(a) && is_number(b) => DataType::Float64,
        _ => DataType::Utf8View,
    }
}

fn is_number(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Int32 | DataType::Int64 | DataType::Float32 | DataType::Float64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::{CsvSpec, EvolutionSpec, Format};

    fn inferred(format: Format, text: &'static str, max_rows: usize) -> String {
        let options = DecodeOptions { format, csv: CsvSpec::default(), evolution: EvolutionSpec::default() };
        let schema = infer(Input::Stream(Box::new(text.as_bytes())), &options, max_rows).unwrap();
        types::type_name(&DataType::Struct(schema.fields().clone()))
    }

    #[test]
    fn lines_that_do_not_parse_do_not_disturb() {
        assert_eq!(
            inferred(Format::Ndjson, "{\"a\":1}\nnonsense\n[1]\n{\"a\":2.5,\"b\":null}\n", 10),
            "{ a = double }"
        );
    }

    #[test]
    fn only_the_first_rows_count() {
        assert_eq!(inferred(Format::Ndjson, "{\"a\":1}\n\n{\"a\":2}\n{\"a\":\"x\"}\n", 2), "{ a = long }");
    }

    #[test]
    fn csv_and_json_documents_are_looked_at_too() {
        assert_eq!(
            inferred(Format::Csv, "a,b,c,d\n1,007,true,\n2.5,1,false,\nbroken\n", 10),
            "{ a = double, b = string, c = boolean }"
        );
        assert_eq!(
            inferred(Format::Json, "[{\"a\":{\"b\":1}},\n {\"a\":{\"c\":\"x\"}}]", 10),
            "{ a = { b = long, c = string } }"
        );
    }

    #[test]
    fn schemas_widen_numbers_and_fall_back_to_strings() {
        let schema = |list: &[(&str, DataType)]| {
            Schema::new(
                list.iter().map(|(name, data_type)| Field::new(*name, data_type.clone(), true)).collect::<Vec<_>>(),
            )
        };
        let inner = |data_type| types::list_of(DataType::Struct(Fields::from(vec![Field::new("x", data_type, true)])));
        let a = schema(&[("n", DataType::Int64), ("t", DataType::Boolean), ("l", inner(DataType::Int64))]);
        let b = schema(&[
            ("t", DataType::Int64),
            ("n", DataType::Float64),
            ("l", inner(DataType::Float64)),
            ("z", DataType::Date32),
        ]);
        let merged = merge(&a, &b);
        assert_eq!(
            merged,
            schema(&[
                ("n", DataType::Float64),
                ("t", DataType::Utf8View),
                ("l", inner(DataType::Float64)),
                ("z", DataType::Date32)
            ])
        );
    }
}
