//! Whether the column that says when rows happened is one of the table, and holds times.

use ::stage::Problem;
use arrow::datatypes::{DataType, Schema};
use frame::clean::unknown_column;

use crate::spec::SilverSpec;

/// What is wrong with `event_time` of a table with these columns.
pub fn check_event_time(spec: &SilverSpec, columns: &Schema) -> Option<Problem> {
    let name = spec.event_time.as_ref()?;
    let Ok(field) = columns.field_with_name(name) else {
        let known = columns.fields().iter().map(|field| field.name().as_str());
        return Some(Problem::new("event_time", unknown_column(name, known)));
    };
    let is_time = matches!(field.data_type(), DataType::Timestamp(..) | DataType::Date32);
    let found = frame::types::type_name(field.data_type());
    let message =
        format!("`event_time` needs a timestamp or date, and `{name}` is {found}; cast it in [clean] or in the SQL");
    (!is_time).then(|| Problem::new("event_time", message))
}
