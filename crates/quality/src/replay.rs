//! Rows in quarantine that are looked at again: which they are, and what was decided of each.
//!
//! A stage takes the rows that [`waiting`] gives, does with them what it does with new ones at a [`crate::Gate`], and
//! names what [`Waiting::decide`] returns in the record of its commit. So the commit that lets rows in also says which,
//! and the quarantine table repeats it (`lake::replay`).

mod view;

use std::collections::{BTreeMap, BTreeSet};

use arrow::array::{BooleanArray, RecordBatch};
use arrow::compute::filter_record_batch;
use arrow::datatypes::SchemaRef;
use arrow::error::ArrowError;
use futures::TryStreamExt as _;
use lake::{Add, Lake, Replay, Table};
use sql::Engine;
use stage::{Context, Error, Result};

pub use self::view::View;
use self::view::text;
use crate::gate::Passed;
use crate::quarantine;

/// Origins that are looked at again by one commit.
pub const ORIGINS_PER_COMMIT: usize = 100_000;
/// The reason of rows that are no longer where they came from.
pub const GONE: &str = "gone";

/// Which rows in quarantine are meant; all that wait when nothing is said.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Selection {
    /// Only rows that this rule refuses.
    pub rule: Option<String>,
    /// Only rows that this run refused: its number, or its whole name.
    pub run: Option<String>,
}

/// A row in quarantine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefusedRow {
    /// The row as JSON, or its raw text.
    pub row: String,
    /// Why it was refused first.
    pub reasons: Vec<String>,
    /// The file or partition it came from.
    pub source: String,
    /// Its line or offset there.
    pub position: i64,
    /// The batch it was refused in.
    pub batch: Option<i64>,
    /// When it was refused, in microseconds since 1970.
    pub at_micros: i64,
}

impl RefusedRow {
    /// A row of a batch in the schema of quarantine tables.
    ///
    /// # Errors
    /// [`stage::Kind::Bug`] when it has another schema.
    pub fn of(rows: &RecordBatch, row: usize) -> Result<RefusedRow> {
        let view = View::of(rows)?;
        Ok(RefusedRow {
            row: text(rows, "row")?.value(row).to_owned(),
            reasons: view.first_reasons(row),
            source: view.source(row).to_owned(),
            position: view.position(row),
            batch: view.batch(row),
            at_micros: view.at_micros(row),
        })
    }
}

/// What became of the rows of one origin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// They were looked at again.
    Decided,
    /// They are no longer where they came from.
    Gone,
    /// They were not looked at.
    Untouched,
}

/// Rows of a quarantine table that wait for a second look.
pub struct Waiting {
    table: Table,
    rows: Vec<RecordBatch>,
    /// The positions of each source.
    origins: BTreeMap<String, BTreeSet<i64>>,
}

/// Whether rows of some origins are looked at together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Together {
    /// All rows that came of one upstream row are.
    SameOrigin,
    /// Each is looked at for itself, those of one origin in different commits.
    OneByOne,
    /// All rows are, however many there are.
    All,
}

impl Selection {
    /// Whether rows that were refused for these reasons by this run are meant.
    pub fn means<'a>(&self, mut reasons: impl Iterator<Item = &'a str>, run: &str) -> bool {
        let by_rule = self.rule.as_ref().is_none_or(|rule| reasons.any(|reason| names(reason, rule)));
        let by_run = self.run.as_ref().is_none_or(|wanted| {
            let number = wanted.bytes().all(|byte| byte.is_ascii_digit());
            run == wanted || (number && run.rsplit_once('-').is_some_and(|(_, own)| own == wanted))
        });
        by_rule && by_run
    }
}

/// Whether a reason is of a rule. Text that did not parse says why behind the name of its rule.
fn names(reason: &str, rule: &str) -> bool {
    reason == rule || reason.strip_prefix(rule).is_some_and(|rest| rest.starts_with(": "))
}

/// The rule of a reason.
pub fn rule_of(reason: &str) -> &str {
    reason.split_once(": ").map_or(reason, |(rule, _)| rule)
}

/// The next rows that wait in the quarantine table beside `table`, at most so many that one commit can take them. Rows
/// that this run has looked at are not among them; `None` when there are no others.
///
/// # Errors
/// When the quarantine table cannot be read.
pub async fn waiting(
    lake: &Lake,
    engine: &Engine,
    table: &Table,
    selection: &Selection,
    together: Together,
    context: &Context,
) -> Result<Option<Waiting>> {
    let quarantine = lake.open(&table.name().quarantine()).await?;
    if quarantine.version().is_none() {
        return Ok(None);
    }
    let schema = quarantine::schema();
    let files = quarantine.files().await?;
    let mut origins: BTreeMap<String, BTreeSet<i64>> = BTreeMap::new();
    let (mut rows, mut count) = (Vec::new(), 0);
    // Rows that came of one upstream row share its fate, those of other rules among them, so they are looked for
    // once it is known which origins are meant.
    let mut stream = read(&quarantine, &files, &schema, engine).await?;
    while let Some(batch) = stream.try_next().await? {
        context.check()?;
        let view = View::of(&batch)?;
        let mut keep = vec![false; batch.num_rows()];
        for (row, keep) in keep.iter_mut().enumerate() {
            let is_full = count >= ORIGINS_PER_COMMIT && together != Together::All;
            if is_full
                || !view.waits(row, &context.run_id)
                || !selection.means(view.reasons(row).iter().map(String::as_str), view.run(row))
            {
                continue;
            }
            let is_new = origins.entry(view.source(row).to_owned()).or_default().insert(view.position(row));
            count += usize::from(is_new);
            *keep = is_new;
        }
        if together == Together::OneByOne {
            push(&mut rows, &batch, keep)?;
        }
    }
    if count == 0 {
        return Ok(None);
    }
    if together != Together::OneByOne {
        let mut stream = read(&quarantine, &files, &schema, engine).await?;
        while let Some(batch) = stream.try_next().await? {
            let view = View::of(&batch)?;
            let is_meant = |row: usize| {
                let is_there =
                    origins.get(view.source(row)).is_some_and(|positions| positions.contains(&view.position(row)));
                is_there && view.waits(row, &context.run_id)
            };
            push(&mut rows, &batch, (0..batch.num_rows()).map(is_meant).collect())?;
        }
    }
    Ok(Some(Waiting { table: quarantine, rows, origins }))
}

impl Waiting {
    /// The positions of each source that rows came from.
    pub fn origins(&self) -> &BTreeMap<String, BTreeSet<i64>> {
        &self.origins
    }

    /// The rows one by one.
    ///
    /// # Errors
    /// [`stage::Kind::Bug`] when they are not in the schema of quarantine tables.
    pub fn rows(&self) -> Result<Vec<RefusedRow>> {
        let mut rows = Vec::new();
        for batch in &self.rows {
            for row in 0..batch.num_rows() {
                rows.push(RefusedRow::of(batch, row)?);
            }
        }
        Ok(rows)
    }

    /// The position id under which a table notes its replays, so that of two at the same time one wins.
    ///
    /// # Errors
    /// [`stage::Kind::Bug`] when the quarantine table does not exist.
    pub fn position(&self) -> Result<String> {
        let id = self.table.id().ok_or_else(|| Error::bug("a quarantine table has no identity"))?;
        Ok(format!("quarantine/{id}"))
    }

    /// What was decided, staged; `passed` came out of the gate. What it staged of rows that wait in quarantine already is
    /// removed, as they are known there.
    ///
    /// # Errors
    /// When the storage fails.
    pub async fn decide(
        &self,
        passed: &mut Passed,
        fate: impl Fn(&str, i64) -> Fate,
        engine: &Engine,
        context: &Context,
    ) -> Result<Replay> {
        let staged = std::mem::take(&mut passed.quarantine);
        let refused = self.refused(&staged, engine).await?;
        let (new, rows) = self.without_known(&staged, engine).await?;
        self.table.staging().discard(&staged).await;
        let mut writer = self.table.staging().writer(quarantine::schema(), &[]);
        let mut replay = Replay { at_micros: context.now().timestamp_micros(), ..Replay::default() };
        let nothing = Vec::new();
        let gone = vec![GONE.to_owned()];
        for batch in &self.rows {
            let view = View::of(batch)?;
            let fates: Vec<Fate> =
                (0..batch.num_rows()).map(|row| fate(view.source(row), view.position(row))).collect();
            let reasons = (0..batch.num_rows()).filter(|row| fates[*row] != Fate::Untouched).map(|row| {
                let found = refused.get(&(view.source(row).to_owned(), view.position(row)));
                if fates[row] == Fate::Gone { &gone } else { found.unwrap_or(&nothing) }
            });
            let reasons: Vec<&Vec<String>> = reasons.collect();
            let again = reasons.iter().filter(|reasons| !reasons.is_empty()).count() as u64;
            replay.refused += again;
            replay.passed += reasons.len() as u64 - again;
            let keep = BooleanArray::from(fates.iter().map(|fate| *fate != Fate::Untouched).collect::<Vec<_>>());
            let decided = filter_record_batch(batch, &keep).map_err(unchosen)?;
            writer.write(&quarantine::with_reasons(&decided, &reasons)?).await?;
        }
        passed.quarantine = new;
        passed.rows_quarantined = replay.refused + rows;
        replay.decided = writer.close().await?;
        Ok(replay)
    }

    /// Staged rows of origins that do not wait in quarantine, staged for themselves, and how many there are.
    async fn without_known(&self, staged: &[Add], engine: &Engine) -> Result<(Vec<Add>, u64)> {
        let mut writer = self.table.staging().writer(quarantine::schema(), &[]);
        let mut stream = read(&self.table, staged, &quarantine::schema(), engine).await?;
        while let Some(batch) = stream.try_next().await? {
            let view = View::of(&batch)?;
            let new: Vec<bool> =
                (0..batch.num_rows()).map(|row| !self.holds(view.source(row), view.position(row))).collect();
            writer.write(&filter_record_batch(&batch, &new.into()).map_err(unchosen)?).await?;
        }
        let rows = writer.rows();
        Ok((writer.close().await?, rows))
    }

    /// How many staged rows are of origins that do not wait in quarantine.
    ///
    /// # Errors
    /// When the staged files cannot be read.
    pub async fn unknown(&self, staged: &[Add], engine: &Engine) -> Result<u64> {
        let mut unknown = 0;
        let mut stream = read(&self.table, staged, &quarantine::schema(), engine).await?;
        while let Some(batch) = stream.try_next().await? {
            let view = View::of(&batch)?;
            let is_new = |row: &usize| !self.holds(view.source(*row), view.position(*row));
            unknown += (0..batch.num_rows()).filter(is_new).count() as u64;
        }
        Ok(unknown)
    }

    /// Whether a row of this origin is among those that wait.
    pub fn holds(&self, source: &str, position: i64) -> bool {
        self.origins.get(source).is_some_and(|positions| positions.contains(&position))
    }

    /// Why rows are refused again, by where they came from.
    async fn refused(&self, staged: &[Add], engine: &Engine) -> Result<BTreeMap<(String, i64), Vec<String>>> {
        let mut refused: BTreeMap<(String, i64), Vec<String>> = BTreeMap::new();
        let mut stream = read(&self.table, staged, &quarantine::schema(), engine).await?;
        while let Some(batch) = stream.try_next().await? {
            let view = View::of(&batch)?;
            for row in 0..batch.num_rows() {
                let known = refused.entry((view.source(row).to_owned(), view.position(row))).or_default();
                let new: Vec<String> =
                    view.first_reasons(row).into_iter().filter(|reason| !known.contains(reason)).collect();
                known.extend(new);
            }
        }
        Ok(refused)
    }
}

/// The rows of some files of a quarantine table, one file after the other.
async fn read(table: &Table, files: &[Add], schema: &SchemaRef, engine: &Engine) -> Result<sql::RowStream> {
    let streams = sql::read(engine, table.scan(files, schema, &[])?, schema).await?;
    Ok(Box::pin(futures::stream::select_all(streams)))
}

fn push(rows: &mut Vec<RecordBatch>, batch: &RecordBatch, keep: Vec<bool>) -> Result<()> {
    if keep.contains(&true) {
        let kept = filter_record_batch(batch, &BooleanArray::from(keep));
        rows.push(kept.map_err(unchosen)?);
    }
    Ok(())
}

fn unchosen(error: ArrowError) -> Error {
    Error::bug("could not choose rows of a quarantine table").with_source(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_chosen_by_rule_and_run() {
        let selection = |rule: Option<&str>, run: Option<&str>| Selection {
            rule: rule.map(str::to_owned),
            run: run.map(str::to_owned),
        };
        let means = |selection: Selection| selection.means(["parse: a: b", "positive"].into_iter(), "shop-12");
        assert!(means(selection(None, None)));
        assert!(means(selection(Some("parse"), Some("12"))) && means(selection(Some("positive"), Some("shop-12"))));
        assert!(!means(selection(Some("pars"), None)) && !means(selection(Some("b"), None)));
        assert!(!means(selection(None, Some("2"))) && !means(selection(None, Some("shop"))));
    }
}
