//! From a SQL text to a logical plan that is known to be sound, without optimising and without reading.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arrow::datatypes::{Schema, SchemaRef};
use datafusion::catalog::{CatalogProvider, MemoryCatalogProvider, MemorySchemaProvider, TableProvider};
use datafusion::datasource::empty::EmptyTable;
use datafusion::error::DataFusionError;
use datafusion::logical_expr::LogicalPlan;
use datafusion::prelude::SessionContext;
use datafusion::sql::parser::Statement;
use stage::TableName;

use crate::blame::blame;
use crate::parameters::bind;
use crate::problem::{Known, SqlProblem};
use crate::references::Select;

/// Plans one SELECT over the given tables. `layer.table` is of `pipeline`, which should be the session's.
///
/// Names are case-sensitive: column names of Delta tables keep their case, so `InvoiceNo` is written as it is, without
/// quotes. The plan has its types checked and is not optimised. Nothing is read.
///
/// # Errors
/// What is wrong with the text, at its place: syntax, an unknown table, column or function, types that do not fit.
pub async fn plan(
    session: &SessionContext,
    pipeline: &str,
    sql: &str,
    tables: &BTreeMap<TableName, Arc<dyn TableProvider>>,
) -> Result<LogicalPlan, SqlProblem> {
    planned(session, pipeline, sql, Select::parse(sql, pipeline)?, tables).await
}

/// [`plan`] of a text with `:name` in it, which stands for the value of that name, a text.
///
/// # Errors
/// As [`plan`], and a parameter without a value.
pub async fn plan_with(
    session: &SessionContext,
    pipeline: &str,
    sql: &str,
    parameters: &BTreeMap<String, String>,
    tables: &BTreeMap<TableName, Arc<dyn TableProvider>>,
) -> Result<LogicalPlan, SqlProblem> {
    let mut select = Select::parse(sql, pipeline)?;
    bind(&mut select, parameters)?;
    planned(session, pipeline, sql, select, tables).await
}

async fn planned(
    session: &SessionContext,
    pipeline: &str,
    sql: &str,
    select: Select,
    tables: &BTreeMap<TableName, Arc<dyn TableProvider>>,
) -> Result<LogicalPlan, SqlProblem> {
    check_tables(&select, pipeline, tables)?;
    let state = session.state();
    let known = Known { sql, pipeline, owner: "the query", state: &state };
    let problem = |error: &DataFusionError| known.problem(error);
    for name in select.tables.keys() {
        if let Some(provider) = tables.get(name) {
            register(session, name, provider).map_err(|error| problem(&error))?;
        }
    }
    let statement = select.into_statement();
    let planned = state.statement_to_plan(Statement::Statement(Box::new(statement.clone()))).await;
    // The analyser settles the types, so that a type error is found here and not when the query runs.
    let checked = planned.and_then(|plan| state.analyzer().execute_and_check(plan, state.config_options(), |_, _| {}));
    match checked {
        Ok(plan) => Ok(plan),
        Err(error) => {
            let mut found = problem(&error);
            if !known.is_placed(&error)
                && let Some(location) = blame(&state, &statement, &error.find_root().to_string()).await
            {
                (found.line, found.column) = (location.line as usize, location.column as usize);
            }
            Err(found)
        }
    }
}

/// The columns a plan results in.
pub fn output_schema(plan: &LogicalPlan) -> SchemaRef {
    Arc::clone(plan.schema().inner())
}

/// An empty table of a schema, for planning where no table exists yet.
pub fn shape(schema: Schema) -> Arc<dyn TableProvider> {
    Arc::new(EmptyTable::new(Arc::new(schema)))
}

fn check_tables(
    select: &Select,
    pipeline: &str,
    tables: &BTreeMap<TableName, Arc<dyn TableProvider>>,
) -> Result<(), SqlProblem> {
    let Some((missing, location)) = select.tables.iter().find(|(name, _)| !tables.contains_key(name)) else {
        return Ok(());
    };
    let known: BTreeSet<String> = tables.keys().map(|name| short(name, pipeline)).collect();
    let wrong = short(missing, pipeline);
    let problem = SqlProblem::at(*location, format!("table `{wrong}` does not exist"));
    Err(problem.with_nearest(&wrong, known.iter().map(String::as_str)))
}

/// The name as the spec of a pipeline would write it.
fn short(name: &TableName, pipeline: &str) -> String {
    if name.pipeline() == pipeline { format!("{}.{}", name.layer(), name.table()) } else { name.to_string() }
}

fn register(
    session: &SessionContext,
    name: &TableName,
    provider: &Arc<dyn TableProvider>,
) -> datafusion::error::Result<()> {
    let catalog = session.catalog(name.pipeline()).unwrap_or_else(|| {
        let created: Arc<dyn CatalogProvider> = Arc::new(MemoryCatalogProvider::new());
        session.register_catalog(name.pipeline(), Arc::clone(&created));
        created
    });
    let layer = name.layer().name();
    if catalog.schema(layer).is_none() {
        catalog.register_schema(layer, Arc::new(MemorySchemaProvider::new()))?;
    }
    let Some(schema) = catalog.schema(layer) else {
        return Err(DataFusionError::Internal(format!("schema {layer} was registered and is not there")));
    };
    // A session that plans twice sees the provider it was handed last.
    schema.deregister_table(name.table())?;
    schema.register_table(name.table().to_owned(), Arc::clone(provider))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use arrow::datatypes::{DataType, Field};

    use super::*;
    use crate::testing;

    async fn problem(sql: &str) -> SqlProblem {
        testing::planned(sql).await.unwrap_err()
    }

    fn place(problem: &SqlProblem) -> (usize, usize) {
        (problem.line, problem.column)
    }

    #[tokio::test]
    async fn names_keep_their_case_and_three_parts_work() {
        let plan =
            testing::planned("SELECT InvoiceNo, shop.silver.Invoices.amount AS a FROM shop.silver.Invoices").await;
        let schema = output_schema(&plan.unwrap());
        assert_eq!(schema.fields().iter().map(|field| field.name().as_str()).collect::<Vec<_>>(), ["InvoiceNo", "a"]);
        assert_eq!(schema.field(0).data_type(), &DataType::Utf8View);
        let found = problem("SELECT invoiceno FROM silver.Invoices").await;
        assert_eq!(found.nearest.as_deref(), Some("InvoiceNo"));
        assert!(testing::planned("SELECT COUNT(*) AS n, Max(amount) AS m FROM silver.Invoices").await.is_ok());
    }

    #[tokio::test]
    async fn columns_may_be_written_with_layer_and_table() {
        let sql = "SELECT bronze.events.id, events.amount FROM bronze.events WHERE events.id > 1";
        assert!(testing::planned(sql).await.is_ok());
    }

    #[tokio::test]
    async fn an_unknown_column_is_found_at_its_place() {
        let found = problem("SELECT id,\n  usr_key\nFROM bronze.events").await;
        assert_eq!(place(&found), (2, 3));
        assert_eq!(found.message, "column `usr_key` is not in bronze.events; nearest is `user_key`");
        let found = problem("SELECT e.idd FROM bronze.events e").await;
        assert_eq!((place(&found), found.message.as_str()), ((1, 8), "column `idd` is not in e; nearest is `id`"));
        let found = problem("SELECT id FROM bronze.events WHERE nothing = 1").await;
        assert_eq!((place(&found), found.nearest), ((1, 36), None));
    }

    #[tokio::test]
    async fn an_ambiguous_column_names_a_candidate() {
        let found =
            problem("SELECT user_key FROM bronze.events e JOIN silver.users u ON e.user_key = u.user_key").await;
        assert_eq!(place(&found), (1, 8));
        assert_eq!(found.message, "column `user_key` is in more than one table; write `e.user_key`");
    }

    #[tokio::test]
    async fn an_unknown_table_is_found_at_its_place() {
        let found = problem("SELECT id FROM bronze.events\nJOIN bronze.event USING (id)").await;
        assert_eq!(place(&found), (2, 6));
        assert_eq!(found.message, "table `bronze.event` does not exist; nearest is `bronze.events`");
    }

    #[tokio::test]
    async fn an_unknown_function_is_found_at_its_place() {
        let found = problem("SELECT id, uper(user_key) FROM bronze.events").await;
        assert_eq!(place(&found), (1, 12));
        assert_eq!(found.message, "`uper` is not a function; nearest is `upper`");
    }

    #[tokio::test]
    async fn types_that_do_not_fit_are_found_before_anything_runs() {
        for (sql, column, message) in [
            (
                "SELECT id FROM bronze.events WHERE user_key",
                36,
                "the condition `user_key` is not true or false but string",
            ),
            ("SELECT id, abs(user_key) AS a FROM bronze.events", 12, "`abs` cannot take string"),
            ("SELECT id, sum(user_key) AS a FROM bronze.events", 12, "`sum` cannot take string"),
            ("SELECT lower(user_key, 3) AS a FROM bronze.events", 8, "`lower` cannot take string, long"),
            ("SELECT id, amount + true AS a FROM bronze.events", 12, "cannot compute long + boolean; cast one side"),
            (
                "SELECT id FROM bronze.events WHERE id > 1 AND [id] = user_key",
                48,
                "cannot compare list(long) = string; cast one side",
            ),
            (
                "SELECT id AS a, amount AS a FROM bronze.events",
                14,
                "two columns are named `a`; give one of them another name with AS",
            ),
            ("SELECT id, substr(id) AS a FROM bronze.events", 19, "substring without for/from is not valid"),
        ] {
            let found = problem(sql).await;
            assert_eq!((found.line, found.column, found.message.as_str()), (1, column, message), "{sql}");
        }
    }

    #[tokio::test]
    async fn no_message_shows_the_inside_of_the_planner() {
        for sql in [
            "SELECT CASE WHEN id > 1 THEN [1] ELSE user_key END AS a FROM bronze.events",
            "SELECT id FROM bronze.events WHERE id IN (SELECT user_key, country FROM silver.users)",
            "SELECT id FROM bronze.events UNION ALL SELECT id, amount FROM bronze.events",
            "SELECT * FROM bronze.events e, silver.users e",
            "SELECT CAST(id AS foo) AS a FROM bronze.events",
            "SELECT id FROM bronze.events ORDER BY nme",
            "SELECT id FROM bronze.events LIMIT user_key",
            "SELECT * FROM nothing_here(1)",
            "SELECT user_key.x AS a FROM bronze.events",
            "SELECT sum(amount) AS s FROM bronze.events WHERE sum(amount) > 1",
            "SELECT id FROM bronze.events HAVING id > 1",
            "SELECT id + INTERVAL '1 day' AS s FROM bronze.events",
            "SELECT id FROM bronze.events e JOIN silver.users u ON e.nope = u.user_key",
        ] {
            let found = problem(sql).await;
            // A union is wrong as a whole, from its beginning.
            assert!(found.column > 1 || sql.contains("UNION"), "{sql}: {found}");
            for debris in ["Utf8", "Int64", "rror", " { ", "\n", "Some("] {
                assert!(!found.message.contains(debris), "{sql}: {found}");
            }
        }
    }

    #[tokio::test]
    async fn a_column_outside_of_group_by_is_named() {
        let found = problem("SELECT id, count(*) AS n FROM bronze.events GROUP BY user_key").await;
        assert_eq!(
            (place(&found), found.message.as_str()),
            ((1, 8), "column `id` must be in GROUP BY or inside an aggregate")
        );
    }

    #[tokio::test]
    async fn a_shape_is_enough_to_plan() {
        let schema = Schema::new(vec![Field::new("a", DataType::Int32, true)]);
        let tables = BTreeMap::from([(testing::name("shop.gold.x"), shape(schema))]);
        let session = testing::engine().session("shop");
        let planned = plan(&session, "shop", "SELECT a + 1 AS b FROM gold.x", &tables).await.unwrap();
        assert_eq!(output_schema(&planned).field(0).data_type(), &DataType::Int64);
    }
}
