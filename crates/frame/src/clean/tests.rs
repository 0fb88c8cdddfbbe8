//! Whole specs over whole batches.

use arrow::array::{
    BooleanArray, Float64Array, Int32Array, Int64Array, ListArray, StringViewArray, TimestampMicrosecondArray,
};
use arrow::datatypes::{DataType, Float64Type, Int32Type, Int64Type, TimestampMicrosecondType};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

fn spec(value: Value) -> CleanSpec {
    serde_json::from_value(value).unwrap()
}

fn texts(values: &[Option<&str>]) -> ArrayRef {
    Arc::new(StringViewArray::from(values.to_vec()))
}

fn batch(columns: Vec<(&str, ArrayRef)>) -> RecordBatch {
    let columns = columns.into_iter().map(|(name, array)| (name, array, true));
    RecordBatch::try_from_iter_with_nullable(columns).unwrap()
}

/// A context `{ key, tier = { name } }` whose second row is null although values stand below it, and a number.
fn events() -> RecordBatch {
    let tier = StructArray::from(vec![(
        Arc::new(Field::new("name", DataType::Utf8View, true)),
        texts(&[Some("pro"), Some("hidden"), None]),
    )]);
    let fields = vec![Field::new("key", DataType::Utf8View, true), Field::new("tier", tier.data_type().clone(), true)];
    let keys = texts(&[Some(" u1 "), Some("hidden"), Some("N/A")]);
    let valid = NullBuffer::from(vec![true, false, true]);
    let context = StructArray::new(fields.into(), vec![keys, Arc::new(tier)], Some(valid));
    batch(vec![
        ("context", Arc::new(context)),
        ("at", texts(&[Some("2024-01-31T10:00:00+02:00"), Some("not-a-time"), None])),
        ("customer", texts(&[Some("17850.0"), Some("1.5"), Some("-1")])),
        ("index", Arc::new(Int32Array::from(vec![Some(1), None, Some(-999)]))),
    ])
}

fn clean(spec_value: Value, rows: &RecordBatch) -> Cleaned {
    Cleaner::new(&spec(spec_value), &rows.schema()).unwrap().clean(rows).unwrap()
}

fn problems(spec_value: Value) -> Vec<(String, String)> {
    let problems = Cleaner::new(&spec(spec_value), &events().schema()).unwrap_err();
    problems.into_iter().map(|problem| (problem.at, problem.message)).collect()
}

#[test]
fn all_steps_are_done_in_the_documented_order() {
    let cleaned = clean(
        json!({
            "drop": ["context_tier"],
            "fill": { "user": "unknown", "number": 7 },
            "cast": { "at": "timestamp", "customer": "long" },
            "null_if": { "user": ["n/a"], "number": ["-999"] },
            "lower": ["user"],
            "trim": ["user"],
            "rename": { "context_key": "user", "index": "number" },
            "flatten": ["context"],
        }),
        &events(),
    );
    let rows = cleaned.rows;
    let names: Vec<String> = rows.schema().fields().iter().map(|field| field.name().clone()).collect();
    assert_eq!(names, ["user", "at", "customer", "number"]);
    assert_eq!(rows.column(0), &texts(&[Some("u1"), Some("unknown"), Some("unknown")]));
    let time = rows.column(1).as_primitive::<TimestampMicrosecondType>();
    assert_eq!(time.value(0), 1_706_688_000_000_000);
    assert_eq!(time.timezone(), Some("UTC"));
    assert_eq!(rows.column(2).as_primitive::<Int64Type>(), &Int64Array::from(vec![Some(17850), None, Some(-1)]));
    assert_eq!(rows.column(3).as_primitive::<Int32Type>(), &Int32Array::from(vec![1, 7, 7]));
    let lossy: Vec<(String, BooleanArray)> = cleaned.lossy.into_iter().map(|cast| (cast.rule, cast.rows)).collect();
    assert_eq!(
        lossy,
        [
            ("cast_at".to_owned(), BooleanArray::from(vec![false, true, false])),
            ("cast_customer".to_owned(), BooleanArray::from(vec![false, true, false])),
        ]
    );
}

#[test]
fn a_null_struct_gives_null_fields_however_deep() {
    let rows = clean(json!({ "flatten": ["context", "context_tier"] }), &events()).rows;
    let names: Vec<String> = rows.schema().fields().iter().map(|field| field.name().clone()).collect();
    assert_eq!(names, ["context_key", "context_tier_name", "at", "customer", "index"]);
    assert_eq!(rows.column(0), &texts(&[Some(" u1 "), None, Some("N/A")]));
    assert_eq!(rows.column(1), &texts(&[Some("pro"), None, None]));
    let sliced = clean(json!({ "flatten": ["context", "context_tier"] }), &events().slice(1, 2)).rows;
    assert_eq!(sliced, rows.slice(1, 2));
}

#[test]
fn columns_that_no_step_names_are_the_same_arrays() {
    let before = events();
    let after = clean(json!({ "trim": ["at"] }), &before).rows;
    assert!(Arc::ptr_eq(before.column(0), after.column(0)));
    assert!(Arc::ptr_eq(before.column(3), after.column(3)));
    let cleaner = Cleaner::new(&CleanSpec::default(), &before.schema()).unwrap();
    assert!(cleaner.is_idle());
    assert_eq!(cleaner.clean(&before).unwrap().rows, before);
}

#[test]
fn a_cast_of_null_loses_nothing() {
    let rows = batch(vec![("a", texts(&[None, Some("1")]))]);
    let cleaned = clean(json!({ "cast": { "a": "long" } }), &rows);
    assert!(cleaned.lossy.is_empty());
    let cleaned = clean(json!({ "null_if": { "a": ["1"] }, "cast": { "a": "long" }, "fill": { "a": 5 } }), &rows);
    assert!(cleaned.lossy.is_empty());
    assert_eq!(cleaned.rows.column(0).as_primitive::<Int64Type>(), &Int64Array::from(vec![5, 5]));
}

#[test]
fn a_value_that_is_lost_is_told_even_when_it_is_filled_or_dropped() {
    let rows = batch(vec![("a", texts(&[Some("x")])), ("b", texts(&[Some("y")]))]);
    let cleaned = clean(json!({ "cast": { "a": "long", "b": "long" }, "fill": { "a": 5 }, "drop": ["b"] }), &rows);
    assert_eq!(cleaned.rows.num_columns(), 1);
    assert_eq!(cleaned.lossy.iter().map(|cast| cast.rule.as_str()).collect::<Vec<_>>(), ["cast_a", "cast_b"]);
}

#[test]
fn values_of_other_types_can_mean_null_by_their_text() {
    let rows = batch(vec![
        ("double", Arc::new(Float64Array::from(vec![-1.0, 2.0]))),
        ("boolean", Arc::new(BooleanArray::from(vec![true, false]))),
        ("time", Arc::new(TimestampMicrosecondArray::from(vec![0, 1]))),
    ]);
    let cleaned =
        clean(json!({ "null_if": { "double": ["-1"], "boolean": ["false"], "time": ["1970-01-01"] } }), &rows).rows;
    assert_eq!(cleaned.column(0).as_primitive::<Float64Type>(), &Float64Array::from(vec![None, Some(2.0)]));
    assert_eq!(cleaned.column(1).as_boolean(), &BooleanArray::from(vec![Some(true), None]));
    assert_eq!(cleaned.column(2).null_count(), 1);
}

#[test]
fn formats_are_used_both_ways() {
    let rows = batch(vec![("a", texts(&[Some(" 01/02/2024 10:30"), Some("x")]))]);
    let cast = json!({ "type": "timestamp", "format": "%d/%m/%Y %H:%M" });
    let cleaned = clean(json!({ "cast": { "a": cast } }), &rows);
    let expected = TimestampMicrosecondArray::from(vec![Some(1_706_783_400_000_000), None]).with_timezone("UTC");
    assert_eq!(cleaned.rows.column(0).as_primitive::<TimestampMicrosecondType>(), &expected);
    assert_eq!(cleaned.lossy.len(), 1);
    let cast = json!({ "type": "string", "format": "%Y" });
    assert_eq!(clean(json!({ "cast": { "a": cast } }), &cleaned.rows).rows.column(0), &texts(&[Some("2024"), None]));
}

#[test]
fn only_the_columns_that_are_needed_are_read() {
    let rows = events();
    let all = spec(json!({ "flatten": ["context"], "cast": { "customer": "long" }, "rename": { "at": "time" } }));
    let cleaner = Cleaner::new(&all, &rows.schema()).unwrap();
    assert_eq!(cleaner.columns_read(&["context_key"]), ["context", "customer"]);
    assert_eq!(cleaner.columns_read(&["time"]), ["at", "customer"]);
    let narrow = cleaner.narrowed(&["time"]);
    let cleaned = narrow.clean(&rows.project(&[1, 2]).unwrap()).unwrap();
    assert_eq!(cleaned.rows.schema(), narrow.output());
    assert_eq!(cleaned.rows.num_columns(), 1);
    assert_eq!(cleaned.lossy.len(), 1);
    let none = cleaner.narrowed(&[]).clean(&rows).unwrap();
    assert_eq!((none.rows.num_rows(), none.rows.num_columns()), (3, 0));
}

#[test]
fn a_batch_of_another_schema_is_refused() {
    let cleaner = Cleaner::new(&CleanSpec::default(), &events().schema()).unwrap();
    assert!(cleaner.clean(&events().project(&[0]).unwrap()).is_err());
}

#[test]
fn every_problem_is_told_at_its_place() {
    let found = problems(json!({
        "flatten": ["at", "contxt"],
        "rename": { "index": "at", "customr": "x" },
        "trim": ["customer", "context"],
        "null_if": { "nothing": ["x"] },
        "cast": { "customer": "lnog", "context": "string", "at": { "type": "timestamp", "format": "%Q" } },
        "fill": { "customer": 1 },
        "deduplicate": ["at", "user"],
        "drop": ["indx"],
    }));
    let places: Vec<&str> = found.iter().map(|(at, _)| at.as_str()).collect();
    assert_eq!(
        places,
        [
            "clean/flatten/0",
            "clean/flatten/1",
            "clean/rename/customr",
            "clean/rename/index",
            "clean/trim/1",
            "clean/null_if/nothing",
            "clean/cast/customer",
            "clean/cast/context",
            "clean/cast/at",
            "clean/fill/customer",
            "clean/deduplicate/1",
            "clean/drop/0",
        ]
    );
    assert!(found[1].1.contains("did you mean `context`?"), "{}", found[1].1);
}

#[test]
fn names_from_before_a_step_are_explained() {
    let found = problems(json!({ "flatten": ["context"], "rename": { "at": "time" }, "trim": ["at", "context"] }));
    assert!(found[0].1.contains("it was renamed to `time`"), "{}", found[0].1);
    assert!(found[1].1.contains("it was flattened into context_key, context_tier"), "{}", found[1].1);
}

#[test]
fn columns_may_exchange_their_names() {
    let rows = batch(vec![("a", texts(&[Some("1")])), ("b", texts(&[Some("2")]))]);
    let cleaned = clean(json!({ "rename": { "a": "b", "b": "a" } }), &rows).rows;
    assert_eq!(cleaned.schema().field(0).name(), "b");
    assert_eq!(cleaned.column(0), &texts(&[Some("1")]));
}

#[test]
fn text_of_any_layout_comes_out_as_views() {
    let rows = batch(vec![("a", Arc::new(arrow::array::StringArray::from(vec![" x ", "y"])))]);
    let cleaned = clean(json!({ "trim": ["a"], "null_if": { "a": ["y"] }, "fill": { "a": "z" } }), &rows);
    assert_eq!(cleaned.rows.column(0), &texts(&[Some("x"), Some("z")]));
    assert_eq!(clean(json!({ "fill": { "a": "z" } }), &rows).rows.column(0), rows.column(0));
}

#[test]
fn lists_pass_but_cannot_be_cast() {
    let list = ListArray::from_iter_primitive::<Int32Type, _, _>(vec![Some(vec![Some(1)]), None]);
    let rows = batch(vec![("list", Arc::new(list))]);
    assert_eq!(clean(json!({}), &rows).rows.column(0), rows.column(0));
    assert!(Cleaner::new(&spec(json!({ "cast": { "list": "string" } })), &rows.schema()).is_err());
}

proptest! {
    #[test]
    fn a_cast_keeps_a_value_or_tells_that_it_is_lost(
        values in prop::collection::vec(prop::option::of("(-?[0-9]{1,12}(\\.[0-9]{0,4})?| ?[a-z]{0,3}|2024-0[1-9]-[0-3][0-9])"), 1..50),
        target in prop::sample::select(vec!["int", "long", "double", "decimal(12,2)", "boolean", "date", "timestamp", "string"]),
    ) {
        let values: Vec<Option<&str>> = values.iter().map(Option::as_deref).collect();
        let rows = batch(vec![("a", texts(&values))]);
        let cleaned = clean(json!({ "cast": { "a": target } }), &rows);
        let lost = |row: usize| cleaned.lossy.iter().any(|cast| cast.rows.value(row));
        for (row, value) in values.iter().enumerate() {
            prop_assert_eq!(value.is_some(), cleaned.rows.column(0).is_valid(row) || lost(row));
            prop_assert!(!(cleaned.rows.column(0).is_valid(row) && lost(row)));
        }
    }
}
