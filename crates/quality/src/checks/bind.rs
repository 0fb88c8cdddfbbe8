//! What can be said of checks once the columns of tables are known, without reading any.

use std::collections::BTreeMap;

use arrow::datatypes::{DataType, Schema, SchemaRef};
use frame::clean::unknown_column;
use frame::types::type_name;
use stage::{Problem, TableName};

use super::rule::{Rule, in_sql};
use super::spec::CheckSpec;
use super::statement::{Statement, statement};

/// Binds checks to the columns of their table and plans their SQL. `known` are the columns of other tables; a check that
/// reads one which is not among them is only looked at as far as it goes. Places are relative to the file.
pub async fn bind(
    specs: &[CheckSpec],
    table: &TableName,
    schema: &SchemaRef,
    known: &BTreeMap<TableName, SchemaRef>,
    engine: &sql::Engine,
) -> Vec<Problem> {
    let mut problems = Vec::new();
    for (index, spec) in specs.iter().enumerate() {
        for rule in spec.rules() {
            let mut found = check_columns(&rule, schema);
            if found.is_empty() {
                found.extend(check_statement(spec, &rule, table, schema, known, engine).await);
            }
            problems.extend(
                found.into_iter().map(|found| Problem::new(format!("check/{index}/{}", found.at), found.message)),
            );
        }
    }
    problems
}

fn check_columns(rule: &Rule<'_>, schema: &Schema) -> Vec<Problem> {
    let mut problems = Vec::new();
    for (at, name) in rule.columns() {
        let Ok(field) = schema.field_with_name(name) else {
            let known = schema.fields().iter().map(|field| field.name().as_str());
            problems.push(Problem::new(at, unknown_column(name, known)));
            continue;
        };
        let is_time = matches!(field.data_type(), DataType::Date32 | DataType::Timestamp(..));
        if matches!(rule, Rule::Freshness(_)) && !is_time {
            let found = type_name(field.data_type());
            problems.push(Problem::new(
                at,
                format!("freshness is for date and timestamp columns, and `{name}` is {found}"),
            ));
        }
    }
    problems
}

async fn check_statement(
    spec: &CheckSpec,
    rule: &Rule<'_>,
    table: &TableName,
    schema: &SchemaRef,
    known: &BTreeMap<TableName, SchemaRef>,
    engine: &sql::Engine,
) -> Option<Problem> {
    let statement = statement(rule, table)?;
    // What is wrong with a name was told when the project was read.
    let reads = spec.reads(table.pipeline()).ok()?;
    let mut tables = BTreeMap::from([(table.clone(), sql::shape(schema.as_ref().clone()))]);
    for (_, name) in reads.into_iter().filter(|(_, name)| name != table) {
        tables.insert(name.clone(), sql::shape(known.get(&name)?.as_ref().clone()));
    }
    let session = engine.session(table.pipeline());
    let problem = sql::plan(&session, table.pipeline(), statement.text(), &tables).await.err()?;
    Some(match (rule, &statement) {
        (Rule::Sql(_), _) => in_sql("sql", &problem),
        // Only these parts are the user's; the place in the statement around them would mislead.
        (Rule::Aggregate(_), Statement::Number(_)) => Problem::new("aggregate/expression", problem.message),
        (Rule::ForeignKey(_), _) => Problem::new("foreign_key", problem.message),
        (rule, _) => Problem::new(rule.name(), problem.message),
    })
}
