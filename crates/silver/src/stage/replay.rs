//! Rows in quarantine once more: the upstream rows they came of go through today's steps like new ones.
//!
//! What a row looked like when it was refused does not matter, as clean steps, query and rules may all have changed since.
//! Its origin names the upstream row, which is read again. Rows that pass enter the table by its own way to write.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

use ::stage::{Checkpoint, Context, Error, OffsetRange, Progress, Result, Stage, TableName};
use arrow::array::{Array, AsArray, BooleanArray, RecordBatch};
use arrow::compute::filter_record_batch;
use arrow::datatypes::{Int64Type, SchemaRef};
use futures::StreamExt as _;
use futures::future::BoxFuture;
use lake::{Changes, Commit, Record, Replay, Table, ledger};
use quality::replay::{Fate, Selection, Together, Waiting, waiting};
use quality::{Checks, Gate, Passage, Passed, batch};
use sql::{RowFunction, RowStep, RowStream};

use super::query::{Input, ORIGIN, Query};
use super::{Reading, Silver};
use crate::merge::rules::Rules;
use crate::overlap::holding;
use crate::settle::{Files, Settling};
use crate::spec::WriteSpec;
use crate::work::Work;

/// The stage that looks at rows in quarantine once more.
pub struct SilverReplay {
    silver: Silver,
    selection: Selection,
}

impl SilverReplay {
    /// A replay of the rows that `selection` means into the table of `silver`.
    pub fn new(silver: Silver, selection: Selection) -> SilverReplay {
        SilverReplay { silver, selection }
    }

    async fn advance_once(&self, context: &Context) -> Result<Progress> {
        let silver = &self.silver;
        if silver.spec.write == WriteSpec::Overwrite {
            return Err(Error::config(format!(
                "{name} is made anew from all of {} each time, rows in quarantine included; run `medallion silver {name}` instead",
                silver.from,
                name = silver.name,
            )));
        }
        if Rules::of(&silver.spec.write).is_some_and(|rules| rules.is_of_snapshots()) {
            return Err(Error::config(format!(
                "{name} is what the newest snapshot holds, so single rows cannot enter it; run `medallion silver {name} \
                 --full-refresh` instead",
                name = silver.name,
            )));
        }
        let mut table = batch::open(&silver.lake, &silver.name).await?;
        // Without a table there is no position, so the next run reads all rows anyway.
        if table.version().is_none() {
            return Ok(Progress::idle());
        }
        let together = Together::SameOrigin;
        let next = waiting(&silver.lake, &silver.engine, &table, &self.selection, together, context).await?;
        let Some(waiting) = next else { return Ok(Progress::idle()) };
        let (reading, chosen) = self.find(&table, &waiting).await?;
        let input = self.input(&reading, &chosen)?;
        // A row is late by those before it, so all of them are looked at and not only the chosen ones.
        let lateness = silver.tell_late(None, &reading, &silver.input(&reading)?, context).await?;
        let query = silver.transform(input, silver.look_up().await?, lateness).await?;
        let gate = Gate::open(&silver.lake, &silver.engine, &silver.name, &silver.spec.expect, reading.batch, context)?
            .naming_rows_by(silver.spec.keys())
            .profiling(&silver.spec.profile);
        let files = self.validate(&table, &query, &gate, context).await?;
        let mut passed = gate.close().await?;
        let fate = |source: &str, position: i64| match chosen.was_met(source, position) {
            true => Fate::Decided,
            false => Fate::Gone,
        };
        let replay = waiting.decide(&mut passed, fate, &silver.engine, context).await?;
        let _committing = context.begin_commit()?;
        self.commit(&mut table, &waiting, &reading, query, files, passed, replay, context).await
    }

    /// The upstream files that the rows lie in.
    async fn find(&self, table: &Table, waiting: &Waiting) -> Result<(Reading, Arc<Chosen>)> {
        let silver = &self.silver;
        let upstream = silver.lake.open(&silver.from).await?;
        let has_origin = |schema: SchemaRef| ORIGIN.iter().all(|name| schema.field_with_name(name).is_ok());
        if !upstream.schema().is_some_and(has_origin) {
            return Err(Error::data(format!(
                "rows of {} in quarantine cannot be found again, because {} has no `_source` and `_position`; let it keep \
                 these columns, or run `medallion silver {} --full-refresh`, which checks all rows again",
                silver.name, silver.from, silver.name,
            )));
        }
        let position = ledger::position_of(&upstream)?;
        silver.refuse_other_upstream(table, &position)?;
        let chosen = Arc::new(Chosen::new(waiting.origins()));
        let changes = Changes { added: upstream.files().await?, ..Changes::default() };
        let batch = batch::next_number(table);
        Ok((Reading { upstream, changes, position, from: 0, batch, replaces_all: false }, chosen))
    }

    fn input(&self, reading: &Reading, chosen: &Arc<Chosen>) -> Result<Input> {
        let input = self.silver.input(reading)?;
        let schema = input.files.schema();
        let files = match chosen.bounds() {
            Some((least, greatest)) => {
                let files = holding(reading.changes.added.clone(), ORIGIN[0], least, greatest);
                reading.upstream.scan(&files, &schema, &reading.upstream.partition_columns())?
            }
            None => input.files,
        };
        let step = OnlyChosen { chosen: chosen.clone(), schema };
        Ok(Input { files: sql::stepped(files, Arc::new(step)), ..input })
    }

    async fn validate(&self, table: &Table, query: &Query, gate: &Gate, context: &Context) -> Result<Files> {
        let silver = &self.silver;
        let keys = silver.batch_keys();
        let mut streams = sql::flow(&query.session, query.plan.clone(), &query.carried).await?;
        if silver.spec.write == WriteSpec::Append {
            let (table, from) = (silver.name.clone(), silver.from.clone());
            let once = Arc::new(Once { table, from, seen: Mutex::default() });
            streams = streams.into_iter().map(|stream| once.clone().watch(stream)).collect();
        }
        let work = Work {
            passage: Passage::new(gate, table, silver.staged_by(), context),
            aside: gate.clone(),
            hidden: query.hidden.clone(),
            seen: query.seen.clone(),
            keys: keys.clone(),
        };
        let staged = work.run(streams).await?;
        let settling = Settling {
            engine: &silver.engine,
            table,
            spec: &silver.spec,
            schema: query.schema.clone(),
            replaces_all: false,
            not_before: None,
            memory_bytes: silver.memory_bytes,
            context,
        };
        settling.settle(staged, Vec::new(), keys.as_ref().map(|(_, keys)| keys.as_ref()), None).await
    }

    #[expect(clippy::too_many_arguments, reason = "a commit tells everything of a batch")]
    async fn commit(
        &self,
        table: &mut Table,
        waiting: &Waiting,
        reading: &Reading,
        query: Query,
        files: Files,
        passed: Passed,
        replay: Replay,
        context: &Context,
    ) -> Result<Progress> {
        let silver = &self.silver;
        let position = waiting.position()?;
        let from = table.position(&position).await?;
        let filtered = query.seen.rows().saturating_sub(passed.rows_checked);
        let record = Record {
            action: "replay".to_owned(),
            reason: replay.reason(),
            rows_read: replay.passed + replay.refused,
            rows_dropped: passed.rows_dropped + files.duplicates + filtered,
            reads: query.reads,
            fingerprint: Some(batch::fingerprint(&silver.spec, silver.sql.as_deref())?),
            remembered: files.remembered,
            replay: Some(replay),
            ..batch::record(passed, reading.batch, files.rows, context)
        };
        let commit = Commit {
            operation: files.operation,
            schema: files.schema,
            partition_by: silver.spec.partition_by.clone(),
            properties: BTreeMap::default(),
            add: files.added,
            remove: files.removed,
            range: Some(OffsetRange { from: Checkpoint::of(&position, from), to: Checkpoint::of(&position, from + 1) }),
            record,
        };
        let checks = Checks::before_commit(&silver.spec.check, &silver.lake, &silver.engine, context);
        batch::commit(&silver.lake, table, commit, &files.spent, &checks).await
    }
}

impl Stage for SilverReplay {
    fn table(&self) -> &TableName {
        &self.silver.name
    }

    fn advance<'a>(&'a mut self, context: &'a Context) -> BoxFuture<'a, Result<Progress>> {
        Box::pin(self.advance_once(context))
    }
}

/// The origins that are looked at again, and which of them were met upstream.
#[derive(Debug)]
struct Chosen {
    origins: Origins,
    met: Mutex<Origins>,
}

/// The positions of each source.
type Origins = BTreeMap<String, BTreeSet<i64>>;

impl Chosen {
    fn new(origins: &Origins) -> Chosen {
        Chosen { origins: origins.clone(), met: Mutex::default() }
    }

    /// The least and the greatest source.
    fn bounds(&self) -> Option<(&str, &str)> {
        Some((self.origins.first_key_value()?.0, self.origins.last_key_value()?.0))
    }

    fn was_met(&self, source: &str, position: i64) -> bool {
        let met = self.met.lock().unwrap_or_else(PoisonError::into_inner);
        met.get(source).is_some_and(|positions| positions.contains(&position))
    }

    /// Which rows are chosen; they count as met from then on.
    fn keep(&self, rows: &RecordBatch) -> Result<BooleanArray> {
        let origins = origins(rows)?;
        let is_chosen = |(source, position): &(&str, i64)| {
            self.origins.get(*source).is_some_and(|positions| positions.contains(position))
        };
        let keep: Vec<bool> = origins.iter().map(is_chosen).collect();
        let mut met = self.met.lock().unwrap_or_else(PoisonError::into_inner);
        for ((source, position), _) in origins.iter().zip(&keep).filter(|(_, keep)| **keep) {
            met.entry((*source).to_owned()).or_default().insert(*position);
        }
        Ok(BooleanArray::from(keep))
    }
}

/// The step that lets only rows of the chosen origins through.
struct OnlyChosen {
    chosen: Arc<Chosen>,
    schema: SchemaRef,
}

impl RowStep for OnlyChosen {
    fn output(&self) -> SchemaRef {
        self.schema.clone()
    }

    fn narrowed(&self, wanted: &[&str]) -> (Vec<String>, RowFunction) {
        let count = wanted.len();
        let mut reads: Vec<String> = wanted.iter().map(|name| (*name).to_owned()).collect();
        reads.extend(ORIGIN.iter().filter(|name| !wanted.contains(name)).map(|name| (*name).to_owned()));
        let chosen = self.chosen.clone();
        let function = move |rows: RecordBatch| {
            let failed = |error| Error::bug("could not choose the rows of a replay").with_source(error);
            let kept = filter_record_batch(&rows, &chosen.keep(&rows)?).map_err(failed)?;
            kept.project(&(0..count).collect::<Vec<_>>()).map_err(failed)
        };
        (reads, Arc::new(function))
    }
}

/// Sees to it that no origin gives two rows: where every row is added, one of them may be in the table already.
struct Once {
    table: TableName,
    from: TableName,
    seen: Mutex<Origins>,
}

impl Once {
    fn watch(self: Arc<Self>, stream: RowStream) -> RowStream {
        stream.map(move |rows| rows.and_then(|rows| self.check(&rows).map(|()| rows))).boxed()
    }

    fn check(&self, rows: &RecordBatch) -> Result<()> {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        for (source, position) in origins(rows)? {
            if !seen.entry(source.to_owned()).or_default().insert(position) {
                return Err(Error::data(format!(
                    "row {position} of {source} in {} becomes several rows of {table}, of which some may be there already, and \
                     nothing tells them apart; give {table} a `unique_key`, or run `medallion silver {table} --full-refresh`",
                    self.from,
                    table = self.table,
                )));
            }
        }
        Ok(())
    }
}

/// Where rows came from.
pub(super) fn origins(rows: &RecordBatch) -> Result<Vec<(&str, i64)>> {
    let unknown = || Error::bug("rows of a replay do not say where they came from");
    let sources = rows.column_by_name(ORIGIN[0]).and_then(|column| column.as_string_view_opt()).ok_or_else(unknown)?;
    let positions = rows.column_by_name(ORIGIN[1]).and_then(|column| column.as_primitive_opt::<Int64Type>());
    let positions = positions.ok_or_else(unknown)?;
    let text = |row: usize| if sources.is_valid(row) { sources.value(row) } else { "" };
    let number = |row: usize| if positions.is_valid(row) { positions.value(row) } else { -1 };
    Ok((0..rows.num_rows()).map(|row| (text(row), number(row))).collect())
}
