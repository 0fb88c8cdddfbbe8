//! Figures of a column as people read them.

use lake::ProfiledColumn;
use serde_json::Value;

use super::column::number_in_words;

/// What is shown of each column.
pub const HEADER: [&str; 9] =
    ["column", "type", "nulls", "distinct", "least", "median", "mean", "greatest", "most frequent"];

/// Frequent values that are shown.
const FREQUENT: usize = 3;
/// Characters of a value that are shown.
const CHARACTERS: usize = 24;

/// The figures of a column, in the order of [`HEADER`].
pub fn shown(column: &ProfiledColumn) -> Vec<String> {
    vec![
        column.column.clone(),
        column.type_name.clone(),
        share(column.nulls, column.rows),
        column.distinct.to_string(),
        shortened(column.minimum.as_deref().unwrap_or_default()),
        median(column),
        mean(column),
        shortened(column.maximum.as_deref().unwrap_or_default()),
        frequent(column),
    ]
}

/// A part of a whole in per cent.
pub fn share(part: u64, whole: u64) -> String {
    match (part, whole) {
        (0, _) | (_, 0) => "0 %".to_owned(),
        _ => format!("{:.2} %", part as f64 / whole as f64 * 100.0),
    }
}

/// The value in the middle, if there is one.
pub fn median(column: &ProfiledColumn) -> String {
    column.quantiles.map(|[_, _, median, ..]| rounded(median, &column.type_name)).unwrap_or_default()
}

/// The mean, if there is one.
pub fn mean(column: &ProfiledColumn) -> String {
    column.mean.map(|mean| rounded(mean, &column.type_name)).unwrap_or_default()
}

/// A number with the digits that matter to people; dates and times to the second.
fn rounded(number: f64, type_name: &str) -> String {
    match type_name {
        "date" => number_in_words(number.round(), type_name),
        "timestamp" | "timestamp_ntz" => number_in_words((number / 1e6).round() * 1e6, type_name),
        _ if number.abs() >= 1000.0 || number.fract() == 0.0 => format!("{number:.0}"),
        _ if number.abs() >= 1.0 => format!("{number:.2}"),
        _ => format!("{number:.4}"),
    }
}

fn frequent(column: &ProfiledColumn) -> String {
    let top: Vec<Value> = serde_json::from_str(&column.top).unwrap_or_default();
    let told = top.iter().filter(|top| top["count"].as_u64().unwrap_or(0) > 1).take(FREQUENT).map(|top| {
        let count = top["count"].as_u64().unwrap_or(0);
        format!("{} ({})", shortened(top["value"].as_str().unwrap_or_default()), share(count, column.rows))
    });
    told.collect::<Vec<_>>().join(", ")
}

/// A text that fits a cell, on one line.
fn shortened(text: &str) -> String {
    let line: String = text.chars().map(|one| if one.is_control() { ' ' } else { one }).collect();
    match line.chars().count() > CHARACTERS {
        true => line.chars().take(CHARACTERS - 1).chain(['…']).collect(),
        false => line,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_have_the_digits_that_matter_and_texts_fit_their_cell() {
        let column = ProfiledColumn {
            column: "note".to_owned(),
            type_name: "double".to_owned(),
            rows: 3,
            nulls: 1,
            distinct: 2,
            minimum: Some("a\nb".to_owned()),
            maximum: Some("x".repeat(40)),
            mean: Some(1234.567),
            quantiles: Some([0.0, 0.1, 0.123_456, 0.9, 1.0]),
            top: r#"[{"value":"a","count":2},{"value":"b","count":1}]"#.to_owned(),
            ..ProfiledColumn::default()
        };
        let long = format!("{}…", "x".repeat(23));
        let expected = ["note", "double", "33.33 %", "2", "a b", "0.1235", "1235", &long, "a (66.67 %)"];
        assert_eq!(shown(&column), expected);
    }
}
