//! The query of a silver table: the changed rows behind the clean steps, and all other tables whole.

use std::collections::BTreeMap;
use std::sync::Arc;

use ::stage::columns::{POSITION, SOURCE};
use ::stage::{Error, Result, TableName};
use arrow::datatypes::SchemaRef;
use frame::clean::Cleaner;
use lake::Add;
use sql::{LogicalPlan, SessionContext, TableProvider};

use super::{Reading, Silver};
use crate::clean_step::{CleanStep, Seen};
use crate::watermark::Lateness;

/// Columns that tell where a row came from; they are carried to the gate even if the SQL does not select them.
pub(super) const ORIGIN: [&str; 2] = [SOURCE, POSITION];

type Tables = BTreeMap<TableName, Arc<dyn TableProvider>>;

/// Tables beside the changed rows, whole at their newest version.
#[derive(Clone)]
pub(super) struct LookUps {
    tables: Tables,
    /// Which versions those are.
    pub(super) reads: BTreeMap<String, u64>,
}

/// The changed rows as they are upstream, and the clean steps for them.
pub(super) struct Input {
    pub(super) files: Arc<dyn TableProvider>,
    pub(super) cleaner: Cleaner,
}

/// The query over the changed rows.
pub(super) struct Query {
    pub(super) plan: LogicalPlan,
    pub(super) session: SessionContext,
    /// The columns that are written.
    pub(super) schema: SchemaRef,
    /// The columns that are written, and after them those that only tell where a row came from.
    pub(super) carried: SchemaRef,
    pub(super) hidden: Vec<String>,
    pub(super) seen: Arc<Seen>,
    pub(super) reads: BTreeMap<String, u64>,
    /// The changed rows as they are upstream.
    pub(super) rows: Arc<dyn TableProvider>,
    pub(super) lateness: Option<Arc<Lateness>>,
}

impl Silver {
    /// The tables of the SQL other than the one that is read incrementally.
    pub(super) async fn look_up(&self) -> Result<LookUps> {
        let mut found = LookUps { tables: Tables::new(), reads: BTreeMap::new() };
        let Some(text) = &self.sql else { return Ok(found) };
        let names = sql::references(text, self.name.pipeline()).map_err(|problem| problem.in_table(&self.name))?;
        for name in names.into_iter().filter(|name| *name != self.from) {
            let table = self.lake.open(&name).await?;
            found.reads.insert(name.to_string(), table.version().unwrap_or_default());
            found.tables.insert(name, table.provider().await?);
        }
        Ok(found)
    }

    /// The changed rows and the clean steps; nothing is read yet.
    pub(super) fn input(&self, reading: &Reading) -> Result<Input> {
        let schema = reading.upstream.schema().ok_or_else(|| Error::bug("an opened table has no schema"))?;
        let (added, removed) = (&reading.changes.added, &reading.changes.removed);
        let files = self.rows_of(added, removed, &schema, reading)?;
        let cleaner = Cleaner::new(&self.spec.clean, &schema).map_err(|problems| self.clean_problem(&problems))?;
        Ok(Input { files, cleaner })
    }

    /// The rows that are gone upstream or were changed there, and the clean steps; `None` when there are none.
    pub(super) fn removed_input(&self, reading: &Reading) -> Result<Option<Input>> {
        let (added, removed) = (&reading.changes.added, &reading.changes.removed);
        if removed.is_empty() || reading.replaces_all {
            return Ok(None);
        }
        let schema = reading.upstream.schema().ok_or_else(|| Error::bug("an opened table has no schema"))?;
        let files = self.rows_of(removed, added, &schema, reading)?;
        let cleaner = Cleaner::new(&self.spec.clean, &schema).map_err(|problems| self.clean_problem(&problems))?;
        Ok(Some(Input { files, cleaner }))
    }

    /// The rows of some files without those that others have too.
    fn rows_of(
        &self,
        files: &[Add],
        without: &[Add],
        schema: &SchemaRef,
        reading: &Reading,
    ) -> Result<Arc<dyn TableProvider>> {
        let partition_by = reading.upstream.partition_columns();
        let rows = reading.upstream.scan(files, schema, &partition_by)?;
        if without.is_empty() || reading.replaces_all {
            return Ok(rows);
        }
        let without = reading.upstream.scan(without, schema, &partition_by)?;
        sql::difference(&self.engine.session(self.name.pipeline()), rows, without)
    }

    /// The clean steps and the query over the changed rows; nothing is read yet.
    pub(super) async fn transform(
        &self,
        input: Input,
        look_ups: LookUps,
        lateness: Option<Arc<Lateness>>,
    ) -> Result<Query> {
        let upstream = input.files.schema();
        let is_there = |name: &&str| upstream.field_with_name(name).is_ok();
        let origin: Vec<String> = ORIGIN.iter().filter(|name| is_there(name)).map(|name| (*name).to_owned()).collect();
        let seen = Arc::new(Seen::default());
        let step = CleanStep {
            cleaner: input.cleaner,
            origin: origin.clone(),
            lateness: lateness.clone(),
            seen: seen.clone(),
        };
        let rows = input.files;
        let changed = sql::stepped(rows.clone(), Arc::new(step));
        let session = self.engine.session(self.name.pipeline());
        let changed = sql::one_of_each(&session, changed, &self.spec.clean.deduplicate, &ORIGIN)?;
        let mut tables = look_ups.tables;
        tables.insert(self.from.clone(), changed);
        let all = format!("SELECT * FROM {}", self.from);
        let text = self.sql.as_deref().unwrap_or(&all);
        let plan = sql::plan(&session, self.name.pipeline(), text, &tables)
            .await
            .map_err(|problem| problem.in_table(&self.name))?;
        let schema = lake::in_flight(&sql::output_schema(&plan));
        let is_row_wise = sql::needs_other_rows(&plan, &self.from).is_empty();
        let is_hidden = |name: &&str| is_row_wise && schema.field_with_name(name).is_err();
        let hidden: Vec<&str> = origin.iter().map(String::as_str).filter(is_hidden).collect();
        let plan = sql::carry_columns(plan, &self.from, &hidden, "")?;
        let carried = lake::in_flight(&sql::output_schema(&plan));
        let hidden = hidden.into_iter().map(str::to_owned).collect();
        Ok(Query { plan, session, schema, carried, hidden, seen, reads: look_ups.reads, rows, lateness })
    }

    fn clean_problem(&self, problems: &[::stage::Problem]) -> Error {
        let messages: Vec<&str> = problems.iter().map(|problem| problem.message.as_str()).collect();
        Error::config(format!("[clean] of {} does not fit {}: {}", self.name, self.from, messages.join("; ")))
    }
}

impl Query {
    /// A column that is written as it is upstream, and a time in it before which no row lies. All rows must have been read.
    pub(super) fn not_before(&self, from: &TableName) -> Option<(&str, i64)> {
        let least = self.lateness.as_ref()?.least()?;
        sql::passes_unchanged(&self.plan, from, least.0).then_some(least)
    }
}
