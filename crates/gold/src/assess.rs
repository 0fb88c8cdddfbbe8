//! Assesses every way to bring a table up to date, for what changed this time.

use std::collections::BTreeMap;

use ::stage::{Result, TableName};
use arrow::datatypes::SchemaRef;
use lake::{Add, Table};
use quality::spec::{ExpectationSpec, OnFail};
use sql::{Growth, LogicalPlan, Parted, Refusal, SessionContext};

use crate::groups::{not_worth, steps};
use crate::inputs::{Change, Input, rows_of};
use crate::partitions::{Replacement, affected, divider, is_told, replacement};
use crate::plan::Planner;
use crate::spec::{GoldSpec, Refresh};
use crate::stage::Reading;
use crate::stored::coarser;
use crate::technique::{APPEND, Candidate, Choice, GROUPS, MERGE, PARTITIONS, Technique, best, choose, estimate};

/// The technique that was chosen, and the query it is done with.
pub(crate) struct Chosen {
    pub(crate) choice: Choice,
    pub(crate) session: SessionContext,
    /// The query over all rows.
    pub(crate) plan: LogicalPlan,
    /// The same, taken apart at its aggregates, when groups can be kept.
    pub(crate) parted: Option<Parted>,
    /// The query over some rows alone, when those are enough.
    pub(crate) narrowed: Option<Replacement>,
}

/// Assesses all techniques and chooses one.
pub(crate) async fn assess(planner: &Planner<'_>, spec: &GoldSpec, table: &Table, reading: &Reading) -> Result<Chosen> {
    let (session, plan) = planner.plan(&reading.inputs.whole().await?).await?;
    let parted = Parted::new(&plan);
    let assessor = Assessor { planner, spec, table, reading };
    let (mut candidates, over_rows) = assessor.at_new_rows().await?;
    candidates.push(assessor.at_kept_groups(&parted).await?);
    let paces = table.record().map(|(_, record)| record.paces.clone()).unwrap_or_default();
    let partitions = assessor.at_partitions(&plan, &candidates, &paces).await?;
    candidates.push(partitions);
    candidates.push(Candidate::Possible(Technique::Full, reading.inputs.iter().map(|(_, input)| input.rows()).sum()));
    let choice = choose(candidates, &paces);
    let narrowed = match &choice.technique {
        Technique::Append | Technique::Merge(_) => over_rows,
        Technique::Partitions(affected) => {
            let schema = lake::in_flight(&sql::output_schema(&plan));
            let inputs = &reading.inputs;
            Some(replacement(planner, inputs, table, affected, &schema, &spec.partition_by).await?)
        }
        Technique::Groups(_) | Technique::Full => None,
    };
    Ok(Chosen { choice, session, plan, parted: parted.ok(), narrowed })
}

struct Assessor<'a> {
    planner: &'a Planner<'a>,
    spec: &'a GoldSpec,
    table: &'a Table,
    reading: &'a Reading,
}

impl Assessor<'_> {
    /// The query over the rows that came, appended to the result or put together with it.
    async fn at_new_rows(&self) -> Result<(Vec<Candidate>, Option<Replacement>)> {
        let refuse = |refusal: Refusal| {
            (vec![Candidate::Refused(APPEND, refusal.clone()), Candidate::Refused(MERGE, refusal)], None)
        };
        let (name, input) = match self.grown() {
            Ok(grown) => grown,
            Err(refusal) => return Ok(refuse(refusal)),
        };
        let Change::Rows { added, .. } = &input.change else {
            return Ok(refuse(Refusal::new("nothing_new", format!("no rows came to {name}"))));
        };
        let mut tables = self.reading.inputs.whole().await?;
        tables.insert(name.clone(), input.scan(added)?);
        let (session, plan) = self.planner.plan(&tables).await?;
        let (technique, other) = match sql::growth(&plan, name) {
            Err(refusal) => return Ok(refuse(refusal)),
            Ok(Growth::Append) => (Technique::Append, (MERGE, Refusal::new("no_groups", "the query has no groups"))),
            Ok(Growth::Merge(parts)) => {
                (Technique::Merge(parts), (APPEND, Refusal::new("groups", "rows of one group belong together")))
            }
        };
        if let Some(refusal) = self.misfit(&plan, &technique) {
            return Ok((
                vec![Candidate::Refused(technique.name(), refusal), Candidate::Refused(other.0, other.1)],
                None,
            ));
        }
        let files = self.table.files().await?;
        let schema = lake::in_flight(&sql::output_schema(&plan));
        if let Some(refusal) = self.ambiguous_part(&files, &schema).filter(|_| technique != Technique::Append) {
            return Ok((
                vec![Candidate::Refused(technique.name(), refusal), Candidate::Refused(other.0, other.1)],
                None,
            ));
        }
        let (plan, rows) = match &technique {
            Technique::Merge(parts) => {
                let existing = self.table.scan(&files, &schema, &self.spec.partition_by)?;
                (sql::merged(&session, parts, existing, plan, &schema)?, input.rows_changed() + 2 * rows_of(&files))
            }
            _ => (plan, input.rows_changed()),
        };
        let possible = Candidate::Possible(technique, rows);
        Ok((vec![possible, Candidate::Refused(other.0, other.1)], Some(Replacement { session, plan, replaced: None })))
    }

    /// The one table that changed, when rows came to it and none left.
    fn grown(&self) -> std::result::Result<(&TableName, &Input), Refusal> {
        let (name, input) = self.changed()?;
        match &input.change {
            Change::Rows { removed, .. } if !removed.is_empty() => {
                Err(Refusal::new("rows_removed", format!("{name} changed rows that were read already")))
            }
            _ => Ok((name, input)),
        }
    }

    /// The one table that changed.
    fn changed(&self) -> std::result::Result<(&TableName, &Input), Refusal> {
        self.allowed()?;
        let mut changed = self.reading.inputs.changed();
        let (Some((name, input)), None) = (changed.next(), changed.next()) else {
            return Err(Refusal::new("several_tables", "several tables changed"));
        };
        match &input.change {
            Change::Everything(refusal) => Err(refusal.clone()),
            _ => Ok((name, input)),
        }
    }

    /// Parts of the result, made anew beside the others. Files are read to tell the parts only where that can win.
    async fn at_partitions(
        &self,
        plan: &LogicalPlan,
        candidates: &[Candidate],
        paces: &BTreeMap<String, u64>,
    ) -> Result<Candidate> {
        let refuse = |refusal| Ok(Candidate::Refused(PARTITIONS, refusal));
        let (name, input) = match self.changed() {
            Ok(changed) => changed,
            Err(refusal) => return refuse(refusal),
        };
        if let Some(refusal) = self.unlike(plan) {
            return refuse(refusal);
        }
        // What was rejected of the parts that stay would be lost from quarantine.
        if self.spec.expect.iter().any(rejects) {
            return refuse(Refusal::new("expectations", "expectations leave out rows"));
        }
        let files = self.table.files().await?;
        if let Some(refusal) = self.ambiguous_part(&files, &lake::in_flight(&sql::output_schema(plan))) {
            return refuse(refusal);
        }
        let divider = match divider(plan, name, input, &self.spec.partition_by) {
            Ok(divider) => divider,
            Err(refusal) => return refuse(refusal),
        };
        let inputs = self.reading.inputs.iter();
        let others: u64 = inputs.filter(|(other, _)| *other != name).map(|(_, input)| input.rows()).sum();
        let beside = others + rows_of(&files);
        // The rows of other parts are looked at too, if only to pass them over.
        let all = input.rows() + input.rows_changed();
        let is_told = is_told(input, &divider);
        if !is_told && estimate(PARTITIONS, all + beside, paces) >= best(candidates, paces) {
            return Ok(Candidate::Slower(PARTITIONS, all + beside));
        }
        Ok(match affected(self.planner.engine, name, input, divider).await? {
            Ok(affected) => {
                let rows = if is_told { affected.rows(input).await? } else { all };
                Candidate::Possible(Technique::Partitions(affected), rows + beside)
            }
            Err(refusal) => Candidate::Refused(PARTITIONS, refusal),
        })
    }

    /// Refuses everything but the whole query where that was asked for.
    fn allowed(&self) -> std::result::Result<(), Refusal> {
        if let Some(everything) = &self.reading.everything {
            return Err(everything.clone());
        }
        match self.spec.refresh {
            Refresh::Full => Err(Refusal::new("spec", "the spec says refresh = \"full\"")),
            Refresh::Auto => Ok(()),
        }
    }

    /// Why rows made by the plan cannot be put together with those that are there.
    fn misfit(&self, plan: &LogicalPlan, technique: &Technique) -> Option<Refusal> {
        let is_merge = matches!(technique, Technique::Merge(_));
        if is_merge && self.table.record().is_some_and(|(_, record)| !record.kept.is_empty()) {
            return Some(Refusal::new("kept_groups", "its groups are kept beside it"));
        }
        // A group that was rejected is not among the rows that the new ones would be put together with.
        if is_merge && self.spec.expect.iter().any(rejects) {
            return Some(Refusal::new("expectations", "expectations leave out groups"));
        }
        self.unlike(plan)
    }

    /// Why stored rows cannot be told apart by a column they are partitioned by: an empty text is stored as null there.
    fn ambiguous_part(&self, files: &[Add], schema: &SchemaRef) -> Option<Refusal> {
        let is_text =
            |column: &&String| schema.field_with_name(column).is_ok_and(|field| field.data_type().is_string());
        let has_null = |column: &&String| {
            files.iter().any(|file| !matches!(file.partition_values.get(*column), Some(Some(text)) if !text.is_empty()))
        };
        let column = self.spec.partition_by.iter().filter(is_text).find(has_null)?;
        let text = format!("a partition of `{column}` holds null or empty text, which are stored alike");
        Some(Refusal::new("ambiguous_partition", text))
    }

    /// Why rows made by the plan cannot stand beside those that are there.
    fn unlike(&self, plan: &LogicalPlan) -> Option<Refusal> {
        let schema = lake::in_flight(&sql::output_schema(plan));
        if self.table.schema().as_ref() != Some(&schema) {
            return Some(Refusal::new("columns_changed", "the columns changed"));
        }
        let column = coarser(&sql::output_schema(plan), &schema)?;
        Some(Refusal::new("stored_less_exactly", format!("`{column}` is stored less exactly than the query has it")))
    }

    /// Groups that were kept by the run before, brought up to date.
    async fn at_kept_groups(&self, parted: &std::result::Result<Parted, Refusal>) -> Result<Candidate> {
        let last = self.table.record().map(|(_, record)| record);
        let looked = || {
            self.allowed()?;
            let parted = parted.as_ref().map_err(Clone::clone)?;
            let last = last.ok_or_else(|| Refusal::new("nothing_kept", "no groups were kept by the run before"))?;
            match not_worth(last) {
                Some(refusal) => Err(refusal),
                None => steps(parted, &self.reading.inputs, last),
            }
        };
        let (steps, rows) = match looked() {
            Ok(possible) => possible,
            Err(refusal) => return Ok(Candidate::Refused(GROUPS, refusal)),
        };
        let files: Vec<Add> = last.into_iter().flat_map(|last| last.kept.values().flatten().cloned()).collect();
        match self.table.has_files(&files).await? {
            true => Ok(Candidate::Possible(Technique::Groups(steps), rows)),
            // Another program's vacuum knows nothing of them.
            false => Ok(Candidate::Refused(GROUPS, Refusal::new("files_gone", "files with kept groups were deleted"))),
        }
    }
}

/// Whether an expectation keeps rows out of the table.
fn rejects(expectation: &ExpectationSpec) -> bool {
    matches!(expectation.on_fail, OnFail::Drop | OnFail::Quarantine)
}
