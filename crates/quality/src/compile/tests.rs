//! Every rule with rows that pass, rows that fail and nulls, and every way in which a rule can be wrong.

use arrow::array::{
    Date32Array, Decimal128Array, Float64Array, Int32Array, Int64Array, StringViewArray, TimestampMicrosecondArray,
};
use proptest::prelude::*;
use serde_json::json;
use stage::Error;

use super::*;

const NOW: i64 = 1_700_000_000_000_000;

fn now() -> DateTime<Utc> {
    DateTime::from_timestamp_micros(NOW).unwrap()
}

fn texts(values: &[Option<&str>]) -> ArrayRef {
    Arc::new(StringViewArray::from(values.to_vec()))
}

fn longs(values: &[Option<i64>]) -> ArrayRef {
    Arc::new(Int64Array::from(values.to_vec()))
}

fn doubles(values: &[Option<f64>]) -> ArrayRef {
    Arc::new(Float64Array::from(values.to_vec()))
}

fn batch(columns: &[(&str, ArrayRef)]) -> RecordBatch {
    RecordBatch::try_from_iter_with_nullable(columns.iter().map(|(name, array)| (*name, array.clone(), true))).unwrap()
}

fn no_sql(_: &str) -> Result<Predicate, String> {
    Err("no SQL here".to_owned())
}

fn specs(value: Value) -> Vec<ExpectationSpec> {
    serde_json::from_value(value).unwrap()
}

/// The rows that violate one rule, written without its name.
fn violating(mut rule: Value, batch: &RecordBatch) -> Vec<usize> {
    rule["name"] = json!("rule");
    let validator = compile_with(&specs(json!([rule])), &batch.schema(), no_sql).unwrap();
    let verdict = validator.validate(batch, now()).unwrap();
    assert_eq!(verdict.counts[0].failed as usize, verdict.quarantined.len());
    assert_eq!(verdict.keep.is_none(), verdict.quarantined.is_empty());
    // The rule says the same of any slice of the batch.
    let later = validator.validate(&batch.slice(1, batch.num_rows() - 1), now()).unwrap();
    let shifted: Vec<usize> = later.quarantined.iter().map(|violation| violation.row + 1).collect();
    let rows: Vec<usize> = verdict.quarantined.iter().map(|violation| violation.row).collect();
    assert_eq!(shifted, rows.iter().copied().filter(|row| *row > 0).collect::<Vec<_>>());
    rows
}

#[test]
fn not_null() {
    let rows = batch(&[("a", longs(&[Some(1), None, Some(3)])), ("b", texts(&[None, Some("x"), Some("y")]))]);
    assert_eq!(violating(json!({ "not_null": ["a"] }), &rows), [1]);
    assert_eq!(violating(json!({ "not_null": ["a", "b"] }), &rows), [0, 1]);
    let full = batch(&[("a", longs(&[Some(1), Some(2)]))]);
    assert!(violating(json!({ "not_null": ["a"] }), &full).is_empty());
    let bare = batch(&[("a", Arc::new(arrow::array::NullArray::new(2)))]);
    assert_eq!(violating(json!({ "not_null": ["a"] }), &bare), [0, 1]);
}

#[test]
fn in_set_and_not_in_set() {
    let rows = batch(&[
        ("text", texts(&[Some("a"), Some("b"), None, Some("c")])),
        ("long", longs(&[Some(1), Some(2), None, Some(3)])),
        ("double", doubles(&[Some(-0.0), Some(f64::NAN), None, Some(1.0)])),
        ("boolean", Arc::new(BooleanArray::from(vec![Some(true), Some(false), None, Some(true)]))),
        ("date", Arc::new(Date32Array::from(vec![Some(0), Some(1), None, Some(2)]))),
    ]);
    let set = |rule: &str, column: &str, values: Value| {
        violating(json!({ rule: { "column": column, "values": values } }), &rows)
    };
    assert_eq!(set("in_set", "text", json!(["a", "c"])), [1, 2]);
    assert_eq!(set("not_in_set", "text", json!(["a", "c"])), [0, 2, 3]);
    assert_eq!(set("in_set", "long", json!([1, 3])), [1, 2]);
    assert_eq!(set("not_in_set", "long", json!([1, 3])), [0, 2, 3]);
    assert_eq!(set("in_set", "double", json!([0, 1.0])), [1, 2]);
    assert_eq!(set("not_in_set", "double", json!([0])), [0, 1, 2]);
    assert_eq!(set("in_set", "boolean", json!([true])), [1, 2]);
    assert_eq!(set("in_set", "date", json!(["1970-01-01", "1970-01-03"])), [1, 2]);
}

#[test]
fn between() {
    let times = TimestampMicrosecondArray::from(vec![Some(0), Some(NOW), None, Some(-1)]).with_timezone("UTC");
    let decimals = Decimal128Array::from(vec![Some(1), Some(1000), None, Some(-1)]);
    let rows = batch(&[
        ("int", Arc::new(Int32Array::from(vec![Some(1), Some(10), None, Some(-1)]))),
        ("double", doubles(&[Some(-0.0), Some(f64::NAN), None, Some(-0.5)])),
        ("time", Arc::new(times)),
        ("decimal", Arc::new(decimals.with_precision_and_scale(10, 2).unwrap())),
    ]);
    let between = |range: Value| violating(json!({ "between": range }), &rows);
    assert_eq!(between(json!({ "column": "int", "min": 1, "max": 10 })), [2, 3]);
    assert_eq!(between(json!({ "column": "int", "max": 9 })), [1, 2]);
    assert_eq!(between(json!({ "column": "double", "min": 0 })), [1, 2, 3]);
    assert_eq!(between(json!({ "column": "double", "max": 0 })), [1, 2]);
    assert_eq!(between(json!({ "column": "time", "min": "1970-01-01", "max": "2000-01-01T00:00:00Z" })), [1, 2, 3]);
    assert_eq!(between(json!({ "column": "decimal", "min": 0.01, "max": "9.99" })), [1, 2, 3]);
}

#[test]
fn matches_and_length() {
    let rows = batch(&[("a", texts(&[Some("SKU-1"), Some("xSKU-1"), None, Some("äöü"), Some("")]))]);
    assert_eq!(violating(json!({ "matches": { "column": "a", "pattern": "^SKU-\\d+$" } }), &rows), [1, 2, 3, 4]);
    assert_eq!(violating(json!({ "matches": { "column": "a", "pattern": "SKU" } }), &rows), [2, 3, 4]);
    assert_eq!(violating(json!({ "length": { "column": "a", "max": 3 } }), &rows), [0, 1, 2]);
    assert_eq!(violating(json!({ "length": { "column": "a", "min": 1 } }), &rows), [2, 4]);
}

#[test]
fn not_in_future() {
    let day = i32::try_from(NOW / 86_400_000_000).unwrap();
    let times = TimestampMicrosecondArray::from(vec![Some(NOW), Some(NOW + 1), None]);
    let rows = batch(&[
        ("utc", Arc::new(times.clone().with_timezone("UTC"))),
        ("local", Arc::new(times)),
        ("date", Arc::new(Date32Array::from(vec![Some(day + 1), Some(day), None]))),
    ]);
    assert_eq!(violating(json!({ "not_in_future": ["utc"] }), &rows), [1, 2]);
    assert_eq!(violating(json!({ "not_in_future": ["local"] }), &rows), [1, 2]);
    assert_eq!(violating(json!({ "not_in_future": ["date"] }), &rows), [0, 2]);
    assert_eq!(violating(json!({ "not_in_future": ["date", "utc"] }), &rows), [0, 1, 2]);
}

#[test]
fn email_and_uuid() {
    let rows = batch(&[
        ("mail", texts(&[Some("a@b.de"), Some("a@b"), None])),
        ("id", texts(&[Some("123e4567-e89b-12d3-a456-426614174000"), Some("123"), None])),
    ]);
    assert_eq!(violating(json!({ "email": ["mail"] }), &rows), [1, 2]);
    assert_eq!(violating(json!({ "uuid": ["id"] }), &rows), [1, 2]);
}

#[test]
fn compare() {
    let decimals = Decimal128Array::from(vec![Some(100), Some(250), None, Some(300)]);
    let rows = batch(&[
        ("long", longs(&[Some(1), Some(2), Some(3), None])),
        ("int", Arc::new(Int32Array::from(vec![Some(1), Some(3), Some(3), Some(3)]))),
        ("double", doubles(&[Some(1.0), Some(f64::NAN), Some(2.5), Some(3.0)])),
        ("decimal", Arc::new(decimals.with_precision_and_scale(10, 2).unwrap())),
        ("date", Arc::new(Date32Array::from(vec![Some(0), Some(1), Some(1), None]))),
        ("time", Arc::new(TimestampMicrosecondArray::from(vec![Some(0), Some(0), None, Some(0)]).with_timezone("UTC"))),
        ("text", texts(&[Some("a"), Some("b"), None, Some("c")])),
    ]);
    let compare = |left: &str, operator: &str, right: &str| {
        violating(json!({ "compare": { "left": left, "operator": operator, "right": right } }), &rows)
    };
    assert_eq!(compare("long", "=", "int"), [1, 3]);
    assert_eq!(compare("long", "!=", "int"), [0, 2, 3]);
    assert_eq!(compare("long", "<", "int"), [0, 2, 3]);
    assert_eq!(compare("long", "<=", "int"), [3]);
    assert_eq!(compare("long", ">", "int"), [0, 1, 2, 3]);
    assert_eq!(compare("long", ">=", "double"), [1, 3]);
    assert_eq!(compare("decimal", "=", "int"), [1, 2]);
    assert_eq!(compare("date", "<=", "time"), [1, 2, 3]);
    assert_eq!(compare("text", "=", "text"), [2]);
}

#[test]
fn a_null_or_false_predicate_is_a_violation() {
    let rows = batch(&[("a", longs(&[Some(1), None, Some(3)]))]);
    let sql = |_: &str| -> Result<Predicate, String> {
        Ok(Arc::new(|_: &RecordBatch, _| Ok(BooleanArray::from(vec![Some(true), None, Some(false)]))))
    };
    let validator = compile_with(&specs(json!([{ "name": "sql", "expect": "a < 2" }])), &rows.schema(), sql).unwrap();
    let verdict = validator.validate(&rows, now()).unwrap();
    assert_eq!(verdict.quarantined.iter().map(|violation| violation.row).collect::<Vec<_>>(), [1, 2]);
}

#[test]
fn an_error_of_a_predicate_names_the_expectation() {
    let rows = batch(&[("a", longs(&[Some(1)]))]);
    let sql = |_: &str| -> Result<Predicate, String> {
        Ok(Arc::new(|_: &RecordBatch, _| Err(Error::data("division by zero"))))
    };
    let validator =
        compile_with(&specs(json!([{ "name": "ratio", "expect": "1 / 0 > a" }])), &rows.schema(), sql).unwrap();
    let error = validator.validate(&rows, now()).unwrap_err();
    assert_eq!(error.chain(), "could not check the expectation `ratio`: division by zero");
    assert_eq!(error.kind(), stage::Kind::Data);
}

#[test]
fn rules_of_all_kinds_work_together() {
    let rows = batch(&[("a", longs(&[Some(1), None, Some(3), Some(4)]))]);
    let rules = json!([
        { "name": "has_a", "not_null": ["a"] },
        { "name": "small", "between": { "column": "a", "max": 3 }, "on_fail": "drop" },
        { "name": "odd", "in_set": { "column": "a", "values": [1, 3] }, "on_fail": "warn" },
    ]);
    let verdict = compile_with(&specs(rules), &rows.schema(), no_sql).unwrap().validate(&rows, now()).unwrap();
    assert_eq!(verdict.keep, Some(BooleanArray::from(vec![true, false, true, false])));
    assert_eq!(verdict.quarantined[0].rules, ["has_a", "small", "odd"]);
    assert_eq!(verdict.dropped, 1);
    assert_eq!(verdict.counts.iter().map(|count| count.failed).collect::<Vec<_>>(), [1, 2, 2]);
}

#[test]
fn empty_batches_and_no_expectations_are_fine() {
    let rows = batch(&[("a", longs(&[]))]);
    let rules = json!([{ "name": "x", "not_null": ["a"] }, { "name": "y", "between": { "column": "a", "min": 1 } }]);
    let verdict = compile_with(&specs(rules), &rows.schema(), no_sql).unwrap().validate(&rows, now()).unwrap();
    assert_eq!((verdict.keep, verdict.counts.len()), (None, 2));
    assert!(compile_with(&[], &rows.schema(), no_sql).unwrap().is_empty());
}

#[test]
fn every_problem_is_told_at_its_place() {
    let rows =
        batch(&[("text", texts(&[])), ("long", longs(&[])), ("date", Arc::new(Date32Array::from(Vec::<i32>::new())))]);
    let rules = json!([
        { "name": "a", "not_null": ["text", "txt"] },
        { "name": "b", "matches": { "column": "long", "pattern": "a" } },
        { "name": "c", "in_set": { "column": "long", "values": [1, "x", 1.5] } },
        { "name": "d", "between": { "column": "date", "min": "2024-02-01", "max": "2024-01-01" } },
        { "name": "e", "between": { "column": "text", "min": 1 } },
        { "name": "f", "compare": { "left": "text", "operator": "=", "right": "long" } },
        { "name": "g", "not_in_future": ["long"] },
        { "name": "h", "email": ["date"] },
        { "name": "i", "expect": "a > 1" },
        { "name": "i", "not_null": ["text"], "uuid": ["lnog"] },
        { "name": "j", "length": { "column": "nothing_like_it", "min": 1 } },
    ]);
    let problems = compile_with(&specs(rules), &rows.schema(), no_sql).err().unwrap();
    let mut places: Vec<&str> = problems.iter().map(|problem| problem.at.as_str()).collect();
    places.sort_unstable();
    assert_eq!(
        places,
        [
            "expect/0/not_null/1",
            "expect/1/matches/column",
            "expect/10/length/column",
            "expect/2/in_set/values/1",
            "expect/2/in_set/values/2",
            "expect/3/between/min",
            "expect/4/between/column",
            "expect/5/compare",
            "expect/6/not_in_future/0",
            "expect/7/email/0",
            "expect/8/expect",
            "expect/9",
            "expect/9/name",
            "expect/9/uuid/0",
        ]
    );
    let unknown = problems.iter().find(|problem| problem.at == "expect/0/not_null/1").unwrap();
    assert!(unknown.message.contains("did you mean `text`?"));
}

proptest! {
    #[test]
    fn every_row_is_kept_quarantined_or_dropped(
        values in prop::collection::vec((prop::option::of(-5_i64..5), prop::option::of("[a-c]{0,2}")), 0..60),
        actions in prop::collection::vec(prop::sample::select(vec!["warn", "drop", "quarantine"]), 4),
    ) {
        let numbers: Vec<Option<i64>> = values.iter().map(|value| value.0).collect();
        let words: Vec<Option<&str>> = values.iter().map(|value| value.1.as_deref()).collect();
        let rows = batch(&[("n", longs(&numbers)), ("t", texts(&words))]);
        let rules = json!([
            { "name": "a", "not_null": ["n"], "on_fail": actions[0] },
            { "name": "b", "between": { "column": "n", "min": 0 }, "on_fail": actions[1] },
            { "name": "c", "in_set": { "column": "t", "values": ["a", "b"] }, "on_fail": actions[2] },
            { "name": "d", "length": { "column": "t", "min": 1 }, "on_fail": actions[3] },
        ]);
        let verdict = compile_with(&specs(rules), &rows.schema(), no_sql).unwrap().validate(&rows, now()).unwrap();
        prop_assert_eq!(verdict.kept(rows.num_rows()) + verdict.quarantined.len() + verdict.dropped as usize, rows.num_rows());
        let violated = |row: usize, rule: usize| match rule {
            0 => numbers[row].is_none(),
            1 => numbers[row].is_none_or(|number| number < 0),
            2 => !words[row].is_some_and(|word| word == "a" || word == "b"),
            _ => words[row].is_none_or(str::is_empty),
        };
        for row in 0..rows.num_rows() {
            let gone = (0..4).any(|rule| actions[rule] != "warn" && violated(row, rule));
            prop_assert_eq!(verdict.keep.as_ref().is_none_or(|keep| keep.value(row)), !gone);
        }
        for (rule, count) in verdict.counts.iter().enumerate() {
            prop_assert_eq!(count.failed as usize, (0..rows.num_rows()).filter(|row| violated(*row, rule)).count());
        }
    }
}

fn engine() -> sql::Engine {
    sql::Engine::new(sql::EngineOptions { memory_bytes: 16 << 20, spill_folder: None, threads: 1 }).unwrap()
}

#[test]
fn a_boolean_in_sql_is_an_expectation() {
    let engine = engine();
    let rows = batch(&[("a", longs(&[Some(1), None, Some(3)])), ("b", texts(&[Some("x"), Some("y"), Some("z")]))]);
    let good = specs(json!([
        { "name": "small", "expect": "a < 3" },
        { "name": "mixed", "expect": "a IS NULL OR b <> 'x'", "on_fail": "warn" },
    ]));
    let verdict = compile(&good, &rows.schema(), &engine).unwrap().validate(&rows, now()).unwrap();
    assert_eq!(verdict.keep, Some(BooleanArray::from(vec![true, false, false])));
    assert_eq!(verdict.counts.iter().map(|count| count.failed).collect::<Vec<_>>(), [2, 1]);
    let bad = specs(json!([{ "name": "typo", "expect": "aa < 3" }, { "name": "number", "expect": "a + 1" }]));
    let problems = compile(&bad, &rows.schema(), &engine).err().unwrap();
    let places: Vec<&str> = problems.iter().map(|problem| problem.at.as_str()).collect();
    assert_eq!(places, ["expect/0/expect", "expect/1/expect"]);
    assert!(problems[0].message.contains("`a`"), "{}", problems[0].message);
}

#[test]
fn now_in_sql_is_the_time_of_the_batch() {
    let engine = engine();
    let times = TimestampMicrosecondArray::from(vec![NOW - 1, NOW + 1]).with_timezone("UTC");
    let rows = batch(&[("at", Arc::new(times))]);
    let rules = specs(json!([{ "name": "past", "expect": "at <= now()" }]));
    let verdict = compile(&rules, &rows.schema(), &engine).unwrap().validate(&rows, now()).unwrap();
    assert_eq!(verdict.keep, Some(BooleanArray::from(vec![true, false])));
}
