//! Whether what was asked of a table fulfils its check, and what is told of it.

use arrow::datatypes::{Field, Schema};
use chrono::{DateTime, Datelike as _, Utc};
use frame::types::type_name;

use super::past::Volume;
use super::rule::Rule;
use super::spec::{
    AggregateSpec, ColumnsSpec, CompletenessSpec, DistributionSpec, FreshnessSpec, RowCountSpec, Season, VolumeSpec,
};
use crate::profile::Profile;

/// What the median distance from the median is multiplied by to be the standard deviation of normally distributed values
/// (Iglewicz and Hoaglin, "How to detect and handle outliers", 1993).
const DEVIATION: f64 = 1.4826;
/// A deviation is never taken as less than this share of the median: where all commits wrote the same number of rows, one
/// row more is no anomaly.
const LEAST_DEVIATION: f64 = 0.05;

/// How a check fared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Finding {
    /// Rows or keys that fail; 1 where the check is of the table as a whole.
    pub(crate) failed: u64,
    /// What was found, for people.
    pub(crate) detail: String,
    pub(crate) sample: Vec<String>,
}

impl Finding {
    fn whole(passes: bool, detail: impl Into<String>) -> Finding {
        Finding { failed: u64::from(!passes), detail: detail.into(), sample: Vec::new() }
    }
}

pub(super) fn failing(rule: &Rule<'_>, failed: u64, sample: Vec<String>) -> Finding {
    let one = failed == 1;
    let detail = match rule {
        _ if failed == 0 => String::new(),
        Rule::Unique(_) if one => "1 key stands in several rows".to_owned(),
        Rule::Unique(_) => format!("{failed} keys stand in several rows"),
        Rule::PrimaryKey(_) if one => "1 key is null or stands in several rows".to_owned(),
        Rule::PrimaryKey(_) => format!("{failed} keys are null or stand in several rows"),
        Rule::ForeignKey(spec) if one => format!("1 value is not in {}", spec.table),
        Rule::ForeignKey(spec) => format!("{failed} values are not in {}", spec.table),
        _ if one => "1 row fails".to_owned(),
        _ => format!("{failed} rows fail"),
    };
    Finding { failed, detail, sample }
}

pub(super) fn row_count(spec: &RowCountSpec, rows: u64, equal_to: Option<u64>, before: Option<u64>) -> Finding {
    let mut wrong = Vec::new();
    if let Some(min) = spec.min.filter(|min| rows < *min) {
        wrong.push(format!("expected at least {min}"));
    }
    if let Some(max) = spec.max.filter(|max| rows > *max) {
        wrong.push(format!("expected at most {max}"));
    }
    if let Some((other, count)) = spec.equal_to.as_ref().zip(equal_to).filter(|(_, count)| *count != rows) {
        wrong.push(format!("{other} has {count}"));
    }
    if let Some(before) = before {
        let (now, then) = (rows as f64, before as f64);
        if spec.min_of_before.is_some_and(|share| now < share * then)
            || spec.max_of_before.is_some_and(|share| now > share * then)
        {
            wrong.push(format!("there were {before} before"));
        }
    }
    let passes = wrong.is_empty();
    Finding::whole(passes, if passes { format!("{rows} rows") } else { format!("{rows} rows; {}", wrong.join("; ")) })
}

/// `newest` counts seconds since 1970.
pub(super) fn freshness(spec: &FreshnessSpec, newest: Option<f64>, now: DateTime<Utc>) -> Finding {
    let Some(newest) = newest else { return Finding::whole(false, format!("no row has a {}", spec.column)) };
    let age = now.timestamp() as f64 - newest;
    let at = DateTime::from_timestamp(newest as i64, 0).unwrap_or_default().format("%Y-%m-%dT%H:%M:%SZ");
    Finding::whole(age <= spec.within.duration().as_secs_f64(), format!("the newest {} is {at}", spec.column))
}

pub(super) fn completeness(spec: &CompletenessSpec, filled: u64, rows: u64) -> Finding {
    let share = if rows == 0 { 1.0 } else { filled as f64 / rows as f64 };
    let detail = format!("{:.2} % of rows have a {}", share * 100.0, spec.column);
    let passes = share >= spec.min;
    Finding { failed: if passes { 0 } else { rows - filled.min(rows) }, detail, sample: Vec::new() }
}

pub(super) fn aggregate(spec: &AggregateSpec, value: Option<f64>) -> Finding {
    let Some(value) = value else { return Finding::whole(false, format!("{} is null", spec.expression)) };
    let passes = spec.min.is_none_or(|min| value >= min) && spec.max.is_none_or(|max| value <= max);
    Finding::whole(passes, format!("{} is {value}", spec.expression))
}

pub(super) fn columns(spec: &ColumnsSpec, schema: &Schema) -> Finding {
    let Ok(wanted) = frame::types::schema(&spec.columns) else { return Finding::whole(false, "the types are unknown") };
    let mut wrong = Vec::new();
    for field in wanted.fields() {
        match schema.field_with_name(field.name()) {
            Err(_) => wrong.push(format!("there is no column {}", field.name())),
            Ok(found) if found.data_type() != field.data_type() => {
                let (found, wanted) = (type_name(found.data_type()), type_name(field.data_type()));
                wrong.push(format!("{} is {found} and not {wanted}", field.name()));
            }
            Ok(_) => {}
        }
    }
    let is_wanted = |field: &&std::sync::Arc<Field>| wanted.field_with_name(field.name()).is_ok();
    if spec.exact {
        let others = schema.fields().iter().filter(|field| !is_wanted(field));
        wrong.extend(others.map(|field| format!("{} is not expected", field.name())));
    }
    let order: Vec<&String> = schema.fields().iter().filter(is_wanted).map(|field| field.name()).collect();
    if spec.ordered && !order.iter().copied().eq(wanted.fields().iter().map(|field| field.name())) {
        wrong.push("the columns stand in another order".to_owned());
    }
    Finding { failed: wrong.len() as u64, detail: wrong.join("; "), sample: Vec::new() }
}

pub(super) fn distribution(spec: &DistributionSpec, now: &Profile, before: &Profile) -> Finding {
    let both = now.column(&spec.column).zip(before.column(&spec.column));
    let Some(drift) = both.and_then(|(now, before)| now.drift_from(before)) else {
        return Finding::whole(true, "there are no earlier values to compare with");
    };
    let passes =
        spec.max_psi.is_none_or(|max| drift.psi <= max) && spec.max_ks.zip(drift.ks).is_none_or(|(max, ks)| ks <= max);
    let ks = drift.ks.map(|ks| format!(", KS {ks:.3}")).unwrap_or_default();
    Finding::whole(passes, format!("PSI {:.3}{ks}", drift.psi))
}

/// The last of the volumes is judged by those before it.
pub(super) fn volume(spec: &VolumeSpec, volumes: &[Volume]) -> Finding {
    let Some((last, earlier)) = volumes.split_last() else { return Finding::whole(true, "no commit has written rows") };
    let fits = |volume: &&Volume| spec.season == Season::None || volume.at.weekday() == last.at.weekday();
    let rows: Vec<f64> = earlier.iter().filter(fits).map(|volume| volume.rows as f64).collect();
    if (rows.len() as u64) < spec.min_history.max(1) {
        let found = rows.len();
        return Finding::whole(true, format!("{} rows; only {found} commits to compare with", last.rows));
    }
    let usual = median(rows.clone());
    let spread = median(rows.iter().map(|rows| (rows - usual).abs()).collect());
    let deviation = (spread * DEVIATION).max(usual * LEAST_DEVIATION).max(1.0);
    let deviations = (last.rows as f64 - usual).abs() / deviation;
    let detail = format!("{} rows where {usual} are usual, {deviations:.1} deviations away", last.rows);
    Finding::whole(deviations <= spec.max_deviations, detail)
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() % 2 {
        1 => values[middle],
        _ => (values[middle - 1] + values[middle]) / 2.0,
    }
}

#[cfg(test)]
mod tests {
    use arrow::datatypes::DataType;
    use chrono::TimeDelta;

    use super::*;

    fn spec<T: serde::de::DeserializeOwned>(json: serde_json::Value) -> T {
        serde_json::from_value(json).unwrap()
    }

    #[test]
    fn a_volume_far_from_what_is_usual_on_its_day_of_the_week_fails() {
        let monday = DateTime::from_timestamp(1_709_510_400, 0).unwrap();
        // 1,000 rows or so on weekdays, 10 on Sundays.
        let rows = |day: i64| if day % 7 == 6 { 10 } else { 1_000 + (day as u64 % 5) * 10 };
        let days = |count| -> Vec<Volume> {
            (0..count).map(|day| Volume { rows: rows(day), at: monday + TimeDelta::days(day) }).collect()
        };
        let spec: VolumeSpec = spec(serde_json::json!({ "season": "day_of_week", "min_history": 4 }));
        assert_eq!(volume(&spec, &days(56)).failed, 0, "a Sunday like the others");
        let mut sunday = days(56);
        sunday.last_mut().unwrap().rows = 1_000;
        let found = volume(&spec, &sunday);
        assert_eq!(found.failed, 1);
        assert_eq!(found.detail, "1000 rows where 10 are usual, 990.0 deviations away");
        assert!(volume(&spec, &days(20)).detail.ends_with("only 2 commits to compare with"));
        assert_eq!(volume(&spec, &[]).failed, 0);
        assert_eq!(volume(&VolumeSpec { season: Season::None, ..spec }, &sunday).failed, 0);
    }

    #[test]
    fn counts_are_held_against_bounds_other_tables_and_those_before() {
        let spec: RowCountSpec = spec(
            serde_json::json!({ "min": 5, "max": 10, "equal_to": "bronze.x", "min_of_before": 0.5, "max_of_before": 2 }),
        );
        assert_eq!(row_count(&spec, 7, Some(7), Some(7)), Finding::whole(true, "7 rows"));
        assert_eq!(row_count(&spec, 4, Some(4), None).detail, "4 rows; expected at least 5");
        assert_eq!(
            row_count(&spec, 11, Some(3), Some(5)).detail,
            "11 rows; expected at most 10; bronze.x has 3; there were 5 before"
        );
        assert_eq!(row_count(&spec, 6, Some(6), Some(13)).failed, 1);
    }

    #[test]
    fn columns_are_held_against_names_types_and_order() {
        let schema = Schema::new(vec![
            Field::new("b", DataType::Utf8View, true),
            Field::new("a", DataType::Int64, true),
            Field::new("c", DataType::Int64, true),
        ]);
        let spec: ColumnsSpec = spec(
            serde_json::json!({ "columns": { "a": "long", "b": "long", "d": "string" }, "exact": true, "ordered": true }),
        );
        let found = columns(&spec, &schema);
        assert_eq!(found.failed, 4);
        assert_eq!(
            found.detail,
            "b is string and not long; there is no column d; c is not expected; the columns stand in another order"
        );
    }

    #[test]
    fn shares_ages_and_aggregates_are_held_against_their_bounds() {
        let share: CompletenessSpec = spec(serde_json::json!({ "column": "a", "min": 0.9 }));
        assert_eq!((completeness(&share, 9, 10).failed, completeness(&share, 8, 10).failed), (0, 2));
        assert_eq!(completeness(&share, 0, 0).failed, 0);
        let fresh: FreshnessSpec = spec(serde_json::json!({ "column": "at", "within": "1h" }));
        let now = DateTime::from_timestamp(10_000, 0).unwrap();
        assert_eq!(
            (freshness(&fresh, Some(6_400.0), now).failed, freshness(&fresh, Some(6_399.0), now).failed),
            (0, 1)
        );
        assert_eq!(freshness(&fresh, None, now).detail, "no row has a at");
        let sum: AggregateSpec = spec(serde_json::json!({ "expression": "SUM(a)", "min": 1, "max": 2 }));
        assert_eq!([Some(1.0), Some(2.5), None].map(|value| aggregate(&sum, value).failed), [0, 1, 1]);
    }
}
