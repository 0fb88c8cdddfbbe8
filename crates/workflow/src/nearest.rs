//! The nearest known name, for messages about unknown ones.

/// The known name that `name` was most likely meant to be, if one is near.
pub(crate) fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    known
        .into_iter()
        .map(|candidate| (likeness(name, candidate), candidate))
        .filter(|(likeness, _)| *likeness > 0.75)
        .max_by(|left, right| left.0.total_cmp(&right.0))
        .map(|(_, candidate)| candidate)
}

/// From 0 to 1. The measure of shared letters is blind to slips in very short names, so one slip always counts as near.
fn likeness(name: &str, candidate: &str) -> f64 {
    let slips = strsim::osa_distance(name, candidate);
    let shared = strsim::jaro_winkler(name, candidate);
    if slips == 1 && candidate.len() > 2 { shared.max(0.9) } else { shared }
}

/// `; did you mean ...?` with the nearest known name, or nothing.
pub(crate) fn hint<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    nearest(name, known).map(|candidate| format!("; did you mean `{candidate}`?")).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_of_the_pen_is_recognised_and_a_stranger_is_not() {
        let known = ["bronze_orders", "silver_orders", "gold_kpi"];
        assert_eq!(nearest("silver_order", known), Some("silver_orders"));
        assert_eq!(nearest("zzz", known), None);
        assert_eq!(nearest("dya", ["day"]), Some("day"));
    }
}
