//! What is wrong with a SQL text, where, and what was probably meant.
//!
//! The planner's errors come with a position only now and then, and speak of Rust types. Here every error gets a line
//! and a column, the words of our users, and the nearest known name.

use std::fmt;

use datafusion::common::{Column, Diagnostic, SchemaError};
use datafusion::error::DataFusionError;
use datafusion::execution::session_state::SessionState;
use datafusion::sql::sqlparser::parser::ParserError;
use datafusion::sql::sqlparser::tokenizer::Location;
use stage::TableName;

use crate::text;

/// Something wrong in a SQL text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SqlProblem {
    /// Line in the text, from 1.
    pub line: usize,
    /// Column in the line, in characters, from 1.
    pub column: usize,
    /// What is wrong and what to do, lower case; names the nearest known name when there is one.
    pub message: String,
    /// The nearest known name, when something unknown was named.
    pub nearest: Option<String>,
}

impl SqlProblem {
    /// A problem at a place in the text; an unknown place is the beginning.
    pub fn new(line: usize, column: usize, message: impl Into<String>) -> Self {
        SqlProblem { line: line.max(1), column: column.max(1), message: message.into(), nearest: None }
    }

    pub(crate) fn at(location: Location, message: impl Into<String>) -> Self {
        SqlProblem::new(location.line as usize, location.column as usize, message)
    }

    /// The problem as the error of the table whose SQL it is.
    pub fn in_table(&self, table: &TableName) -> stage::Error {
        let SqlProblem { line, column, message, .. } = self;
        stage::Error::config(format!("the SQL of {table}, line {line}, column {column}: {message}"))
    }

    /// Adds the nearest of `known` to the message, if one is near enough to have been meant.
    #[must_use]
    pub(crate) fn with_nearest<'a>(mut self, wrong: &str, known: impl IntoIterator<Item = &'a str>) -> Self {
        if let Some(nearest) = text::nearest(wrong, known) {
            self.message.push_str(&format!("; nearest is `{nearest}`"));
            self.nearest = Some(nearest);
        }
        self
    }
}

impl fmt::Display for SqlProblem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}:{}: {}", self.line, self.column, self.message)
    }
}

impl std::error::Error for SqlProblem {}

impl From<SqlProblem> for stage::Error {
    fn from(problem: SqlProblem) -> Self {
        stage::Error::config(format!("line {}, column {}: {}", problem.line, problem.column, problem.message))
    }
}

/// The problem that a parser's error about `sql` means; its position is part of its text.
pub(crate) fn of_parser(sql: &str, error: &ParserError) -> SqlProblem {
    let message = match error {
        ParserError::RecursionLimitExceeded => return SqlProblem::new(1, 1, "the query is nested too deeply"),
        ParserError::ParserError(message) | ParserError::TokenizerError(message) => message,
    };
    // Only the end of the text has no position.
    let (position, rest) = text::split_position(message);
    let (line, column) = position.unwrap_or_else(|| text::end(sql));
    let words = text::plain(rest).replace("xpected: ", "xpected ").replace(", found: ", ", found ");
    SqlProblem::new(line, column, words.replace("found EOF", "found the end of the text"))
}

/// Names that appear in messages.
pub(crate) struct Known<'a> {
    /// The text the error is about.
    pub(crate) sql: &'a str,
    /// The pipeline that names of two parts belong to; it is left out of names in messages.
    pub(crate) pipeline: &'a str,
    /// What the columns belong to when they carry no table name.
    pub(crate) owner: &'a str,
    /// The functions that exist.
    pub(crate) state: &'a SessionState,
}

impl Known<'_> {
    /// The problem that an error of the planner means.
    pub(crate) fn problem(&self, error: &DataFusionError) -> SqlProblem {
        let mut diagnostic = None;
        let root = root(error, &mut diagnostic);
        let mut problem = match root {
            DataFusionError::SQL(error, _) => return of_parser(self.sql, error),
            DataFusionError::SchemaError(error, _) => self.schema_problem(error, diagnostic),
            DataFusionError::NotImplemented(message) => {
                self.somewhere(format!("this SQL is not supported: {}", self.shorten(&text::plain(message))), "")
            }
            other => self.planning_problem(&text::without_prefix(&other.to_string())),
        };
        if let Some(span) = diagnostic.and_then(|found| found.span) {
            (problem.line, problem.column) = (span.start.line as usize, span.start.column as usize);
        }
        problem
    }

    /// Whether the error itself says where, by a span or by a name that stands in the text.
    pub(crate) fn is_placed(&self, error: &DataFusionError) -> bool {
        let mut diagnostic = None;
        let named = match root(error, &mut diagnostic) {
            DataFusionError::Plan(message) if message.contains("have the same name") => true,
            DataFusionError::Plan(message) => self.stands(text::between(message, "unction '", "'").unwrap_or_default()),
            DataFusionError::SQL(..) | DataFusionError::SchemaError(..) => self.problem(error).column > 1,
            _ => false,
        };
        named || diagnostic.is_some_and(|found| found.span.is_some())
    }

    fn stands(&self, word: &str) -> bool {
        text::find_word(self.sql, word).is_some()
    }

    fn schema_problem(&self, error: &SchemaError, diagnostic: Option<&Diagnostic>) -> SqlProblem {
        match error {
            SchemaError::FieldNotFound { field, valid_fields } => self.unknown_column(field, valid_fields),
            SchemaError::AmbiguousReference { field } => {
                let tables = diagnostic.map(candidates).unwrap_or_default();
                let remedy = match tables.first() {
                    Some(table) => format!("write `{}`", self.shorten(table)),
                    None => "write it with its table".to_owned(),
                };
                let message = format!("column `{}` is in more than one table; {remedy}", field.name());
                self.somewhere(message, field.name())
            }
            SchemaError::DuplicateQualifiedField { qualifier, .. } => {
                let named = self.shorten(&qualifier.to_string());
                let message = format!("two tables are named `{named}`; give one of them an alias of its own");
                self.somewhere(message, qualifier.table())
            }
            SchemaError::DuplicateUnqualifiedField { name } => {
                let message = format!("two columns are named `{name}`; give one of them another name with AS");
                self.somewhere(message, name)
            }
        }
    }

    fn unknown_column(&self, field: &Column, valid: &[Column]) -> SqlProblem {
        let named = field.relation.as_ref().map(|relation| self.shorten(&relation.to_string()));
        let mut owners: Vec<String> = valid
            .iter()
            .filter_map(|column| column.relation.as_ref())
            .map(|relation| self.shorten(&relation.to_string()))
            .collect();
        owners.dedup();
        let owner = match (named, owners.as_slice()) {
            (Some(named), _) => named,
            (None, []) => self.owner.to_owned(),
            (None, [one]) => one.clone(),
            (None, several) => format!("any of {}", several.join(", ")),
        };
        let message = format!("column `{}` is not in {owner}", field.name());
        let names = valid.iter().map(Column::name);
        self.somewhere(message, field.name()).with_nearest(field.name(), names)
    }

    fn planning_problem(&self, message: &str) -> SqlProblem {
        if let Some(name) = text::between(message, "Invalid function '", "'") {
            let known = self.function_names();
            let problem = self.somewhere(format!("`{name}` is not a function"), name);
            return problem.with_nearest(&name.to_lowercase(), known.iter().map(String::as_str));
        }
        if message.contains("must appear in the GROUP BY clause") {
            let quoted = text::between(message, "column \"", "\"").or_else(|| text::between(message, "\"", "\""));
            let name = quoted.and_then(|column| column.rsplit('.').next()).unwrap_or_default();
            return self.somewhere(format!("column `{name}` must be in GROUP BY or inside an aggregate"), name);
        }
        if let Some(name) = text::between(message, "unction '", "'") {
            if message.contains("' not found") {
                return self.somewhere(format!("`{name}` is not a table function"), name);
            }
            return self.somewhere(format!("`{name}` cannot take {}", arguments(message)), name);
        }
        if message.contains("have the same name") {
            let name = text::between(message, " AS ", "\"").unwrap_or_default();
            let twice = format!("two columns are named `{name}`; give one of them another name with AS");
            return self.somewhere(twice, name);
        }
        let plain = self.shorten(&mismatch(message).unwrap_or_else(|| text::plain(message)));
        self.somewhere(plain, text::suspect(message))
    }

    fn function_names(&self) -> Vec<String> {
        let scalars = self.state.scalar_functions().keys();
        let aggregates = self.state.aggregate_functions().keys();
        scalars.chain(aggregates).chain(self.state.window_functions().keys()).cloned().collect()
    }

    /// A problem at the first place where `word` stands in the text.
    fn somewhere(&self, message: String, word: &str) -> SqlProblem {
        let (line, column) = text::find_word(self.sql, word).unwrap_or((1, 1));
        SqlProblem::new(line, column, message)
    }

    /// Leaves the own pipeline out of table names.
    fn shorten(&self, message: &str) -> String {
        let mut shortened = message.to_owned();
        for layer in ["bronze", "silver", "gold", "quarantine", "system"] {
            shortened = shortened.replace(&format!("{}.{layer}.", self.pipeline), &format!("{layer}."));
        }
        shortened
    }
}

/// What a function was given, from what the planner says about its signatures.
fn arguments(message: &str) -> String {
    let listed = text::between(message, "argument types '", "'").and_then(|call| call.split_once('('));
    let found = text::between(message, "(DataType: ", ")")
        .or_else(|| listed.map(|(_, types)| types.trim_end_matches(')')))
        .or_else(|| message.split("but received ").nth(1).and_then(|rest| rest.split(['.', ',', ' ', '\n']).next()));
    match found {
        Some(types) if !types.trim().is_empty() => text::type_words(types),
        _ => "these arguments".to_owned(),
    }
}

/// Types that do not go together, in our words.
fn mismatch(message: &str) -> Option<String> {
    let types = |before, after| text::between(message, before, after).map(text::type_words);
    if let Some(operation) = types("Cannot coerce arithmetic expression ", " to valid types") {
        return Some(format!("cannot compute {operation}; cast one side"));
    }
    if let Some((_, operation)) = message.split_once("Cannot infer common argument type for comparison operation ") {
        return Some(format!("cannot compare {}; cast one side", text::type_words(operation)));
    }
    let predicate = text::between(message, "non-boolean predicate '", "' returning ")?;
    let (_, found) = message.split_once("' returning ")?;
    let predicate = predicate.rsplit('.').next().unwrap_or(predicate);
    Some(format!("the condition `{predicate}` is not true or false but {}", text::type_words(found)))
}

/// The innermost error, and the diagnostic with a position on the way there.
fn root<'a>(error: &'a DataFusionError, diagnostic: &mut Option<&'a Diagnostic>) -> &'a DataFusionError {
    match error {
        DataFusionError::Diagnostic(found, inner) => {
            if diagnostic.is_none_or(|known| known.span.is_none()) {
                *diagnostic = Some(found);
            }
            root(inner, diagnostic)
        }
        DataFusionError::Context(_, inner) => root(inner, diagnostic),
        DataFusionError::Shared(inner) => root(inner, diagnostic),
        DataFusionError::Collection(errors) => match errors.first() {
            Some(first) => root(first, diagnostic),
            None => error,
        },
        other => other,
    }
}

/// The columns a diagnostic offers, such as `possible column orders.id`.
fn candidates(diagnostic: &Diagnostic) -> Vec<String> {
    let notes = diagnostic.notes.iter().map(|note| note.message.as_str());
    notes.filter_map(|note| note.strip_prefix("possible column ")).map(|name| name.replace('"', "")).collect()
}
