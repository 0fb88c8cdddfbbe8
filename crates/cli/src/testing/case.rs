//! A checked test: times are times, tables are tables of the project, and every row knows its line.

use std::collections::BTreeSet;

use ::stage::{Layer, Problem, TableName};
use chrono::{DateTime, Utc};
use serde_json::{Map, Value};

use super::spec::{LayersSpec, RowsSpec, TestSpec};
use super::values::{null_for_marks, rows_of_text};
use crate::project::{Document, Finding, Project, hint};

/// A test of a pipeline.
#[derive(Debug, Clone)]
pub(crate) struct Case {
    /// The name of its file without the ending, behind the pipeline.
    pub(crate) name: String,
    /// The file, relative to the project's folder.
    pub(crate) file: String,
    pub(crate) pipeline: String,
    pub(crate) steps: Vec<Step>,
    /// Tables whose rows are compared in order.
    pub(crate) in_order: BTreeSet<TableName>,
}

/// What happens at one time of a test, and what must be then.
#[derive(Debug, Clone)]
pub(crate) struct Step {
    /// Its number as written, from 1; 0 for what stands before all steps.
    pub(crate) number: usize,
    pub(crate) now: DateTime<Utc>,
    pub(crate) given: Vec<Given>,
    pub(crate) crash: Option<Crash>,
    pub(crate) checks: Vec<Check>,
    pub(crate) fails: Option<(usize, String)>,
}

/// Rows that come into a table.
#[derive(Debug, Clone)]
pub(crate) struct Given {
    pub(crate) table: TableName,
    pub(crate) line: usize,
    pub(crate) rows: Rows,
}

#[derive(Debug, Clone)]
pub(crate) enum Rows {
    /// As a file holds them.
    Text(String),
    Values(Vec<Map<String, Value>>),
}

/// Where the process dies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Crash {
    Before(TableName),
    After(TableName),
}

/// What rows are expected.
#[derive(Debug, Clone)]
pub(crate) struct Check {
    pub(crate) table: TableName,
    pub(crate) of: Of,
    pub(crate) line: usize,
    pub(crate) rows: Vec<Expected>,
}

/// Which rows of a table are meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Of {
    /// Those that it holds.
    Table,
    /// Those that it refused.
    Quarantine,
}

/// One expected row.
#[derive(Debug, Clone)]
pub(crate) struct Expected {
    pub(crate) line: usize,
    pub(crate) values: Map<String, Value>,
    /// Whether the values are text that may stand for anything, as in CSV.
    pub(crate) is_loose: bool,
}

impl Case {
    /// Checks a test against its project; everything that is wrong is reported at once.
    pub(crate) fn read(
        spec: TestSpec,
        pipeline: &str,
        document: &Document,
        project: &Project,
    ) -> Result<Case, Vec<Finding>> {
        let stem = document.file.rsplit('/').next().unwrap_or_default().trim_end_matches(".toml");
        let mut reader = Reader { pipeline, document, project, problems: Vec::new() };
        let mut now = reader.time(&spec.now, "now");
        let has_steps = !spec.step.is_empty();
        let first = reader.given(&spec.given, "given");
        let last = reader.checks(&spec.expect, &spec.rejects, "");
        let fails = spec.fails.map(|text| (reader.line("fails"), text));
        let mut steps = Vec::new();
        if !first.is_empty() || !has_steps {
            steps.push(Step { number: 0, now, given: first, crash: None, checks: Vec::new(), fails: None });
        }
        for (index, step) in spec.step.iter().enumerate() {
            let at = format!("step/{index}/");
            now = step.now.as_ref().map_or(now, |text| reader.time(text, &format!("{at}now")));
            steps.push(Step {
                number: index + 1,
                now,
                given: reader.given(&step.given, &format!("{at}given")),
                crash: step.crash.as_ref().and_then(|text| reader.crash(text, &format!("{at}crash"))),
                checks: reader.checks(&step.expect, &step.rejects, &at),
                fails: step.fails.clone().map(|text| (reader.line(&format!("{at}fails")), text)),
            });
        }
        if let Some(step) = steps.last_mut() {
            step.checks.extend(last);
            step.fails = fails.or(step.fails.take());
        }
        if steps.iter().all(|step| step.checks.is_empty() && step.fails.is_none()) {
            reader.note(
                "",
                "the test expects nothing; write [[expect.<layer>.<table>]], [[rejects.<layer>.<table>]] or `fails`",
            );
        }
        let in_order = spec.in_order.iter().enumerate();
        let in_order = in_order.filter_map(|(index, text)| reader.table(text, &format!("in_order/{index}"))).collect();
        let Reader { problems, .. } = reader;
        if !problems.is_empty() {
            return Err(problems.iter().map(|problem| document.locate(problem)).collect());
        }
        let name = format!("{pipeline}/{stem}");
        Ok(Case { name, file: document.file.clone(), pipeline: pipeline.to_owned(), steps, in_order })
    }
}

struct Reader<'a> {
    pipeline: &'a str,
    document: &'a Document,
    project: &'a Project,
    problems: Vec<Problem>,
}

impl Reader<'_> {
    fn note(&mut self, at: &str, message: impl Into<String>) {
        self.problems.push(Problem::new(at, message));
    }

    fn line(&self, at: &str) -> usize {
        self.document.locate(&Problem::new(at, "")).line
    }

    fn time(&mut self, text: &str, at: &str) -> DateTime<Utc> {
        match DateTime::parse_from_rfc3339(text) {
            Ok(time) => time.to_utc(),
            Err(_) => {
                self.note(at, format!("expected a time such as 2024-03-01T12:00:00Z, found `{text}`"));
                DateTime::UNIX_EPOCH
            }
        }
    }

    /// A table of the pipeline that the project has.
    fn table(&mut self, short: &str, at: &str) -> Option<TableName> {
        let found = format!("{}.{short}", self.pipeline).parse::<TableName>().ok();
        if let Some(name) = found.filter(|name| self.project.tables.contains_key(name)) {
            return Some(name);
        }
        let own = self.project.tables.keys().filter(|name| name.pipeline() == self.pipeline);
        let known: Vec<String> = own.map(|name| format!("{}.{}", name.layer(), name.table())).collect();
        let hint = hint(short, known.iter().map(String::as_str));
        self.note(at, format!("there is no table `{short}` in the pipeline `{}`{hint}", self.pipeline));
        None
    }

    fn crash(&mut self, text: &str, at: &str) -> Option<Crash> {
        match text.split_once(' ') {
            Some(("before", table)) => self.table(table, at).map(Crash::Before),
            Some(("after", table)) => self.table(table, at).map(Crash::After),
            _ => {
                let message = format!("expected `before <layer>.<table>` or `after <layer>.<table>`, found `{text}`");
                self.note(at, message);
                None
            }
        }
    }

    /// The rows of each table, with where they stand in the file.
    fn tables<'s>(&mut self, spec: &'s LayersSpec, at: &str) -> Vec<(TableName, String, &'s RowsSpec)> {
        let mut tables = Vec::new();
        for (layer, of_layer) in
            [(Layer::Bronze, &spec.bronze), (Layer::Silver, &spec.silver), (Layer::Gold, &spec.gold)]
        {
            for (table, rows) in of_layer {
                let at = format!("{at}/{layer}/{table}");
                if let Some(name) = self.table(&format!("{layer}.{table}"), &at) {
                    tables.push((name, at, rows));
                }
            }
        }
        tables
    }

    fn given(&mut self, spec: &LayersSpec, at: &str) -> Vec<Given> {
        let mut given = Vec::new();
        for (table, at, rows) in self.tables(spec, at) {
            let rows = match rows {
                RowsSpec::Text(text) => Rows::Text(text.clone()),
                RowsSpec::Rows(rows) => Rows::Values(rows.iter().map(null_for_marks).collect()),
            };
            given.push(Given { line: self.line(&at), table, rows });
        }
        given
    }

    fn checks(&mut self, expect: &LayersSpec, rejects: &LayersSpec, at: &str) -> Vec<Check> {
        let mut checks = Vec::new();
        for (spec, of, key) in [(expect, Of::Table, "expect"), (rejects, Of::Quarantine, "rejects")] {
            for (table, at, rows) in self.tables(spec, &format!("{at}{key}")) {
                let line = self.line(&at);
                let rows = match rows {
                    RowsSpec::Rows(rows) => rows
                        .iter()
                        .enumerate()
                        .map(|(index, row)| Expected {
                            line: self.line(&format!("{at}/{index}")),
                            values: null_for_marks(row),
                            is_loose: false,
                        })
                        .collect(),
                    RowsSpec::Text(text) => self.expected_of_text(text, line, &at),
                };
                checks.push(Check { table, of, line, rows });
            }
        }
        checks
    }

    fn expected_of_text(&mut self, text: &str, line: usize, at: &str) -> Vec<Expected> {
        match rows_of_text(text) {
            Ok(read) => {
                let is_loose = read.is_csv;
                let rows = read.rows.into_iter();
                rows.map(|(below, values)| Expected { line: line + below, values, is_loose }).collect()
            }
            Err(message) => {
                self.note(at, message);
                Vec::new()
            }
        }
    }
}
