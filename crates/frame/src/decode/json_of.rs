//! One value of an array as compact JSON, for what is rescued or rejected.

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, make_array};
use arrow::datatypes::{DataType, Field, Schema};
use arrow::json::writer::{LineDelimited, WriterBuilder};
use arrow::util::display::array_value_to_string;

use crate::decode::values::to_base64;

/// The JSON of the value at `index`. Types that JSON does not have become strings: bytes base64, times ISO 8601.
pub(crate) fn json_of(array: &dyn Array, index: usize) -> String {
    if array.is_null(index) {
        return "null".to_owned();
    }
    if *array.data_type() == DataType::Binary {
        return quoted(&to_base64(array.as_binary::<i32>().value(index)));
    }
    let one = make_array(array.slice(index, 1).to_data());
    written(&one).unwrap_or_else(|| quoted(&array_value_to_string(array, index).unwrap_or_default()))
}

fn written(one: &ArrayRef) -> Option<String> {
    let field = Field::new("v", one.data_type().clone(), true);
    let batch = RecordBatch::try_new(Schema::new(vec![field]).into(), vec![one.clone()]).ok()?;
    let mut writer = WriterBuilder::new().with_explicit_nulls(true).build::<_, LineDelimited>(Vec::new());
    writer.write(&batch).ok()?;
    writer.finish().ok()?;
    let text = String::from_utf8(writer.into_inner()).ok()?;
    Some(text.trim_end().strip_prefix("{\"v\":")?.strip_suffix('}')?.to_owned())
}

fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{BinaryArray, Decimal128Array, Int64Array, StringViewArray, StructArray};

    use super::*;

    #[test]
    fn values_are_written_as_json() {
        let decimals = Decimal128Array::from(vec![1234]).with_precision_and_scale(10, 2).unwrap();
        let nested = StructArray::from(vec![(
            Arc::new(Field::new("a", DataType::Int64, true)),
            Arc::new(Int64Array::from(vec![None, Some(1)])) as ArrayRef,
        )]);
        assert_eq!(json_of(&Int64Array::from(vec![5]), 0), "5");
        assert_eq!(json_of(&decimals, 0), "12.34");
        assert_eq!(json_of(&StringViewArray::from(vec!["a\"b"]), 0), r#""a\"b""#);
        assert_eq!(json_of(&BinaryArray::from(vec![&b"abc"[..]]), 0), "\"YWJj\"");
        assert_eq!((json_of(&nested, 0), json_of(&nested, 1)), ("{\"a\":null}".to_owned(), "{\"a\":1}".to_owned()));
    }
}
