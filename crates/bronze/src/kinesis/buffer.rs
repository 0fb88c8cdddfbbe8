//! Records that were read and not yet taken: bounded, filled by the tasks of the shards, emptied by the stage.
//!
//! With every piece goes how far its shards were read, so what is taken for a batch and what its commit says of the
//! shards are always the same records.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use stage::{Error, Result};
use tokio::sync::Notify;
use tokio::time::Instant;

use super::client::Record;
use super::piece::push;
use super::shards::{Place, ShardState};
use crate::messages::waiting::{Limits, Taken, Waiting};

/// What the tasks of the shards and the stage share.
pub(crate) struct Buffer {
    stream: String,
    held: Mutex<Held>,
    room: Notify,
    news: Notify,
}

/// How far shards were read.
pub(crate) type Reached = BTreeMap<String, ShardState>;

/// What the buffer holds.
pub(crate) struct Held {
    /// The records, with how far their shards were read with each piece.
    waiting: Waiting<Reached>,
    /// How far every shard was read.
    pub(crate) reached: Reached,
    /// Until when all that had come was read, by shard.
    tips: BTreeMap<String, Instant>,
    /// The shards that are listed as closed.
    pub(crate) closed: BTreeSet<String>,
    /// How many shards have ended.
    pub(crate) ended: u64,
    /// How many of those it is known of what came of them; nothing before the first shards were begun.
    settled: Option<u64>,
    numbers: BTreeMap<String, u32>,
}

impl Buffer {
    /// An empty buffer for a stream, some shards of which were read so far.
    pub(crate) fn new(limits: Limits, stream: &str, reached: Reached) -> Buffer {
        let held = Held {
            waiting: Waiting::new(limits),
            reached,
            tips: BTreeMap::new(),
            closed: BTreeSet::new(),
            ended: 0,
            settled: None,
            numbers: BTreeMap::new(),
        };
        Buffer { stream: stream.to_owned(), held: Mutex::new(held), room: Notify::new(), news: Notify::new() }
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until there is room.
    pub(crate) async fn room(&self) {
        loop {
            let freed = self.room.notified();
            if self.lock().waiting.has_room() {
                return;
            }
            freed.await;
        }
    }

    /// Appends records of a shard, which they bring to `place`. `tip`: until when all that had come is read then, and
    /// the same by the clock on the wall, in milliseconds since 1970.
    pub(crate) fn push(&self, shard: &str, records: &[Record], place: Place, tip: Option<(Instant, i64)>) {
        let mut held = self.lock();
        let held = &mut *held;
        let number = held.number_of(shard, &self.stream);
        let mut state =
            held.reached.get(shard).cloned().unwrap_or(ShardState { place: Place::TrimHorizon, rows: 0, seen: None });
        for record in records {
            if held.waiting.is_last_full() {
                held.note(shard, &state);
            }
            held.waiting.add(|piece| state.rows += push(piece, record, number, state.rows));
            state.seen = state.seen.max(record.arrived);
            state.place = Place::After(record.sequence_number.clone());
        }
        if let Some((tip, seen)) = tip {
            held.tips.insert(shard.to_owned(), tip);
            state.seen = state.seen.max(Some(seen));
        }
        held.ended += u64::from(place == Place::Closed);
        state.place = place;
        held.note(shard, &state);
        self.news.notify_one();
    }

    /// Notes shards that were found.
    pub(crate) fn found(&self, found: Vec<(String, ShardState)>) {
        self.lock().reached.extend(found);
    }

    /// Notes that what came of so many shards that ended is being read, and which shards are listed as closed.
    pub(crate) fn settle(&self, ended: u64, closed: BTreeSet<String>) {
        let mut held = self.lock();
        held.closed = closed;
        held.settled = Some(ended);
        drop(held);
        self.news.notify_one();
    }

    /// Notes that nothing more will come, and why.
    pub(crate) fn fail(&self, error: Error) {
        self.lock().waiting.fail(error);
        self.news.notify_one();
    }

    /// Ends when something may have changed since the last time.
    pub(crate) async fn news(&self) {
        self.news.notified().await;
    }

    /// Takes pieces as [`Waiting::take`] does, with how far the shards were read with them.
    pub(crate) fn take(&self, rows: u64, bytes: u64, unfinished: bool) -> Result<Taken<Reached>> {
        let mut held = self.lock();
        let Taken { pieces, moved: notes, is_full } = held.waiting.take(rows, bytes, unfinished)?;
        let moved = match held.waiting.is_empty() {
            true => held.reached.clone(),
            false => notes.into_iter().flatten().collect(),
        };
        drop(held);
        self.room.notify_waiters();
        Ok(Taken { pieces, moved, is_full })
    }

    /// How long until there is a batch for a stream, as [`Waiting::due_in`] has it.
    pub(crate) fn due_in(&self, trigger: Duration) -> Option<Duration> {
        self.lock().waiting.due_in(trigger)
    }
}

impl Held {
    /// Whether everything was read that had come by `moment`.
    pub(crate) fn has_reached(&self, moment: Instant) -> bool {
        let is_read = |(id, state): (&String, &ShardState)| {
            state.place == Place::Closed || self.tips.get(id).is_some_and(|tip| *tip >= moment)
        };
        self.settled == Some(self.ended) && self.reached.iter().all(is_read)
    }

    /// Notes how far a shard was read, with the last piece if there is one.
    fn note(&mut self, shard: &str, state: &ShardState) {
        if let Some(reached) = self.waiting.last_note() {
            reached.insert(shard.to_owned(), state.clone());
        }
        self.reached.insert(shard.to_owned(), state.clone());
    }

    fn number_of(&mut self, shard: &str, stream: &str) -> u32 {
        if let Some(number) = self.numbers.get(shard) {
            return *number;
        }
        let number = self.waiting.number(format!("{stream}/{shard}"));
        self.numbers.insert(shard.to_owned(), number);
        number
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::unpacked::tests::packed;
    use super::*;
    use crate::messages::piece::Piece;

    fn buffer(held_bytes: u64, max_rows: u64) -> Buffer {
        let known = ["a", "b"].map(|id| (id.to_owned(), ShardState { place: Place::TrimHorizon, rows: 0, seen: None }));
        let buffer = Buffer::new(Limits { held_bytes, max_rows, max_bytes: 1 << 30 }, "s", known.into());
        buffer.settle(0, BTreeSet::new());
        buffer
    }

    fn record(number: u32, payload: &[u8]) -> Record {
        let (key, sequence_number) = ("k".to_owned(), number.to_string());
        Record { key, sequence_number, arrived: Some(i64::from(number)), payload: payload.to_vec() }
    }

    fn push(buffer: &Buffer, shard: &str, numbers: std::ops::Range<u32>) {
        let last = Place::After((numbers.end - 1).to_string());
        let records: Vec<Record> = numbers.map(|number| record(number, &[b'x'; 100])).collect();
        buffer.push(shard, &records, last, None);
    }

    fn rows(taken: &Taken<Reached>) -> Vec<usize> {
        taken.pieces.iter().map(Piece::rows).collect()
    }

    #[test]
    fn a_batch_says_of_its_shards_what_it_holds_of_them() {
        let buffer = buffer(1 << 30, 10);
        push(&buffer, "a", 0..7);
        push(&buffer, "b", 0..7);
        push(&buffer, "a", 7..9);
        buffer.push("a", &[], Place::Closed, None);
        let first = buffer.take(0, 0, false).unwrap();
        let of =
            |taken: &Taken<Reached>, shard: &str| taken.moved.get(shard).map(|state| (state.place.clone(), state.rows));
        assert_eq!(rows(&first), [10]);
        assert_eq!(of(&first, "a"), Some((Place::After("6".into()), 7)));
        assert_eq!(of(&first, "b"), Some((Place::After("2".into()), 3)));
        assert_eq!(rows(&buffer.take(0, 0, false).unwrap()), [0; 0], "the rest may grow");
        let last = buffer.take(0, 0, true).unwrap();
        assert_eq!((of(&last, "a"), of(&last, "b")), (Some((Place::Closed, 9)), Some((Place::After("6".into()), 7))));
        let names: Vec<&str> = last.pieces[0].parts.iter().map(|shard| last.pieces[0].name_of(*shard)).collect();
        assert_eq!(names, ["s/b", "s/b", "s/b", "s/b", "s/a", "s/a"]);
        assert_eq!(last.pieces[0].positions, [3, 4, 5, 6, 7, 8]);
    }

    #[test]
    fn the_end_is_reached_once_every_shard_was_read_so_far() {
        let buffer = buffer(1 << 30, 10);
        let moment = Instant::now();
        buffer.push("a", &[], Place::TrimHorizon, Some((moment, 5)));
        assert!(!buffer.lock().has_reached(moment));
        buffer.push("b", &[], Place::Closed, None);
        assert!(!buffer.lock().has_reached(moment), "what came of b is not known");
        buffer.settle(1, BTreeSet::new());
        assert!(buffer.lock().has_reached(moment));
        assert!(!buffer.lock().has_reached(moment + Duration::from_secs(1)));
        assert_eq!(buffer.take(0, 0, true).unwrap().moved["a"].seen, Some(5));
    }

    #[test]
    fn packed_records_are_rows_and_damaged_ones_are_refused() {
        let buffer = buffer(1 << 30, 10);
        let many = record(1, &packed(&["p", "q"], &[(0, b"1"), (1, b"2")]));
        let damaged = record(2, &many.payload[..9]);
        buffer.push("a", &[many, damaged, record(3, b"3")], Place::After("3".into()), None);
        let taken = buffer.take(0, 0, true).unwrap();
        let piece = &taken.pieces[0];
        assert_eq!((piece.positions.as_slice(), taken.moved["a"].rows), (&[0, 1, 3][..], 4));
        assert_eq!((piece.unreadable[0].position, piece.unreadable[0].detail.as_str()), (2, "2"));
        assert_eq!(piece.keys.get(1), Some(&b"q"[..]));
        assert_eq!(piece.details.get(1), Some(&b"1"[..]));
    }

    #[tokio::test]
    async fn a_full_buffer_waits_and_hands_out_what_could_still_grow() {
        let buffer = Arc::new(buffer(500, 1_000));
        push(&buffer, "a", 0..7);
        let waiting = tokio::spawn({
            let buffer = Arc::clone(&buffer);
            async move { buffer.room().await }
        });
        tokio::task::yield_now().await;
        assert!(!waiting.is_finished());
        assert_eq!(rows(&buffer.take(0, 0, false).unwrap()), [7]);
        waiting.await.unwrap();
    }

    #[test]
    fn a_failure_is_told_before_anything_is_handed_out() {
        let buffer = buffer(1 << 30, 3);
        push(&buffer, "a", 0..1);
        buffer.fail(Error::unavailable("gone"));
        assert_eq!(buffer.take(0, 0, true).err().map(|error| error.message().to_owned()), Some("gone".to_owned()));
        assert_eq!(buffer.due_in(Duration::from_secs(3600)), Some(Duration::ZERO));
    }
}
