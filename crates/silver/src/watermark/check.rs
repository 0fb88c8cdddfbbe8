//! Whether a watermark fits the table it is declared for.

use ::stage::{Layer, Problem, TableName};
use arrow::datatypes::{DataType, Schema};
use frame::clean::unknown_column;

use crate::spec::WatermarkSpec;

/// Rows are late in the order of their source, which only bronze keeps.
pub fn check_watermark_upstream(from: &TableName) -> Option<Problem> {
    let message = format!(
        "a watermark follows the order of a source, which only bronze rows tell (`_source`, `_position`), and `{from}` is {}; declare it where that table is made",
        from.layer()
    );
    (from.layer() != Layer::Bronze).then(|| Problem::new("watermark", message))
}

/// The column must be there after the clean steps, and hold times. `cleaned` are the columns after them.
pub fn check_watermark_column(spec: &WatermarkSpec, cleaned: &Schema) -> Option<Problem> {
    let at = "watermark/column";
    let Ok(field) = cleaned.field_with_name(&spec.column) else {
        let columns = cleaned.fields().iter().map(|field| field.name().as_str());
        return Some(Problem::new(at, unknown_column(&spec.column, columns)));
    };
    let is_time = matches!(field.data_type(), DataType::Timestamp(..) | DataType::Date32);
    let message = || {
        let (name, found) = (&spec.column, frame::types::type_name(field.data_type()));
        format!(
            "a watermark needs a timestamp or date, and `{name}` is {found} after [clean]; cast it there: cast = {{ {name} = \"timestamp\" }}"
        )
    };
    (!is_time).then(|| Problem::new(at, message()))
}

#[cfg(test)]
mod tests {
    use arrow::datatypes::Field;
    use frame::TimeSpan;

    use super::*;

    fn problem(column: &str) -> Option<String> {
        let cleaned = Schema::new(vec![
            Field::new("event_time", frame::types::timestamp(), true),
            Field::new("day", DataType::Date32, true),
            Field::new("id", DataType::Int64, true),
        ]);
        let spec = WatermarkSpec { column: column.into(), delay: TimeSpan::milliseconds(1) };
        check_watermark_column(&spec, &cleaned).map(|problem| problem.message)
    }

    #[test]
    fn the_column_is_a_time_of_the_cleaned_rows() {
        assert_eq!((problem("event_time"), problem("day")), (None, None));
        assert_eq!(problem("event_tme").unwrap(), "there is no column `event_tme`; did you mean `event_time`?");
        assert!(problem("id").unwrap().contains("`id` is long after [clean]"), "{:?}", problem("id"));
    }

    #[test]
    fn only_bronze_rows_have_an_order() {
        assert_eq!(check_watermark_upstream(&"p.bronze.t".parse().unwrap()), None);
        assert!(
            check_watermark_upstream(&"p.silver.t".parse().unwrap())
                .unwrap()
                .message
                .contains("`p.silver.t` is silver")
        );
    }
}
