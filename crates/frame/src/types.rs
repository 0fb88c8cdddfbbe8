//! Column types in the words of users, and the arrow types they stand for.
//!
//! One table in both directions: [`data_type`] reads what a spec says, [`type_name`] says what a table has.

use arrow::datatypes::{DECIMAL128_MAX_PRECISION, DataType, Field, Fields, Schema, TimeUnit};
use stage::Problem;

use crate::spec::{SchemaSpec, TypeSpec};

/// The name of the element field of every list.
pub const ELEMENT: &str = "element";

/// The simple types with the arrow types they stand for; `decimal(p,s)` stands beside them.
const SIMPLE: [(&str, DataType); 10] = [
    ("string", DataType::Utf8View),
    ("boolean", DataType::Boolean),
    ("int", DataType::Int32),
    ("long", DataType::Int64),
    ("float", DataType::Float32),
    ("double", DataType::Float64),
    ("date", DataType::Date32),
    ("timestamp_ntz", DataType::Timestamp(TimeUnit::Microsecond, None)),
    ("binary", DataType::Binary),
    ("timestamp", DataType::Null),
];

/// The arrow type of a column type as written in a spec.
///
/// # Errors
/// What is wrong with it, with the nearest known name.
pub fn data_type(spec: &TypeSpec) -> Result<DataType, String> {
    match spec {
        TypeSpec::Name(name) => named_type(name),
        TypeSpec::List([element]) => Ok(list_of(data_type(element)?)),
        TypeSpec::Struct(fields) if fields.is_empty() => {
            Err("a struct needs at least one field, such as { key = \"string\" }".to_owned())
        }
        TypeSpec::Struct(fields) => {
            let fields: Result<Vec<Field>, String> = fields
                .iter()
                .map(|(name, spec)| {
                    let inner = data_type(spec).map_err(|why| format!("field `{name}`: {why}"))?;
                    Ok(Field::new(name, inner, true))
                })
                .collect();
            Ok(DataType::Struct(Fields::from(fields?)))
        }
    }
}

/// The schema a spec describes; every column is nullable.
///
/// # Errors
/// Every column whose type is wrong, at its name.
pub fn schema(spec: &SchemaSpec) -> Result<Schema, Vec<Problem>> {
    let mut fields = Vec::with_capacity(spec.len());
    let mut problems = Vec::new();
    for (name, column) in spec {
        match data_type(column) {
            Ok(found) => fields.push(Field::new(name, found, true)),
            Err(why) => problems.push(Problem::new(name.clone(), why)),
        }
    }
    if problems.is_empty() { Ok(Schema::new(fields)) } else { Err(problems) }
}

/// What users call an arrow type: the inverse of [`data_type`]. Types no spec can name keep arrow's name in lower case.
pub fn type_name(data_type: &DataType) -> String {
    match data_type {
        DataType::Utf8 | DataType::LargeUtf8 => "string".to_owned(),
        DataType::LargeBinary | DataType::BinaryView | DataType::FixedSizeBinary(_) => "binary".to_owned(),
        DataType::Timestamp(_, Some(_)) => "timestamp".to_owned(),
        DataType::Timestamp(_, None) => "timestamp_ntz".to_owned(),
        DataType::Decimal128(precision, scale) => format!("decimal({precision},{scale})"),
        DataType::List(element) | DataType::LargeList(element) => format!("[{}]", type_name(element.data_type())),
        DataType::Struct(fields) => {
            let fields: Vec<String> =
                fields.iter().map(|field| format!("{} = {}", field.name(), type_name(field.data_type()))).collect();
            format!("{{ {} }}", fields.join(", "))
        }
        other => SIMPLE
            .iter()
            .find(|(_, known)| known == other && *known != DataType::Null)
            .map_or_else(|| other.to_string().to_lowercase(), |(name, _)| (*name).to_owned()),
    }
}

/// The list type of an element type.
pub fn list_of(element: DataType) -> DataType {
    DataType::List(Field::new(ELEMENT, element, true).into())
}

/// An instant in UTC with microseconds, the type `timestamp`.
pub fn timestamp() -> DataType {
    DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()))
}

fn named_type(name: &str) -> Result<DataType, String> {
    let wanted = name.trim().to_ascii_lowercase();
    if wanted == "timestamp" {
        return Ok(timestamp());
    }
    if wanted.starts_with("decimal") {
        return decimal_type(name, &wanted);
    }
    if let Some((_, found)) = SIMPLE.iter().find(|(known, _)| *known == wanted) {
        return Ok(found.clone());
    }
    let known = "string, boolean, int, long, float, double, date, timestamp, timestamp_ntz, binary, decimal(p,s)";
    match nearest(&wanted) {
        Some(near) => Err(format!("`{name}` is not a type; did you mean `{near}`? known types: {known}")),
        None => Err(format!(
            "`{name}` is not a type; known types: {known}, [\"string\"] for a list, {{ a = \"long\" }} for a struct"
        )),
    }
}

fn decimal_type(name: &str, wanted: &str) -> Result<DataType, String> {
    let malformed = || format!("`{name}` is not a type; a decimal is written decimal(p,s), such as decimal(12,2)");
    let inner = wanted.strip_prefix("decimal").map(str::trim).ok_or_else(malformed)?;
    let inner = inner.strip_prefix('(').and_then(|rest| rest.strip_suffix(')')).ok_or_else(malformed)?;
    let (precision, scale) = inner.split_once(',').ok_or_else(malformed)?;
    let precision: u8 = precision.trim().parse().map_err(|_| malformed())?;
    let scale: i8 = scale.trim().parse().map_err(|_| malformed())?;
    if precision == 0 || precision > DECIMAL128_MAX_PRECISION {
        return Err(format!("`{name}`: the precision must be from 1 to {DECIMAL128_MAX_PRECISION}"));
    }
    if scale < 0 || scale.unsigned_abs() > precision {
        return Err(format!("`{name}`: the scale must be from 0 to the precision, {precision}"));
    }
    Ok(DataType::Decimal128(precision, scale))
}

/// The known type a misspelt one most likely means; names of other systems count as misspelt.
fn nearest(wanted: &str) -> Option<&'static str> {
    let foreign = match wanted {
        "str" | "text" | "varchar" | "utf8" | "char" => Some("string"),
        "integer" | "int32" | "i32" | "smallint" | "short" => Some("int"),
        "bigint" | "int64" | "i64" => Some("long"),
        "float64" | "f64" | "real" | "number" => Some("double"),
        "float32" | "f32" => Some("float"),
        "datetime" | "timestamptz" => Some("timestamp"),
        "numeric" => Some("decimal(p,s)"),
        "bytes" | "blob" | "bytea" => Some("binary"),
        _ => None,
    };
    foreign.or_else(|| {
        let closest = SIMPLE.iter().map(|(known, _)| (strsim::damerau_levenshtein(wanted, known), *known)).min()?;
        (closest.0 <= 2).then_some(closest.1)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(name: &str) -> Result<DataType, String> {
        data_type(&TypeSpec::Name(name.to_owned()))
    }

    #[test]
    fn every_simple_type_has_a_name_that_leads_back_to_it() {
        for name in [
            "string",
            "boolean",
            "int",
            "long",
            "float",
            "double",
            "date",
            "timestamp",
            "timestamp_ntz",
            "binary",
            "decimal(12,2)",
        ] {
            assert_eq!(type_name(&named(name).unwrap()), name);
        }
    }

    #[test]
    fn nested_types_are_built_and_named() {
        let spec: TypeSpec = serde_json::from_str(r#"{"key": "string", "tags": ["long"]}"#).unwrap();
        let found = data_type(&spec).unwrap();
        assert_eq!(type_name(&found), "{ key = string, tags = [long] }");
    }

    #[test]
    fn a_misspelt_type_names_the_nearest() {
        assert!(named("strng").unwrap_err().contains("did you mean `string`"));
        assert!(named("bigint").unwrap_err().contains("did you mean `long`"));
        assert!(named("whatever").unwrap_err().contains("known types"));
    }

    #[test]
    fn decimals_are_checked() {
        assert!(named("decimal(39,2)").unwrap_err().contains("from 1 to 38"));
        assert!(named("decimal(5,6)").unwrap_err().contains("scale"));
        assert!(named("decimal").unwrap_err().contains("decimal(12,2)"));
        assert_eq!(named("decimal( 5 , 2 )").unwrap(), DataType::Decimal128(5, 2));
    }

    #[test]
    fn all_wrong_columns_are_reported_at_once() {
        let spec: SchemaSpec = serde_json::from_str(r#"{"a": "lng", "b": "string", "c": ["txt"]}"#).unwrap();
        let problems = schema(&spec).unwrap_err();
        assert_eq!(problems.iter().map(|problem| problem.at.as_str()).collect::<Vec<_>>(), ["a", "c"]);
    }
}
