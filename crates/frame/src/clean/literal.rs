//! Single values written in specs, typed to a column: a value that cannot stand in its column is found before any row is
//! read.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, StringViewArray};
use arrow::datatypes::DataType;
use serde_json::Value;

use super::cast::Cast;
use crate::types::type_name;

/// A JSON value as an array of one value of the type. Numbers are written as numbers (decimals also as text, to the last
/// digit), dates and timestamps as ISO text.
///
/// # Errors
/// What was expected, when the value cannot stand in a column of this type.
pub fn literal(value: &Value, data_type: &DataType) -> Result<ArrayRef, String> {
    let expected = |what: &str| Err(format!("expected {what} for a {} column, not {value}", type_name(data_type)));
    let text = match data_type {
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => match value {
            Value::String(text) => text.clone(),
            _ => return expected("a text"),
        },
        DataType::Boolean => match value {
            Value::Bool(boolean) => boolean.to_string(),
            _ => return expected("true or false"),
        },
        DataType::Decimal128(..) => match value {
            Value::Number(number) => number.to_string(),
            Value::String(text) => text.clone(),
            _ => return expected("a number"),
        },
        DataType::Date32 | DataType::Timestamp(..) => match value {
            Value::String(text) => text.clone(),
            _ => return expected("an ISO date or time as text"),
        },
        number if number.is_numeric() => match value {
            Value::Number(number) => number.to_string(),
            _ => return expected("a number"),
        },
        other => return Err(format!("a {} column cannot be compared with or filled by a value", type_name(other))),
    };
    typed_text(&text, data_type)
}

/// A text as an array of one value of the type, read as the casts read text.
///
/// # Errors
/// What is wrong, when the text cannot stand in a column of this type.
pub fn typed_text(text: &str, data_type: &DataType) -> Result<ArrayRef, String> {
    let array: ArrayRef = Arc::new(StringViewArray::from(vec![Some(text)]));
    let cast = Cast::new(&DataType::Utf8View, data_type, None)?;
    let typed = cast.apply(&array).map_err(|error| error.chain())?;
    if typed.is_null(0) {
        return Err(format!("`{text}` can never stand in a {} column", type_name(data_type)));
    }
    Ok(typed)
}

#[cfg(test)]
mod tests {
    use arrow::array::AsArray;
    use arrow::array::types::Decimal128Type;
    use serde_json::json;

    use super::*;

    #[test]
    fn values_are_typed_to_their_column() {
        let decimal = DataType::Decimal128(10, 2);
        assert_eq!(literal(&json!(12.3), &decimal).unwrap().as_primitive::<Decimal128Type>().value(0), 1230);
        assert_eq!(literal(&json!("x"), &DataType::Utf8View).unwrap().as_string_view().value(0), "x");
        assert!(literal(&json!("2024-02-30"), &DataType::Date32).is_err());
        assert!(literal(&json!(1.5), &DataType::Int64).is_err());
        assert!(literal(&json!("1"), &DataType::Int64).is_err());
        assert!(literal(&json!(null), &DataType::Utf8View).is_err());
        assert!(literal(&json!(1), &DataType::Binary).is_err());
        assert!(literal(&json!(12.345), &decimal).unwrap_err().contains("12.345"));
    }
}
