//! What was polled and not yet taken: bounded, filled by the reader's thread, emptied by the stage.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::Message;
use stage::{Error, Result};
use tokio::sync::Notify;

use super::batch::Piece;
use super::positions::Partition;

/// How much of a batch is decoded at once.
const PIECE_BYTES: usize = 4 << 20;
/// How long the reader waits for room before it looks whether it is to end.
const LOOK: Duration = Duration::from_millis(100);

/// How much is held.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// The memory for messages that were not taken yet.
    pub(crate) held_bytes: u64,
    /// The most messages of a batch, and so of a piece.
    pub(crate) max_rows: u64,
    /// The most bytes of a batch.
    pub(crate) max_bytes: u64,
}

impl Limits {
    /// Whether nothing is added to a piece any more.
    fn is_full(&self, piece: &Piece) -> bool {
        piece.bytes() as u64 >= self.max_bytes.min(PIECE_BYTES as u64) || piece.rows() as u64 >= self.max_rows
    }
}

/// What the reader and the stage share.
pub(crate) struct Buffer {
    limits: Limits,
    tombstone: &'static [u8],
    held: Mutex<Held>,
    room: Condvar,
    news: Notify,
}

/// What the buffer holds.
#[derive(Default)]
pub(crate) struct Held {
    pieces: VecDeque<Piece>,
    rows: u64,
    bytes: u64,
    /// When the oldest message came that was not taken.
    since: Option<Instant>,
    /// When something came last.
    pub(crate) moved: Option<Instant>,
    /// The partitions that are read, in the order of their numbers; more may come.
    pub(crate) partitions: Arc<Vec<Partition>>,
    /// Below which offset everything was polled, by partition. Behind messages that nobody sees, such as the ends of
    /// transactions, it is ahead of the last message.
    polled: Vec<i64>,
    /// Whether something moved that nobody was told of.
    is_untold: bool,
    failed: Option<Error>,
    closed: bool,
}

/// What was taken for a batch.
#[derive(Default)]
pub(crate) struct Taken {
    pub(crate) pieces: Vec<Piece>,
    /// The next offset of every partition that moved.
    pub(crate) next: BTreeMap<u32, i64>,
    /// Whether more is there than the batch may hold.
    pub(crate) is_full: bool,
}

impl Buffer {
    pub(crate) fn new(limits: Limits, tombstone: &'static [u8]) -> Buffer {
        Buffer { limits, tombstone, held: Mutex::default(), room: Condvar::new(), news: Notify::new() }
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until there is room; false when the buffer was closed.
    pub(crate) fn wait_for_room(&self) -> bool {
        let mut held = self.lock();
        while !held.closed && held.bytes >= self.limits.held_bytes {
            held = self.room.wait_timeout(held, LOOK).unwrap_or_else(PoisonError::into_inner).0;
        }
        !held.closed
    }

    /// Waits for that long; false when the buffer was closed.
    pub(crate) fn wait_while_open(&self, time: Duration) -> bool {
        let waited = self.room.wait_timeout_while(self.lock(), time, |held| !held.closed);
        !waited.unwrap_or_else(PoisonError::into_inner).0.closed
    }

    /// Appends messages, each with the number of its partition.
    ///
    /// # Errors
    /// [`stage::Kind::Unavailable`] when a message came before that was to come later; what follows is not appended
    /// then.
    pub(crate) fn extend<M: Message>(&self, messages: impl IntoIterator<Item = (u32, M)>) -> Result<()> {
        let mut held = self.lock();
        let (was_empty, pieces) = (held.pieces.is_empty(), held.pieces.len());
        let mut messages = messages.into_iter();
        let extended = messages.try_for_each(|(partition, message)| self.push(&mut held, &message, partition));
        held.moved = Some(Instant::now());
        held.is_untold = true;
        // Whoever waits is woken for what can be taken, and not for each message that a piece grows by.
        let can_be_taken =
            held.pieces.len() > pieces || held.pieces.back().is_some_and(|last| self.limits.is_full(last));
        if was_empty || can_be_taken || held.bytes >= self.limits.held_bytes {
            self.tell(held);
        }
        extended
    }

    fn push(&self, held: &mut Held, message: &impl Message, partition: u32) -> Result<()> {
        if let Some(polled) = held.polled.get_mut(partition as usize) {
            if message.offset() < *polled {
                let name = held.partitions.get(partition as usize).map_or("", |partition| partition.name.as_str());
                let offset = message.offset();
                return Err(Error::unavailable(format!("offset {offset} of {name} came again after offset {polled}")));
            }
            *polled = message.offset() + 1;
        }
        if held.pieces.back().is_none_or(|last| self.limits.is_full(last)) {
            let piece = held.pieces.back().map_or_else(Piece::default, Piece::with_room_of);
            held.pieces.push_back(piece);
        }
        let Some(piece) = held.pieces.back_mut() else { return Ok(()) };
        let before = piece.bytes();
        piece.push(message, partition, self.tombstone);
        held.bytes += (piece.bytes() - before) as u64;
        held.rows += 1;
        held.since.get_or_insert_with(Instant::now);
        Ok(())
    }

    /// Wakes whoever waits, without holding what is held.
    fn tell(&self, mut held: MutexGuard<'_, Held>) {
        held.is_untold = false;
        drop(held);
        self.news.notify_one();
    }

    /// Notes below which offsets everything was polled.
    pub(crate) fn note_polled(&self, polled: impl Iterator<Item = (u32, i64)>) {
        let mut held = self.lock();
        for (partition, offset) in polled {
            match held.polled.get_mut(partition as usize) {
                Some(known) if *known < offset => *known = offset,
                _ => continue,
            }
            held.moved = Some(Instant::now());
            held.is_untold = true;
        }
        if held.is_untold {
            self.tell(held);
        }
    }

    /// Notes that nothing more will come, and why.
    pub(crate) fn fail(&self, error: Error) {
        let mut held = self.lock();
        held.failed.get_or_insert(error);
        self.end(held);
    }

    /// Tells those who fill it to end.
    pub(crate) fn close(&self) {
        self.end(self.lock());
    }

    fn end(&self, mut held: MutexGuard<'_, Held>) {
        held.closed = true;
        self.room.notify_all();
        self.tell(held);
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
            piece.known = Arc::clone(&held.partitions);
            (rows, bytes) = (rows + more_rows, bytes + more_bytes);
            held.rows -= more_rows;
            held.bytes -= more_bytes;
            taken.next.extend(piece.next_offsets());
            taken.pieces.push(piece);
        }
        let is_all = held.pieces.is_empty();
        if is_all {
            taken.next.extend(held.numbered());
        }
        held.since = (!is_all).then(Instant::now);
        drop(held);
        self.room.notify_all();
        Ok(taken)
    }

    /// How long until there is a batch for a stream: at once when there is enough or reading failed, never when there
    /// is nothing.
    pub(crate) fn due_in(&self, trigger: Duration) -> Option<Duration> {
        let held = self.lock();
        let is_enough = held.rows >= self.limits.max_rows
            || held.bytes >= self.limits.max_bytes.min(self.limits.held_bytes)
            || held.failed.is_some();
        if is_enough {
            return Some(Duration::ZERO);
        }
        held.since.map(|since| trigger.saturating_sub(since.elapsed()))
    }
}

impl Held {
    /// Whether everything below `ends` was polled; if not, the first partition that is short, its next offset and its
    /// end.
    pub(crate) fn reached(&self, ends: &BTreeMap<u32, i64>) -> std::result::Result<(), (u32, i64, i64)> {
        let short = ends.iter().find_map(|(partition, end)| {
            let polled = self.polled(*partition).unwrap_or(0);
            (polled < *end).then_some((*partition, polled, *end))
        });
        short.map_or(Ok(()), Err)
    }

    /// The offset below which everything was polled.
    pub(crate) fn polled(&self, partition: u32) -> Option<i64> {
        self.polled.get(partition as usize).copied()
    }

    fn numbered(&self) -> impl Iterator<Item = (u32, i64)> {
        (0..).zip(self.polled.iter().copied())
    }

    /// Begins to read partitions at these offsets.
    pub(crate) fn add(&mut self, begun: &[(Partition, i64)]) {
        let mut partitions = self.partitions.as_ref().clone();
        for (partition, offset) in begun {
            self.polled.push(*offset);
            partitions.push(partition.clone());
        }
        self.partitions = Arc::new(partitions);
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;
    use rdkafka::Timestamp;
    use rdkafka::message::OwnedMessage;

    use super::*;

    fn buffer(held_bytes: u64, max_rows: u64) -> Buffer {
        let buffer = Buffer::new(Limits { held_bytes, max_rows, max_bytes: 1 << 30 }, b"{}");
        let begun: Vec<(Partition, i64)> = (0..2).map(|number| (Partition::new("c", "t", number), 5)).collect();
        buffer.lock().add(&begun);
        buffer
    }

    fn push(buffer: &Buffer, partition: u32, offsets: std::ops::Range<i64>) {
        for offset in offsets {
            let payload = Some(vec![b'x'; 100]);
            let message = OwnedMessage::new(payload, None, "t".to_owned(), Timestamp::NotAvailable, 0, offset, None);
            buffer.extend([(partition, message)]).unwrap();
        }
    }

    fn rows(taken: &Taken) -> Vec<usize> {
        taken.pieces.iter().map(Piece::rows).collect()
    }

    #[test]
    fn a_batch_holds_no_more_rows_than_it_may() {
        let buffer = buffer(1 << 30, 10);
        push(&buffer, 0, 5..30);
        let first = buffer.take(0, 0, false).unwrap();
        assert_eq!(rows(&first), [10]);
        assert!(buffer.take(10, 0, false).unwrap().is_full);
        assert_eq!(first.next, BTreeMap::from([(0, 15)]));
        assert_eq!(rows(&buffer.take(0, 0, false).unwrap()), [10]);
        assert_eq!(rows(&buffer.take(0, 0, false).unwrap()), [0; 0]);
        let last = buffer.take(0, 0, true).unwrap();
        assert_eq!((rows(&last), last.next), (vec![5], BTreeMap::from([(0, 30), (1, 5)])));
    }

    #[test]
    fn a_full_buffer_hands_out_what_could_still_grow() {
        let buffer = buffer(1_000, 1_000);
        push(&buffer, 0, 5..12);
        assert_eq!(rows(&buffer.take(0, 0, false).unwrap()), [7]);
    }

    #[test]
    fn messages_that_nobody_sees_move_the_end() {
        let buffer = buffer(1 << 30, 100);
        push(&buffer, 0, 5..7);
        let ends = BTreeMap::from([(0, 8), (1, 5)]);
        assert_eq!(buffer.lock().reached(&ends), Err((0, 7, 8)));
        buffer.note_polled([(0, 8)].into_iter());
        assert_eq!(buffer.lock().reached(&ends), Ok(()));
        assert_eq!(buffer.take(0, 0, true).unwrap().next.get(&0), Some(&8));
    }

    #[test]
    fn a_stream_is_due_after_the_first_message_or_when_there_is_enough() {
        let buffer = buffer(1 << 30, 3);
        let trigger = Duration::from_secs(3600);
        assert_eq!(buffer.due_in(trigger), None);
        push(&buffer, 0, 5..6);
        assert!(buffer.due_in(trigger).is_some_and(|rest| rest > Duration::from_secs(3000)));
        assert_eq!(buffer.due_in(Duration::ZERO), Some(Duration::ZERO));
        push(&buffer, 1, 5..7);
        assert_eq!(buffer.due_in(trigger), Some(Duration::ZERO));
    }

    #[test]
    fn a_message_that_comes_again_is_refused() {
        let buffer = buffer(1 << 30, 100);
        let at = |offset| OwnedMessage::new(None, None, "t".to_owned(), Timestamp::NotAvailable, 0, offset, None);
        buffer.extend([(0, at(5)), (0, at(8))]).unwrap();
        let error = buffer.extend([(1, at(5)), (0, at(8)), (0, at(9))]).unwrap_err();
        assert_eq!(error.message(), "offset 8 of t/0 came again after offset 9");
        assert_eq!(buffer.take(0, 0, true).unwrap().next, BTreeMap::from([(0, 9), (1, 6)]));
    }

    #[tokio::test]
    async fn whoever_waits_is_woken_for_what_can_be_taken() {
        let buffer = buffer(1 << 30, 3);
        let is_woken = || buffer.news().now_or_never().is_some();
        push(&buffer, 0, 5..6);
        assert!(is_woken(), "the first message starts the time until a commit");
        push(&buffer, 0, 6..7);
        assert!(!is_woken(), "a piece that grew can not be taken yet");
        buffer.note_polled([(0, 7)].into_iter());
        assert!(is_woken(), "nothing more waits in the library");
        buffer.note_polled([(0, 7)].into_iter());
        assert!(!is_woken(), "nothing has moved");
        push(&buffer, 0, 7..8);
        assert!(is_woken(), "a full piece can be taken");
    }

    #[test]
    fn a_failure_is_told_before_anything_is_handed_out() {
        let buffer = buffer(1 << 30, 3);
        push(&buffer, 0, 5..6);
        buffer.fail(Error::unavailable("gone"));
        assert_eq!(buffer.take(0, 0, true).err().map(|error| error.message().to_owned()), Some("gone".to_owned()));
        assert!(!buffer.wait_for_room());
    }
}
