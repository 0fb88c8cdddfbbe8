//! What to say of a column that is not there.

/// A message for a column that `columns` does not have, with the nearest name, or all of them when there are few.
pub fn unknown_column<'a>(name: &str, columns: impl IntoIterator<Item = &'a str>) -> String {
    let columns: Vec<&str> = columns.into_iter().collect();
    let nearest = columns
        .iter()
        .map(|column| (strsim::jaro_winkler(&name.to_lowercase(), &column.to_lowercase()), *column))
        .max_by(|left, right| left.0.total_cmp(&right.0))
        .filter(|(likeness, _)| *likeness > 0.75);
    match nearest {
        Some((_, column)) => format!("there is no column `{name}`; did you mean `{column}`?"),
        None if columns.len() <= 12 => format!("there is no column `{name}`; the columns are {}", columns.join(", ")),
        None => format!("there is no column `{name}`"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_name_is_told() {
        let columns = ["user_key", "flag_key", "timestamp"];
        assert!(unknown_column("user_kye", columns).contains("did you mean `user_key`?"));
        assert!(unknown_column("zzz", columns).contains("user_key, flag_key, timestamp"));
    }
}
