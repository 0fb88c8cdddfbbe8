//! Records that were read and not yet taken: bounded, filled by the tasks of the shards, emptied by the stage.
//!
//! With every piece goes how far its shards were read, so what is taken for a batch and what its commit says of the
//! shards are always the same records.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use stage::{Error, Result};
use tokio::sync::Notify;
use tokio::time::Instant;

use super::client::Record;
use super::piece::Piece;
use super::shards::{Place, ShardState};

/// How much of a batch is decoded at once.
const PIECE_BYTES: usize = 4 << 20;

/// How much is held.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// The memory for records that were not taken yet.
    pub(crate) held_bytes: u64,
    /// The most rows of a batch, and so of a piece.
    pub(crate) max_rows: u64,
    /// The most bytes of a batch.
    pub(crate) max_bytes: u64,
}

/// What the tasks of the shards and the stage share.
pub(crate) struct Buffer {
    limits: Limits,
    stream: String,
    held: Mutex<Held>,
    room: Notify,
    news: Notify,
}

/// What the buffer holds.
#[derive(Default)]
pub(crate) struct Held {
    pieces: VecDeque<Piece>,
    rows: u64,
    bytes: u64,
    /// When the oldest record came that was not taken.
    since: Option<Instant>,
    /// How far every shard was read.
    pub(crate) reached: BTreeMap<String, ShardState>,
    /// Until when all that had come was read, by shard.
    tips: BTreeMap<String, Instant>,
    /// The shards that are listed as closed.
    pub(crate) closed: BTreeSet<String>,
    /// How many shards have ended.
    pub(crate) ended: u64,
    /// How many of those it is known of what came of them; nothing before the first shards were begun.
    settled: Option<u64>,
    names: Arc<Vec<String>>,
    numbers: BTreeMap<String, u32>,
    failed: Option<Error>,
    is_ended: bool,
}

/// What was taken for a batch.
#[derive(Default)]
pub(crate) struct Taken {
    pub(crate) pieces: Vec<Piece>,
    /// How far the shards were read with it.
    pub(crate) reached: BTreeMap<String, ShardState>,
    /// Whether more is there than the batch may hold.
    pub(crate) is_full: bool,
}

impl Buffer {
    /// An empty buffer for a stream, some shards of which were read so far.
    pub(crate) fn new(limits: Limits, stream: &str, reached: BTreeMap<String, ShardState>) -> Buffer {
        let held = Mutex::new(Held { reached, ..Held::default() });
        Buffer { limits, stream: stream.to_owned(), held, room: Notify::new(), news: Notify::new() }
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until there is room.
    pub(crate) async fn room(&self) {
        loop {
            let freed = self.room.notified();
            if self.lock().bytes < self.limits.held_bytes {
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
            if held.pieces.back().is_none_or(|last| self.limits.is_full(last)) {
                held.note(shard, &state);
                held.pieces.push_back(Piece::default());
            }
            let Some(piece) = held.pieces.back_mut() else { return };
            let (rows, bytes) = (piece.rows(), piece.bytes());
            state.rows += piece.push(record, number, state.rows);
            held.rows += (piece.rows() - rows) as u64;
            held.bytes += (piece.bytes() - bytes) as u64;
            state.seen = state.seen.max(record.arrived);
            state.place = Place::After(record.sequence_number.clone());
        }
        if held.rows > 0 {
            held.since.get_or_insert_with(Instant::now);
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
        let mut held = self.lock();
        held.failed.get_or_insert(error);
        held.is_ended = true;
        drop(held);
        self.news.notify_one();
    }

    /// Ends when something may have changed since the last time.
    pub(crate) async fn news(&self) {
        self.news.notified().await;
    }

    /// Takes pieces until the batch that already has `rows` and `bytes` is full. Pieces that may still grow are only
    /// taken with `unfinished`.
    ///
    /// # Errors
    /// When reading failed. What came before is not handed out then.
    pub(crate) fn take(&self, rows: u64, bytes: u64, unfinished: bool) -> Result<Taken> {
        let mut held = self.lock();
        if let Some(error) = held.failed.take() {
            return Err(error);
        }
        if held.is_ended {
            return Err(Error::unavailable("reading from Kinesis has ended; it is begun anew"));
        }
        let mut taken = Taken::default();
        let (mut rows, mut bytes) = (rows, bytes);
        // Nothing more comes before there is room again.
        let unfinished = unfinished || held.bytes >= self.limits.held_bytes;
        while let Some(first) = held.pieces.front() {
            let (more_rows, more_bytes) = (first.rows() as u64, first.bytes() as u64);
            let may_grow = held.pieces.len() == 1 && !unfinished && !self.limits.is_full(first);
            let is_over = rows + more_rows > self.limits.max_rows || bytes + more_bytes > self.limits.max_bytes;
            taken.is_full = rows > 0 && is_over;
            if may_grow || taken.is_full {
                break;
            }
            let Some(mut piece) = held.pieces.pop_front() else { break };
            piece.names = Arc::clone(&held.names);
            (rows, bytes) = (rows + more_rows, bytes + more_bytes);
            held.rows -= more_rows;
            held.bytes -= more_bytes;
            taken.reached.append(&mut piece.reached);
            taken.pieces.push(piece);
        }
        if held.pieces.is_empty() {
            taken.reached = held.reached.clone();
        }
        held.since = (!held.pieces.is_empty()).then(Instant::now);
        drop(held);
        self.room.notify_waiters();
        Ok(taken)
    }

    /// How long until there is a batch for a stream: at once when there is enough, never when there is nothing.
    pub(crate) fn due_in(&self, trigger: Duration) -> Option<Duration> {
        let held = self.lock();
        let is_enough = held.rows >= self.limits.max_rows
            || held.bytes >= self.limits.max_bytes.min(self.limits.held_bytes)
            || held.is_ended;
        if is_enough {
            return Some(Duration::ZERO);
        }
        held.since.map(|since| trigger.saturating_sub(since.elapsed()))
    }
}

impl Limits {
    /// Whether nothing is added to a piece any more.
    fn is_full(&self, piece: &Piece) -> bool {
        piece.bytes() as u64 >= self.max_bytes.min(PIECE_BYTES as u64) || piece.rows() as u64 >= self.max_rows
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
        if let Some(last) = self.pieces.back_mut() {
            last.reached.insert(shard.to_owned(), state.clone());
        }
        self.reached.insert(shard.to_owned(), state.clone());
    }

    fn number_of(&mut self, shard: &str, stream: &str) -> u32 {
        if let Some(number) = self.numbers.get(shard) {
            return *number;
        }
        let mut names = self.names.as_ref().clone();
        let number = u32::try_from(names.len()).unwrap_or(u32::MAX);
        names.push(format!("{stream}/{shard}"));
        self.names = Arc::new(names);
        self.numbers.insert(shard.to_owned(), number);
        number
    }
}

#[cfg(test)]
mod tests {
    use super::super::unpacked::tests::packed;
    use super::*;

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

    fn rows(taken: &Taken) -> Vec<usize> {
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
        let of = |taken: &Taken, shard: &str| taken.reached.get(shard).map(|state| (state.place.clone(), state.rows));
        assert_eq!(rows(&first), [10]);
        assert_eq!(of(&first, "a"), Some((Place::After("6".into()), 7)));
        assert_eq!(of(&first, "b"), Some((Place::After("2".into()), 3)));
        assert_eq!(rows(&buffer.take(0, 0, false).unwrap()), [0; 0], "the rest may grow");
        let last = buffer.take(0, 0, true).unwrap();
        assert_eq!((of(&last, "a"), of(&last, "b")), (Some((Place::Closed, 9)), Some((Place::After("6".into()), 7))));
        let names: Vec<&str> = last.pieces[0].shards.iter().map(|shard| last.pieces[0].name_of(*shard)).collect();
        assert_eq!(names, ["s/b", "s/b", "s/b", "s/b", "s/a", "s/a"]);
        assert_eq!(last.pieces[0].messages.offsets, [3, 4, 5, 6, 7, 8]);
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
        assert_eq!(buffer.take(0, 0, true).unwrap().reached["a"].seen, Some(5));
    }

    #[test]
    fn packed_records_are_rows_and_damaged_ones_are_refused() {
        let buffer = buffer(1 << 30, 10);
        let many = record(1, &packed(&["p", "q"], &[(0, b"1"), (1, b"2")]));
        let damaged = record(2, &many.payload[..9]);
        buffer.push("a", &[many, damaged, record(3, b"3")], Place::After("3".into()), None);
        let taken = buffer.take(0, 0, true).unwrap();
        let piece = &taken.pieces[0];
        assert_eq!((piece.messages.offsets.as_slice(), taken.reached["a"].rows), (&[0, 1, 3][..], 4));
        assert_eq!((piece.refused[0].number, piece.refused[0].sequence_number.as_str()), (2, "2"));
        assert_eq!(piece.messages.keys.get(1), Some(&b"q"[..]));
        assert_eq!(piece.sequence_numbers.get(1), Some(&b"1"[..]));
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
