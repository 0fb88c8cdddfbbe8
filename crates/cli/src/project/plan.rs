//! Planning every SQL text against the schemas that are known, table by table in the order rows flow.
//!
//! A bronze table is known by its `[schema]`, a silver table by what its clean steps and its SQL make of that, a gold
//! table by its SQL. Where a schema is not known, because it is inferred and nothing has landed yet, the tables below it
//! have only been parsed.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::datatypes::{Field, Schema, SchemaRef};
use bronze::spec::BronzeSpec;
use frame::clean::Cleaner;
use frame::spec::NewColumns;
use gold::spec::GoldSpec;
use silver::spec::{SilverSpec, WriteSpec};
use sql::{Engine, EngineOptions, SqlProblem};
use stage::{Layer, Problem, Result, TableName};

use super::check::check_columns_exist;
use super::finding::Finding;
use super::writes::check_written;
use super::{Definition, Project, SqlText, Table};

/// Enough to plan with; nothing runs.
const PLANNING_MEMORY: usize = 64 << 20;

impl Project {
    /// Plans every SQL text and binds every expectation, without reading a table.
    ///
    /// `known` are schemas of tables that exist, as rows have them in flight; they add to what is written in the specs
    /// and may be empty.
    ///
    /// # Errors
    /// When the SQL engine cannot be started; what is wrong with the project is a finding.
    pub async fn check(&self, known: &BTreeMap<TableName, SchemaRef>) -> Result<Vec<Finding>> {
        self.planned(known).await.map(|(findings, _)| findings)
    }

    /// The columns of all tables that are known from the files of the project, and from `known`.
    ///
    /// # Errors
    /// As [`Project::check`].
    pub async fn columns(&self, known: &BTreeMap<TableName, SchemaRef>) -> Result<BTreeMap<TableName, SchemaRef>> {
        self.planned(known).await.map(|(_, schemas)| schemas)
    }

    async fn planned(
        &self,
        known: &BTreeMap<TableName, SchemaRef>,
    ) -> Result<(Vec<Finding>, BTreeMap<TableName, SchemaRef>)> {
        let options = EngineOptions { memory_bytes: PLANNING_MEMORY, spill_folder: None, threads: 1 };
        let engine = Engine::new(options)?;
        let mut planner = Planner { engine, known, schemas: BTreeMap::new(), findings: Vec::new() };
        for table in self.order().into_iter().filter_map(|name| self.tables.get(name)) {
            let before = planner.findings.len();
            let schema = planner.output_of(table).await;
            planner.add_remedies(table, self, before);
            if let Some(schema) = schema {
                planner.check_expectations(table, &schema);
                planner.schemas.insert(table.name.clone(), schema);
            }
        }
        // A check may read any table, those after its own as well.
        for table in self.tables.values() {
            planner.bind_checks(table).await;
        }
        planner.findings.sort();
        planner.findings.dedup();
        Ok((planner.findings, planner.schemas))
    }
}

struct Planner<'a> {
    engine: Engine,
    known: &'a BTreeMap<TableName, SchemaRef>,
    /// The tables whose schema is known so far.
    schemas: BTreeMap<TableName, SchemaRef>,
    findings: Vec<Finding>,
}

impl Planner<'_> {
    /// The columns of a table's rows, when they can be known and nothing is wrong.
    async fn output_of(&mut self, table: &Table) -> Option<SchemaRef> {
        match &table.definition {
            Definition::Bronze(spec) => {
                let schema = bronze_schema(spec, self.known.get(&table.name))?;
                let remedy = "; columns that partition a bronze table are written in [schema]";
                let problems = check_columns_exist("partition_by", &spec.partition_by, &names(&schema), remedy);
                self.note(table, problems);
                Some(schema)
            }
            Definition::Silver { spec, from, sql } => self.output_of_silver(table, spec, from, sql.as_ref()).await,
            Definition::Gold { spec, sql } => self.output_of_gold(table, spec, sql).await,
        }
    }

    async fn output_of_silver(
        &mut self,
        table: &Table,
        spec: &SilverSpec,
        from: &TableName,
        sql: Option<&SqlText>,
    ) -> Option<SchemaRef> {
        let input = self.schemas.get(from)?;
        let cleaned = match Cleaner::new(&spec.clean, input) {
            Ok(cleaner) => cleaner.output(),
            Err(problems) => {
                self.note(table, problems);
                return None;
            }
        };
        let watermark = spec.watermark.as_ref();
        self.note(
            table,
            watermark.and_then(|spec| silver::check_watermark_column(spec, &cleaned)).into_iter().collect(),
        );
        let output = match sql {
            Some(sql) => {
                let row_wise = spec.write != WriteSpec::Overwrite;
                self.planned(table, sql, Some((from, cleaned)), row_wise).await?
            }
            None => cleaned,
        };
        let mut problems = check_written(&self.engine, &spec.write, &output);
        let written = silver::written_columns(&spec.write, &output);
        problems.extend(check_columns_exist("partition_by", &spec.partition_by, &names(&written), ""));
        problems.extend(silver::check_event_time(spec, &written));
        self.note(table, problems);
        Some(written)
    }

    async fn output_of_gold(&mut self, table: &Table, spec: &GoldSpec, sql: &SqlText) -> Option<SchemaRef> {
        let output = self.planned(table, sql, None, false).await?;
        let columns = names(&output);
        let mut problems = check_columns_exist("partition_by", &spec.partition_by, &columns, "");
        problems.extend(check_columns_exist("key", &spec.key, &columns, ""));
        self.note(table, problems);
        Some(output)
    }

    /// The columns that a SQL text results in; nothing when it reads a table whose columns are not known.
    async fn planned(
        &mut self,
        table: &Table,
        sql: &SqlText,
        incremental: Option<(&TableName, SchemaRef)>,
        row_wise: bool,
    ) -> Option<SchemaRef> {
        let mut tables = BTreeMap::new();
        for name in &table.named {
            let schema = match &incremental {
                Some((from, cleaned)) if *from == name => cleaned.clone(),
                _ => self.schema_of(name)?,
            };
            tables.insert(name.clone(), sql::shape(schema.as_ref().clone()));
        }
        let pipeline = table.name.pipeline();
        let session = self.engine.session(pipeline);
        let plan = match sql::plan(&session, pipeline, &sql.text, &tables).await {
            Ok(plan) => plan,
            Err(problem) => {
                self.note_sql(sql, problem);
                return None;
            }
        };
        // A whole replacement reads all of its upstream; otherwise only the new rows are there.
        if let Some((from, _)) = incremental.filter(|_| row_wise) {
            let needs = sql::needs_other_rows(&plan, from);
            if !needs.is_empty() {
                let message = format!(
                    "{} needs all rows of `{from}`, and this runs over the new ones only; move it to a gold table, or \
                     set write = \"overwrite\"",
                    needs.join(", ")
                );
                self.findings.push(Finding { file: sql.file.clone(), line: 1, column: 1, message });
            }
        }
        Some(sql::output_schema(&plan))
    }

    /// Where a column is not known, it may still be in files that have not landed: then it is to be declared.
    fn add_remedies(&mut self, table: &Table, project: &Project, first: usize) {
        let Definition::Silver { from, .. } = &table.definition else { return };
        let Some(Table { definition: Definition::Bronze(spec), file, .. }) = project.tables.get(from) else { return };
        if spec.evolution.new_columns != NewColumns::Add || self.known.contains_key(from) {
            return;
        }
        for finding in self.findings.iter_mut().skip(first) {
            let is_unknown =
                finding.message.starts_with("there is no column") || finding.message.starts_with("column `");
            if is_unknown && !finding.message.contains("nearest is") && !finding.message.contains("did you mean") {
                finding.message.push_str(&format!("; if it is in the files, declare it in [schema] of {file}"));
            }
        }
    }

    fn schema_of(&self, name: &TableName) -> Option<SchemaRef> {
        match name.layer() {
            Layer::Quarantine => Some(quality::quarantine::schema()),
            Layer::System => self.known.get(name).cloned(),
            Layer::Bronze | Layer::Silver | Layer::Gold => self.schemas.get(name).cloned(),
        }
    }

    fn check_expectations(&mut self, table: &Table, schema: &Schema) {
        if let Err(problems) = quality::compile(table.expectations(), schema, &self.engine) {
            self.note(table, problems);
        }
        self.note(table, check_columns_exist("profile/columns", table.profile().named(), &names(schema), ""));
    }

    async fn bind_checks(&mut self, table: &Table) {
        let Some(schema) = self.schemas.get(&table.name).cloned() else { return };
        let reads = quality::checks::reads(table.checks(), table.name.pipeline());
        let known = reads.into_iter().filter_map(|name| self.schema_of(&name).map(|schema| (name, schema))).collect();
        let problems = quality::checks::bind(table.checks(), &table.name, &schema, &known, &self.engine).await;
        self.note(table, problems);
    }

    fn note(&mut self, table: &Table, problems: Vec<Problem>) {
        self.findings.extend(problems.iter().map(|problem| table.document.locate(problem)));
    }

    fn note_sql(&mut self, sql: &SqlText, problem: SqlProblem) {
        let SqlProblem { line, column, message, .. } = problem;
        self.findings.push(Finding { file: sql.file.clone(), line, column, message });
    }
}

fn names(schema: &Schema) -> Vec<&str> {
    schema.fields().iter().map(|field| field.name().as_str()).collect()
}

/// The columns of a bronze table: those of its spec, then others that the table has, then those that bronze adds.
fn bronze_schema(spec: &BronzeSpec, existing: Option<&SchemaRef>) -> Option<SchemaRef> {
    if spec.schema.is_empty() {
        return existing.cloned();
    }
    let declared = frame::types::schema(&spec.schema).ok()?;
    let added = spec.source.added_fields();
    let mut fields: Vec<Arc<Field>> = declared.fields().iter().cloned().collect();
    let is_new = |field: &&Arc<Field>| {
        declared.field_with_name(field.name()).is_err() && !added.iter().any(|added| added.name() == field.name())
    };
    fields.extend(existing.iter().flat_map(|schema| schema.fields().iter()).filter(is_new).cloned());
    fields.extend(added);
    Some(Arc::new(Schema::new(fields)))
}
