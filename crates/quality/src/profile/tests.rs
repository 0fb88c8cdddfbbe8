//! Whole profiles: what they tell, and that parts merge into the whole.

use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, Date32Array, Float64Array, Int64Array, RecordBatch, StringViewArray};
use proptest::prelude::*;

use super::*;

fn batch(numbers: &[Option<i64>]) -> RecordBatch {
    let texts = numbers.iter().map(|number| number.map(|number| format!("text number {number}")));
    let columns: [(&str, ArrayRef); 4] = [
        ("n", Arc::new(Int64Array::from(numbers.to_vec()))),
        ("t", Arc::new(StringViewArray::from_iter(texts))),
        ("f", Arc::new(Float64Array::from_iter(numbers.iter().map(|n| n.map(|n| n as f64 / 2.0))))),
        ("_hidden", Arc::new(Int64Array::from(numbers.to_vec()))),
    ];
    RecordBatch::try_from_iter_with_nullable(columns.map(|(name, column)| (name, column, true))).unwrap()
}

fn profile(batches: &[RecordBatch]) -> Profile {
    let mut profiler = Profiler::new(&ProfileSpec::default());
    batches.iter().for_each(|batch| profiler.add(batch));
    profiler.finish()
}

#[test]
fn a_profile_tells_counts_bounds_mean_and_values() {
    let columns: [(&str, ArrayRef); 4] = [
        ("amount", Arc::new(Int64Array::from(vec![Some(1), Some(3), None, Some(5)]))),
        ("city", Arc::new(StringViewArray::from(vec![Some("Ulm"), Some("Köln"), Some("Ulm"), None]))),
        ("is_paid", Arc::new(BooleanArray::from(vec![true, false, true, true]))),
        ("day", Arc::new(Date32Array::from(vec![0, 1, 2, 19_782]))),
    ];
    let rows = RecordBatch::try_from_iter_with_nullable(columns.map(|(name, column)| (name, column, true))).unwrap();
    let told = profile(&[rows]).told().unwrap();
    let bounds = |index: usize| (told[index].minimum.as_deref().unwrap(), told[index].maximum.as_deref().unwrap());
    assert_eq!((told[0].rows, told[0].nulls, told[0].distinct), (4, 1, 3));
    assert_eq!((bounds(0), told[0].mean), (("1", "5"), Some(3.0)));
    assert_eq!(told[0].quantiles, Some([1.0, 1.0, 3.0, 5.0, 5.0]));
    assert_eq!((bounds(1), told[1].mean, told[1].distinct), (("Köln", "Ulm"), None, 2));
    assert_eq!(told[1].top, r#"[{"value":"Ulm","count":2},{"value":"Köln","count":1}]"#);
    assert_eq!((told[2].mean, told[2].distinct), (Some(0.75), 2));
    assert_eq!((bounds(3), told[3].type_name.as_str()), (("1970-01-01", "2024-02-29"), "date"));
}

#[test]
fn what_a_stage_adds_is_profiled_only_when_it_is_named() {
    let rows = batch(&[Some(1)]);
    assert!(profile(std::slice::from_ref(&rows)).column("_hidden").is_none());
    let columns = vec!["_hidden".to_owned()];
    let mut profiler = Profiler::new(&ProfileSpec::Columns(spec::ProfiledSpec { columns }));
    profiler.add(&rows);
    assert_eq!(profiler.finish().columns().map(|(name, _)| name).collect::<Vec<_>>(), ["_hidden"]);
}

#[test]
fn a_column_of_nulls_and_one_of_no_numbers_tell_what_there_is() {
    let columns: [(&str, ArrayRef); 2] = [
        ("none", Arc::new(Int64Array::from(vec![None, None]))),
        ("odd", Arc::new(Float64Array::from(vec![f64::NAN, f64::INFINITY]))),
    ];
    let rows = RecordBatch::try_from_iter_with_nullable(columns.map(|(name, column)| (name, column, true))).unwrap();
    let told = profile(&[rows]).told().unwrap();
    assert_eq!((told[0].nulls, told[0].distinct, told[0].mean, &told[0].minimum), (2, 0, None, &None));
    assert_eq!((told[1].nulls, told[1].distinct, told[1].mean), (0, 2, None));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]
    #[test]
    fn merged_parts_are_the_whole(
        left in prop::collection::vec(prop::option::weighted(0.9, 0..500_i64), 1..2_000),
        right in prop::collection::vec(prop::option::weighted(0.9, -50..50_i64), 1..2_000),
    ) {
        let stored = |batch: &RecordBatch| Profile::of_told(profile(std::slice::from_ref(batch)).told().unwrap()).unwrap();
        let (left, right) = (batch(&left), batch(&right));
        let mut merged = stored(&left);
        merged.merge(&stored(&right));
        let whole = profile(&[left, right]);
        for (merged, whole) in merged.told().unwrap().into_iter().zip(whole.told().unwrap()) {
            prop_assert_eq!((merged.rows, merged.nulls), (whole.rows, whole.nulls));
            prop_assert_eq!((&merged.minimum, &merged.maximum), (&whole.minimum, &whole.maximum));
            prop_assert_eq!(merged.distinct, whole.distinct);
            for (merged, whole) in [(merged.mean, whole.mean), (merged.deviation, whole.deviation)] {
                prop_assert!(merged.zip(whole).is_none_or(|(merged, whole)| (merged - whole).abs() < 1e-6));
            }
        }
    }
}

/// What a profile costs for each row and column: `cargo test -p cli -p quality --lib --release -- --ignored --nocapture
/// the_cost`.
#[test]
#[ignore = "a measurement, of use with --release only"]
fn the_cost_of_a_profile_by_column() {
    const ROWS: i64 = 8_192;
    const BATCHES: i64 = 256;
    type Column = fn(i64) -> ArrayRef;
    let columns: [(&str, Column); 5] = [
        ("long", |from| Arc::new(Int64Array::from_iter_values((from..from + ROWS).map(|n| n * 7_919 % 1_000_003)))),
        ("double", |from| Arc::new(Float64Array::from_iter_values((from..from + ROWS).map(|n| n as f64 * 0.37)))),
        ("few words", |from| {
            Arc::new(StringViewArray::from_iter_values((from..from + ROWS).map(|n| ["DE", "FR", "IT"][n as usize % 3])))
        }),
        ("short ids", |from| {
            Arc::new(StringViewArray::from_iter_values((from..from + ROWS).map(|n| format!("user_{n}"))))
        }),
        ("uuids", |from| {
            let uuid = |n: i64| format!("{:016x}-{:016x}-abcd", hashing::mixed(n as u64), n);
            Arc::new(StringViewArray::from_iter_values((from..from + ROWS).map(uuid)))
        }),
    ];
    for (name, column) in columns {
        let batches: Vec<RecordBatch> =
            (0..BATCHES).map(|number| RecordBatch::try_from_iter([("a", column(number * ROWS))]).unwrap()).collect();
        let mut profiler = Profiler::new(&ProfileSpec::default());
        let begun = std::time::Instant::now();
        batches.iter().for_each(|batch| profiler.add(batch));
        let profile = profiler.finish();
        let nanos = begun.elapsed().as_nanos() as f64 / (ROWS * BATCHES) as f64;
        println!("{name}: {nanos:.1} ns a value, {} distinct", profile.column("a").unwrap().distinct_values());
    }
}
