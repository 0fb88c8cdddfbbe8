//! Kept groups: what a query has below its aggregates is read once, and gone on from.
//!
//! The groups of each aggregate lie in files beside the table, which the commit names, so they are those of its rows.
//! Distinct counts keep sets of numbers; the numbers of values are kept too. What a refresh does to each aggregate is a
//! [`Step`], and whatever the step, the groups come out as the whole query would have made them.

use std::collections::BTreeMap;

use ::stage::{Context, Error, Result, TableName};
use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use futures::StreamExt as _;
use lake::{Add, KEPT_FOLDER, Record, Table};
use quality::{Staged, Workers};
use sql::{Engine, Groups, Kept, Keys, LogicalPlan, Numbering, Parted, Refusal, RowStream, SessionContext};

use crate::inputs::{Change, Inputs, rows_of};
use crate::plan::Planner;
use crate::stored::{coarser, kept_schema};
use crate::technique::GROUPS;

/// The part of the engine's memory that numbered values may take.
const MEMORY_FOR_NUMBERS: usize = 2;
/// More groups than this are made anew together with all others.
const TOUCHED_GROUPS: usize = 200_000;
/// Fewer groups than this are worth keeping however few rows there are.
const FEW_GROUPS: u64 = 100_000;
/// Files of numbered values that are read one by one; more are put together.
const NUMBER_FILES: usize = 8;
const NUMBERS: &str = "numbers";
/// Counts up when groups are stored in another way, so that those of before are not read by mistake.
const FORMAT: u32 = 1;

/// What is done to the kept groups of one aggregate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Step {
    /// Nothing: no row it is made from came or went.
    Reuse,
    /// The rows that came to the table are added, and those that left it are taken out.
    Shift(TableName),
    /// The groups to which rows of the table came, or which they left, are made anew.
    Touch(TableName),
    /// All groups are made anew.
    All,
}

/// Kept groups brought up to date.
pub(crate) struct UpToDate {
    pub(crate) groups: Vec<Groups>,
    /// The files to be named in the commit.
    pub(crate) files: BTreeMap<String, Vec<Add>>,
}

/// What each aggregate needs done, and about how many rows that reads; or why the kept groups are of no use.
pub(crate) fn steps(parted: &Parted, inputs: &Inputs, last: &Record) -> std::result::Result<(Vec<Step>, u64), Refusal> {
    let mut steps: Vec<Step> = Vec::new();
    let mut rows = 0;
    for (place, kept) in parted.kept().iter().enumerate() {
        let own = last.kept.get(&name_of(place)).map_or(0, |files| rows_of(files));
        if !last.kept.contains_key(&name_of(place)) {
            return Err(Refusal::new("nothing_kept", "no groups were kept by the run before"));
        }
        let below = parted.inside(place);
        let step = match below.iter().any(|inner| steps[*inner] != Step::Reuse) {
            true => Step::All,
            false => step_of(kept, inputs),
        };
        rows += match &step {
            Step::Reuse => 0,
            Step::Shift(table) => own + inputs.get(table).map_or(0, |input| input.rows_changed()),
            // The files that hold those groups are not known before they are looked for; half of them is a guess.
            Step::Touch(table) => own + inputs.get(table).map_or(0, |input| input.rows_changed() + input.rows() / 2),
            Step::All => rows_below(kept, inputs),
        };
        rows += own;
        steps.push(step);
    }
    let above = inputs.iter().filter(|(name, _)| parted.reads_above(name));
    Ok((steps, rows + above.map(|(_, input)| input.rows()).sum::<u64>()))
}

fn step_of(kept: &Kept, inputs: &Inputs) -> Step {
    let mut changed = inputs.changed().filter(|(name, _)| kept.reads(name));
    let (Some((name, input)), None) = (changed.next(), changed.next()) else {
        return if inputs.changed().any(|(name, _)| kept.reads(name)) { Step::All } else { Step::Reuse };
    };
    let Change::Rows { removed, .. } = &input.change else { return Step::All };
    match kept.takes_rows_of(name) {
        Err(_) => Step::All,
        Ok(()) if kept.can_grow().is_ok() && (removed.is_empty() || kept.can_shrink()) => Step::Shift(name.clone()),
        Ok(()) if kept.has_groups() => Step::Touch(name.clone()),
        Ok(()) => Step::All,
    }
}

fn rows_below(kept: &Kept, inputs: &Inputs) -> u64 {
    inputs.iter().filter(|(name, _)| kept.reads(name)).map(|(_, input)| input.rows()).sum()
}

/// Why the run before kept no groups although the query has some, and another try would end the same.
pub(crate) fn not_worth(last: &Record) -> Option<Refusal> {
    let mut told = last.considered.iter().filter(|one| one.technique == GROUPS);
    told.find_map(|one| {
        let codes = [TOO_MANY_GROUPS, TOO_MANY_VALUES, INEXACT, FAILED];
        let code = codes.into_iter().find(|code| one.code.as_deref() == Some(code))?;
        Some(Refusal::new(code, one.refusal.clone().unwrap_or_default()))
    })
}

const TOO_MANY_GROUPS: &str = "too_many_groups";
const TOO_MANY_VALUES: &str = "too_many_values";
const INEXACT: &str = "stored_less_exactly";
/// Making all groups ended with an error.
pub(crate) const FAILED: &str = "failed";

/// Brings kept groups up to date.
pub(crate) struct Keeper<'a> {
    pub(crate) engine: &'a Engine,
    pub(crate) planner: &'a Planner<'a>,
    /// The table beside which the groups lie.
    pub(crate) table: &'a Table,
    pub(crate) inputs: &'a Inputs,
    /// The query over all rows, and the session it was planned in.
    pub(crate) parted: &'a Parted,
    pub(crate) session: &'a SessionContext,
    pub(crate) context: &'a Context,
}

impl Keeper<'_> {
    /// Does the steps; an error inside says why keeping the groups is of no use.
    pub(crate) async fn take(
        &self,
        steps: &[Step],
        last: Option<&Record>,
    ) -> Result<std::result::Result<UpToDate, Refusal>> {
        let kept = last.map(|last| last.kept.clone()).unwrap_or_default();
        let starts_anew = steps.iter().all(|step| *step == Step::All);
        let mut numbers = Numbers::default();
        if self.parted.kept().iter().any(Kept::has_sets) && !starts_anew {
            numbers.files = kept.get(NUMBERS).cloned().unwrap_or_default();
        }
        let numbering = self.numbering(&mut numbers, steps).await?;
        let mut done = UpToDate { groups: Vec::new(), files: BTreeMap::new() };
        for (place, step) in steps.iter().enumerate() {
            let node = self.parted.over(self.session, place, &done.groups)?;
            let made = node.made(&numbering)?;
            let schema = kept_schema(&sql::output_schema(&made));
            if let Some(column) = coarser(&sql::output_schema(&made), &schema) {
                return Ok(Err(Refusal::new(
                    INEXACT,
                    format!("`{column}` would be stored less exactly than the query has it"),
                )));
            }
            let before = kept.get(&name_of(place)).cloned().unwrap_or_default();
            let at = At { place, node: &node, schema: &schema, before: &before, numbering: &numbering };
            let files = match step {
                Step::Reuse => before.clone(),
                Step::Shift(table) => self.shift(&at, table, &done.groups).await?,
                Step::Touch(table) => self.touch(&at, table, &done.groups).await?,
                Step::All => self.store(made, &schema).await?,
            };
            if numbering.is_full() {
                let text =
                    format!("a distinct count has more than {} values; raise `memory` to keep them", numbering.limit());
                return Ok(Err(Refusal::new(TOO_MANY_VALUES, text)));
            }
            let inside = self.parted.inside(place).into_iter().filter_map(|inner| done.files.get(&name_of(inner)));
            let rows = rows_below(&node, self.inputs) + inside.map(|files| rows_of(files)).sum::<u64>();
            let groups = rows_of(&files);
            if *step == Step::All && groups > FEW_GROUPS && groups > rows / 2 {
                return Ok(Err(Refusal::new(TOO_MANY_GROUPS, "its groups are nearly as many as its rows")));
            }
            done.groups.push(self.table.scan(&files, &schema, &[])?);
            done.files.insert(name_of(place), files);
        }
        if self.parted.kept().iter().any(Kept::has_sets) {
            done.files.insert(NUMBERS.to_owned(), self.store_numbers(numbers, &numbering).await?);
        }
        Ok(Ok(done))
    }

    /// Adds what the rows that came to `table` make, and takes out what those that left it make.
    async fn shift(&self, at: &At<'_>, table: &TableName, inner: &[Groups]) -> Result<Vec<Add>> {
        let (came, went) = self.came_and_went(at, table, inner).await?;
        let came = came.map(|rows| rows.made(at.numbering)).transpose()?;
        let went = went.map(|rows| rows.made(at.numbering)).transpose()?;
        let kept = self.table.scan(at.before, at.schema, &[])?;
        self.store(at.node.shifted(self.session, kept, came, went)?, at.schema).await
    }

    /// Makes the groups anew to which rows of `table` came, or which they left.
    async fn touch(&self, at: &At<'_>, table: &TableName, inner: &[Groups]) -> Result<Vec<Add>> {
        let keys = match self.came_and_went(at, table, inner).await? {
            (Some(came), went) => came.keys(self.session, went.as_ref())?,
            (None, Some(went)) => went.keys(self.session, None)?,
            (None, None) => return Ok(at.before.to_vec()),
        };
        let schema = kept_schema(&sql::output_schema(&keys));
        let batches = collect(sql::flow(self.session, keys, &schema).await?).await?;
        let keys = Keys::new(schema, batches);
        if keys.count() > TOUCHED_GROUPS {
            return self.store(at.node.made(at.numbering)?, at.schema).await;
        }
        let kept = self.table.scan(at.before, at.schema, &[])?;
        let mut files = self.store(at.node.untouched(self.session, kept, &keys)?, at.schema).await?;
        files.extend(self.store(at.node.among(self.session, &keys, at.numbering)?, at.schema).await?);
        Ok(files)
    }

    /// The aggregate over the rows that came to a table alone, and over those that left it.
    async fn came_and_went(
        &self,
        at: &At<'_>,
        table: &TableName,
        inner: &[Groups],
    ) -> Result<(Option<Kept>, Option<Kept>)> {
        let Change::Rows { added, removed } = &self.inputs.get(table)?.change else {
            return Err(Error::bug(format!("no rows came to {table}, and none left it")));
        };
        let mut over = Vec::new();
        for files in [added, removed] {
            over.push(match files.is_empty() {
                true => None,
                false => Some(self.over_files(table, files, at.place, inner).await?),
            });
        }
        let went = over.pop().flatten();
        Ok((over.pop().flatten(), went))
    }

    /// The aggregate at a place over some files of a table alone.
    async fn over_files(&self, table: &TableName, files: &[Add], place: usize, inner: &[Groups]) -> Result<Kept> {
        let mut tables = self.inputs.whole().await?;
        tables.insert(table.clone(), self.inputs.get(table)?.scan(files)?);
        let (session, plan) = self.planner.plan(&tables).await?;
        let parted = Parted::new(&plan).map_err(|refusal| Error::bug(refusal.text))?;
        parted.over(&session, place, inner)
    }

    /// Writes what a plan gives into files beside the table.
    async fn store(&self, plan: LogicalPlan, schema: &SchemaRef) -> Result<Vec<Add>> {
        let mut workers = Workers::default();
        for rows in sql::flow(self.session, plan, schema).await? {
            let writer = self.table.staging().below(KEPT_FOLDER).writer(schema.clone(), &[]);
            workers.spawn(drain(rows, writer, self.context.clone()));
        }
        Ok(workers.join().await?.added.into_iter().map(without_bounds).collect())
    }

    /// The numbers of values, with those that were kept when a step goes on from them.
    async fn numbering(&self, numbers: &mut Numbers, steps: &[Step]) -> Result<Numbering> {
        let mut goes_on = steps.iter().zip(self.parted.kept());
        if goes_on.any(|(step, kept)| *step != Step::Reuse && kept.has_sets()) && !numbers.files.is_empty() {
            let schema = Numbering::schema();
            let files = self.table.scan(&numbers.files, &schema, &[])?;
            numbers.known = collect(sql::read(self.engine, files, &schema).await?).await?;
        }
        Numbering::new(self.engine.memory_bytes() / MEMORY_FOR_NUMBERS, &numbers.known)
    }

    /// Writes the numbers that are new; all of them into one file when they lie in many.
    async fn store_numbers(&self, numbers: Numbers, numbering: &Numbering) -> Result<Vec<Add>> {
        let added = numbering.added()?;
        if added.is_empty() {
            return Ok(numbers.files);
        }
        let mut writer = self.table.staging().below(KEPT_FOLDER).writer(Numbering::schema(), &[]);
        let are_many = numbers.files.len() >= NUMBER_FILES && !numbers.known.is_empty();
        let (mut files, again) = if are_many { (Vec::new(), numbers.known) } else { (numbers.files, Vec::new()) };
        for batch in again.iter().chain(&added) {
            writer.write(batch).await?;
        }
        files.extend(writer.close().await?.into_iter().map(without_bounds));
        Ok(files)
    }
}

/// One aggregate and what is known of it.
struct At<'a> {
    place: usize,
    node: &'a Kept,
    schema: &'a SchemaRef,
    /// The files with its groups of before.
    before: &'a [Add],
    numbering: &'a Numbering,
}

/// The numbers that were kept.
#[derive(Default)]
struct Numbers {
    files: Vec<Add>,
    known: Vec<RecordBatch>,
}

/// What the files of an aggregate are called in the record.
fn name_of(place: usize) -> String {
    format!("groups.{FORMAT}/{place}")
}

/// Nothing prunes these files, and their bounds would swell the record.
fn without_bounds(file: Add) -> Add {
    let stats = lake::rows_told(&file).map(|rows| format!("{{\"numRecords\":{rows}}}"));
    Add { stats, ..file }
}

async fn drain(mut rows: RowStream, mut writer: lake::Writer, context: Context) -> Result<Staged> {
    while let Some(batch) = rows.next().await {
        context.check()?;
        writer.write(&batch?).await?;
    }
    let rows = writer.rows();
    Ok(Staged { added: writer.close().await?, rows, duplicates: 0 })
}

async fn collect(streams: Vec<RowStream>) -> Result<Vec<RecordBatch>> {
    let mut batches = Vec::new();
    let mut rows = futures::stream::select_all(streams);
    while let Some(batch) = rows.next().await {
        batches.push(batch?);
    }
    Ok(batches)
}
