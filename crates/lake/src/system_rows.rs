//! Rows of system tables on their way: what records tell, as columns.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, Float64Builder, Int64Builder, RecordBatch, StringViewBuilder, TimestampMicrosecondBuilder,
};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use stage::{Error, Result};

use crate::ledger::Told;
use crate::record::{ProfiledColumn, RuleOutcome};

/// Columns of a system table by type; a time `at` ends each.
struct Columns {
    texts: &'static [&'static str],
    numbers: &'static [&'static str],
    reals: &'static [&'static str],
}

/// The columns of each system table. More may be added: tables that exist are widened.
fn columns(kind: &str) -> Columns {
    match kind {
        "files" => Columns {
            texts: &["table", "table_id", "run", "source", "path", "etag"],
            numbers: &["version", "batch", "size", "rows"],
            reals: &[],
        },
        "quality" => Columns {
            texts: &[
                "table",
                "run",
                "rule",
                "on_fail",
                "kind",
                "severity",
                "origin",
                "detail",
                "sample",
                "fingerprint",
            ],
            numbers: &["version", "batch", "checked", "passed", "failed"],
            reals: &[],
        },
        "profiles" => Columns {
            texts: &["table", "table_id", "run", "column", "type", "minimum", "maximum", "top", "sketch"],
            numbers: &["version", "batch", "ordinal", "replaces_all", "rows", "nulls", "distinct"],
            reals: &["mean", "deviation", "p05", "p25", "p50", "p75", "p95"],
        },
        _ => Columns {
            texts: &["table", "run", "action", "reason", "considered"],
            numbers: &[
                "version",
                "batch",
                "rows_read",
                "rows_written",
                "rows_quarantined",
                "rows_dropped",
                "rows_changed",
                "milliseconds",
            ],
            reals: &[],
        },
    }
}

/// Rows of one system table.
pub(crate) struct SystemRows {
    kind: &'static str,
    count: usize,
    texts: Vec<StringViewBuilder>,
    numbers: Vec<Int64Builder>,
    reals: Vec<Float64Builder>,
    times: TimestampMicrosecondBuilder,
}

/// The values of one row, in the order of the columns.
struct Row<'a> {
    texts: &'a [Option<&'a str>],
    numbers: &'a [i64],
    reals: &'a [Option<f64>],
}

impl SystemRows {
    pub(crate) fn new(kind: &'static str) -> SystemRows {
        let Columns { texts, numbers, reals } = columns(kind);
        SystemRows {
            kind,
            count: 0,
            texts: texts.iter().map(|_| StringViewBuilder::new()).collect(),
            numbers: numbers.iter().map(|_| Int64Builder::new()).collect(),
            reals: reals.iter().map(|_| Float64Builder::new()).collect(),
            times: TimestampMicrosecondBuilder::new().with_timezone("UTC"),
        }
    }

    pub(crate) fn count(&self) -> usize {
        self.count
    }

    pub(crate) fn schema(&self) -> SchemaRef {
        let Columns { texts, numbers, reals } = columns(self.kind);
        let texts = texts.iter().map(|name| Field::new(*name, DataType::Utf8View, true));
        let numbers = numbers.iter().map(|name| Field::new(*name, DataType::Int64, true));
        let reals = reals.iter().map(|name| Field::new(*name, DataType::Float64, true));
        let at = Field::new("at", DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())), true);
        Arc::new(Schema::new(texts.chain(numbers).chain(reals).chain([at]).collect::<Vec<_>>()))
    }

    /// What a commit tells this table. Profiles stand in a file of their own; see [`SystemRows::push_profile`].
    pub(crate) fn push(&mut self, told: &Told) {
        let record = &told.record;
        let version = told.version as i64;
        match self.kind {
            "files" => {
                for file in &record.files {
                    let texts = [&told.table, &told.table_id, &record.run, &file.source, &file.path, &file.etag];
                    let numbers = [version, record.batch, file.size as i64, file.rows as i64];
                    self.row(
                        told,
                        &Row { texts: &texts.map(|text| Some(text.as_str())), numbers: &numbers, reals: &[] },
                    );
                }
            }
            "quality" => record.rules.iter().for_each(|rule| self.rule(told, rule, "commit")),
            "profiles" => {}
            _ => {
                let considered = match record.considered.as_slice() {
                    [] => String::new(),
                    considered => serde_json::to_string(considered).unwrap_or_default(),
                };
                let texts = [&told.table, &record.run, &record.action, &record.reason, &considered];
                let counts = [
                    record.rows_read,
                    record.rows_written,
                    record.rows_quarantined,
                    record.rows_dropped,
                    record.rows_changed,
                    record.milliseconds,
                ];
                let mut numbers = vec![version, record.batch];
                numbers.extend(counts.map(|count| count as i64));
                self.row(told, &Row { texts: &texts.map(|text| Some(text.as_str())), numbers: &numbers, reals: &[] });
            }
        }
    }

    /// What an audit of the table at rest found.
    pub(crate) fn push_audit(&mut self, told: &Told) {
        told.record.rules.iter().for_each(|rule| self.rule(told, rule, "audit"));
    }

    /// What the rows of a commit hold.
    pub(crate) fn push_profile(&mut self, told: &Told, profile: &[ProfiledColumn]) {
        let record = &told.record;
        for (ordinal, column) in profile.iter().enumerate() {
            let ProfiledColumn { minimum, maximum, mean, deviation, quantiles, .. } = column;
            let texts = [&told.table, &told.table_id, &record.run, &column.column, &column.type_name];
            let mut texts: Vec<Option<&str>> = texts.into_iter().map(|text| Some(text.as_str())).collect();
            texts.extend([minimum.as_deref(), maximum.as_deref(), Some(&column.top), Some(&column.sketch)]);
            let numbers = [
                told.version as i64,
                record.batch,
                ordinal as i64,
                i64::from(record.replaces_rows),
                column.rows as i64,
                column.nulls as i64,
                column.distinct as i64,
            ];
            let quantiles = quantiles.map_or([None; 5], |quantiles| quantiles.map(Some));
            let reals: Vec<Option<f64>> = [*mean, *deviation].into_iter().chain(quantiles).collect();
            self.row(told, &Row { texts: &texts, numbers: &numbers, reals: &reals });
        }
    }

    fn rule(&mut self, told: &Told, rule: &RuleOutcome, origin: &str) {
        let is_told = |text: &'_ str| !text.is_empty();
        let sample = (!rule.sample.is_empty()).then(|| format!("[{}]", rule.sample.join(",")));
        let texts = [
            Some(told.table.as_str()),
            Some(&told.record.run),
            Some(&rule.rule),
            Some(&rule.on_fail),
            Some(&rule.kind),
            Some(&rule.severity),
            Some(origin),
            Some(rule.detail.as_str()).filter(|text| is_told(text)),
            sample.as_deref(),
            Some(rule.fingerprint.as_str()).filter(|text| is_told(text)),
        ];
        let passed = rule.checked.saturating_sub(rule.failed);
        let counts = [rule.checked, passed, rule.failed].map(|count| count as i64);
        let numbers = [[told.version as i64, told.record.batch].as_slice(), &counts].concat();
        self.row(told, &Row { texts: &texts, numbers: &numbers, reals: &[] });
    }

    fn row(&mut self, told: &Told, row: &Row<'_>) {
        for (builder, text) in self.texts.iter_mut().zip(row.texts) {
            builder.append_option(*text);
        }
        for (builder, number) in self.numbers.iter_mut().zip(row.numbers) {
            builder.append_value(*number);
        }
        for (builder, real) in self.reals.iter_mut().zip(row.reals) {
            builder.append_option(*real);
        }
        self.times.append_value(told.timestamp.saturating_mul(1000));
        self.count += 1;
    }

    pub(crate) fn finish(mut self) -> Result<RecordBatch> {
        let schema = self.schema();
        let texts = self.texts.iter_mut().map(|builder| Arc::new(builder.finish()) as ArrayRef);
        let numbers = self.numbers.iter_mut().map(|builder| Arc::new(builder.finish()) as ArrayRef);
        let reals = self.reals.iter_mut().map(|builder| Arc::new(builder.finish()) as ArrayRef);
        let mut arrays: Vec<ArrayRef> = texts.chain(numbers).chain(reals).collect();
        arrays.push(Arc::new(self.times.finish()));
        RecordBatch::try_new(schema, arrays)
            .map_err(|error| Error::bug(format!("could not make rows of system.{}", self.kind)).with_source(error))
    }
}
