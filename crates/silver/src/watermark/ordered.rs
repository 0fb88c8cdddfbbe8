//! Finds the late rows of a batch in the order of their sources.
//!
//! The times are read twice at most. First in any order: what lies between the least and the greatest time of each file or
//! part of a partition mostly proves that none of its rows is late. The rest is sorted by position and decided row by row.
//! The engine sorts, and spills when it has to; what is kept here is a few numbers for each part, and the late rows.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use ::stage::{Context, Error, Layer, Result, TableName};
use arrow::array::{AsArray as _, RecordBatch};
use arrow::datatypes::Int64Type;
use futures::TryStreamExt as _;
use sql::{Engine, RowStep, TableProvider};

use super::late::LateRows;
use super::suspects::{Numbers, SUSPECTS, Suspects};
use super::times::TimeColumns;
use super::{Greatest, Sources, Watermark, advance};

/// The rows of one source that came in one bronze batch; their positions put them in order.
#[derive(Debug)]
struct Part {
    source: String,
    batch: i64,
    extent: Extent,
    /// Where the source stands before the first row of the part.
    before: Option<i64>,
}

/// Between which times the rows of a part lie, and how far they move their source.
#[derive(Debug, Clone, Copy)]
struct Extent {
    least: i64,
    moves_to: i64,
}

/// How far the rows of a part have been decided.
#[derive(Debug, Default)]
struct Standing {
    part: Option<i64>,
    greatest: Option<i64>,
}

/// What finding late rows needs.
pub(super) struct Ordered<'a> {
    pub(super) watermark: &'a Watermark,
    /// Where the sources stand before the batch.
    pub(super) before: &'a Greatest,
    pub(super) engine: &'a Engine,
    pub(super) memory_bytes: usize,
    pub(super) context: &'a Context,
}

impl Ordered<'_> {
    /// The late ones of some upstream rows, and the greatest times of the sources that came.
    pub(super) async fn find(&self, rows: Arc<dyn TableProvider>) -> Result<(LateRows, Greatest)> {
        let parts = self.in_order(self.parts(rows.clone()).await?);
        let mut reached = Greatest::new();
        for part in &parts {
            advance(&mut reached, self.watermark.key(&part.source), part.extent.moves_to);
        }
        let suspects: Vec<Part> = parts.into_iter().filter(|part| self.is_suspect(part)).collect();
        let mut late = LateRows::new(self.memory_bytes);
        if !suspects.is_empty() {
            self.decide(rows, &suspects, &mut late).await?;
        }
        Ok((late, reached))
    }

    /// Reads all times, in any order.
    async fn parts(&self, rows: Arc<dyn TableProvider>) -> Result<Vec<Part>> {
        let mut extents: BTreeMap<String, BTreeMap<i64, Extent>> = BTreeMap::new();
        let step = Arc::new(self.watermark.times.clone());
        let output = step.output();
        for mut stream in sql::read(self.engine, sql::stepped(rows, step), &output).await? {
            while let Some(rows) = stream.try_next().await? {
                self.context.check()?;
                let rows = TimeColumns::from_rows(&rows)?;
                for run in rows.runs()? {
                    let (source, batch) = (rows.source(run.start), rows.batch(run.start));
                    let Some(extent) = Extent::of(&rows, run) else { continue };
                    match extents.get_mut(source) {
                        Some(known) => known.entry(batch).and_modify(|known| known.absorb(extent)).or_insert(extent),
                        None => extents.entry(source.to_owned()).or_default().entry(batch).or_insert(extent),
                    };
                }
            }
        }
        let parts = extents.into_iter().flat_map(|(source, batches)| {
            batches.into_iter().map(move |(batch, extent)| Part { source: source.clone(), batch, extent, before: None })
        });
        Ok(parts.collect())
    }

    /// The parts in the order of their sources, each with where its source stands before it.
    fn in_order(&self, mut parts: Vec<Part>) -> Vec<Part> {
        match self.watermark.sources {
            Sources::Partitions => parts.sort_by(|one, two| (&one.source, one.batch).cmp(&(&two.source, two.batch))),
            Sources::Whole => parts.sort_by(|one, two| (one.batch, &one.source).cmp(&(two.batch, &two.source))),
        }
        let mut standing = self.before.clone();
        for part in &mut parts {
            let key = self.watermark.key(&part.source);
            part.before = standing.get(key).copied();
            advance(&mut standing, key, part.extent.moves_to);
        }
        parts
    }

    /// Whether a row of the part may be late.
    fn is_suspect(&self, part: &Part) -> bool {
        let greatest = part.before.map_or(part.extent.moves_to, |before| before.max(part.extent.moves_to));
        part.extent.least < self.watermark.before(greatest)
    }

    /// Reads the times of some parts again, in order, and decides each row.
    async fn decide(&self, rows: Arc<dyn TableProvider>, parts: &[Part], late: &mut LateRows) -> Result<()> {
        const PIPELINE: &str = "watermark";
        let mut numbers = Numbers::new();
        for (number, part) in parts.iter().enumerate() {
            numbers.entry(part.source.clone()).or_default().insert(part.batch, number as i64);
        }
        let step = Arc::new(Suspects::new(self.watermark.times.clone(), numbers));
        let output = step.output();
        let tables = BTreeMap::from([(TableName::new(PIPELINE, Layer::Silver, SUSPECTS)?, sql::stepped(rows, step))]);
        let session = self.engine.session(PIPELINE);
        let text = format!("SELECT * FROM silver.{SUSPECTS} ORDER BY _part, _position");
        let plan = sql::plan(&session, PIPELINE, &text, &tables)
            .await
            .map_err(|problem| Error::bug(format!("could not put times in order: {}", problem.message)))?;
        let mut standing = Standing::default();
        // What is in order is one stream.
        for mut stream in sql::flow(&session, plan, &output).await? {
            while let Some(rows) = stream.try_next().await? {
                self.context.check()?;
                self.decide_rows(&rows, parts, &mut standing, late)?;
            }
        }
        Ok(())
    }

    /// Decides rows that continue those decided before.
    fn decide_rows(
        &self,
        rows: &RecordBatch,
        parts: &[Part],
        standing: &mut Standing,
        late: &mut LateRows,
    ) -> Result<()> {
        let column = |index: usize| rows.column(index).as_primitive::<Int64Type>().values();
        let (numbers, positions, times, moves) = (column(0), column(1), column(2), column(3));
        let mut next = 0;
        for same in numbers.chunk_by(|one, other| one == other) {
            let run = next..next + same.len();
            next = run.end;
            let number = numbers[run.start];
            let part = usize::try_from(number).ok().and_then(|number| parts.get(number));
            let part = part.ok_or_else(|| Error::bug("a row is of a part that nobody asked for"))?;
            if standing.part != Some(number) {
                *standing = Standing { part: Some(number), greatest: part.before };
            }
            let mut found = Vec::new();
            for row in run {
                if standing.greatest.is_some_and(|greatest| times[row] < self.watermark.before(greatest)) {
                    found.push(positions[row].cast_unsigned());
                }
                standing.greatest = standing.greatest.max(Some(moves[row]));
            }
            late.add(&part.source, part.batch, &found)?;
        }
        Ok(())
    }
}

impl Extent {
    /// The extent of some rows; `None` when none has a time.
    fn of(rows: &TimeColumns, run: Range<usize>) -> Option<Extent> {
        let each = run.filter_map(|row| Some(Extent { least: rows.time(row)?, moves_to: rows.moves_to(row)? }));
        each.reduce(|mut known, next| {
            known.absorb(next);
            known
        })
    }

    fn absorb(&mut self, other: Extent) {
        self.least = self.least.min(other.least);
        self.moves_to = self.moves_to.max(other.moves_to);
    }
}
