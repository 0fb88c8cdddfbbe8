//! Many keys folded at once: the rows of the table, what changed in it, and what is remembered.

use ::stage::Result;
use arrow::array::{Array as _, RecordBatch};

use super::build::{Memories, history_places, shown_rows};
use super::chunk::{Chunk, Chunks, Event, Kind, Origin, Place};
use super::fold::{Fold, Folded, Shown};
use super::incoming::Incoming;
use super::job::Job;

/// Rows of the table in memory, and the chunks beside them that tell what they stand for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Local {
    shown: u32,
    /// In a history, the changes with which versions became valid, and what ended them, as far as versions tell.
    starts: u32,
    ends: u32,
}

impl Local {
    pub(crate) fn place(self, row: u32) -> Place {
        Place { chunk: self.shown, row }
    }
}

/// What came of some keys.
#[derive(Debug)]
pub(crate) struct Outcome {
    /// All rows of these keys.
    pub(crate) rows: RecordBatch,
    /// How many of them are new, and how many rows there were that are gone.
    pub(crate) added: u64,
    pub(crate) removed: u64,
    /// What is remembered of keys of which something else was remembered before.
    pub(crate) memories: Option<RecordBatch>,
}

/// Folds keys of one merge.
pub(crate) struct Folder<'a> {
    pub(crate) job: &'a Job,
    pub(crate) incoming: &'a Incoming,
    pub(crate) chunks: Chunks,
    /// The time at which something is remembered, in microseconds since 1970.
    pub(crate) at_micros: i64,
}

impl Folder<'_> {
    /// Takes rows of the table in.
    pub(crate) fn take_in(&mut self, rows: RecordBatch) -> Result<Local> {
        let layout = &self.job.layout;
        if !layout.is_history() {
            let shown = self.chunks.push(Chunk::new(layout, rows)?)?;
            return Ok(Local { shown, starts: shown, ends: shown });
        }
        let [from, to, _] = history_places(layout)?;
        let starts = self.with_sequence(&rows, from)?;
        let ends = self.with_sequence(&rows, to)?;
        let shown = self.chunks.push(Chunk::new(layout, rows)?)?;
        Ok(Local { shown, starts, ends })
    }

    /// The rows with another column as the first of their sequence, and nothing as the others.
    fn with_sequence(&mut self, rows: &RecordBatch, column: usize) -> Result<u32> {
        let mut columns = rows.columns().to_vec();
        for (number, place) in self.job.layout.sequence_columns().iter().enumerate() {
            columns[*place] = match number {
                0 => rows.column(column).clone(),
                _ => arrow::array::new_null_array(rows.column(*place).data_type(), rows.num_rows()),
            };
        }
        let rows = RecordBatch::try_new(rows.schema(), columns)
            .map_err(|error| ::stage::Error::bug("could not tell versions apart").with_source(error))?;
        self.chunks.push(Chunk::new(&self.job.layout, rows)?)
    }

    /// Folds keys, each with the rows that the table shows of it.
    pub(crate) fn fold(&self, keys: &[(u128, Vec<(Local, u32)>)]) -> Result<Outcome> {
        let mut shown: Vec<Shown> = Vec::with_capacity(keys.len());
        let mut counts: Vec<usize> = Vec::with_capacity(keys.len());
        let mut memories = Memories::default();
        for (key, rows) in keys {
            let folded = self.fold_key(*key, rows, &mut memories)?;
            counts.push(folded.shown.len());
            shown.extend(folded.shown);
        }
        let rows = shown_rows(&self.job.layout, &self.chunks, &shown)?;
        let (added, removed) = self.differences(keys, &counts, &rows)?;
        let memories = match memories.places.is_empty() {
            true => None,
            false => Some(memories.rows(&self.job.layout, &self.chunks, self.at_micros)?),
        };
        Ok(Outcome { rows, added, removed, memories })
    }

    fn fold_key(&self, key: u128, rows: &[(Local, u32)], memories: &mut Memories) -> Result<Folded> {
        let known = self.incoming.events.get(&key).map(Vec::as_slice).unwrap_or_default();
        if self.job.snapshot.is_some() {
            return Ok(self.compare(known, rows));
        }
        let mut events = known.to_vec();
        for (local, row) in rows {
            self.tell(*local, *row, rows, known, &mut events);
        }
        let any = events.first().map(|event| event.place);
        let fold = Fold { layout: &self.job.layout, chunks: &self.chunks, horizon: self.job.horizon_row() };
        let folded = fold.fold(events)?;
        let before = known.iter().filter(|event| event.origin == Origin::Remembered).count();
        let is_as_before = folded.remembered.len() == before
            && folded.remembered.iter().all(|event| event.origin == Origin::Remembered);
        if let Some(any) = any.filter(|_| !is_as_before) {
            memories.push(&folded.remembered, any);
        }
        Ok(folded)
    }

    /// The changes that a row of the table stands for. A version whose beginning or end is no longer remembered tells it
    /// itself.
    fn tell(&self, local: Local, row: u32, rows: &[(Local, u32)], known: &[Event], events: &mut Vec<Event>) {
        let own = Place { chunk: local.shown, row };
        events.push(Event { place: own, kind: Kind::Change, origin: Origin::Shown });
        if !self.job.layout.is_history() {
            return;
        }
        let first = |place: Place| self.chunks.first(place);
        let is_known = |place: Place, kind: Option<Kind>| {
            known.iter().any(|event| {
                event.origin == Origin::Remembered
                    && kind.is_none_or(|kind| kind == event.kind)
                    && first(event.place) == first(place)
            })
        };
        let start = Place { chunk: local.starts, row };
        if first(start) != first(own) && !is_known(start, Some(Kind::Change)) {
            events.push(Event { place: start, kind: Kind::Change, origin: Origin::Shown });
        }
        let end = Place { chunk: local.ends, row };
        let is_followed =
            || rows.iter().any(|(local, row)| first(Place { chunk: local.starts, row: *row }) == first(end));
        if self.ends(local, row) && !is_known(end, None) && !is_followed() {
            events.push(Event { place: end, kind: Kind::Delete, origin: Origin::Shown });
        }
    }

    /// Whether the version has an end.
    fn ends(&self, local: Local, row: u32) -> bool {
        let (rows, row) = self.chunks.at(Place { chunk: local.ends, row });
        self.job.layout.first_of_sequence().is_some_and(|first| rows.column(first).is_valid(row))
    }

    /// What a snapshot makes of a key. The table has at most one row of it that is open.
    fn compare(&self, told: &[Event], rows: &[(Local, u32)]) -> Folded {
        let Some((local, row)) = rows.first() else {
            let newest = self.greatest(told);
            return Folded { shown: newest.into_iter().map(begun).collect(), remembered: Vec::new() };
        };
        let known = Place { chunk: local.shown, row: *row };
        let from = Place { chunk: local.starts, row: *row };
        let shown = |base: Place, to: Option<Place>| Shown { base, filled: None, from, to };
        let is_history = self.job.layout.is_history();
        let shown = match self.greatest(told) {
            None if is_history => vec![shown(known, self.any_of_snapshot())],
            None => Vec::new(),
            Some(new) if self.is_as_stated(known, new) => vec![shown(known, None)],
            Some(new) if is_history && self.chunks.tracked(known) != self.chunks.tracked(new) => {
                vec![shown(known, Some(new)), begun(new)]
            }
            Some(new) => vec![shown(new, None)],
        };
        Folded { shown, remembered: Vec::new() }
    }

    /// The row of a snapshot that stands for its key, should there be several.
    fn greatest(&self, told: &[Event]) -> Option<Place> {
        let content = |place: Place| {
            let (rows, row) = self.chunks.at(place);
            self.job.layout.content(rows, row).ok()
        };
        let changes = told.iter().filter(|event| event.kind == Kind::Change).map(|event| event.place);
        match told {
            [one] => (one.kind == Kind::Change).then_some(one.place),
            _ => changes.max_by_key(|place| content(*place)),
        }
    }

    fn is_as_stated(&self, known: Place, new: Place) -> bool {
        let stated = |place: Place| {
            let (rows, row) = self.chunks.at(place);
            self.job.layout.stated(&rows.slice(row, 1)).ok()
        };
        stated(known) == stated(new)
    }

    /// A row of the snapshot, whose sequence is that of all.
    fn any_of_snapshot(&self) -> Option<Place> {
        self.incoming.events.values().flatten().next().map(|event| event.place)
    }

    /// How many rows are new, and how many are gone. `counts` says how many rows each key has.
    fn differences(
        &self,
        keys: &[(u128, Vec<(Local, u32)>)],
        counts: &[usize],
        rows: &RecordBatch,
    ) -> Result<(u64, u64)> {
        let layout = &self.job.layout;
        let now = layout.whole(rows)?;
        let mut hashed: Vec<Option<Vec<u128>>> = Vec::new();
        let (mut added, mut removed, mut next) = (0, 0, 0);
        for ((_, rows), count) in keys.iter().zip(counts) {
            let mut before = Vec::with_capacity(rows.len());
            for (local, row) in rows {
                let number = local.shown as usize;
                hashed.resize(hashed.len().max(number + 1), None);
                let hashes = match &mut hashed[number] {
                    Some(hashes) => hashes,
                    empty => empty.insert(layout.whole(self.chunks.at(Place { chunk: local.shown, row: 0 }).0)?),
                };
                before.push(hashes[*row as usize]);
            }
            for hash in &now[next..next + count] {
                match before.iter().position(|known| known == hash) {
                    Some(place) => drop(before.swap_remove(place)),
                    None => added += 1,
                }
            }
            removed += before.len() as u64;
            next += count;
        }
        Ok((added, removed))
    }
}

fn begun(place: Place) -> Shown {
    Shown { base: place, filled: None, from: place, to: None }
}
