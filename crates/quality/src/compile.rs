//! Expectations bound to a schema: every column found, every value typed, every pattern compiled.

use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, RecordBatch};
use arrow::datatypes::{DataType, Schema};
use chrono::{DateTime, Utc};
use frame::clean::{literal, unknown_column};
use frame::types::type_name;
use regex::Regex;
use serde_json::Value;
use stage::{Problem, Result};

use crate::rules::{Between, Compare, NotInFuture, Operator, Rule, Set, Text, TextTest, common_type};
use crate::spec::{CompareSpec, ExpectationSpec, LengthSpec, OnFail, PatternSpec, RangeSpec, SetSpec};
use crate::{Verdict, Violated, check, judge};

/// A boolean over the rows of a batch at a time; SQL behind it, or a plain function in tests.
pub(crate) type Predicate = Arc<dyn Fn(&RecordBatch, DateTime<Utc>) -> Result<BooleanArray> + Send + Sync>;

/// Expectations that were checked against a schema. Cheap to clone; may be used by several threads at once.
#[derive(Clone)]
pub struct Validator {
    rules: Arc<[Bound]>,
}

struct Bound {
    name: String,
    on_fail: OnFail,
    rule: Rule,
}

impl Validator {
    /// Checks every rule on every row of a batch. Columns are found by name, so others may stand between them.
    ///
    /// # Errors
    /// [`stage::Kind::Bug`] when the batch lacks a column of the schema; whatever SQL reports for a row it fails on.
    pub fn validate(&self, batch: &RecordBatch, now: DateTime<Utc>) -> Result<Verdict> {
        Ok(judge(batch.num_rows(), &self.violations(batch, now)?))
    }

    /// The rows that violate each rule, in the order of the specs, for callers that [`judge`] them with other violations.
    ///
    /// # Errors
    /// As [`Validator::validate`].
    pub fn violations(&self, batch: &RecordBatch, now: DateTime<Utc>) -> Result<Vec<Violated>> {
        let checked = self.rules.iter().map(|bound| {
            let rows = bound
                .rule
                .violations(batch, now)
                .map_err(|error| error.context(format!("could not check the expectation `{}`", bound.name)))?;
            Ok(Violated { rule: bound.name.clone(), on_fail: bound.on_fail, rows })
        });
        checked.collect()
    }

    /// Whether there is nothing to check.
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }
}

/// Checks expectations against the schema of the rows to come.
///
/// # Errors
/// Every problem at once, also those that [`check`] finds without a schema, with places relative to the file, such as
/// `expect/0/not_null/1`.
pub fn compile(specs: &[ExpectationSpec], schema: &Schema, engine: &sql::Engine) -> Result<Validator, Vec<Problem>> {
    compile_with(specs, schema, |text| {
        let predicate = sql::boolean(engine, schema, text).map_err(|problem| sql_message(&problem))?;
        Ok(Arc::new(move |batch: &RecordBatch, now| predicate.evaluate_at(batch, now)))
    })
}

/// What is wrong with SQL that stands in a spec, and where in that SQL.
pub fn sql_message(problem: &sql::SqlProblem) -> String {
    format!("{} (line {}, column {} of the SQL)", problem.message, problem.line, problem.column)
}

fn compile_with(
    specs: &[ExpectationSpec],
    schema: &Schema,
    predicate: impl Fn(&str) -> Result<Predicate, String>,
) -> Result<Validator, Vec<Problem>> {
    let mut problems = check(specs);
    let mut rules = Vec::with_capacity(specs.len());
    for (index, spec) in specs.iter().enumerate() {
        let mut binder = Binder { schema, at: format!("expect/{index}"), problems: &mut problems };
        if let Some(rule) = binder.rule(spec, &predicate) {
            rules.push(Bound { name: spec.name.clone(), on_fail: spec.on_fail, rule });
        }
    }
    if problems.is_empty() { Ok(Validator { rules: rules.into() }) } else { Err(problems) }
}

/// Binds one expectation. A rule that has a problem is `None`, and the problem is noted, here or by [`check`].
struct Binder<'a> {
    schema: &'a Schema,
    at: String,
    problems: &'a mut Vec<Problem>,
}

impl Binder<'_> {
    fn rule(&mut self, spec: &ExpectationSpec, predicate: impl Fn(&str) -> Result<Predicate, String>) -> Option<Rule> {
        // Each rule that stands in the spec is bound, also when there are too many, so that all its problems are told.
        let bound = [
            spec.not_null
                .as_ref()
                .and_then(|columns| self.columns("not_null", columns, |_| true, "").map(Rule::NotNull)),
            spec.in_set.as_ref().and_then(|set| self.set("in_set", set, true)),
            spec.not_in_set.as_ref().and_then(|set| self.set("not_in_set", set, false)),
            spec.between.as_ref().and_then(|range| self.between(range)),
            spec.matches.as_ref().and_then(|pattern| self.matches(pattern)),
            spec.length.as_ref().and_then(|length| self.length(length)),
            spec.not_in_future.as_ref().and_then(|columns| {
                let columns = self.columns("not_in_future", columns, NotInFuture::allows, "date and timestamp")?;
                Some(Rule::NotInFuture(NotInFuture { columns }))
            }),
            spec.email.as_ref().and_then(|columns| self.texts("email", columns, TextTest::Email)),
            spec.uuid.as_ref().and_then(|columns| self.texts("uuid", columns, TextTest::Uuid)),
            spec.compare.as_ref().and_then(|compare| self.compare(compare)),
            spec.expect.as_ref().filter(|sql| !sql.trim().is_empty()).and_then(|sql| match predicate(sql) {
                Ok(predicate) => Some(Rule::Sql(predicate)),
                Err(message) => self.problem("expect", message),
            }),
        ];
        bound.into_iter().flatten().next()
    }

    fn set(&mut self, rule: &str, set: &SetSpec, inside: bool) -> Option<Rule> {
        let data_type = self.column(&format!("{rule}/column"), &set.column)?;
        let mut values = Vec::with_capacity(set.values.len());
        for (index, value) in set.values.iter().enumerate() {
            values.extend(self.value(&format!("{rule}/values/{index}"), value, &data_type));
        }
        Some(Rule::Set(Set::new(set.column.clone(), values, inside)))
    }

    fn between(&mut self, range: &RangeSpec) -> Option<Rule> {
        let data_type = self.column("between/column", &range.column)?;
        self.typed(
            "between/column",
            "between",
            &range.column,
            &data_type,
            Between::allows,
            "number, date and timestamp",
        )?;
        let min = range.min.as_ref().and_then(|min| self.value("between/min", min, &data_type));
        let max = range.max.as_ref().and_then(|max| self.value("between/max", max, &data_type));
        let between = Between { column: range.column.clone(), min, max };
        if between.is_empty() {
            return self.problem("between/min", "min is greater than max, so every row would violate this".to_owned());
        }
        Some(Rule::Between(between))
    }

    fn matches(&mut self, pattern: &PatternSpec) -> Option<Rule> {
        let data_type = self.column("matches/column", &pattern.column)?;
        self.typed("matches/column", "matches", &pattern.column, &data_type, Text::allows, "string")?;
        let test = TextTest::Matches(Regex::new(&pattern.pattern).ok()?);
        Some(Rule::Text(Text { columns: vec![pattern.column.clone()], test }))
    }

    fn length(&mut self, length: &LengthSpec) -> Option<Rule> {
        let data_type = self.column("length/column", &length.column)?;
        self.typed("length/column", "length", &length.column, &data_type, Text::allows, "string")?;
        let test = TextTest::Length(length.min.unwrap_or(0), length.max.unwrap_or(u64::MAX));
        Some(Rule::Text(Text { columns: vec![length.column.clone()], test }))
    }

    fn texts(&mut self, rule: &str, columns: &[String], test: TextTest) -> Option<Rule> {
        let columns = self.columns(rule, columns, Text::allows, "string")?;
        Some(Rule::Text(Text { columns, test }))
    }

    fn compare(&mut self, compare: &CompareSpec) -> Option<Rule> {
        let left = self.column("compare/left", &compare.left);
        let right = self.column("compare/right", &compare.right);
        let (left, right) = (left?, right?);
        let Some(common) = common_type(&left, &right) else {
            let (left, right) = (type_name(&left), type_name(&right));
            let message =
                format!("`{}` is {left} and `{}` is {right}, which do not compare", compare.left, compare.right);
            return self.problem("compare", message);
        };
        let operator = Operator::parse(&compare.operator)?;
        Some(Rule::Compare(Compare { left: compare.left.clone(), operator, right: compare.right.clone(), common }))
    }

    /// Several columns of one kind; `None` when any of them is wrong.
    fn columns(
        &mut self,
        rule: &str,
        columns: &[String],
        allows: fn(&DataType) -> bool,
        kind: &str,
    ) -> Option<Vec<String>> {
        let mut all_good = true;
        for (index, name) in columns.iter().enumerate() {
            let place = format!("{rule}/{index}");
            let data_type = self.column(&place, name);
            let typed = data_type.and_then(|data_type| self.typed(&place, rule, name, &data_type, allows, kind));
            all_good &= typed.is_some();
        }
        all_good.then(|| columns.to_vec())
    }

    /// The type of a column, or the problem that there is none.
    fn column(&mut self, place: &str, name: &str) -> Option<DataType> {
        match self.schema.field_with_name(name) {
            Ok(field) => Some(field.data_type().clone()),
            Err(_) => {
                let message = unknown_column(name, self.schema.fields().iter().map(|field| field.name().as_str()));
                self.problem(place, message)
            }
        }
    }

    fn typed(
        &mut self,
        place: &str,
        rule: &str,
        name: &str,
        data_type: &DataType,
        allows: fn(&DataType) -> bool,
        kind: &str,
    ) -> Option<()> {
        if allows(data_type) {
            return Some(());
        }
        self.problem(place, format!("{rule} is for {kind} columns, and `{name}` is {}", type_name(data_type)))
    }

    fn value(&mut self, place: &str, value: &Value, data_type: &DataType) -> Option<ArrayRef> {
        match literal(value, data_type) {
            Ok(value) => Some(value),
            Err(message) => self.problem(place, message),
        }
    }

    fn problem<T>(&mut self, place: &str, message: String) -> Option<T> {
        self.problems.push(Problem::new(format!("{}/{place}", self.at), message));
        None
    }
}

#[cfg(test)]
mod tests;
