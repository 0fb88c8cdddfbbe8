//! What a table shows of everything that ever happened to a key, and what has to be remembered beside it.
//!
//! The one idea: **a fold is a function of the set of changes, whatever their order, and shown rows together with what is
//! remembered stand for that set**. So folding them again with newer or older changes gives what all changes at once would
//! have given: however the changes were cut into batches, shuffled or repeated, the table comes out the same. Every fold
//! below drops only what no later change can bring back to matter.

use std::cmp::Ordering;

use ::stage::Result;
use arrow::row::OwnedRow;

use super::chunk::{Chunks, Event, Kind, Origin, Place};
use super::layout::{Layout, Mode, is_null};

/// A row of the table.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Shown {
    /// The row that most of its values are of.
    pub(crate) base: Place,
    /// The rows that the values of the fillable columns are of.
    pub(crate) filled: Option<Vec<Option<Place>>>,
    /// In a history, the change with which it became valid.
    pub(crate) from: Place,
    /// In a history, what ended it.
    pub(crate) to: Option<Place>,
}

/// What came of a key.
#[derive(Debug, Default)]
pub(crate) struct Folded {
    pub(crate) shown: Vec<Shown>,
    pub(crate) remembered: Vec<Event>,
}

/// How keys are folded.
#[derive(Clone, Copy)]
pub(crate) struct Fold<'a> {
    pub(crate) layout: &'a Layout,
    pub(crate) chunks: &'a Chunks,
    /// Nothing before this counts.
    pub(crate) horizon: Option<&'a OwnedRow>,
}

impl Fold<'_> {
    /// Folds everything that is known of one key.
    pub(crate) fn fold(&self, events: Vec<Event>) -> Result<Folded> {
        let survivors = self.survivors(self.raw(events))?;
        Ok(match &self.layout.mode {
            Mode::Newest => newest(&survivors),
            Mode::Filled => self.filled(&survivors),
            Mode::History(_) => self.history(&survivors),
        })
    }

    /// Without rows that are put together from remembered ones, and without those that upstream took back.
    fn raw(&self, mut events: Vec<Event>) -> Vec<Event> {
        let is_change = |event: &Event| event.kind == Kind::Change;
        if self.layout.mode == Mode::Filled
            && events.iter().any(|event| event.origin == Origin::Remembered && is_change(event))
        {
            events.retain(|event| event.origin != Origin::Shown);
        }
        let retracted: Vec<Place> =
            events.iter().filter(|event| event.kind == Kind::Retract).map(|event| event.place).collect();
        let is_retracted = |event: &Event| {
            event.origin == Origin::Shown
                && retracted.iter().any(|gone| self.chunks.sequence(*gone) == self.chunks.sequence(event.place))
        };
        events.retain(|event| event.kind != Kind::Retract && !is_retracted(event));
        events
    }

    /// One event for each sequence, the oldest first. Of equally new ones a delete wins, then the greatest row.
    fn survivors(&self, mut events: Vec<Event>) -> Result<Vec<Event>> {
        let sequence = |event: &Event| self.chunks.sequence(event.place);
        if let Some(horizon) = self.horizon {
            events.retain(|event| sequence(event) >= horizon.row());
        }
        events.sort_by(|one, other| sequence(one).cmp(&sequence(other)).then(one.origin.cmp(&other.origin)));
        let mut survivors: Vec<Event> = Vec::with_capacity(events.len());
        for event in events {
            match survivors.last_mut().filter(|last| sequence(last) == sequence(&event)) {
                None => survivors.push(event),
                Some(last) if self.wins(&event, last)? => *last = event,
                Some(_) => {}
            }
        }
        Ok(survivors)
    }

    /// Whether an event takes the place of an equally new one that was met before.
    fn wins(&self, event: &Event, last: &Event) -> Result<bool> {
        if event.kind != last.kind || event.kind == Kind::Delete {
            return Ok(event.kind == Kind::Delete && last.kind != Kind::Delete);
        }
        let content = |place: Place| {
            let (rows, row) = self.chunks.at(place);
            self.layout.content(rows, row)
        };
        Ok(content(event.place)?.cmp(&content(last.place)?) == Ordering::Greater)
    }

    /// The newest change, with older values where it has nulls. What follows the newest delete counts, and of that the
    /// changes that a value is of are remembered as they came; where that is one alone, the row itself tells it.
    fn filled(&self, survivors: &[Event]) -> Folded {
        let deleted = survivors.iter().rposition(|event| event.kind == Kind::Delete);
        let alive = &survivors[deleted.map_or(0, |place| place + 1)..];
        let mut remembered: Vec<Event> = deleted.map(|place| survivors[place]).into_iter().collect();
        let Some(last) = alive.last() else { return Folded { shown: Vec::new(), remembered } };
        let has_value = |event: &&Event, column: usize| {
            let (rows, row) = self.chunks.at(event.place);
            !is_null(rows, column, row)
        };
        let columns = self.layout.fillable.iter();
        let sources: Vec<Option<Place>> = columns
            .map(|column| alive.iter().rev().find(|event| has_value(event, *column)).map(|event| event.place))
            .collect();
        let is_source = |event: &&Event| event.place == last.place || sources.contains(&Some(event.place));
        let contributing: Vec<Event> = alive.iter().filter(is_source).copied().collect();
        if contributing.len() > 1 {
            remembered.extend(contributing);
        }
        let shown = Shown { base: last.place, filled: Some(sources), from: last.place, to: None };
        Folded { shown: vec![shown], remembered }
    }

    /// A version for each run of changes that agree in the tracked columns; a delete ends one. A version shows the last
    /// change of its run, the others are remembered, and so is every delete.
    fn history(&self, survivors: &[Event]) -> Folded {
        let mut folded = Folded::default();
        let mut open: Option<(Place, Event)> = None;
        for event in survivors {
            match (&mut open, event.kind) {
                (Some((_, last)), Kind::Change)
                    if self.chunks.tracked(last.place) == self.chunks.tracked(event.place) =>
                {
                    folded.remembered.push(std::mem::replace(last, *event));
                }
                (_, kind) => {
                    folded.shown.extend(open.take().map(|run| version(run, Some(event.place))));
                    match kind {
                        Kind::Change => open = Some((event.place, *event)),
                        _ => folded.remembered.push(*event),
                    }
                }
            }
        }
        folded.shown.extend(open.map(|run| version(run, None)));
        folded
    }
}

/// The last word on the key. A delete is remembered, or an older row would bring the key back.
fn newest(survivors: &[Event]) -> Folded {
    let mut folded = Folded::default();
    match survivors.last() {
        Some(event) if event.kind == Kind::Change => {
            folded.shown.push(Shown { base: event.place, filled: None, from: event.place, to: None });
        }
        deleted => folded.remembered.extend(deleted),
    }
    folded
}

fn version((from, last): (Place, Event), to: Option<Place>) -> Shown {
    Shown { base: last.place, filled: None, from, to }
}
